//! What a build leaves in a tree and no image needs is taken away: logs, caches, keys, whatever tells the day.
//!
//! [`RULES`] is the whole list. What is on it has differed between trees that were made of the same packages at different
//! times, or is a secret that every machine needs for itself; other state (dpkg's database, `extended_states`, the message
//! catalogue, `ld.so.cache`) is the same each time and stays. What the description brought itself stays as well.
//! Machines make their own host keys when they start: see [`UNIT`].

use crate::root::sandbox::OperationError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

/// What is done to paths that a rule names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// The file goes.
    Remove,
    /// Everything in the directory goes.
    Clear,
    /// Files below the directory go, directories and symlinks stay.
    Files,
    /// Of logs below the directory those of root go; those that others own become empty, because packages made them so.
    Logs,
    /// The file becomes empty.
    Empty,
    /// A secret of the machine: it goes, and a unit of the tree makes a new one.
    Key,
}

/// One rule: a path from the root on, `*` in a name stands for anything; why.
struct Rule(&'static str, Act, &'static str);

/// The rules, in the order in which they are applied.
const RULES: &[Rule] = &[
    // Logs.
    Rule("var/log/journal", Act::Clear, "a machine's journal"),
    Rule("var/log/lastlog", Act::Empty, "logins; programs expect the file"),
    Rule("var/log/faillog", Act::Empty, "logins; programs expect the file"),
    Rule("var/log/wtmp", Act::Empty, "logins; programs expect the file"),
    Rule("var/log/btmp", Act::Empty, "logins; programs expect the file"),
    Rule("var/log", Act::Logs, "times of the build"),
    // apt, dpkg, debconf.
    Rule("var/lib/apt/lists", Act::Files, "the archive as it was at the build; apt-get update makes them"),
    Rule("var/lib/apt/periodic", Act::Files, "times of the build"),
    Rule("var/cache/apt", Act::Files, "packages, and a cache that holds times"),
    Rule("var/lib/dpkg/*-old", Act::Remove, "the state before the last change"),
    Rule("var/cache/debconf/*-old", Act::Remove, "the state before the last change"),
    Rule("var/backups", Act::Files, "copies of dpkg's database"),
    Rule("etc/apt/*~", Act::Remove, "the state before the last change"),
    Rule("etc/apt/*/*~", Act::Remove, "the state before the last change"),
    // Accounts.
    Rule("etc/passwd-", Act::Remove, "the state before the last change"),
    Rule("etc/group-", Act::Remove, "the state before the last change"),
    Rule("etc/shadow-", Act::Remove, "the state before the last change, with the day"),
    Rule("etc/gshadow-", Act::Remove, "the state before the last change"),
    Rule("etc/subuid-", Act::Remove, "the state before the last change"),
    Rule("etc/subgid-", Act::Remove, "the state before the last change"),
    Rule("etc/.pwd.lock", Act::Remove, "a lock"),
    // Caches.
    Rule(
        "var/cache/ldconfig/aux-cache",
        Act::Remove,
        "inode numbers and times of libraries; ldconfig makes it",
    ),
    Rule("var/cache/man", Act::Clear, "times; mandb makes it, which Debian runs daily"),
    Rule("var/cache/fontconfig", Act::Clear, "times of directories; fontconfig makes it"),
    Rule("var/lib/plocate/plocate.db", Act::Remove, "times; updatedb makes it"),
    Rule("var/lib/mlocate/mlocate.db", Act::Remove, "times; updatedb makes it"),
    // The machine: what must not be the same on two.
    Rule(
        "var/lib/dbus/machine-id",
        Act::Remove,
        "a machine's id; a link to /etc/machine-id is made at start",
    ),
    Rule("var/lib/systemd/random-seed", Act::Remove, "random numbers that would be known"),
    Rule("var/lib/urandom/random-seed", Act::Remove, "random numbers that would be known"),
    Rule("boot/loader/random-seed", Act::Remove, "random numbers that would be known; bootctl makes it"),
    Rule("boot/efi/loader/random-seed", Act::Remove, "random numbers that would be known; bootctl makes it"),
    Rule("efi/loader/random-seed", Act::Remove, "random numbers that would be known; bootctl makes it"),
    Rule("var/lib/systemd/credential.secret", Act::Remove, "a machine's key; systemd makes it"),
    Rule("var/lib/systemd/timers", Act::Files, "when timers ran"),
    Rule("var/lib/systemd/timesync/clock", Act::Remove, "the time of the build"),
    Rule("var/lib/private/systemd/timesync/clock", Act::Remove, "the time of the build"),
    Rule("var/lib/NetworkManager/secret_key", Act::Remove, "a machine's key; NetworkManager makes it"),
    Rule("var/lib/NetworkManager/timestamps", Act::Remove, "times"),
    Rule("var/lib/dhcp", Act::Files, "leases"),
    Rule("var/lib/logrotate/status", Act::Remove, "times; logrotate makes it"),
    Rule("etc/nvme/hostid", Act::Remove, "a machine's id; nvme falls back on the firmware's"),
    Rule("etc/nvme/hostnqn", Act::Remove, "a machine's id; nvme falls back on the firmware's"),
    Rule("etc/ssh/ssh_host_*_key", Act::Key, "a machine's key, made by openssh-server's script"),
    Rule("etc/ssh/ssh_host_*_key.pub", Act::Key, "a machine's key, made by openssh-server's script"),
    Rule("etc/ssl/private/ssl-cert-snakeoil.key", Act::Key, "a machine's key, made by ssl-cert's script"),
    Rule(
        "etc/ssl/certs/ssl-cert-snakeoil.pem",
        Act::Key,
        "a machine's certificate, made by ssl-cert's script",
    ),
    // What is no file of a system.
    Rule("tmp", Act::Clear, "temporary"),
    Rule("var/tmp", Act::Clear, "temporary"),
    Rule("run", Act::Clear, "a file system in memory lies over it"),
    Rule("root/.bash_history", Act::Remove, "what was typed"),
    Rule("root/.cache", Act::Clear, "a cache"),
    Rule("root/.wget-hsts", Act::Remove, "times"),
];

