//! A directory or a tar becomes one sorted [`Tree`] and its contents.
//!
//! ```text
//! directory --list, look (parallel, level by level)--> Tree + DirectoryFiles --record--> Tree
//! tar, plain -----------------------------read------> Tree + ranges of the archive
//! tar, compressed or streamed --inflate--> spool --> Tree + ranges of the spool
//! ```
//!
//! What is the same for all: names are bytes; times are clamped to the epoch; a hole is a run of whole 64 KiB windows of
//! zeros, whatever the host file system or the archive says about holes; nodes are numbered in walk order. So a
//! directory and an archive of it give the same tree, on any host and with any number of threads.

mod beneath;
pub mod contents;
mod directory;
pub(crate) mod holes;
mod image;
mod overlay;
pub(crate) mod stamp;
mod system;
pub(crate) mod tar;

pub use contents::Surveyed;
pub use directory::{List, newest};
pub use image::{Images, image_source, images, raw_disk};
pub use overlay::overlay;
pub use system::system;

use diskwright_formats::fault::Refusal;
use diskwright_fstools::tree::{Time, Tree};
use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// What is surveyed.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A directory, with or without a record.
    Directory {
        /// The directory.
        path: PathBuf,
        /// Its record, if it has one.
        record: Option<PathBuf>,
    },
    /// A tar archive, plain or compressed (recognised by content).
    Tar(PathBuf),
    /// A tar archive on standard input.
    Stdin,
}

/// How it is surveyed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Times are clamped to this many seconds since 1970.
    pub epoch: i64,
    /// Owner and group of everything, in the place of what the source says.
    pub owner: Option<(u32, u32)>,
    /// Where spools are made.
    pub work_dir: PathBuf,
    /// Threads; the result does not depend on it.
    pub threads: usize,
}

impl Options {
    fn clamped(&self, time: Time) -> Time {
        time.min(Time::seconds(self.epoch))
    }
}

/// A tree, what its content ids stand for, and one line for each thing worth saying about it.
pub struct Survey {
    /// The files.
    pub tree: Tree,
    /// Their bytes.
    pub contents: Surveyed,
    /// What a user should know: owners that were assumed, attributes that were left out.
    pub notes: Vec<String>,
}

/// Why a survey failed.
#[derive(Debug)]
pub enum SurveyError {
    /// The source cannot be expressed, or is malformed or hostile.
    Refused(Refusal),
    /// It could not be read, or a spool could not be written. The text names the files.
    Io(io::Error),
}

impl fmt::Display for SurveyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SurveyError::Refused(refusal) => refusal.fmt(f),
            SurveyError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SurveyError {}

impl From<Refusal> for SurveyError {
    fn from(refusal: Refusal) -> SurveyError {
        SurveyError::Refused(refusal)
    }
}

impl From<io::Error> for SurveyError {
    fn from(error: io::Error) -> SurveyError {
        SurveyError::Io(error)
    }
}

/// What a path on the command line stands for: `-` is a tar on standard input, a directory is itself, with the record
/// `NAME.tree` beside it if there is one, anything else is a tar.
pub fn origin_of(path: &OsStr) -> Origin {
    let named = Path::new(path);
    match path.as_encoded_bytes() {
        b"-" => Origin::Stdin,
        _ if named.is_dir() => Origin::Directory { path: named.to_owned(), record: record_beside(named) },
        _ => Origin::Tar(named.to_owned()),
    }
}

/// `NAME.tree` beside the directory under the name that was given, or under its own where that differs (`.`, a symlink).
fn record_beside(path: &Path) -> Option<PathBuf> {
    let beside = |path: &Path| {
        let mut name = path.file_name()?.to_owned();
        name.push(".tree");
        Some(path.with_file_name(name)).filter(|record| record.is_file())
    };
    beside(path).or_else(|| beside(&fs_err::canonicalize(path).ok()?))
}

/// Surveys a source.
pub fn survey(origin: &Origin, options: &Options) -> Result<Survey, SurveyError> {
    survey_listed(origin, options, &directory::names)
}

/// [`survey`] with the reader of directories given. The order in which it lists names makes no difference.
pub fn survey_listed(origin: &Origin, options: &Options, list: &List) -> Result<Survey, SurveyError> {
    match origin {
        Origin::Directory { path, record } => directory::survey(path, record.as_deref(), options, list),
        Origin::Tar(path) => tar::survey(path, options),
        Origin::Stdin => survey_stream(&mut io::stdin().lock(), "standard input", options),
    }
}

/// Surveys a tar, plain or compressed, that comes as a stream; `name` is for messages. It is kept in a spool.
pub fn survey_stream(input: &mut dyn Read, name: &str, options: &Options) -> Result<Survey, SurveyError> {
    tar::survey_stream(input, name, options)
}

/// An I/O error with the file it is about.
fn named(path: impl fmt::Display, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{path}: {error}"))
}
