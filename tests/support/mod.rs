//! What the end-to-end tests share: the program, oracles that may be missing, small trees.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::disallowed_methods)] // tests run programs and read the environment
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)] // clippy takes this file for no test

pub mod disks;
pub mod fetching;
pub mod ftp;
pub mod guest;
pub mod http;
pub mod repository;

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The list of oracles and their packages.
const ORACLES: &str = include_str!("../oracles.txt");

/// How a command ended.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Run {
    fn of(output: Output) -> Run {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Panics with everything that was said unless the exit code is `code`.
    #[track_caller]
    pub fn ends(self, code: i32) -> Run {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// The program with these arguments, in an environment of its own.
pub fn command<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_diskwright"));
    command.args(arguments).env_remove("SOURCE_DATE_EPOCH");
    command
}

/// A copy of the program that everybody may run. Another process writes it: a child that another thread starts meanwhile
/// would hold our descriptor open, and what is open for writing cannot be executed.
pub fn program_at(path: &Path) {
    tool("cp", [OsStr::new(env!("CARGO_BIN_EXE_diskwright")), path.as_os_str()]);
}

/// Runs the program.
pub fn diskwright<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    run(&mut command(arguments))
}

/// Runs any command to its end.
pub fn run(command: &mut Command) -> Run {
    Run::of(command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
}

/// No build may take longer, whatever else the machine does.
pub const LONGEST: Duration = Duration::from_secs(300);

/// Runs a command that must end in time; what it prints goes through files, so that nobody waits for a process that it left.
pub fn bounded(mut command: Command) -> Run {
    let (mut out, mut err) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
    command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(err.try_clone().unwrap());
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + LONGEST;
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if Instant::now() > until => {
                child.kill().unwrap();
                panic!("{command:?} does not end: {}", text_of(&mut err));
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    Run { code: status.code(), stdout: text_of(&mut out), stderr: text_of(&mut err) }
}

fn text_of(file: &mut std::fs::File) -> String {
    use std::io::{Read, Seek};
    let mut bytes = Vec::new();
    file.rewind().unwrap();
    file.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A directory in which everybody may make files.
pub fn open_to_all(path: &Path) {
    std::fs::create_dir_all(path).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

/// Runs a tool that must succeed and gives its output.
#[track_caller]
pub fn tool<A: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: impl IntoIterator<Item = A>) -> String {
    let run = run(Command::new(program).args(arguments)).ends(0);
    run.stdout + &run.stderr
}

/// Where an oracle is; `None` (said in one line, counted as a skip, fatal with `DISKWRIGHT_STRICT`) when it is missing.
pub fn oracle(test: &str, program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|path| path.is_file());
    if found.is_none() {
        skip(test, &format!("{program} missing (package {})", package(program)));
    }
    found
}

/// Says that a test, or part of one, could not run here.
pub fn skip(test: &str, why: &str) {
    let line = format!("SKIP {test}: {why}");
    assert!(std::env::var_os("DISKWRIGHT_STRICT").is_none_or(|value| value != "1"), "{line}");
    note(&line);
}

/// Says that a test could not run for a reason that installing something does not mend; never fatal.
pub fn inapplicable(test: &str, why: &str) {
    note(&format!("SKIP {test}: {why}"));
}

fn note(line: &str) {
    println!("{line}");
    if let Some(file) = std::env::var_os("DISKWRIGHT_SKIPS") {
        let file = std::fs::OpenOptions::new().append(true).create(true).open(file);
        file.and_then(|mut file| writeln!(file, "{line}")).expect("the list of skips can be written");
    }
}

fn package(program: &str) -> &str {
    let row = ORACLES.lines().find(|line| line.split_whitespace().next() == Some(program));
    row.and_then(|row| row.split_whitespace().nth(1)).unwrap_or(program)
}

/// Whether the slow tests were asked for.
pub fn all() -> bool {
    std::env::var_os("DISKWRIGHT_ALL").is_some_and(|value| value == "1")
}

/// Whether the tests run as root.
pub fn root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The directory of descriptions that others wrote, if there is one here.
pub fn corpus(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("DISKWRIGHT_CORPUS").map(PathBuf::from).filter(|path| path.is_dir());
    if found.is_none() {
        inapplicable(test, "no corpus (DISKWRIGHT_CORPUS names no directory)");
    }
    found
}

/// A Python with KIWI, if it was made (`tests/run --install`).
pub fn kiwi(test: &str) -> Option<PathBuf> {
    let python = std::env::var_os("DISKWRIGHT_KIWI").map(PathBuf::from).filter(|path| path.is_file());
    if python.is_none() {
        skip(test, "no KIWI (tests/fixtures/kiwi-oracle, DISKWRIGHT_KIWI)");
    }
    python
}

/// The Debian root tar, if it was made (`tests/run --install`).
pub fn debian_root(test: &str) -> Option<PathBuf> {
    let tar = std::env::var_os("DISKWRIGHT_DEBIAN_ROOT").map(PathBuf::from);
    let tar = tar.filter(|path| path.is_file());
    if tar.is_none() {
        skip(test, "no Debian root (tests/run --install makes it)");
    }
    tar
}

/// A file below the sources.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes a file and the directories above it.
pub fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    let path = path.as_ref();
    std::fs::create_dir_all(path.parent().expect("a file is in a directory")).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// Text that does not compress to nothing, the same every time.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(step).take(len).collect()
}

/// A small tree with a file of every kind that an ordinary user can make, and a boot loader and kernel that are none.
pub fn small_tree(at: &Path) {
    write(at.join("etc/hostname"), "small\n");
    write(at.join("etc/os-release"), "ID=test\nNAME=\"Test\"\n");
    write(at.join("usr/bin/tool"), noise(1, 100_000));
    std::fs::set_permissions(at.join("usr/bin/tool"), std::fs::Permissions::from_mode(0o4755)).unwrap();
    symlink("usr/bin", at.join("bin")).unwrap();
    symlink("x".repeat(60), at.join("etc/long-link")).unwrap();
    write(at.join("usr/share/big"), noise(2, 3_000_000));
    write(at.join("var/empty"), "");
    std::fs::hard_link(at.join("usr/bin/tool"), at.join("usr/bin/tool-again")).unwrap();
    let sparse = std::fs::File::create(at.join("var/sparse")).unwrap();
    sparse.set_len(5 << 20).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&sparse, b"in the middle", 2 << 20).unwrap();
    for number in 0..300 {
        write(
            at.join(format!("usr/share/many/file {number:03} \u{e4}")),
            noise(number, number as usize * 13),
        );
    }
}

