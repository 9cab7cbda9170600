//! Contents that count, fail and change, and what the tests of emission share.

use diskwright::emit::{Calls, EmitError, Options, Output, Progress, Written, emit, total};
use diskwright_formats::layout::{
    Bytes, Content, ContentError, ContentId, Contents, Extent, Fill, Key, Layout, Made, ReadAt, Reader,
    Source, What,
};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// What a content is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Open,
    Range,
    Read,
    Close,
}

/// Contents with a word to say before every call: the hook may fail, panic, or change the world.
pub(crate) struct Hooked<'a, H> {
    pub(crate) inner: &'a dyn Contents,
    pub(crate) hook: H,
}

type Hook<'a> = dyn Fn(ContentId, Call) -> io::Result<()> + Sync + 'a;

impl<H: Fn(ContentId, Call) -> io::Result<()> + Sync> Contents for Hooked<'_, H> {
    fn open(&self, id: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        call(&self.hook, id, Call::Open)?;
        Ok(Box::new(HookedContent { inner: self.inner.open(id)?, id, hook: &self.hook }))
    }
}

struct HookedContent<'a> {
    inner: Box<dyn Content + 'a>,
    id: ContentId,
    hook: &'a Hook<'a>,
}

impl Content for HookedContent<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        call(self.hook, self.id, Call::Read)?;
        self.inner.read_exact_at(offset, buffer)
    }

    fn file_range(&self, offset: u64, len: u64) -> Option<(BorrowedFd<'_>, u64)> {
        call(self.hook, self.id, Call::Range).ok()?;
        self.inner.file_range(offset, len)
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        call(self.hook, self.id, Call::Close)?;
        self.inner.close()
    }
}

fn call(hook: &Hook<'_>, id: ContentId, call: Call) -> Result<(), ContentError> {
    hook(id, call).map_err(|error| ContentError { path: format!("source {}", id.0), error })
}

/// Real files, that must not change between [`Files::new`] and close.
pub(crate) struct Files(Vec<(PathBuf, (u64, i64, i64))>);

impl Files {
    pub(crate) fn new(paths: Vec<PathBuf>) -> Files {
        let state = |path: PathBuf| {
            let meta = fs::metadata(&path).unwrap();
            (path, (meta.len(), meta.mtime(), meta.mtime_nsec()))
        };
        Files(paths.into_iter().map(state).collect())
    }

    /// Writes each of `contents` to a file of its own in `dir`.
    pub(crate) fn write(dir: &Path, contents: &[Bytes]) -> Files {
        let write = |(number, bytes): (usize, &Bytes)| {
            let path = dir.join(format!("source-{number}"));
            fs::write(&path, &**bytes).unwrap();
            path
        };
        Files::new(contents.iter().enumerate().map(write).collect())
    }

    pub(crate) fn path(&self, id: u32) -> &Path {
        &self.0[id as usize].0
    }
}

struct OneOfFiles<'a> {
    file: File,
    path: &'a Path,
    state: (u64, i64, i64),
}

impl Contents for Files {
    fn open(&self, id: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        let (path, state) = &self.0[id.0 as usize];
        let file = File::open(path).map_err(|error| named(path, error))?;
        Ok(Box::new(OneOfFiles { file, path, state: *state }))
    }
}

impl Content for OneOfFiles<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        self.file.read_exact_at(buffer, offset).map_err(|error| named(self.path, error))
    }

    fn file_range(&self, offset: u64, _: u64) -> Option<(BorrowedFd<'_>, u64)> {
        Some((self.file.as_fd(), offset))
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        let meta = self.file.metadata().map_err(|error| named(self.path, error))?;
        match (meta.len(), meta.mtime(), meta.mtime_nsec()) == self.state {
            true => Ok(()),
            false => Err(named(self.path, io::Error::other("changed while it was read"))),
        }
    }
}

fn named(path: &Path, error: io::Error) -> ContentError {
    ContentError { path: path.display().to_string(), error }
}

/// How often each content was opened and closed.
#[derive(Default)]
pub(crate) struct Counts(Mutex<BTreeMap<u32, (u32, u32)>>);

impl Counts {
    pub(crate) fn hook(&self) -> impl Fn(ContentId, Call) -> io::Result<()> + Sync {
        |id, call| {
            let mut counts = self.0.lock().unwrap();
            let (opens, closes) = counts.entry(id.0).or_default();
            *opens += u32::from(call == Call::Open);
            *closes += u32::from(call == Call::Close);
            Ok(())
        }
    }

    /// Every content that the outputs show was opened and closed once, and no other.
    pub(crate) fn assert_once(&self, outputs: &[Output]) {
        let extents = outputs.iter().flat_map(|output| output.layout.extents());
        let shown = extents.filter_map(|extent| match extent.source {
            Source::Content(id, _) => Some((id.0, (1, 1))),
            _ => None,
        });
        assert_eq!(*self.0.lock().unwrap(), shown.collect::<BTreeMap<_, _>>(), "content: (opens, closes)");
    }
}

/// Bytes that look like nothing else, with pages of zeros between: a table that is partly used.
pub(crate) struct Pattern(pub(crate) u8);

impl Fill for Pattern {
    fn key(&self) -> Key {
        Key { format: "pattern", digest: [self.0; 32] }
    }

    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        for (at, byte) in (argument..).zip(buffer) {
            let used = (at / 4096 + u64::from(self.0)).is_multiple_of(3);
            *byte = if used { (at % 251) as u8 ^ self.0 } else { 0 };
        }
    }
}

