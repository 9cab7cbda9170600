//! Which tree is made, as far as a description says it.

use super::PrepareError;
use super::finish::Finishing;
use super::stages::{Stage, Stages};
use crate::describe::kiwi::Description;
use crate::model::Arch;
use crate::model::words::PackageManager;
use crate::resolve::Selection;
use crate::root::repository::{Runtime, Source, debian_architecture, sources};
use crate::root::settle;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use std::collections::BTreeMap;
use std::io;

/// Which tree is made.
#[derive(Clone)]
pub struct Recipe<'a> {
    /// What it is made of.
    pub description: &'a Description,
    /// Which part of it.
    pub selection: &'a Selection<'a>,
    /// The machine.
    pub arch: Arch,
    /// The latest time in the tree, in seconds since 1970; `None`: the newest date of the repositories.
    pub epoch: Option<i64>,
    /// What ids and salts are derived from, in the place of the description.
    pub seed: Option<&'a [u8]>,
    /// Base URL of a build service's downloads.
    pub obs: &'a str,
    /// Whether scripts of the description reach the network.
    pub network: bool,
    /// Whether scripts that KIWI runs when it makes the image of a tree run, too; if so, of what image.
    pub finish: Option<Finishing>,
}

impl Recipe<'_> {
    /// Where packages come from.
    ///
    /// # Errors
    /// A repository that cannot be used, at its place; none for this machine.
    pub fn sources(&self) -> Result<Vec<Source>, PrepareError> {
        let runtime = Runtime { directory: &self.description.directory, arch: self.arch, obs: self.obs };
        let sources = sources(&self.selection.repositories(), &runtime).map_err(PrepareError::Description)?;
        if !sources.iter().any(|source| source.serves(debian_architecture(self.arch))) {
            let spot = Spot::new("description", self.description.model.name.clone());
            let reason = "no repository to install packages from";
            let hint = "add a <repository> of type apt-deb, or say --set-repo";
            return Err(Refusal::new(RefusalKind::Missing, spot, reason).hint(hint).into());
        }
        Ok(sources)
    }

    /// What will be done to the tree, as far as the description says it; nothing is fetched or run. Without an epoch of the
    /// recipe `epoch` stands for the newest date of the repositories.
    ///
    /// # Errors
    /// What is refused.
    pub fn plan(&self, epoch: i64) -> Result<Vec<Stage>, PrepareError> {
        self.refuse()?;
        Ok(Stages::of(self, &self.sources()?, BTreeMap::new(), self.epoch.unwrap_or(epoch))?.planned())
    }

    /// What cannot be done yet is said before anything is fetched.
    pub(super) fn refuse(&self) -> Result<(), PrepareError> {
        let manager = self.selection.package_manager();
        if manager != PackageManager::Apt {
            let spot = Spot::new("description", self.description.model.name.clone());
            let reason = format!("trees can only be made by apt yet, not by {}", manager.name());
            let hint = "make the tree by other means, and `diskwright create` the image: --root TREE";
            return Err(Refusal::new(RefusalKind::Unsupported, spot, reason).hint(hint).into());
        }
        Ok(())
    }

    /// Ids and salts: those of the seed, else of the description and what lies beside it.
    pub(super) fn identity(&self, epoch: i64) -> io::Result<Identity> {
        match self.seed {
            Some(seed) => Ok(Identity::new(seed, epoch)),
            None => Ok(Identity::new(&settle::inputs(self.description)?, epoch)),
        }
    }
}