/// Makes the keys that [`Act::Key`] took away, early in a start, before sshd and whatever else wants them; cloud-init, where
/// it runs, replaces them later. Debian makes host keys when openssh-server is installed, and at no start.
const UNIT: &str = "\
[Unit]
Description=Make this machine's keys
DefaultDependencies=no
Conflicts=shutdown.target
After=systemd-remount-fs.service local-fs.target
Before=sysinit.target cloud-init.service shutdown.target
ConditionPathIsReadWrite=/etc
";
const UNIT_PATH: &str = "etc/systemd/system/machine-keys.service";
const UNIT_WANTED: &str = "etc/systemd/system/sysinit.target.wants/machine-keys.service";

/// Takes the state of the build away. In a session with nothing mounted, so that what lies below `/run` and `/tmp` is seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrub {
    /// Times behind it are written as it, in seconds since 1970.
    pub epoch: i64,
    /// Paths from the root on that the description brought: overlay, archives, files. They stay as they are.
    pub keep: BTreeSet<PathBuf>,
}

/// What was done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scrubbed {
    /// Files that are gone.
    pub removed: u64,
    /// Their bytes, and those of files that are empty now.
    pub bytes: u64,
    /// Files whose content was changed, and those that were made.
    pub changed: Vec<PathBuf>,
    /// Keys that are gone.
    pub keys: Vec<PathBuf>,
}

/// What each rule names, from the root on, and why it is there; `*` in a name stands for anything.
pub fn reasons() -> impl Iterator<Item = (&'static str, &'static str)> {
    RULES.iter().map(|Rule(path, _, why)| (*path, *why))
}