/// A kernel, an initrd and a boot loader that no firmware would start, where the real ones lie.
pub fn boot_files(at: &Path) {
    write(at.join("usr/lib/systemd/boot/efi/systemd-bootx64.efi"), noise(7, 90_000));
    write(at.join("boot/vmlinuz-6.1.0-9-test"), noise(8, 900_000));
    write(at.join("boot/initrd.img-6.1.0-9-test"), noise(9, 700_000));
    std::fs::create_dir_all(at.join("usr/lib/modules/6.1.0-9-test")).unwrap();
}

/// A description of a disk with systemd-boot; `attributes` go into its type element, `inner` between its tags.
pub fn description(at: &Path, attributes: &str, inner: &str) -> PathBuf {
    let text = format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<image schemaversion="8.0" name="test-image">
    <description type="system">
        <author>Tester</author>
        <contact>tester@example.com</contact>
        <specification>A disk for tests</specification>
    </description>
    <preferences>
        <version>1.2.3</version>
        <packagemanager>apt</packagemanager>
        <type {attributes}>
            {inner}
        </type>
    </preferences>
</image>
"#
    );
    write(at.join("config.xml"), text);
    at.to_owned()
}

/// Files below a directory, hidden ones too, sorted: to see that nothing is left behind.
pub fn listing(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).map(|entries| entries.map(|entry| entry.unwrap().file_name()));
    let mut names: Vec<String> =
        entries.into_iter().flatten().map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// What a member of an archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    File(Vec<u8>),
    Directory,
    Symlink(Vec<u8>),
    /// Another name of a member.
    Hard(Vec<u8>),
    Fifo,
    /// `c` or `b`, major, minor.
    Device(u8, u32, u32),
}

