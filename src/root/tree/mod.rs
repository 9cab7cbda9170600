//! A prepared tree: a plain directory `NAME/` that the caller owns and can read, and beside it the record `NAME.tree`, which
//! says who owns what, with which mode, times and attributes.

mod give;

use super::sandbox::{Inputs, Operation, OperationError, Session};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// A step between a tree in the making, whose owners are real, and a prepared one.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Writes the record and gives every file to the caller.
    Give {
        /// Name of the record in the input `record`.
        record: String,
        /// Times behind it are written as it, in seconds since 1970.
        epoch: i64,
    },
    /// Gives every file to the caller and keeps no record: for what is to be deleted.
    Abandon,
    /// Takes owners, modes and attributes from the record `record`.
    Take {
        /// Its name.
        record: String,
    },
    /// Finds out whether files can be given to other users.
    Probe,
}

/// The name of the input that holds the record.
pub const RECORD: &str = "record";

impl Step {
    /// One line for people.
    pub fn describe(&self) -> String {
        match self {
            Step::Give { record, epoch } => {
                format!("write {record} (times up to {epoch}), give all files to the caller")
            }
            Step::Abandon => "give all files to the caller".to_owned(),
            Step::Take { record } => format!("take owners, modes and attributes from {record}"),
            Step::Probe => "give files to other users".to_owned(),
        }
    }

    /// Does it; `/` is the tree.
    pub(super) fn execute(&self, inputs: &Inputs) -> Result<Vec<u8>, OperationError> {
        match self {
            Step::Give { record, epoch } => give::give(record, *epoch, inputs)?,
            Step::Abandon => give::to_caller("/".as_ref())?,
            Step::Take { record } => give::take(record, inputs)?,
            Step::Probe => give::probe()?,
        }
        Ok(Vec::new())
    }
}

/// Where a prepared tree lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its directory.
    pub directory: PathBuf,
    /// The directory that this one and the record are in.
    pub parent: PathBuf,
    /// Name of the record: `NAME.tree`.
    pub record: String,
}

impl Place {
    /// Of a directory with a name that is text.
    pub fn of(directory: &Path) -> Option<Place> {
        let name = directory.file_name()?.to_str()?;
        let parent = directory.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Some(Place {
            directory: directory.to_owned(),
            parent: parent.to_owned(),
            record: format!("{name}.tree"),
        })
    }

    /// The record's path.
    pub fn record_path(&self) -> PathBuf {
        self.parent.join(&self.record)
    }

    fn session(&self, step: Step) -> Session {
        Session {
            tree: self.directory.clone(),
            inputs: vec![(RECORD.to_owned(), self.parent.clone())],
            bare: true,
            operations: vec![Operation::Tree(step)],
            ..Session::default()
        }
    }

    /// Takes the owners of the record.
    pub fn take(&self) -> Session {
        self.session(Step::Take { record: self.record.clone() })
    }

    /// Writes the record and gives all to the caller.
    pub fn give(&self, epoch: i64) -> Session {
        self.session(Step::Give { record: self.record.clone(), epoch })
    }

    /// Gives all to the caller.
    pub fn abandon(&self) -> Session {
        self.session(Step::Abandon)
    }
}
