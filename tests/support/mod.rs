//! What the end-to-end tests share: the program, oracles that may be missing, small trees.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::disallowed_methods)] // tests run programs and read the environment
#![allow(clippy::print_stdout, clippy::unwrap_used, unreachable_pub)] // clippy takes this file for no test

use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

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

/// Runs the program.
pub fn diskwright<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Run {
    run(&mut command(arguments))
}

/// Runs any command to its end.
pub fn run(command: &mut Command) -> Run {
    Run::of(command.output().unwrap_or_else(|error| panic!("{command:?}: {error}")))
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
