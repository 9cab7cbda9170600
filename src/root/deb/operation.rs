//! Unpacking as a step of a sandbox.

use super::{
    Database, Deb, DebError, Options, Root, Script, essential, merge_usr, needs_dpkg, preinsts, unpack,
};
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
    /// Whether the tree has a dpkg that works, to which what needs it is left.
    pub is_further: bool,
}

/// What is left to do with packages that were unpacked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// `preinst` scripts, in order.
    pub scripts: Vec<Script>,
    /// Names of those that are to be configured first, together.
    pub essential: Vec<String>,
    /// Names of those that the tree's dpkg has to unpack.
    pub to_dpkg: Vec<String>,
}

impl Unpack {
    /// One line for people.
    pub fn describe(&self) -> String {
        let name = |name: &'_ str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let names: Vec<String> = self.packages.iter().map(|one| name(&one.0)).collect();
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
        let left = match self.is_further {
            true => self.further(&root, packages)?,
            false => self.first(&root, &packages)?,
        };
        serde_json::to_vec(&left).map_err(|error| OperationError::Host(error.to_string()))
    }

    /// The first packages of a tree.
    fn first(&self, root: &Root, packages: &[Deb]) -> Result<Left, DebError> {
        if let Some(architecture) = self.options.architectures.first() {
            merge_usr(root, packages, architecture)?;
        }
        unpack(root, packages, &self.options)?;
        Ok(Left { scripts: preinsts(packages), essential: essential(packages), ..Left::default() })
    }

    /// Those that need no dpkg.
    fn further(&self, root: &Root, packages: Vec<Deb>) -> Result<Left, DebError> {
        let database = Database::read(root)?;
        let foreign = |deb: &Deb| {
            deb.control.architecture != "all"
                && !self.options.architectures.contains(&deb.control.architecture)
        };
        let (rest, here): (Vec<Deb>, Vec<Deb>) =
            packages.into_iter().partition(|deb| foreign(deb) || needs_dpkg(deb, &database).is_some());
        unpack(root, &here, &self.options)?;
        Ok(Left { to_dpkg: rest.into_iter().map(|deb| deb.shown).collect(), ..Left::default() })
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