/// Whether a rule names a path, or a directory above it; but for what is no file of a system anyway. From the root on, without
/// a slash in front.
pub(super) fn concerns(path: &Path) -> bool {
    let names: Vec<&OsStr> = path.iter().collect();
    let named = |Rule(pattern, ..): &&Rule| {
        let parts: Vec<&str> = pattern.split('/').collect();
        parts.len() <= names.len() && parts.iter().zip(&names).all(|(part, name)| matches(part, name))
    };
    RULES.iter().filter(|Rule(pattern, ..)| !["tmp", "run"].contains(pattern)).any(|rule| named(&rule))
}

impl Scrubbed {
    /// What to say of keys that are gone while nothing in the tree makes new ones.
    pub fn lost(&self) -> Option<String> {
        let keys: Vec<String> = self.keys.iter().map(|path| format!("/{}", path.display())).collect();
        let made = self.changed.iter().any(|path| path == Path::new(UNIT_PATH));
        let lost = !keys.is_empty() && !made;
        lost.then(|| {
            format!(
                "note: keys that packages made are not in the tree, and without systemd nothing makes new ones: {}; ssh-keygen -A \
                 makes those of SSH, an overlay's own stay",
                keys.join(" ")
            )
        })
    }
}

impl Scrub {
    /// One line for people.
    pub fn describe(&self) -> String {
        format!("take away logs, caches and keys; times up to {}", self.epoch)
    }

    /// Does it; `/` is the tree. The result is a [`Scrubbed`] in JSON.
    pub(super) fn execute(&self) -> Result<Vec<u8>, OperationError> {
        let done = self.apply(Path::new("/"))?;
        Ok(serde_json::to_vec(&done).map_err(io::Error::from)?)
    }

    /// Scrubs the tree below a directory.
    ///
    /// # Errors
    /// A file cannot be read, changed or removed.
    pub fn apply(&self, root: &Path) -> io::Result<Scrubbed> {
        let device = fs_err::symlink_metadata(root)?.dev();
        let mut work = Work { scrub: self, root, device, done: Scrubbed::default() };
        for Rule(pattern, act, _) in RULES {
            for path in work.named(pattern)? {
                work.act(&path, *act)?;
            }
        }
        work.days()?;
        work.compiled(Path::new("usr"))?;
        work.unit()?;
        Ok(work.done)
    }
}

struct Work<'a> {
    scrub: &'a Scrub,
    root: &'a Path,
    /// Only this one: what is mounted in the tree is none of it.
    device: u64,
    done: Scrubbed,
}