pub(crate) fn noise(len: usize, seed: u32) -> Bytes {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let step = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state as u8
    };
    Bytes::from(std::iter::repeat_with(step).take(len).collect::<Vec<u8>>())
}

pub(crate) fn extent(start: u64, len: u64, source: Source) -> Extent {
    Extent { start, len, source, what: What::new(&"test") }
}

pub(crate) fn content(start: u64, len: u64, id: u32, from: u64) -> Extent {
    extent(start, len, Source::Content(ContentId(id), from))
}

pub(crate) fn made(start: u64, len: u64, fill: impl Fill + 'static) -> Extent {
    extent(start, len, Source::Made(Made::new(fill), 0))
}

pub(crate) fn layout(len: u64, extents: Vec<Extent>) -> Layout {
    Layout::new(len, extents, vec![]).unwrap()
}

pub(crate) fn output(dir: &Path, name: &str, layout: &Layout) -> Output {
    Output { layout: layout.clone(), path: dir.join(name) }
}

pub(crate) const QUICK: Options = Options { threads: 2, sync: false, overwrite: false };

/// Adds progress up, and gives up after a number of polls.
pub(crate) struct Watch {
    pub(crate) done: AtomicU64,
    pub(crate) polls_left: AtomicUsize,
}

impl Watch {
    pub(crate) fn new(polls: usize) -> Watch {
        Watch { done: AtomicU64::new(0), polls_left: AtomicUsize::new(polls) }
    }
}

impl Progress for Watch {
    fn advance(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn cancelled(&self) -> bool {
        let less = |left: usize| left.checked_sub(1);
        self.polls_left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_err()
    }
}

pub(crate) type Emitted = Result<(Vec<Written>, Calls), EmitError>;

pub(crate) fn run(outputs: &[Output], contents: &dyn Contents, options: &Options) -> Emitted {
    emit(outputs, contents, options, &Watch::new(usize::MAX))
}

/// Emits with these many threads; asserts that files, lengths, progress and openings are what they must be.
pub(crate) fn check(outputs: &[Output], contents: &dyn Contents, threads: usize) -> (Vec<Written>, Calls) {
    let counts = Counts::default();
    let watch = Watch::new(usize::MAX);
    let hooked = Hooked { inner: contents, hook: counts.hook() };
    let options = Options { threads, sync: false, overwrite: true };
    let (written, calls) = emit(outputs, &hooked, &options, &watch).unwrap();
    counts.assert_once(outputs);
    assert_eq!(watch.done.into_inner(), total(outputs), "progress");
    assert_eq!(calls.opens as usize, counts.0.lock().unwrap().len());
    for (output, written) in outputs.iter().zip(&written) {
        assert_eq!((&written.path, written.len), (&output.path, output.layout.len()));
        assert_same(output, contents);
    }
    (written, calls)
}

/// The file holds what a reader of its layout reads.
pub(crate) fn assert_same(output: &Output, contents: &dyn Contents) {
    let reader = Reader::new(&output.layout, contents);
    let file = File::open(&output.path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), reader.len());
    let (mut expected, mut found) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    for start in (0..reader.len()).step_by(1 << 20) {
        let len = (reader.len() - start).min(1 << 20) as usize;
        reader.read_exact_at(start, &mut expected[..len]).unwrap();
        file.read_exact_at(&mut found[..len], start).unwrap();
        if expected[..len] != found[..len] {
            let at = expected.iter().zip(&found).position(|(a, b)| a != b).unwrap();
            panic!(
                "{}: byte {}: {} is {}",
                output.path.display(),
                start + at as u64,
                expected[at],
                found[at]
            );
        }
    }
}

/// Names in a directory, hidden ones included, sorted.
pub(crate) fn names(dir: &Path) -> Vec<String> {
    let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<String> = fs::read_dir(dir).unwrap().map(name).collect();
    names.sort();
    names
}

/// Says that a test was not run because something is missing; a failure where nothing may be.
pub(crate) fn skip(test: &str, why: &str) {
    assert!(std::env::var_os("DISKWRIGHT_STRICT").is_none_or(|strict| strict != "1"), "SKIP {test}: {why}");
    inapplicable(test, why);
}

/// Says that a test cannot run here, which nothing that could be installed would mend.
pub(crate) fn inapplicable(test: &str, why: &str) {
    let line = format!("SKIP {test}: {why}");
    eprintln!("{line}");
    if let Some(path) = std::env::var_os("DISKWRIGHT_SKIPS") {
        let mut file = File::options().create(true).append(true).open(path).unwrap();
        writeln!(file, "{line}").unwrap();
    }
}

/// A program on PATH, or where administrators' programs are.
pub(crate) fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
    dirs.map(|dir| dir.join(name)).find(|path| path.is_file())
}

/// This test again, alone, as the last command of a shell script that `wrap` starts. `$0` is the test program.
pub(crate) fn again(test: &str, wrap: &[&str], script: &str, dir: &Path) -> std::process::Output {
    let program = std::env::current_exe().unwrap();
    let script = format!("{script}\nexec \"$0\" --exact {test} --nocapture");
    let mut words = wrap.iter().chain(&["sh", "-c"]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).arg(script).arg(program).current_dir(dir).env(INSIDE, dir);
    command.output().unwrap()
}

/// Set for a test that runs [`again`]: the directory that was prepared for it.
pub(crate) const INSIDE: &str = "DISKWRIGHT_TEST_INSIDE";

pub(crate) fn inside() -> Option<PathBuf> {
    std::env::var_os(INSIDE).map(PathBuf::from)
}
