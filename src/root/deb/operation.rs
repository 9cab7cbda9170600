//! Unpacking as a step of a sandbox.

use super::{Deb, DebError, Options, Root, Script, essential, merge_usr, preinsts, unpack};
use crate::root::sandbox::{Inputs, OperationError};
use rustix::fs::{Mode, OFlags, openat};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::path::{Path, PathBuf};

/// Name of the input that packages are in.
pub const PACKAGES: &str = "packages";

/// Packages that are unpacked into the tree. Its result is [`Left`] as JSON.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpack {
    /// Names for messages, and files below the input [`PACKAGES`], in the order in which they are unpacked.
    pub packages: Vec<(String, PathBuf)>,
    /// How.
    pub options: Options,
}

/// What is left to do with packages that were unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// `preinst` scripts, in order.
    pub scripts: Vec<Script>,
    /// Names of those that are to be configured first, together.
    pub essential: Vec<String>,
}

impl Unpack {
    /// One line for people.
    pub fn describe(&self) -> String {
        let names: Vec<&str> = self.packages.iter().map(|one| one.0.as_str()).collect();
        format!("unpack {}", names.join(" "))
    }

    /// Does it; `/` is the tree.
    pub(in crate::root) fn execute(&self, inputs: &Inputs) -> Result<Vec<u8>, OperationError> {
        let directory = inputs.get(PACKAGES);
        let directory =
            directory.ok_or_else(|| OperationError::Host("no directory of packages".to_owned()))?;
        let open = |(name, path): &(String, PathBuf)| -> Result<Deb, OperationError> {
            let file = openat(directory, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let file = file.map_err(|error| OperationError::Host(format!("{name}: {error}")))?;
            Ok(Deb::open(File::from(file), name)?)
        };
        let packages = self.packages.iter().map(open).collect::<Result<Vec<Deb>, _>>()?;
        let root = Root::open(Path::new("/"))?;
        if let Some(architecture) = self.options.architectures.first() {
            merge_usr(&root, &packages, architecture)?;
        }
        unpack(&root, &packages, &self.options)?;
        let left = Left { scripts: preinsts(&packages), essential: essential(&packages) };
        serde_json::to_vec(&left).map_err(|error| OperationError::Host(error.to_string()))
    }
}

impl From<DebError> for OperationError {
    fn from(error: DebError) -> OperationError {
        match error {
            DebError::Refused(refusal) => refusal.into(),
            DebError::Io(error) => error.into(),
        }
    }
}
