//! What is done to a tree behind its packages: overlays, files, users, locale, scripts.

use super::sandbox::{Inputs, OperationError};
use serde::{Deserialize, Serialize};

/// A change of the tree's files.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Makes a file of 0:0, and the directories that it needs.
    Write {
        /// Where, from the root on.
        path: String,
        /// What is in it.
        text: String,
        /// Its mode.
        mode: u32,
    },
    /// Takes files away, and directories with what is in them; what is not there is no error.
    Remove {
        /// Which, from the root on.
        paths: Vec<String>,
    },
}

impl Step {
    /// One line for people.
    pub fn describe(&self) -> String {
        match self {
            Step::Write { path, text, .. } => format!("write {path} ({} bytes)", text.len()),
            Step::Remove { paths } => format!("remove {}", paths.join(" ")),
        }
    }

    /// Does it; `/` is the tree.
    pub(super) fn execute(&self, _: &Inputs) -> Result<Vec<u8>, OperationError> {
        match self {
            Step::Write { path, text, mode } => {
                use std::os::unix::fs::PermissionsExt;
                fs_err::write(path, text)?;
                fs_err::set_permissions(path, PermissionsExt::from_mode(*mode))?;
            }
            Step::Remove { paths } => {
                for path in paths {
                    let _ = fs_err::remove_file(path);
                }
            }
        }
        Ok(Vec::new())
    }
}
