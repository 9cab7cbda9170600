//! A directory or a tar becomes one sorted [`Tree`] and its contents.

pub mod contents;

pub use contents::Surveyed;

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::Tree;
use std::path::PathBuf;

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
    /// It could not be read.
    Io(std::io::Error),
}

/// Surveys a source.
pub fn survey(_: &Origin, _: &Options) -> Result<Survey, SurveyError> {
    Err(SurveyError::Refused(Refusal::new(RefusalKind::Unsupported, Spot::new("tree", ""), "not built yet")))
}
