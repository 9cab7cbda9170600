//! A tree from a description: the order of it all (KIWI NG, `system/prepare.py`; the reference order is its `prepare` step).
//!
//! ```text
//! repositories --> bootstrap --> packages --> setup --> scripts --> removal --> initrd, lists, scrub --> prepared tree
//!                     |             |                                                                        |
//!                  kept by key   kept by key                                                           kept by key
//! ```
//!
//! A key is a digest of all that a phase depends on: this program's version, the packages, what the description says, every
//! byte beside it. What was finished once is taken from the [`Store`]; a build that failed begins where it stopped.

mod finish;
mod install;
mod job;
mod recipe;
mod repositories;
mod stages;

pub use finish::{Finish, Finishing, finish};
pub use recipe::Recipe;
pub use stages::{Planned, Stage, planned_finish};

use super::apt::{self, AptError, Surroundings};
use super::fetch::{FetchError, Fetcher, Progress};
use super::repository::debian_architecture;
use super::sandbox::{Log, Sandbox, SandboxError};
use super::store::{Store, copy_tree};
use super::tree::Place;
use crate::describe::Diagnostics;
use diskwright_formats::fault::Refusal;
use job::Job;
use stages::Stages;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What a tree is made with.
pub struct Preparation<'a> {
    /// Which tree.
    pub recipe: Recipe<'a>,
    /// Where it is made.
    pub sandbox: &'a Sandbox,
    /// Fetches packages.
    pub fetcher: &'a Fetcher,
    /// Keeps trees.
    pub store: &'a Store,
    /// The time, in seconds since 1970: against which signatures and Release files are checked.
    pub now: i64,
    /// Whether a repository counts whose Release file has expired.
    pub allow_expired: bool,
    /// Seconds after which a program of the tree is killed; 0: never.
    pub limit: u32,
    /// Whether finished phases of earlier builds count.
    pub reuse: bool,
    /// Hears what is fetched.
    pub progress: &'a dyn Progress,
    /// Hears what begins.
    pub begun: &'a dyn Fn(&str),
}

/// A tree that is ready.
#[derive(Clone, Debug)]
pub struct Ready {
    /// Where it is.
    pub place: Place,
    /// The latest time in it, in seconds since 1970.
    pub epoch: i64,
    /// Phases that were taken from earlier builds.
    pub reused: Vec<&'static str>,
    /// What was done when it was made, and what programs printed.
    pub log: PathBuf,
}

/// Why there is no tree.
#[derive(Debug)]
pub enum PrepareError {
    /// What the description must change, with its place.
    Description(Diagnostics),
    /// What somebody must change.
    Refused(Box<Refusal>),
    /// A file could not be fetched.
    Fetch(Box<FetchError>),
    /// Something in the sandbox failed; the tree as it was then, if it can be entered.
    Sandbox(Box<SandboxError>, Option<PathBuf>),
    /// The host would not do it.
    Io(io::Error),
}

impl fmt::Display for PrepareError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PrepareError::Description(diagnostics) => diagnostics.fmt(f),
            PrepareError::Refused(refusal) => refusal.fmt(f),
            PrepareError::Fetch(error) => error.fmt(f),
            PrepareError::Sandbox(error, _) => error.fmt(f),
            PrepareError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PrepareError {}

impl From<Refusal> for PrepareError {
    fn from(refusal: Refusal) -> PrepareError {
        PrepareError::Refused(Box::new(refusal))
    }
}

impl From<AptError> for PrepareError {
    fn from(error: AptError) -> PrepareError {
        match error {
            AptError::Refused(refusal) => PrepareError::Refused(refusal),
            AptError::Fetch(error) => PrepareError::Fetch(error),
            AptError::Io(error) => PrepareError::Io(error),
        }
    }
}

impl From<SandboxError> for PrepareError {
    fn from(error: SandboxError) -> PrepareError {
        PrepareError::Sandbox(Box::new(error), None)
    }
}

impl From<io::Error> for PrepareError {
    fn from(error: io::Error) -> PrepareError {
        PrepareError::Io(error)
    }
}

impl Preparation<'_> {
    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            fetcher: self.fetcher,
            progress: self.progress,
            now: self.now,
            allow_expired: self.allow_expired,
            architecture: debian_architecture(self.recipe.arch),
        }
    }

    /// Makes the tree, in `into` or in the store.
    ///
    /// # Errors
    /// What is refused, cannot be fetched, or fails in the sandbox; the tree as it was then is left for its user.
    pub fn run(&self, into: Option<&Place>) -> Result<Ready, PrepareError> {
        let made = self.work(into, Goal::Tree)?;
        Ok(made.expect("a tree is what was asked for"))
    }

    /// Fetches all packages that the tree is made of, so that it can be made offline. The tree's own apt chooses them: the
    /// bootstrap is made for it, and kept.
    ///
    /// # Errors
    /// As for [`Preparation::run`].
    pub fn fetch(&self) -> Result<(), PrepareError> {
        self.work(None, Goal::Packages).map(drop)
    }

    fn work(&self, into: Option<&Place>, goal: Goal) -> Result<Option<Ready>, PrepareError> {
        self.recipe.refuse()?;
        let sources = self.recipe.sources()?;
        (self.begun)("reading repositories");
        let repositories = apt::read(&sources, &self.around())?;
        let newest = repositories.iter().filter_map(|one| one.release.date).max();
        let epoch = self.recipe.epoch.or(newest).unwrap_or_default();
        let keyrings = apt::kept_keys(&sources, &self.around())?;
        let stages = Stages::of(&self.recipe, &sources, keyrings, epoch)?;
        let chosen = stages.chosen(&repositories)?;
        let keys = stages.keys(&repositories, &chosen)?;
        let ready = |place, reused| Some(Ready { place, epoch, reused, log: self.store.log(&keys.tree) });
        let kept = self.store.find(&keys.tree).filter(|_| self.reuse && goal == Goal::Tree);
        if let Some(place) = kept {
            into.map_or(Ok(()), |into| copy_tree(&place, into))?;
            return Ok(ready(into.cloned().unwrap_or(place), vec!["tree"]));
        }
        let work = self.store.work(&self.recipe.description.model.name, self.sandbox)?;
        let log = Log::create(work.beside("log"))?;
        let job = Job { preparation: self, stages: &stages, repositories: &repositories, work: &work, log };
        let done = match goal {
            Goal::Tree => job.make(&chosen, &keys),
            Goal::Packages => job.fetch(&chosen, &keys),
        };
        match done {
            Ok(_) if goal == Goal::Packages => {
                // Its files have owners of their own.
                self.sandbox.run(&work.tree().abandon(), &job.log, &mut |_| {})?;
                work.clear()?;
                Ok(None)
            }
            Ok(reused) => {
                into.map_or(Ok(()), |into| copy_tree(&work.tree(), into))?;
                let kept = self.store.keep(&keys.tree, &work.tree(), &work.beside("log"), !self.reuse)?;
                work.clear()?;
                let place = into.cloned().unwrap_or(kept);
                Ok(ready(place, reused))
            }
            Err(error) => Err(job.left(error)),
        }
    }
}

/// What is wanted of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Tree,
    /// In the cache.
    Packages,
}

/// Whether a path is a directory with nothing in it.
pub fn is_empty(path: &Path) -> bool {
    #[allow(clippy::disallowed_methods)] // one name is enough
    fs_err::read_dir(path).is_ok_and(|mut names| names.next().is_none())
}
