//! What is done to a tree's files by ourselves.

use super::accounts::{self, Account};
use super::files::{Dress, Files, refused};
use super::fstab;
use super::initrd;
use super::merge::{Rules, lay};
use super::modes::changed_mode;
use super::places::{self, Keyboard};
use super::scrub::Scrub;
use crate::root::repository::{binary_keys, check_customized};
use crate::root::sandbox::{Inputs, OperationError};
use crate::survey::{self, Origin, survey};
use rustix::fd::OwnedFd;
use rustix::fs::{FileType, Mode, OFlags, fstat, openat};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A file or directory outside of the tree, below a directory that was opened before the root changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outside {
    /// Name of the input.
    pub input: String,
    /// The path from there.
    pub path: PathBuf,
}

/// A change of the tree's files. Paths are text, from the root on; symlinks on their way are followed within the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Makes a file in the place of what has its name, and the directories that it needs.
    Write {
        /// Where.
        path: String,
        /// What is in it.
        text: String,
        /// Its mode.
        mode: u32,
        /// Its owner and group.
        owner: (u32, u32),
    },
    /// Adds text to a file's end; a file that is not there is made.
    Append {
        /// Which.
        path: String,
        /// What is added.
        text: String,
    },
    /// Makes a directory, and those that it needs; one that is there gets owner and mode.
    Directory {
        /// Where.
        path: String,
        /// Its mode.
        mode: u32,
        /// Its owner and group.
        owner: (u32, u32),
    },
    /// Makes a symlink in the place of what has its name.
    Symlink {
        /// Where.
        path: String,
        /// Where it leads to.
        target: String,
    },
    /// Takes files away, and directories with what is in them; what is mounted in them stays. What is not there is no
    /// error.
    Remove {
        /// Which.
        paths: Vec<String>,
    },
    /// Copies a file of 0:0 into the tree.
    Copy {
        /// What.
        from: Outside,
        /// Where.
        path: String,
        /// Its mode.
        mode: u32,
    },
    /// Writes the OpenPGP keys of a file, armored or not, as apt reads them from a `.gpg` file, of 0:0.
    Keyring {
        /// What.
        from: Outside,
        /// Where.
        path: String,
    },
    /// Copies a file as `<file>` says.
    File(CopiedFile),
    /// Unpacks an archive, owners as it says.
    Archive {
        /// The tar, compressed or not.
        from: Outside,
        /// The directory in the tree.
        target: String,
        /// Times behind it are written as it, in seconds since 1970.
        epoch: i64,
    },
    /// Lays a directory over the tree.
    Overlay {
        /// The directory.
        from: Outside,
        /// Its record, in the same input: who owns what. Without one all that is new belongs to 0:0.
        record: Option<PathBuf>,
        /// Times behind it are written as it, in seconds since 1970.
        epoch: i64,
    },
    /// Adds and changes accounts.
    Accounts {
        /// In order.
        accounts: Vec<Account>,
        /// The day on which passwords are set, counted from 1970.
        day: i64,
    },
    /// Sets the locale: `de_DE.UTF-8`, `POSIX`.
    Locale {
        /// Its name.
        locale: String,
    },
    /// Sets the keyboard.
    Keyboard(Keyboard),
    /// Sets the time zone: `Europe/Berlin`.
    Timezone {
        /// Its name.
        zone: String,
    },
    /// Writes `/etc/fstab` for the tree's own script, where it has one.
    Fstab {
        /// What is generated.
        text: String,
    },
    /// Empties `/etc/machine-id`, unless it says that the first start makes one.
    MachineId,
    /// Looks for a program; the result is its path, or nothing.
    Find {
        /// Its name or path.
        program: String,
    },
    /// Takes the state of the build away.
    Scrub(Scrub),
    /// Looks for kernels, and into initrds.
    Initrd(initrd::Task),
    /// Refuses what a script has made of a repository's file, where packages would come from elsewhere.
    Customized {
        /// The file.
        path: String,
        /// What was in it.
        text: String,
    },
    /// Unpacks a tree to begin with: nothing is there yet. Device nodes are left out: a running system makes its own.
    Begin {
        /// The tar, compressed or not.
        from: Outside,
        /// Times behind it are written as it, in seconds since 1970.
        epoch: i64,
    },
}

/// `<file name target owner permissions>` (KIWI NG 11.1.6 `setup.py: import_files`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopiedFile {
    /// The file.
    pub from: Outside,
    /// Its name, where the target is a directory.
    pub name: String,
    /// A directory of the tree, or a file; the root if empty.
    pub target: String,
    /// As chown takes it: `user`, `user:group`, `:group`, names of the tree or numbers; empty: root.
    pub owner: String,
    /// As chmod takes it; empty: those of the file, without what others may write.
    pub permissions: String,
}

