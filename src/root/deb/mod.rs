//! Packages of the apt family: read, unpacked into a tree, written down in the tree's dpkg database.

use super::sandbox::{Inputs, OperationError};
use serde::{Deserialize, Serialize};

/// Packages that are unpacked into the tree.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Unpack {
    /// Their files, in the input `packages`.
    pub packages: Vec<String>,
}

impl Unpack {
    /// One line for people.
    pub fn describe(&self) -> String {
        format!("unpack {} packages", self.packages.len())
    }

    /// Does it; `/` is the tree.
    pub(super) fn execute(&self, _: &Inputs) -> Result<Vec<u8>, OperationError> {
        Err(OperationError::Host("not yet".to_owned()))
    }
}
