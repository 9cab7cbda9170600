//! Package repositories made for tests: little packages by dpkg-deb, indexes by dpkg-scanpackages and apt-ftparchive,
//! signatures by GnuPG with keys of their own. Their faults are made, too.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

use super::{listing, oracle, run, tool, write};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What makes repositories.
const TOOLS: [&str; 5] = ["dpkg-deb", "dpkg-scanpackages", "apt-ftparchive", "gpg", "xz"];

/// Whether repositories can be made here; if not, that is said.
pub fn can_make(test: &str) -> bool {
    TOOLS.iter().all(|program| oracle(test, program).is_some())
}

/// Seconds since 1970.
pub fn now() -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.unwrap().as_secs() as i64
}

/// A package.
#[derive(Clone, Debug)]
pub struct Deb {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// More lines of its control file: `Depends: a`.
    pub control: String,
    /// Path below the root, and what is in the file.
    pub files: Vec<(String, String)>,
    /// `preinst`, `postinst`, `conffiles`, ...: name and text.
    pub scripts: Vec<(String, String)>,
}

impl Deb {
    /// One for all machines, with one file.
    pub fn new(name: &str, version: &str, control: &str) -> Deb {
        let file = (format!("usr/share/{name}/version"), format!("{version}\n"));
        Deb {
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: "all".to_owned(),
            control: control.to_owned(),
            files: vec![file],
            scripts: Vec::new(),
        }
    }

    pub fn architecture(self, architecture: &str) -> Deb {
        Deb { architecture: architecture.to_owned(), ..self }
    }

    pub fn file(mut self, path: &str, text: &str) -> Deb {
        self.files.push((path.to_owned(), text.to_owned()));
        self
    }