impl Step {
    /// A file of 0:0 that everybody may read.
    pub fn write(path: impl Into<String>, text: impl Into<String>) -> Step {
        Step::Write { path: path.into(), text: text.into(), mode: 0o644, owner: (0, 0) }
    }

    /// One line for people; no passwords.
    pub fn describe(&self) -> String {
        match self {
            Step::Write { path, text, .. } => format!("write {path} ({} bytes)", text.len()),
            Step::Append { path, text } => format!("add {} bytes to {path}", text.len()),
            Step::Directory { path, mode, .. } => format!("make the directory {path} ({mode:o})"),
            Step::Symlink { path, target } => format!("link {path} to {target}"),
            Step::Remove { paths } => format!("remove {}", paths.join(" ")),
            Step::Copy { from, path, .. } => format!("copy {} to {path}", from.path.display()),
            Step::Keyring { from, path } => format!("write the keys of {} to {path}", from.path.display()),
            Step::File(file) => {
                let target = if file.target.is_empty() { "/" } else { &file.target };
                format!("copy {} to {target}", file.from.path.display())
            }
            Step::Archive { from, target, .. } => format!("unpack {} into {target}", from.path.display()),
            Step::Overlay { from, .. } => format!("lay {} over the tree", from.path.display()),
            Step::Accounts { accounts, .. } => {
                let names: Vec<&str> = accounts.iter().map(|one| one.name.as_str()).collect();
                format!("set up the users {}", names.join(" "))
            }
            Step::Locale { locale } => format!("set the locale {locale}"),
            Step::Keyboard(keyboard) => format!("set the keyboard {}", keyboard.keymap),
            Step::Timezone { zone } => format!("set the time zone {zone}"),
            Step::Fstab { text } => {
                format!("write /etc/fstab ({} bytes) if the tree has a script for it", text.len())
            }
            Step::MachineId => "empty /etc/machine-id".to_owned(),
            Step::Find { program } => format!("look for {program}"),
            Step::Scrub(scrub) => scrub.describe(),
            Step::Initrd(task) => task.describe(),
            Step::Customized { path, .. } => format!("check {path}"),
            Step::Begin { from, .. } => format!("begin with the tree in {}", from.path.display()),
        }
    }

    /// Does it; `/` is the tree. [`Step::Find`], [`Step::Scrub`] and [`Step::Initrd`] have results.
    pub(in crate::root) fn execute(&self, inputs: &Inputs) -> Result<Vec<u8>, OperationError> {
        let files = Files::open()?;
        let dress = |mode: u32, (uid, gid): (u32, u32)| Dress { mode, uid, gid };
        match self {
            Step::Write { path, text, mode, owner } => {
                files.write(path, text.as_bytes(), dress(*mode, *owner))?;
            }
            Step::Append { path, text } => files.append(path, text)?,
            Step::Directory { path, mode, owner } => files.make_directory(path, dress(*mode, *owner))?,
            Step::Symlink { path, target } => files.symlink(path, target)?,
            Step::Remove { paths } => paths.iter().try_for_each(|path| files.remove(path))?,
            Step::Copy { from, path, mode } => {
                let (mut file, _) = open(from, inputs)?;
                files.fill(path, Dress::of_root(*mode), &mut file)?;
            }
            Step::Keyring { from, path } => {
                let (mut file, _) = open(from, inputs)?;
                let mut bytes = Vec::new();
                file.read_to_end(&mut bytes)?;
                let keys = binary_keys(&from.path.display().to_string(), &bytes)?;
                files.write(path, &keys, Dress::of_root(0o644))?;
            }
            Step::File(file) => file.copy(&files, inputs)?,
            Step::Archive { from, target, epoch } => {
                let rules =
                    Rules { what: "archive", owners: true, top: false, through_links: true, devices: true };
                let origin = Origin::Tar(from.path.clone());
                surveyed(from, inputs, &origin, None, *epoch, |survey| lay(&files, survey, target, rules))?;
            }
            Step::Overlay { from, record, epoch } => {
                let is_recorded = record.is_some();
                let rules = Rules {
                    what: "overlay",
                    owners: is_recorded,
                    top: is_recorded,
                    through_links: false,
                    devices: true,
                };
                let owner = Some((0, 0)).filter(|_| !is_recorded);
                let origin = Origin::Directory { path: from.path.clone(), record: record.clone() };
                surveyed(from, inputs, &origin, owner, *epoch, |survey| lay(&files, survey, "/", rules))?;
            }
            Step::Accounts { accounts, day } => accounts::set_up(&files, accounts, *day)?,
            Step::Locale { locale } => places::set_locale(&files, locale)?,
            Step::Keyboard(keyboard) => places::set_keyboard(&files, keyboard)?,
            Step::Timezone { zone } => places::set_timezone(&files, zone)?,
            Step::Fstab { text } => fstab::write(&files, text)?,
            Step::MachineId => empty_machine_id(&files)?,
            Step::Find { program } => {
                return Ok(find(&files, program)?.unwrap_or_default().into_bytes());
            }
            Step::Scrub(scrub) => return scrub.execute(),
            Step::Initrd(task) => return task.execute(),
            Step::Customized { path, text } => {
                check_customized(path, text, files.read(path)?.unwrap_or_default().as_bytes())?;
            }
            Step::Begin { from, epoch } => {
                let rules =
                    Rules { what: "tree", owners: true, top: true, through_links: true, devices: false };
                let origin = Origin::Tar(from.path.clone());
                surveyed(from, inputs, &origin, None, *epoch, |survey| lay(&files, survey, "/", rules))?;
            }
        }
        Ok(Vec::new())
    }
}