/// A member of an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Without a leading slash.
    pub name: Vec<u8>,
    pub what: What,
    /// Permissions and special bits.
    pub mode: u32,
    pub owner: (u32, u32),
    /// Seconds, and nanoseconds after them.
    pub time: (i64, u32),
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl Member {
    pub fn new(name: impl AsRef<[u8]>, what: What) -> Member {
        let mode = if what == What::Directory { 0o755 } else { 0o644 };
        let name = name.as_ref().to_vec();
        Member { name, what, mode, owner: (0, 0), time: (1_500_000_000, 0), xattrs: vec![] }
    }

    pub fn file(name: impl AsRef<[u8]>, data: impl AsRef<[u8]>) -> Member {
        Member::new(name, What::File(data.as_ref().to_vec()))
    }

    pub fn directory(name: impl AsRef<[u8]>) -> Member {
        Member::new(name, What::Directory)
    }

    pub fn mode(self, mode: u32) -> Member {
        Member { mode, ..self }
    }

    pub fn owner(self, uid: u32, gid: u32) -> Member {
        Member { owner: (uid, gid), ..self }
    }

    pub fn time(self, seconds: i64, nanoseconds: u32) -> Member {
        Member { time: (seconds, nanoseconds), ..self }
    }

    pub fn xattr(mut self, name: &str, value: impl AsRef<[u8]>) -> Member {
        self.xattrs.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// Everything is said in an extended header (POSIX pax); the old one has the type, the mode and the device.
    fn write(&self, tar: &mut Vec<u8>) {
        let (kind, link, data, device): (u8, &[u8], &[u8], (u32, u32)) = match &self.what {
            What::File(data) => (b'0', b"", data, (0, 0)),
            What::Hard(target) => (b'1', target, b"", (0, 0)),
            What::Symlink(target) => (b'2', target, b"", (0, 0)),
            What::Device(b'c', major, minor) => (b'3', b"", b"", (*major, *minor)),
            What::Device(_, major, minor) => (b'4', b"", b"", (*major, *minor)),
            What::Directory => (b'5', b"", b"", (0, 0)),
            What::Fifo => (b'6', b"", b"", (0, 0)),
        };
        let nanoseconds = format!("{:09}", self.time.1);
        // A decimal fraction counts away from zero: -2 s and 0.25 s after it are -1.75.
        let time = match self.time {
            (seconds, 1..) if seconds < 0 => {
                let sign = format!("-{}", -seconds - 1);
                format!("{sign}.{:09}", 1_000_000_000 - self.time.1)
            }
            (seconds, _) => format!("{seconds}.{nanoseconds}"),
        };
        let mut pax = Vec::new();
        record(&mut pax, "path", &self.name);
        record(&mut pax, "mtime", time.as_bytes());
        record(&mut pax, "uid", self.owner.0.to_string().as_bytes());
        record(&mut pax, "gid", self.owner.1.to_string().as_bytes());
        record(&mut pax, "size", data.len().to_string().as_bytes());
        if !link.is_empty() {
            record(&mut pax, "linkpath", link);
        }
        for (name, value) in &self.xattrs {
            record(&mut pax, &format!("SCHILY.xattr.{name}"), value);
        }
        block(tar, b'x', 0o644, (0, 0), &pax);
        block(tar, kind, self.mode, device, data);
    }
}

/// A record of an extended header: its length counts itself.
fn record(pax: &mut Vec<u8>, key: &str, value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let len = (rest + 1..).find(|len| len.to_string().len() + rest == *len).expect("it grows more slowly");
    pax.extend_from_slice(format!("{len} {key}=").as_bytes());
    pax.extend_from_slice(value);
    pax.push(b'\n');
}

/// A header of the ustar format, and the data padded to whole blocks.
fn block(tar: &mut Vec<u8>, kind: u8, mode: u32, device: (u32, u32), data: &[u8]) {
    let mut header = [0u8; 512];
    let mut set = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    set(0, b"member");
    set(100, format!("{mode:07o}\0{:07o}\0{:07o}\0{:011o}\0{:011o}\0", 0, 0, data.len(), 0).as_bytes());
    set(148, b"        ");
    set(156, &[kind]);
    set(257, b"ustar\x0000");
    set(329, format!("{:07o}\0{:07o}\0", device.0, device.1).as_bytes());
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    tar.extend_from_slice(&header);
    tar.extend_from_slice(data);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// An archive of these members.
pub fn tar<'a>(members: impl IntoIterator<Item = &'a Member>) -> Vec<u8> {
    let mut tar = Vec::new();
    members.into_iter().for_each(|member| member.write(&mut tar));
    tar.resize(tar.len() + 1024, 0);
    tar
}

/// The members above a boot loader and a kernel that no firmware would start, and these.
pub fn boot_members() -> Vec<Member> {
    vec![
        Member::directory("usr"),
        Member::directory("usr/lib"),
        Member::directory("usr/lib/systemd"),
        Member::directory("usr/lib/systemd/boot"),
        Member::directory("usr/lib/systemd/boot/efi"),
        Member::file("usr/lib/systemd/boot/efi/systemd-bootx64.efi", noise(7, 90_000)),
        Member::directory("usr/lib/modules"),
        Member::directory("usr/lib/modules/6.1.0-9-test"),
        Member::directory("etc"),
        Member::file("etc/os-release", "ID=test\n"),
        Member::directory("boot"),
        Member::file("boot/vmlinuz-6.1.0-9-test", noise(8, 900_000)),
        Member::file("boot/initrd.img-6.1.0-9-test", noise(9, 700_000)),
    ]
}
