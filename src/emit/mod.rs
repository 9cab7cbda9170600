//! Layouts become files. The only room that writes image files.
//!
//! ```text
//! outputs -plan-> jobs: what is near each other in the first output, with every other place of the same contents
//!   a worker takes a job:  content, >= 128 KiB:  clone range | copy_file_range        straight into each output
//!                          the rest:             read once -> arena -> pwritev, one call per run and output
//! all jobs done -> sources unchanged? -> sync -> rename all -> sync directories
//! ```
//!
//! - Each content is opened once per call, whatever the number of outputs and places; a content larger than `CHUNK` is
//!   worked on by several jobs that share the opening.
//! - Zeros are never written: a file is first given its length, gaps and zero pages of computed bytes stay holes.
//! - Memory: an arena of 2 `CHUNK`s per thread, and while the jobs are planned 4 bytes per content and 40 per further chunk.
//! - The disk begins with long runs as soon as they are written (`sync_file_range`), so that it works while the rest is
//!   read and the final sync finds little to do.
//! - Files are written under hidden names beside their final ones. `target::Target` removes them when it is dropped, so
//!   neither an error nor a panic nor a cancelled run leaves one.

mod arena;
mod error;
mod jobs;
mod kernel;
mod sources;
mod target;
mod work;

pub use error::EmitError;

use diskwright_formats::layout::{Contents, Layout};
use sources::Sources;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use work::Work;

/// The most bytes of one content, or of computed data, that are one unit of work; a job is one to two of them. What was
/// just read should still be in the processor's cache when it is written: in `benches/emit.rs` 0.5 to 4 MiB are close, 8 MiB is worst.
const CHUNK: u64 = 1 << 20;

/// What a host allocates at least. Gaps shorter than this are written as zeros between their neighbours, computed pages
/// of zeros are not written.
const PAGE: u64 = 4096;

/// One file to write.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its bytes.
    pub layout: Layout,
    /// Its final name.
    pub path: PathBuf,
}

/// How files are written.
#[derive(Clone, Debug)]
pub struct Options {
    /// Threads; the bytes do not depend on it.
    pub threads: usize,
    /// Whether data is forced to the disk before the final names appear.
    pub sync: bool,
    /// Whether existing files are replaced.
    pub overwrite: bool,
}

/// What was done, for `--timings` and tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    /// Contents opened.
    pub opens: u64,
    /// Read calls.
    pub reads: u64,
    /// Write calls.
    pub writes: u64,
    /// Bytes that went through memory to a file.
    pub bytes_written: u64,
    /// Bytes copied by the kernel.
    pub bytes_copied: u64,
    /// Bytes shared with their source (reflinks).
    pub bytes_cloned: u64,
}

impl std::ops::Add for Calls {
    type Output = Calls;

    fn add(self, other: Calls) -> Calls {
        Calls {
            opens: self.opens + other.opens,
            reads: self.reads + other.reads,
            writes: self.writes + other.writes,
            bytes_written: self.bytes_written + other.bytes_written,
            bytes_copied: self.bytes_copied + other.bytes_copied,
            bytes_cloned: self.bytes_cloned + other.bytes_cloned,
        }
    }
}

/// A written file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub path: PathBuf,
    /// Length in bytes.
    pub len: u64,
    /// Bytes that the host allocated for it.
    pub allocated: u64,
}

/// Hears of progress, and may end it.
pub trait Progress: Sync {
    /// Work begins; it will [`advance`](Progress::advance) to `total` bytes if all goes well.
    fn begin(&self, total: u64) {
        let _ = total;
    }

    /// `bytes` more of the [`total`] are done.
    fn advance(&self, bytes: u64);

    /// Whether to give up (Ctrl-C): asked before every unit of work and until the first final name appears. [`emit`] then
    /// returns [`EmitError::Cancelled`] and leaves no file.
    fn cancelled(&self) -> bool {
        false
    }
}

/// What [`Progress`] counts up to when all goes well: the bytes of all outputs that are not zero by definition.
pub fn total(outputs: &[Output]) -> u64 {
    let covered = |output: &Output| output.layout.covered().map(|run| run.end - run.start).sum::<u64>();
    outputs.iter().map(covered).sum()
}

/// Refuses files that are there, before there is anything to write: [`emit`] would refuse them, too.
///
/// # Errors
/// The first file that is there.
pub fn refuse_existing<'a>(paths: impl IntoIterator<Item = &'a Path>) -> Result<(), EmitError> {
    match paths.into_iter().find(|path| path.symlink_metadata().is_ok()) {
        None => Ok(()),
        Some(path) => target::refuse(path),
    }
}

/// Writes all outputs from one reading of the sources. All appear under their names when complete, or none does.
///
/// # Errors
/// See [`EmitError`]. Whatever fails, no output and no temporary file is left, and files that were to be replaced are as
/// they were.
pub fn emit(
    outputs: &[Output],
    contents: &dyn Contents,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(Vec<Written>, Calls), EmitError> {
    let targets = target::create(outputs, options)?;
    // What is to be replaced may not be read: that is hardly ever what was meant.
    write(outputs, contents, targets, true, options, progress)
}

/// [`emit`] in the place of files that may be sources: they are read to their ends before the new ones, with the owner
/// (where the host lets us) and the mode of the old ones, take their names.
///
/// # Errors
/// As [`emit`].
pub fn replace(
    outputs: &[Output],
    contents: &dyn Contents,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(Vec<Written>, Calls), EmitError> {
    let options = Options { overwrite: true, ..options.clone() };
    let targets = target::create(outputs, &options)?;
    targets.iter().try_for_each(target::Target::take_after)?;
    write(outputs, contents, targets, false, &options, progress)
}

fn write(
    outputs: &[Output],
    contents: &dyn Contents,
    targets: Vec<target::Target>,
    apart: bool,
    options: &Options,
    progress: &dyn Progress,
) -> Result<(Vec<Written>, Calls), EmitError> {
    let plan = jobs::plan(outputs);
    let counters = Counters::default();
    progress.begin(total(outputs));
    let replaced = if apart { target::replaced(&targets) } else { BTreeMap::new() };
    let sources = Sources::new(contents, &plan.shared, replaced, &counters);
    let work = Work { outputs, targets: &targets, sources: &sources, counters: &counters, progress };
    work::all(&work, &plan.jobs, options.threads)?;
    drop(sources);
    let written = target::finish(targets, options, progress)?;
    Ok((written, counters.calls()))
}

/// [`Calls`] while they are being counted.
#[derive(Default)]
struct Counters {
    opens: AtomicU64,
    reads: AtomicU64,
    writes: AtomicU64,
    bytes_written: AtomicU64,
    bytes_copied: AtomicU64,
    bytes_cloned: AtomicU64,
}

impl Counters {
    fn calls(&self) -> Calls {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Calls {
            opens: get(&self.opens),
            reads: get(&self.reads),
            writes: get(&self.writes),
            bytes_written: get(&self.bytes_written),
            bytes_copied: get(&self.bytes_copied),
            bytes_cloned: get(&self.bytes_cloned),
        }
    }
}

fn count(counter: &AtomicU64, by: u64) {
    counter.fetch_add(by, Ordering::Relaxed);
}
