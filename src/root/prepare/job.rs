//! A tree in the making.

use super::stages::{Keys, Stages};
use super::{Preparation, PrepareError};
use crate::root::apt::{self, AptError, Mirror, Repository};
use crate::root::deb::{self, Left};
use crate::root::repository::Chosen;
use crate::root::sandbox::{Log, Operation, Run, Session};
use crate::root::setup::scrub::Scrubbed;
use crate::root::setup::{Outside, Step, initrd};
use crate::root::store::{Key, Work, copy_tree};
use std::io;
use std::path::PathBuf;

/// Name of the input that has the tree to begin with, and of its tar.
const BEGINNING: &str = "beginning";

/// A tree in the making.
pub(super) struct Job<'a> {
    pub(super) preparation: &'a Preparation<'a>,
    pub(super) stages: &'a Stages<'a>,
    pub(super) repositories: &'a [Repository],
    pub(super) work: &'a Work,
    pub(super) log: Log,
}

impl Job<'_> {
    /// Makes it, from the last phase on that is kept.
    pub(super) fn make(&self, chosen: &[Chosen], keys: &Keys) -> Result<Vec<&'static str>, PrepareError> {
        let reused = self.packages(chosen, keys)?;
        self.settle()?;
        (self.preparation.begun)("writing the record");
        self.sandbox(&self.work.tree().give(self.stages.epoch))?;
        Ok(reused)
    }

    /// What happens after a failure: nothing of it runs any more, and its user can look into the tree, or delete it.
    pub(super) fn left(&self, error: PrepareError) -> PrepareError {
        match (error, self.work.leave(self.stages.epoch)) {
            (PrepareError::Sandbox(error, _), Ok(place)) => {
                PrepareError::Sandbox(error, Some(place.directory))
            }
            (error, _) => error,
        }
    }

    pub(super) fn sandbox(&self, session: &Session) -> Result<Vec<Vec<u8>>, PrepareError> {
        let begun = self.preparation.begun;
        let limit = self.preparation.limit;
        let session = &Session { operations: limited(&session.operations, limit), ..session.clone() };
        Ok(self.preparation.sandbox.run(session, &self.log, &mut |operation| {
            if let Operation::Run(run) = operation
                && !run.optional
            {
                begun(&run.what);
            }
        })?)
    }

    /// A session in the tree.
    pub(super) fn session(&self, operations: Vec<Operation>) -> Session {
        Session { tree: self.work.tree().directory, inputs: self.inputs(), operations, ..Session::default() }
    }

    fn inputs(&self) -> Vec<(String, PathBuf)> {
        let packages = self.preparation.fetcher.cache().directory().to_owned();
        let mut inputs = self.stages.setup.inputs();
        inputs.push((deb::PACKAGES.to_owned(), packages));
        inputs
    }

    /// Takes a kept phase into the tree.
    fn resume(&self, key: &Key) -> Result<bool, PrepareError> {
        let found = self.preparation.store.find(key).filter(|_| self.preparation.reuse);
        let Some(place) = found else { return Ok(false) };
        copy_tree(&place, &self.work.tree())?;
        self.sandbox(&self.work.tree().take())?;
        Ok(true)
    }

    /// Keeps a phase that is done; the tree goes on.
    fn keep(&self, key: &Key) -> Result<(), PrepareError> {
        (self.preparation.begun)("keeping the tree");
        let place = self.work.tree();
        self.sandbox(&place.give(self.stages.epoch))?;
        self.preparation.store.keep_copy(key, &place, !self.preparation.reuse)?;
        self.sandbox(&place.take())?;
        Ok(())
    }

    fn packages(&self, chosen: &[Chosen], keys: &Keys) -> Result<Vec<&'static str>, PrepareError> {
        if self.resume(&keys.installed)? {
            return Ok(vec!["packages"]);
        }
        let reused = self.first_tree(chosen, keys)?;
        self.install()?;
        self.keep(&keys.installed)?;
        Ok(reused)
    }

    fn first_tree(&self, chosen: &[Chosen], keys: &Keys) -> Result<Vec<&'static str>, PrepareError> {
        if self.resume(&keys.bootstrap)? {
            return Ok(vec!["bootstrap"]);
        }
        self.bootstrap(chosen)?;
        self.keep(&keys.bootstrap)?;
        Ok(Vec::new())
    }

    /// Everything up to the packages that the tree's apt chooses, which are fetched.
    pub(super) fn fetch(&self, chosen: &[Chosen], keys: &Keys) -> Result<Vec<&'static str>, PrepareError> {
        // A bootstrap that is kept may be of packages that are not.
        apt::fetch_chosen(chosen, self.repositories, &self.preparation.around())?;
        let reused = self.first_tree(chosen, keys)?;
        if !self.stages.image.is_empty() {
            self.fetched(&self.mirror()?, &self.stages.image)?;
        }
        Ok(reused)
    }

    fn bootstrap(&self, chosen: &[Chosen]) -> Result<(), PrepareError> {
        if let ([package], Some(_)) = (chosen, &self.stages.prebuilt) {
            return self.begin_with(package);
        }
        let Preparation { begun, .. } = self.preparation;
        begun(&format!("fetching {} packages", chosen.len()));
        let stored = apt::fetch_chosen(chosen, self.repositories, &self.preparation.around())?;
        let packages = chosen.iter().zip(&stored);
        let packages =
            packages.map(|(one, stored)| (format!("{} {}", one.name, one.version), stored.relative()));
        begun(&format!("unpacking {} packages", chosen.len()));
        let options = self.unpacking();
        let unpack = deb::Unpack { packages: packages.collect(), options, is_further: false };
        let session = Session { bare: true, ..self.session(vec![Operation::Unpack(unpack)]) };
        let results = self.sandbox(&session)?;
        let left: Left = serde_json::from_slice(results.first().map(Vec::as_slice).unwrap_or_default())
            .map_err(io::Error::from)?;
        let mirror = self.settings()?;
        let operations = self.stages.configure(&left);
        self.sandbox(&Session { binds: vec![mirror.bind()], ..self.session(operations) })?;
        Ok(())
    }

    /// Begins with the tree in a package, and has its apt install what is bootstrapped.
    fn begin_with(&self, package: &Chosen) -> Result<(), PrepareError> {
        let Preparation { begun, fetcher, recipe, .. } = self.preparation;
        begun(&format!("fetching {}", package.name));
        let stored =
            apt::fetch_chosen(std::slice::from_ref(package), self.repositories, &self.preparation.around())?;
        let directory = self.work.beside(BEGINNING);
        fs_err::create_dir_all(&directory)?;
        for stored in &stored {
            let deb = fetcher.cache().read(stored).map_err(AptError::from)?;
            let mut tar = fs_err::File::create(directory.join(BEGINNING))?;
            apt::copy_tree(package, deb, recipe.arch, &mut tar)?;
        }
        begun(&format!("unpacking {}", package.name));
        let from = Outside { input: BEGINNING.to_owned(), path: PathBuf::from(BEGINNING) };
        let begin = Operation::Setup(Step::Begin { from, epoch: self.stages.epoch });
        let mut session = Session { bare: true, ..self.session(vec![begin]) };
        session.inputs.push((BEGINNING.to_owned(), directory.clone()));
        self.sandbox(&session)?;
        fs_err::remove_dir_all(&directory)?;
        self.install_all(&self.stages.bootstrap)
    }

    pub(super) fn mirror(&self) -> Result<Mirror<'_>, PrepareError> {
        Ok(Mirror::write(&self.work.beside("mirror"), self.repositories, &self.stages.settings)?)
    }

    /// apt's settings, where nothing is chosen from repositories.
    fn settings(&self) -> Result<Mirror<'_>, PrepareError> {
        Ok(Mirror::write(&self.work.beside("settings"), &[], &self.stages.settings)?)
    }

    /// A session in which scripts of the description run.
    pub(super) fn scripted(&self, operations: Vec<Operation>) -> Session {
        Session { network: self.preparation.recipe.network, ..self.session(operations) }
    }

    /// Everything behind the packages.
    fn settle(&self) -> Result<(), PrepareError> {
        self.sandbox(&self.scripted(self.stages.settle()))?;
        let removal = self.stages.remove();
        if !removal.is_empty() {
            let mirror = self.settings()?;
            self.sandbox(&Session { binds: vec![mirror.bind()], ..self.session(removal) })?;
        }
        let finish = self.stages.finish();
        if !finish.is_empty() {
            self.sandbox(&self.scripted(finish))?;
        }
        self.initrds()?;
        let results = self.sandbox(&Session { bare: true, ..self.session(self.stages.end()) })?;
        let scrubbed: Scrubbed =
            serde_json::from_slice(results.last().map(Vec::as_slice).unwrap_or_default())
                .map_err(io::Error::from)?;
        scrubbed.lost().iter().for_each(|line| self.preparation.progress.note(line));
        Ok(())
    }

    /// An initrd for each kernel, unless the type says that there is to be none.
    fn initrds(&self) -> Result<(), PrepareError> {
        let Some(wanted) = self.stages.initrds() else { return Ok(()) };
        let find = Operation::Setup(Step::Initrd(initrd::Task::Find(wanted.clone())));
        let results = self.sandbox(&Session { bare: true, ..self.session(vec![find]) })?;
        let found = results.first().map(Vec::as_slice).unwrap_or_default();
        let found: initrd::Found = serde_json::from_slice(found).map_err(io::Error::from)?;
        let make = initrd::make(&found, &wanted)?;
        if !make.is_empty() {
            self.sandbox(&self.session(make))?;
        }
        Ok(())
    }
}

/// Each program ends after `limit` seconds.
pub(super) fn limited(operations: &[Operation], limit: u32) -> Vec<Operation> {
    let limited = |operation: &Operation| match operation {
        Operation::Run(run) => Operation::Run(Run { limit, ..run.clone() }),
        other => other.clone(),
    };
    operations.iter().map(limited).collect()
}