impl Work<'_> {
    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path)
    }

    /// What there is by this name in the tree, and not by a symlink.
    fn metadata(&self, path: &Path) -> io::Result<Option<std::fs::Metadata>> {
        match fs_err::symlink_metadata(self.at(path)) {
            Ok(metadata) => Ok(Some(metadata).filter(|metadata| metadata.dev() == self.device)),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The names in a directory, sorted; nothing where there is none.
    fn names(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        if !self.metadata(directory)?.is_some_and(|metadata| metadata.is_dir()) {
            return Ok(Vec::new());
        }
        #[allow(clippy::disallowed_methods)] // sorted below
        let entries = fs_err::read_dir(self.at(directory))?;
        let names = entries.map(|entry| Ok(directory.join(entry?.file_name())));
        let mut names = names.collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// The paths that a pattern names.
    fn named(&self, pattern: &str) -> io::Result<Vec<PathBuf>> {
        let mut found = vec![PathBuf::new()];
        for part in pattern.split('/') {
            let mut next = Vec::new();
            for directory in found {
                match part.contains('*') {
                    false => next.push(directory.join(part)),
                    true => next.extend(
                        self.names(&directory)?
                            .into_iter()
                            .filter(|path| path.file_name().is_some_and(|name| matches(part, name))),
                    ),
                }
            }
            found = next;
        }
        let mut there = Vec::new();
        for path in found {
            if self.metadata(&path)?.is_some() {
                there.push(path);
            }
        }
        Ok(there)
    }

    fn act(&mut self, path: &Path, act: Act) -> io::Result<()> {
        let Some(metadata) = self.metadata(path)?.filter(|_| !self.kept(path)) else { return Ok(()) };
        match act {
            Act::Clear => self.names(path)?.iter().try_for_each(|path| self.remove(path)),
            Act::Files | Act::Logs if metadata.is_dir() => {
                self.names(path)?.iter().try_for_each(|path| self.act(path, act))
            }
            _ if !metadata.is_file() => Ok(()),
            // Debian's logs are root's and those of the group adm, 4.
            Act::Logs if !matches!((metadata.uid(), metadata.gid()), (0, 0 | 4)) => self.empty(path),
            Act::Logs if EXPECTED.iter().any(|name| path == Path::new(name)) => self.empty(path),
            Act::Empty => self.empty(path),
            Act::Key => {
                self.done.keys.push(path.to_owned());
                self.remove(path)
            }
            Act::Remove | Act::Files | Act::Logs => self.remove(path),
        }
    }

    fn kept(&self, path: &Path) -> bool {
        let keep = &self.scrub.keep;
        keep.contains(path) || keep.contains(&Path::new("/").join(path))
    }

    /// Removes a file, or a directory with what is in it.
    fn remove(&mut self, path: &Path) -> io::Result<()> {
        let Some(metadata) = self.metadata(path)?.filter(|_| !self.kept(path)) else { return Ok(()) };
        if metadata.is_dir() {
            self.names(path)?.iter().try_for_each(|path| self.remove(path))?;
            return match fs_err::remove_dir(self.at(path)) {
                // Something in it is kept.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
                done => done,
            };
        }
        self.done.removed += 1;
        self.done.bytes += metadata.len();
        fs_err::remove_file(self.at(path))
    }

    fn empty(&mut self, path: &Path) -> io::Result<()> {
        let len = self.metadata(path)?.map_or(0, |metadata| metadata.len());
        self.done.bytes += len;
        if len > 0 { fs_err::OpenOptions::new().write(true).open(self.at(path))?.set_len(0) } else { Ok(()) }
    }

    /// Days on which passwords were set (shadow(5), third field), up to that of the epoch: packages' scripts that make
    /// accounts write that of the build.
    fn days(&mut self) -> io::Result<()> {
        let path = Path::new("etc/shadow");
        if self.kept(path) || !self.metadata(path)?.is_some_and(|metadata| metadata.is_file()) {
            return Ok(());
        }
        let text = fs_err::read(self.at(path))?;
        let new = clamped_days(&text, self.scrub.epoch.div_euclid(86400));
        if new != text {
            fs_err::write(self.at(path), new)?;
            self.done.changed.push(path.to_owned());
        }
        Ok(())
    }

    /// Python's compiled files name the time of their source (PEP 552); where that one will be written as the epoch, so must
    /// this one, or Python compiles again at each start.
    fn compiled(&mut self, directory: &Path) -> io::Result<()> {
        for path in self.names(directory)? {
            let Some(metadata) = self.metadata(&path)? else { continue };
            if metadata.is_dir() {
                self.compiled(&path)?;
            } else if metadata.is_file() && path.extension() == Some(OsStr::new("pyc")) && !self.kept(&path) {
                let mut file = fs_err::OpenOptions::new().read(true).write(true).open(self.at(&path))?;
                let mut head = [0; 12];
                if file.read_exact(&mut head).is_err() {
                    continue;
                }
                if let Some(time) = clamped_source(&head, self.scrub.epoch) {
                    file.seek(SeekFrom::Start(8))?;
                    file.write_all(&time.to_le_bytes())?;
                    self.done.changed.push(path);
                }
            }
        }
        Ok(())
    }

    /// The unit that makes the keys that are gone.
    fn unit(&mut self) -> io::Result<()> {
        let Some(text) = unit(&self.done.keys) else { return Ok(()) };
        let systemd = ["usr/lib/systemd/systemd", "lib/systemd/systemd"];
        if !systemd.iter().any(|path| self.at(Path::new(path)).exists()) {
            return Ok(());
        }
        let wanted = self.at(Path::new(UNIT_WANTED));
        if let Some(directory) = wanted.parent() {
            fs_err::create_dir_all(directory)?;
        }
        fs_err::write(self.at(Path::new(UNIT_PATH)), text)?;
        if self.metadata(Path::new(UNIT_WANTED))?.is_none() {
            symlink("../machine-keys.service", &wanted)?;
        }
        self.done.changed.push(UNIT_PATH.into());
        Ok(())
    }
}

/// Logs of root that programs expect.
const EXPECTED: [&str; 4] = ["var/log/lastlog", "var/log/faillog", "var/log/wtmp", "var/log/btmp"];

/// The unit for these keys, if there is something to make.
fn unit(keys: &[PathBuf]) -> Option<String> {
    let secret = |path: &&PathBuf| path.extension() != Some(OsStr::new("pub"));
    let host = |path: &PathBuf| path.starts_with("etc/ssh");
    let mut text = UNIT.to_owned();
    for path in keys.iter().filter(secret) {
        text += &format!("ConditionPathExists=|!/{}\n", path.display());
    }
    text += "\n[Service]\nType=oneshot\nRemainAfterExit=yes\n";
    if keys.iter().any(host) {
        text += "ExecStart=ssh-keygen -A\n";
    }
    if !keys.iter().all(host) {
        text += "ExecStart=make-ssl-cert generate-default-snakeoil\n";
    }
    (!keys.is_empty()).then_some(text)
}

/// Whether there is no such path.
fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// Whether a name matches a pattern with one `*`.
fn matches(pattern: &str, name: &OsStr) -> bool {
    let (name, (before, after)) = (name.as_bytes(), pattern.split_once('*').unwrap_or((pattern, "")));
    name.len() >= before.len() + after.len()
        && name.starts_with(before.as_bytes())
        && name.ends_with(after.as_bytes())
}

/// shadow(5) with no day behind `day`.
fn clamped_days(text: &[u8], day: i64) -> Vec<u8> {
    let line = |line: &[u8]| {
        let mut fields: Vec<Vec<u8>> = line.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect();
        let number = fields.get(2).and_then(|field| std::str::from_utf8(field).ok()?.parse::<i64>().ok());
        if number.is_some_and(|number| number > day) {
            fields[2] = day.to_string().into_bytes();
        }
        fields.join(&b':')
    };
    text.split(|&byte| byte == b'\n').map(line).collect::<Vec<_>>().join(&b'\n')
}

/// The time that a compiled Python file must name instead, if it must: its first 12 bytes are magic, flags, the source's time.
fn clamped_source(head: &[u8; 12], epoch: i64) -> Option<u32> {
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // Every magic number ends so; flags: the file names a hash, not a time.
    let timed = head[2..4] == *b"\r\n" && number(4) == 0;
    let epoch = u32::try_from(epoch).ok()?;
    (timed && number(8) > epoch).then_some(epoch)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods)]

    use super::*;

    fn write(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn there(root: &Path, path: &str) -> bool {
        root.join(path).symlink_metadata().is_ok()
    }

    #[test]
    fn each_rule_does_what_it_says_and_nothing_else() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        let gone = [
            "var/log/dpkg.log",
            "var/log/apt/term.log",
            "var/log/journal/0123/system.journal",
            "var/lib/apt/lists/deb_Packages",
            "var/lib/apt/lists/partial/x",
            "var/cache/apt/archives/a.deb",
            "var/lib/dpkg/status-old",
            "var/cache/debconf/templates.dat-old",
            "etc/shadow-",
            "etc/apt/trusted.gpg~",
            "etc/apt/trusted.gpg.d/a.gpg~",
            "var/cache/man/de/index.db",
            "var/lib/dbus/machine-id",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssh/ssh_host_ed25519_key.pub",
            "tmp/.hidden/file",
            "run/lock/x",
        ];
        let stay = [
            "var/lib/dpkg/status",
            "var/cache/debconf/templates.dat",
            "etc/passwd",
            "etc/ssh/sshd_config",
            "etc/ssh/ssh_host_kept_key",
            "var/log/kept.log",
            "var/lib/apt/extended_states",
            "tmp/mine/deep",
        ];
        for path in gone.iter().chain(&stay) {
            write(root, path, "text");
        }
        write(root, "var/log/wtmp", "text");
        symlink("../../usr/share/doc/README", root.join("var/log/README")).unwrap();
        write(root, "usr/lib/systemd/systemd", "");
        let keep = ["/var/log/kept.log", "/tmp/mine/deep", "etc/ssh/ssh_host_kept_key"];
        let scrub = Scrub { epoch: 0, keep: keep.into_iter().map(PathBuf::from).collect() };
        let done = scrub.apply(root).unwrap();
        // Logs that are not root's are emptied and stay, as those of an ordinary user here.
        let roots = fs_err::metadata(root).unwrap().uid() == 0;
        let gone = gone.iter().filter(|path| roots || !path.ends_with(".log"));
        assert_eq!(gone.filter(|path| there(root, path)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(stay.iter().filter(|path| !there(root, path)).collect::<Vec<_>>(), Vec::<&&str>::new());
        assert_eq!(std::fs::read(root.join("var/log/wtmp")).unwrap(), b"");
        assert!(there(root, "var/log/README") && there(root, "var/lib/apt/lists/partial"));
        assert!(there(root, "run") && !there(root, "run/lock") && !there(root, "var/log/journal/0123"));
        assert_eq!(done.keys.len(), 2);
        let unit = std::fs::read_to_string(root.join(UNIT_PATH)).unwrap();
        assert!(unit.contains("ConditionPathExists=|!/etc/ssh/ssh_host_ed25519_key\n"), "{unit}");
        assert!(unit.contains("ExecStart=ssh-keygen -A") && !unit.contains("make-ssl-cert"), "{unit}");
        assert_eq!(std::fs::read_to_string(root.join(UNIT_WANTED)).unwrap(), unit);
        let again = scrub.apply(root).unwrap();
        assert_eq!(again, Scrubbed::default());
        assert!(there(root, UNIT_PATH));
    }

    #[test]
    fn a_tree_that_has_nothing_of_it_is_not_changed() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(Scrub::default().apply(root.path()).unwrap(), Scrubbed::default());
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_link_is_not_followed_to_files() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "home/a/file", "mine");
        std::fs::create_dir_all(root.join("var/log")).unwrap();
        symlink("../../home/a", root.join("var/log/link")).unwrap();
        symlink("home/a", root.join("tmp")).unwrap();
        symlink("/home/a/file", root.join("var/log/wtmp")).unwrap();
        Scrub::default().apply(root).unwrap();
        assert_eq!(std::fs::read(root.join("home/a/file")).unwrap(), b"mine");
    }

    #[test]
    fn days_behind_the_epoch_are_its_day() {
        let text = b"root:*:20779:0:99999:7:::\na:!::0:::\nb:!:19000:0::::\n\xff:x:20000\nodd\n\n";
        let expected = b"root:*:19500:0:99999:7:::\na:!::0:::\nb:!:19000:0::::\n\xff:x:19500\nodd\n\n";
        assert_eq!(clamped_days(text, 19500), expected);
    }

    #[test]
    fn compiled_files_follow_their_source() {
        let head = |flags: u8, time: u32| {
            let mut head = *b"\xa7\r\r\n\0\0\0\0\0\0\0\0";
            head[4] = flags;
            head[8..].copy_from_slice(&time.to_le_bytes());
            head
        };
        assert_eq!(clamped_source(&head(0, 100), 50), Some(50));
        assert_eq!(clamped_source(&head(0, 50), 50), None);
        assert_eq!(clamped_source(&head(1, 100), 50), None);
        assert_eq!(clamped_source(&[0; 12], -1), None);
    }
}