/// The directories in which programs are, in order.
const PROGRAMS: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

fn find(files: &Files, program: &str) -> Result<Option<String>, OperationError> {
    let places: Vec<String> = match program.contains('/') {
        true => vec![program.to_owned()],
        false => PROGRAMS.iter().map(|directory| format!("{directory}/{program}")).collect(),
    };
    for path in places {
        let is_program = |mode: u32| FileType::from_raw_mode(mode).is_file() && mode & 0o111 != 0;
        if files.stat(&path)?.is_some_and(|stat| is_program(stat.st_mode)) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// KIWI NG 11.1.6 `setup.py: setup_machine_id`, machine-id(5).
fn empty_machine_id(files: &Files) -> Result<(), OperationError> {
    const PATH: &str = "/etc/machine-id";
    match files.read(PATH)? {
        Some(text) if !text.is_empty() && !text.contains("uninitialized") => {
            files.rewrite(PATH, "", Dress::of_root(0o444))
        }
        _ => Ok(()),
    }
}

fn input<'a>(from: &Outside, inputs: &'a Inputs) -> Result<&'a OwnedFd, OperationError> {
    inputs.get(&from.input).ok_or_else(|| OperationError::Host(format!("no input {}", from.input)))
}

/// A regular file outside, with its mode.
fn open(from: &Outside, inputs: &Inputs) -> Result<(File, u32), OperationError> {
    let shown = from.path.display();
    // A fifo must not make us wait, a terminal not become ours.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = openat(input(from, inputs)?, &from.path, flags, Mode::empty());
    let file =
        file.map_err(|error| OperationError::Host(format!("{shown}: {}", std::io::Error::from(error))))?;
    let mode = fstat(&file)?.st_mode;
    match FileType::from_raw_mode(mode).is_file() {
        true => Ok((File::from(file), mode & 0o7777)),
        false => Err(refused("description", &shown.to_string(), "not a regular file")),
    }
}

/// Surveys what is outside, and does something with it while it can be read.
fn surveyed(
    from: &Outside,
    inputs: &Inputs,
    origin: &Origin,
    owner: Option<(u32, u32)>,
    epoch: i64,
    then: impl FnOnce(&survey::Survey) -> Result<(), OperationError>,
) -> Result<(), OperationError> {
    // Paths of a survey start at the working directory. It opens what it reads beneath what it opened first.
    rustix::process::fchdir(input(from, inputs)?)?;
    let options =
        survey::Options { epoch, owner, work_dir: PathBuf::from("/"), threads: rayon::current_num_threads() };
    let survey = survey(origin, &options);
    rustix::process::chdir("/")?;
    then(&survey?)
}

impl CopiedFile {
    fn copy(&self, files: &Files, inputs: &Inputs) -> Result<(), OperationError> {
        let (mut file, mode) = open(&self.from, inputs)?;
        let target = format!("/{}", self.target.trim_matches('/'));
        let path = match files.is_directory(&target)? {
            true => format!("{}/{}", target.trim_end_matches('/'), self.name),
            false => target,
        };
        let (uid, gid) = accounts::owner(files, &self.owner)?;
        let mode = match self.permissions.as_str() {
            "" => mode & 0o755,
            permissions => changed_mode(mode & 0o755, permissions).ok_or_else(|| {
                refused("file", &self.name, format!("permissions that chmod does not know: {permissions}"))
            })?,
        };
        files.fill(&path, Dress { mode, uid, gid }, &mut file)
    }
}

/// A name beside the description is no path of the tree.
pub(super) fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