    pub fn script(mut self, name: &str, text: &str) -> Deb {
        self.scripts.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Builds it in a directory and gives its path.
    pub fn build(&self, directory: &Path) -> PathBuf {
        let Deb { name, version, architecture, .. } = self;
        let without_epoch = version.split_once(':').map_or(version.as_str(), |(_, version)| version);
        let deb = directory.join(format!("{name}_{without_epoch}_{architecture}.deb"));
        let tree = tempfile::tempdir().unwrap();
        for (path, text) in &self.files {
            write(tree.path().join(path), text);
        }
        let maintainer = "Maintainer: Tester <tester@example.com>\nDescription: a package for tests\n";
        let more = if self.control.is_empty() { String::new() } else { format!("{}\n", self.control) };
        let control =
            format!("Package: {name}\nVersion: {version}\nArchitecture: {architecture}\n{maintainer}{more}");
        write(tree.path().join("DEBIAN/control"), control);
        for (script, text) in &self.scripts {
            let path = tree.path().join("DEBIAN").join(script);
            write(&path, text);
            let mode = if text.starts_with("#!") { 0o755 } else { 0o644 };
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::create_dir_all(directory).unwrap();
        std::fs::set_permissions(tree.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let words = [
            OsStr::new("--build"),
            OsStr::new("--root-owner-group"),
            tree.path().as_os_str(),
            deb.as_os_str(),
        ];
        tool("dpkg-deb", words);
        deb
    }
}

/// A home of GnuPG with keys for signing. Its agent ends with it.
pub struct Gnupg {
    home: tempfile::TempDir,
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let _ = self.command("gpgconf").args(["--kill", "all"]).output();
    }
}

impl Gnupg {
    /// Without a key.
    pub fn empty() -> Gnupg {
        // The agent's socket needs a short name.
        let home = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        Gnupg { home }
    }

    /// With the key `Tester`.
    pub fn new() -> Gnupg {
        let gnupg = Gnupg::empty();
        gnupg.generate("Tester", "ed25519", "never", &[]);
        gnupg
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.env("GNUPGHOME", self.home.path()).env("LC_ALL", "C");
        command
    }

    /// Runs gpg with these words; gives what it prints.
    pub fn gpg<A: AsRef<OsStr>>(&self, words: impl IntoIterator<Item = A>) -> Vec<u8> {
        let mut command = self.command("gpg");
        command.args(["--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""]).args(words);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    /// A key for signing: `ed25519`, `rsa2048`, ...; `never`, `1d`; options as `--faked-system-time`.
    pub fn generate(&self, name: &str, algorithm: &str, expires: &str, options: &[&str]) {
        let words = ["--quick-gen-key", name, algorithm, "sign", expires];
        self.gpg(options.iter().chain(&words));
    }

    /// Fingerprints of a key and its subkeys.
    pub fn fingerprints(&self, name: &str) -> Vec<String> {
        let text = String::from_utf8(self.gpg(["--with-colons", "--list-keys", name])).unwrap();
        let lines = text.lines().filter_map(|line| line.strip_prefix("fpr:"));
        lines.map(|line| line.trim_matches(':').to_owned()).collect()
    }

    /// The public keys: binary.
    pub fn export(&self, names: &[&str]) -> Vec<u8> {
        self.gpg(["--export"].iter().chain(names))
    }

    /// The same, armored.
    pub fn export_armored(&self, names: &[&str]) -> Vec<u8> {
        self.gpg(["--armor", "--export"].iter().chain(names))
    }

    /// A text signed in place, with these options (`--local-user NAME`).
    pub fn clear(&self, text: &[u8], options: &[&str]) -> Vec<u8> {
        let file = self.home.path().join("text");
        write(&file, text);
        let words = ["--output", "-", "--clear-sign", file.to_str().unwrap()];
        self.gpg(options.iter().chain(&words))
    }

    /// The signature of a text.
    pub fn detached(&self, text: &[u8], options: &[&str]) -> Vec<u8> {
        let file = self.home.path().join("text");
        write(&file, text);
        let words = ["--output", "-", "--detach-sign", file.to_str().unwrap()];
        self.gpg(options.iter().chain(&words))
    }

    /// A file of its home.
    pub fn home_file(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.home.path().join(path)).unwrap()
    }

    /// Takes keys, or what is said about them.
    pub fn import(&self, bytes: &[u8]) {
        let file = self.home.path().join("import");
        write(&file, bytes);
        self.gpg([OsStr::new("--import"), file.as_os_str()]);
    }

    /// What gpgv says in its status lines to a signature by keys of `keyring`: the words behind `[GNUPG:]`.
    pub fn gpgv(&self, keyring: &[u8], signed: &[u8], detached: Option<&[u8]>) -> Vec<String> {
        let at = |name: &str| self.home.path().join(name);
        write(at("ring.gpg"), keyring);
        write(at("signed"), signed);
        let mut command = self.command("gpgv");
        command.args(["--status-fd", "1", "--keyring"]).arg(at("ring.gpg"));
        if let Some(signature) = detached {
            write(at("signature"), signature);
            command.arg(at("signature"));
        }
        let said = run(command.arg(at("signed"))).stdout;
        let words = said.lines().filter_map(|line| line.strip_prefix("[GNUPG:] "));
        words.map(|line| line.split(' ').next().unwrap_or_default().to_owned()).collect()
    }
}

/// What is wrong with a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Release was changed behind its signature.
    Signature,
    /// It is not signed at all.
    Unsigned,
    /// The index is not the one that Release names.
    Index,
    /// A package is not the one that the index names: the first in the alphabet.
    Package,
    /// Release ended to count yesterday.
    Expired,
}

/// `dists/SUITE/COMPONENT` for amd64 and all, and a pool, below `root`; `gnupg` signs with its only key, in place and beside.
pub fn suite(root: &Path, suite: &str, component: &str, debs: &[Deb], gnupg: &Gnupg, fault: Fault) {
    let pool = format!("pool/{component}");
    let debs: Vec<PathBuf> = debs.iter().map(|deb| deb.build(&root.join(&pool))).collect();
    let text = said(Command::new("apt-ftparchive").current_dir(root).args(["packages", &pool]));
    let dist = root.join("dists").join(suite);
    index(&dist.join(component).join("binary-amd64"), &text);
    release(&dist, suite, component, gnupg, fault);
    break_files(&dist.join(component).join("binary-amd64"), &debs, fault);
}

/// Puts packages that exist already into the pool of a component; [`suite`] indexes them with its own.
pub fn stock(root: &Path, component: &str, directory: &Path) {
    let pool = root.join("pool").join(component);
    std::fs::create_dir_all(&pool).unwrap();
    for name in listing(directory).iter().filter(|name| name.ends_with(".deb")) {
        std::fs::copy(directory.join(name), pool.join(name)).unwrap();
    }
}

/// A flat repository: packages, index and Release in one directory.
pub fn flat(root: &Path, debs: &[Deb], gnupg: &Gnupg, fault: Fault) {
    let debs: Vec<PathBuf> = debs.iter().map(|deb| deb.build(root)).collect();
    let text = said(Command::new("dpkg-scanpackages").current_dir(root).args(["--multiversion", "."]));
    index(root, &text);
    release(root, "flat", "", gnupg, fault);
    break_files(root, &debs, fault);
}

/// What a command prints; not what it complains about.
fn said(command: &mut Command) -> String {
    run(command).ends(0).stdout
}

fn index(directory: &Path, text: &str) {
    write(directory.join("Packages"), text);
    tool("xz", [OsStr::new("-kf"), directory.join("Packages").as_os_str()]);
}

/// Writes Release, InRelease and Release.gpg.
fn release(directory: &Path, suite: &str, component: &str, gnupg: &Gnupg, fault: Fault) {
    let field = |name: &str, value: &str| format!("APT::FTPArchive::Release::{name}={value}");
    let mut command = Command::new("apt-ftparchive");
    command.current_dir(directory);
    for (name, value) in
        [("Origin", "Tests"), ("Suite", suite), ("Codename", suite), ("Architectures", "amd64 all")]
    {
        command.args(["-o", &field(name, value)]);
    }
    if !component.is_empty() {
        command.args(["-o", &field("Components", component)]);
    }
    let mut text = said(command.args(["release", "."]));
    if fault == Fault::Expired {
        let date = tool("date", ["-u", "-R", "-d", "yesterday"]).replace("+0000", "UTC");
        text = text.replacen("Date: ", &format!("Valid-Until: {date}Date: "), 1);
    }
    write(directory.join("Release"), &text);
    if fault == Fault::Unsigned {
        return;
    }
    let mut clear = String::from_utf8(gnupg.clear(text.as_bytes(), &[])).unwrap();
    write(directory.join("Release.gpg"), gnupg.detached(text.as_bytes(), &["--armor"]));
    if fault == Fault::Signature {
        clear = clear.replacen("Origin: Tests", "Origin: Fests", 1);
        write(directory.join("Release"), text.replacen("Origin: Tests", "Origin: Fests", 1));
    }
    write(directory.join("InRelease"), clear);
}

fn break_files(indexes: &Path, debs: &[PathBuf], fault: Fault) {
    let other = |path: &Path| {
        let mut bytes = std::fs::read(path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(path, bytes).unwrap();
    };
    match fault {
        Fault::Index => {
            let all = listing(indexes).into_iter().filter(|name| name.starts_with("Packages"));
            all.for_each(|name| other(&indexes.join(name)));
        }
        Fault::Package => other(debs.iter().min().unwrap()),
        _ => {}
    }
}
