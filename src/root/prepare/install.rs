//! The packages of the image: chosen by the tree's apt, unpacked here where that is the same as dpkg's work, else by the
//! tree's dpkg, in the order that apt wants.

use super::PrepareError;
use super::job::Job;
use crate::root::apt::{Call, Files, Mirror};
use crate::root::deb::{self, Left};
use crate::root::repository::debian_architecture;
use crate::root::sandbox::{Operation, Session};
use std::io;

/// Fewer packages at once are dpkg's: to begin and end a session takes as long.
const FEW: usize = 8;

impl Job<'_> {
    /// The packages that the tree's apt chooses are in the mirror; by their paths in the tree, their files.
    pub(super) fn fetched(&self, mirror: &Mirror<'_>, names: &[String]) -> Result<Files, PrepareError> {
        let settings = &self.stages.settings;
        let printed = self.in_mirror(mirror, vec![settings.update(), settings.solve(names)])?;
        (self.preparation.begun)("fetching packages");
        Ok(mirror.add(&printed, &self.preparation.around())?)
    }

    /// What comes into the tree behind the bootstrap, before the description's files.
    pub(super) fn install(&self) -> Result<(), PrepareError> {
        self.sandbox(&self.scripted(self.stages.early()))?;
        self.install_all(&self.stages.image)
    }

    /// Installs what the tree's apt chooses for these names.
    pub(super) fn install_all(&self, names: &[String]) -> Result<(), PrepareError> {
        if names.is_empty() {
            return Ok(());
        }
        let mirror = self.mirror()?;
        let files = self.fetched(&mirror, names)?;
        let calls = Call::read(&self.in_mirror(&mirror, self.stages.choose(names))?);
        let mut waiting = Vec::new();
        for call in calls {
            let known: Vec<&str> = call.unpacked().filter(|path| files.contains_key(*path)).collect();
            if known.len() < FEW {
                waiting.push(self.stages.settings.call(&call));
                continue;
            }
            self.in_mirror(&mirror, std::mem::take(&mut waiting))?;
            let left = self.unpack(&known, &files)?;
            let is_left = |path: &str| !known.contains(&path) || left.iter().any(|name| name == path);
            waiting.extend(call.only(is_left).map(|call| self.stages.settings.call(&call)));
        }
        waiting.push(self.stages.forget());
        self.in_mirror(&mirror, waiting)?;
        Ok(())
    }

    /// Unpacks those that need no dpkg; the others' paths.
    fn unpack(&self, paths: &[&str], files: &Files) -> Result<Vec<String>, PrepareError> {
        (self.preparation.begun)(&format!("unpacking {} packages", paths.len()));
        let packages = paths.iter().map(|path| ((*path).to_owned(), files[*path].clone())).collect();
        let unpack = deb::Unpack { packages, options: self.unpacking(), is_further: true };
        let session = Session { bare: true, ..self.session(vec![Operation::Unpack(unpack)]) };
        let results = self.sandbox(&session)?;
        let left: Left = serde_json::from_slice(results.first().map(Vec::as_slice).unwrap_or_default())
            .map_err(io::Error::from)?;
        Ok(left.to_dpkg)
    }

    pub(super) fn unpacking(&self) -> deb::Options {
        deb::Options {
            architectures: vec![debian_architecture(self.preparation.recipe.arch).to_owned()],
            filters: self.stages.settings.filters.clone(),
            threads: rayon::current_num_threads(),
        }
    }

    /// What operations with the mirror print, all that have a result.
    fn in_mirror(&self, mirror: &Mirror<'_>, operations: Vec<Operation>) -> Result<String, PrepareError> {
        if operations.is_empty() {
            return Ok(String::new());
        }
        let session = Session { binds: vec![mirror.bind()], ..self.session(operations) };
        Ok(String::from_utf8_lossy(&self.sandbox(&session)?.concat()).into_owned())
    }
}
