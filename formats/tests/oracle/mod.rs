//! Real tools as judges, and files for them to judge.

// Each test uses a part of it; a skipped test says so.
#![allow(dead_code, unreachable_pub, clippy::print_stdout)]
use diskwright_formats::layout::{Contents, Layout, ReadAt, Reader};
use std::ffi::OsStr;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Finds a tool. When it is missing the test is skipped with a line that names the package, or fails if the tests
/// are strict.
pub fn tool(test: &str, name: &str, package: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    let found =
        std::env::split_paths(&path).chain(more).map(|dir| dir.join(name)).find(|path| path.is_file());
    if found.is_none() {
        let line = format!("SKIP {test}: {name} missing (package {package})");
        assert!(std::env::var_os("DISKWRIGHT_STRICT").is_none_or(|value| value != "1"), "{line}");
        println!("{line}");
        if let Some(list) = std::env::var_os("DISKWRIGHT_SKIPS") {
            let mut list = File::options().create(true).append(true).open(list).unwrap();
            writeln!(list, "{line}").unwrap();
        }
    }
    found
}

/// Runs a tool that must succeed; gives what it printed, both streams.
pub fn run(tool: &Path, arguments: &[&OsStr]) -> String {
    let (code, text) = try_run(tool, arguments);
    assert_eq!(code, Some(0), "{} {arguments:?}:\n{text}", tool.display());
    text
}

/// Runs a tool; gives its exit code and what it printed.
pub fn try_run(tool: &Path, arguments: &[&OsStr]) -> (Option<i32>, String) {
    let output = Command::new(tool).args(arguments).env("LC_ALL", "C.UTF-8").output().unwrap();
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code(), text)
}

/// Writes a layout as a file whose gaps are holes.
pub fn write_sparse(path: &Path, layout: &Layout, contents: &dyn Contents) {
    const STEP: u64 = 1 << 20;
    let file = File::create(path).unwrap();
    file.set_len(layout.len()).unwrap();
    let reader = Reader::new(layout, contents);
    for run in layout.covered() {
        for start in (run.start..run.end).step_by(STEP as usize) {
            let mut buffer = vec![0; STEP.min(run.end - start) as usize];
            reader.read_exact_at(start, &mut buffer).unwrap();
            file.write_all_at(&buffer, start).unwrap();
        }
    }
}

/// All bytes of a layout.
pub fn bytes(layout: &Layout, contents: &dyn Contents) -> Vec<u8> {
    let mut buffer = vec![0; layout.len() as usize];
    Reader::new(layout, contents).read_exact_at(0, &mut buffer).unwrap();
    buffer
}

/// A file as an image.
pub struct Image(pub File);

impl Image {
    pub fn open(path: &Path) -> Image {
        Image(File::open(path).unwrap())
    }
}

impl ReadAt for Image {
    fn len(&self) -> u64 {
        self.0.metadata().unwrap().len()
    }
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> std::io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
}

/// The lines of a dump tile `len` bytes: each starts where the one before ends.
pub fn check_dump(text: &str, len: u64) {
    let mut at = 0;
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let mut number = || words.next().unwrap().parse::<u64>().unwrap();
        assert_eq!(number(), at, "{line}\nin\n{text}");
        at += number();
        assert!(words.next().is_some(), "a line says what the bytes are: {line}");
        assert!(!line.ends_with("(overlaps)"), "{line}");
    }
    assert_eq!(at, len, "{text}");
}

/// Numbers that look random and are the same every time.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit
    }
}
