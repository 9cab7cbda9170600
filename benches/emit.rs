//! Emission against its floor: a loop that reads every file of a directory and writes its bytes once into one file.
//!
//! `cargo bench --bench emit -- DIRECTORY [OUTPUT DIRECTORY] [THREADS]`. Both end with the data on the disk; they take
//! turns, and the ratio of the medians of five rounds is printed, for the time and (which other work on the machine
//! disturbs less) for the processor's seconds. Warm cache: the first round of each is not counted.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use diskwright::emit::{Options, Output, Progress, emit};
use diskwright_formats::layout::{Content, ContentError, ContentId, Contents, Extent, Layout, Source, What};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

const ROUNDS: usize = 5;

struct Silent;

impl Progress for Silent {
    fn advance(&self, _: u64) {}
}

/// Regular files and their lengths.
struct Files(Vec<(PathBuf, u64)>);

struct Open<'a>(File, &'a Path);

impl Contents for Files {
    fn open(&self, id: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        let path = &self.0[id.0 as usize].0;
        let file = File::open(path).map_err(|error| named(path, error))?;
        file.metadata().map_err(|error| named(path, error))?;
        Ok(Box::new(Open(file, path)))
    }
}

impl Content for Open<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        self.0.read_exact_at(buffer, offset).map_err(|error| named(self.1, error))
    }

    fn file_range(&self, offset: u64, _: u64) -> Option<(BorrowedFd<'_>, u64)> {
        Some((self.0.as_fd(), offset))
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        self.0.metadata().map(drop).map_err(|error| named(self.1, error))
    }
}

fn named(path: &Path, error: io::Error) -> ContentError {
    ContentError { path: path.display().to_string(), error }
}

/// All files that can be opened and have bytes, sorted.
fn list(root: &Path) -> Files {
    let mut files = Vec::new();
    let mut left = vec![root.to_owned()];
    while let Some(dir) = left.pop() {
        let mut entries: Vec<_> = fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap()).collect();
        entries.sort_by_key(|entry| entry.file_name());
        for entry in entries {
            let kind = entry.file_type().unwrap();
            let len = entry.metadata().unwrap().len();
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() && len > 0 && File::open(entry.path()).is_ok() {
                files.push((entry.path(), len));
            }
        }
    }
    Files(files)
}

/// Each file at the next multiple of 4 KiB, as a file system would.
fn lay(files: &Files) -> Layout {
    let mut at = 0;
    let mut extents = Vec::new();
    for ((_, len), id) in files.0.iter().zip(0..) {
        let source = Source::Content(ContentId(id), 0);
        extents.push(Extent { start: at, len: *len, source, what: What::new(&"file") });
        at += len.next_multiple_of(4096);
    }
    Layout::new(at, extents, vec![]).unwrap()
}

/// Reads all files and writes them one after the other.
fn floor(files: &Files, path: &Path) {
    let _ = fs::remove_file(path);
    let mut out = File::create_new(path).unwrap();
    let mut buffer = vec![0; 1 << 20];
    let mut used = 0;
    for (path, _) in &files.0 {
        let mut file = File::open(path).unwrap();
        loop {
            if used == buffer.len() {
                out.write_all(&buffer).unwrap();
                used = 0;
            }
            match file.read(&mut buffer[used..]).unwrap() {
                0 => break,
                count => used += count,
            }
        }
    }
    out.write_all(&buffer[..used]).unwrap();
    out.sync_data().unwrap();
}

/// Seconds that passed, and seconds of all processors.
fn timed(work: impl FnOnce()) -> [f64; 2] {
    let (start, busy) = (Instant::now(), processor());
    work();
    [start.elapsed().as_secs_f64(), processor() - busy]
}

/// User and system time of this process (proc_pid_stat(5), fields 14 and 15, in ticks of 10 ms).
fn processor() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap();
    let fields = stat.rsplit(')').next().unwrap().split_whitespace();
    fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().unwrap() / 100.0).sum()
}

fn median(rounds: &[[f64; 2]], of: usize) -> f64 {
    let mut times: Vec<f64> = rounds[1..].iter().map(|times| times[of]).collect();
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let word = |number: usize, default: &str| words.get(number).map_or(default, String::as_str).to_owned();
    let (root, out) = (PathBuf::from(word(0, "/usr/share")), PathBuf::from(word(1, "target")));
    let threads: usize = word(2, "2").parse().unwrap();
    let files = list(&root);
    let bytes: u64 = files.0.iter().map(|file| file.1).sum();
    println!("{} files, {} MiB, {threads} threads", files.0.len(), bytes >> 20);
    let layout = lay(&files);
    let names = ["bench-1.raw", "bench-2.raw"].map(|name| out.join(name));
    let write = |count: usize| {
        let outputs = names[..count].iter().map(|path| Output { layout: layout.clone(), path: path.clone() });
        let options = Options { threads, sync: true, overwrite: true };
        let outputs: Vec<Output> = outputs.collect();
        emit(&outputs, &files, &options, &Silent).unwrap().1
    };
    let (mut floors, mut ones, mut twos) = (Vec::new(), Vec::new(), Vec::new());
    let floor_file = out.join("bench-floor.raw");
    let clean = || [&floor_file, &names[0], &names[1]].map(|path| drop(fs::remove_file(path)));
    for _ in 0..=ROUNDS {
        clean();
        floors.push(timed(|| floor(&files, &floor_file)));
        clean();
        ones.push(timed(|| _ = write(1)));
        clean();
        twos.push(timed(|| _ = write(2)));
    }
    clean();
    println!("{:?}", write(1));
    clean();
    for (of, name) in ["time", "processor"].iter().enumerate() {
        let [floor, one, two] = [&floors, &ones, &twos].map(|rounds| median(rounds, of));
        let (first, both) = (one / floor, two / floor);
        println!(
            "{name}: floor {floor:.3} s, one output {one:.3} s ({first:.2}), two {two:.3} s ({both:.2})"
        );
    }
}
