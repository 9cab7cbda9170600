//! What is done to a tree, stage by stage, before anything is known of the tree itself: a [plan](Stages::planned) prints it, a
//! job does it.

use super::finish::{Finishing, finishing};
use super::{PrepareError, Recipe};
use crate::describe::{Diagnostic, Diagnostics, Span};
use crate::model::words::PatternType;
use crate::model::{Item, Phase};
use crate::root::apt::{self, Repository, steps};
use crate::root::deb::Left;
use crate::root::repository::{self, Base, Catalogue, Chosen, Source, closure, debian_architecture};
use crate::root::sandbox::{Operation, Run};
use crate::root::settle;
use crate::root::setup::functions::FUNCTIONS;
use crate::root::setup::scrub::Scrub;
use crate::root::setup::{Setup, Step, initrd};
use crate::root::store::Key;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

/// The work of a recipe.
pub(super) struct Stages<'a> {
    pub(super) recipe: &'a Recipe<'a>,
    pub(super) sources: &'a [Source],
    pub(super) setup: Setup,
    pub(super) epoch: i64,
    /// The package that has a tree to begin with.
    pub(super) prebuilt: Option<String>,
    /// What is installed, before anything is.
    pub(super) bootstrap: Vec<String>,
    pub(super) image: Vec<String>,
    uninstall: Vec<String>,
    delete: Vec<String>,
    pub(super) settings: steps::Settings,
    /// Files with keys of the repositories that the image knows, in the cache of packages; nothing is known of them before
    /// they are fetched.
    keyrings: BTreeMap<String, Vec<PathBuf>>,
    /// Files of the description that stay where such files are taken away.
    kept: BTreeSet<PathBuf>,
}

/// Keys of what is kept.
pub(super) struct Keys {
    pub(super) bootstrap: Key,
    pub(super) installed: Key,
    pub(super) tree: Key,
}

/// A stage, for people and programs.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    /// `bootstrap`, `packages`, `setup`, `removal`, `finish`, `initrds`, `end`.
    pub name: &'static str,
    /// In order.
    pub operations: Vec<Planned>,
}

/// An operation that is to come.
#[derive(Clone, Debug, Serialize)]
pub struct Planned {
    /// For people: `install packages`, `config.sh`, `write /etc/ImageID (7 bytes)`.
    pub operation: String,
    /// Of a program of the tree: what a person would type there. Everything else is done by this program.
    pub command: Option<String>,
    /// Its environment, on top of what every program has.
    pub environment: BTreeMap<String, String>,
    /// Whether it is passed over where the tree has no such program.
    pub optional: bool,
    /// Whether it reaches the network.
    pub network: bool,
}

impl<'a> Stages<'a> {
    pub(super) fn of(
        recipe: &'a Recipe<'a>,
        sources: &'a [Source],
        keyrings: BTreeMap<String, Vec<PathBuf>>,
        epoch: i64,
    ) -> Result<Stages<'a>, PrepareError> {
        let Recipe { description, selection, .. } = recipe;
        let setup = Setup::of(description, selection, &recipe.identity(epoch)?);
        let setup = setup.map_err(|problems| PrepareError::Description(Diagnostics::new(problems)))?;
        let names = |phase| -> Vec<String> { selection.names(phase, Item::Package).into_keys().collect() };
        let settings = steps::Settings {
            recommends: selection.pattern(Phase::Image) == PatternType::PlusRecommended,
            filters: settle::filters(selection),
            epoch,
        };
        Ok(Stages {
            recipe,
            sources,
            epoch,
            prebuilt: selection.bootstrap_package().map(str::to_owned),
            bootstrap: names(Phase::Bootstrap),
            keyrings,
            kept: setup.kept()?,
            setup,
            image: names(Phase::Image),
            uninstall: names(Phase::Uninstall),
            delete: names(Phase::Delete),
            settings,
        })
    }

    /// What a first tree is made of.
    pub(super) fn chosen(&self, repositories: &[Repository]) -> Result<Vec<Chosen>, PrepareError> {
        let catalogue = apt::catalogue(repositories)?;
        self.check_names(&catalogue)?;
        if let Some(name) = &self.prebuilt {
            return self.chosen_alone(&catalogue, name);
        }
        let names: Vec<&str> = self.bootstrap.iter().map(String::as_str).collect();
        let architecture = debian_architecture(self.recipe.arch);
        let wanted = repository::Wanted { base: Base::Essential, names: &names, architecture };
        Ok(closure(&catalogue, &wanted)?)
    }

    /// A package that nobody has is told at its place before anything is done. What may mean more to apt than a name (a
    /// regular expression, a version, a machine, a package to be removed) is left to apt.
    fn check_names(&self, catalogue: &Catalogue<'_>) -> Result<(), PrepareError> {
        let is_plain = |name: &str| {
            name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
                && !name.ends_with('-')
        };
        let names = |phase| self.recipe.selection.names(phase, Item::Package);
        let unknown = [Phase::Bootstrap, Phase::Image].into_iter().flat_map(names);
        let unknown = unknown.filter(|(name, _)| is_plain(name) && !catalogue.offers(name));
        let problem = |(name, span): (String, Option<Span>)| {
            let message = format!("no such package in the repositories: {name}");
            let hint = "check its name, the components of the repositories, and their architectures";
            Some(span?.error("no-such-package", message).hint(hint))
        };
        let problems: Vec<Diagnostic> = unknown.filter_map(problem).collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(PrepareError::Description(Diagnostics::new(problems))),
        }
    }

    /// The package that has a tree to begin with; what it depends on is of no use to that.
    fn chosen_alone(&self, catalogue: &Catalogue<'_>, name: &str) -> Result<Vec<Chosen>, PrepareError> {
        let architecture = debian_architecture(self.recipe.arch);
        let wanted = repository::Wanted { base: Base::Nothing, names: &[name], architecture };
        let chosen = closure(catalogue, &wanted)?;
        Ok(chosen.into_iter().filter(|one| one.name == name).collect())
    }

    pub(super) fn keys(&self, repositories: &[Repository], chosen: &[Chosen]) -> Result<Keys, PrepareError> {
        let Recipe { description, selection, seed, network, .. } = self.recipe;
        let text = |lines: &[String]| lines.join("\n").into_bytes();
        let packages: Vec<String> = chosen.iter().map(|one| format!("{:?}", one.digest)).collect();
        let offered: Vec<String> = repositories.iter().flat_map(|one| one.digests.clone()).collect();
        let bootstrap = Key::new(concat!("bootstrap ", env!("CARGO_PKG_VERSION")))
            .and("epoch", self.epoch.to_string().as_bytes())
            .and("packages", &text(&packages))
            .and("filters", format!("{:?}", self.settings.filters).as_bytes());
        let preferred: Vec<String> =
            self.sources.iter().map(|source| format!("{:?}", source.priority)).collect();
        let bootstrap = match &self.prebuilt {
            None => bootstrap,
            // What is installed over it the tree's apt chooses.
            Some(_) => bootstrap
                .and("over", &text(&[offered.clone(), preferred.clone(), self.bootstrap.clone()].concat())),
        };
        let installed = bootstrap
            .clone()
            .and("offered", &text(&offered))
            .and("preferred", &text(&preferred))
            .and("image", &text(&self.image))
            .and("recommends", &[u8::from(self.settings.recommends)])
            .and("early", &settle::early_inputs(description, selection, &self.setup)?);
        let tree = installed
            .clone()
            .and("seed", seed.unwrap_or_default())
            .and("network", &[u8::from(*network)])
            .and("profiles", selection.profiles.join(" ").as_bytes())
            .and("description", &settle::inputs(description)?)
            .and("elsewhere", &settle::elsewhere(&self.setup)?)
            .and("stages", &self.written()?);
        Ok(Keys { bootstrap, installed, tree })
    }

    /// All that is done behind the packages, as far as it is known: options of the command line change it, too.
    fn written(&self) -> io::Result<Vec<u8>> {
        let stages = [self.settle(), self.remove(), self.finish(), self.end()];
        Ok(serde_json::to_vec(&(stages, self.initrds()))?)
    }

    /// Files in the cache of packages with the keys of a repository that the image knows.
    pub(super) fn cached_keys(&self, repository: &str) -> &[PathBuf] {
        self.keyrings.get(repository).map(Vec::as_slice).unwrap_or_default()
    }

    /// The unpacked packages of the bootstrap are configured.
    pub(super) fn configure(&self, left: &Left) -> Vec<Operation> {
        std::iter::once(self.settings.hold_services()).chain(self.settings.configure(left)).collect()
    }

    /// What comes into the tree in front of the packages of the image.
    pub(super) fn early(&self) -> Vec<Operation> {
        self.setup.bootstrap(FUNCTIONS)
    }

    /// apt says what dpkg is to do.
    pub(super) fn choose(&self, names: &[String]) -> Vec<Operation> {
        std::iter::once(self.settings.hold_services()).chain(self.settings.choose(names)).collect()
    }

    /// apt forgets where packages came from.
    pub(super) fn forget(&self) -> Operation {
        let architecture = debian_architecture(self.recipe.arch);
        self.settings.forget(self.sources.iter().filter(|source| source.serves(architecture)).count())
    }

    /// Everything behind the packages, up to `config.sh`.
    pub(super) fn settle(&self) -> Vec<Operation> {
        let mut operations = vec![self.settings.release_services()];
        operations.extend(self.setup.refresh(FUNCTIONS));
        operations.extend(self.setup.configure());
        operations.extend(self.repositories());
        operations.extend(self.setup.config());
        operations
    }

    /// What is uninstalled, and what is deleted.
    pub(super) fn remove(&self) -> Vec<Operation> {
        let uninstall = (!self.uninstall.is_empty()).then(|| self.settings.uninstall(&self.uninstall));
        let delete = (!self.delete.is_empty()).then(|| self.settings.delete(&self.delete));
        uninstall.into_iter().chain(delete.into_iter().flatten()).collect()
    }

    /// The scripts that KIWI runs when it makes an image of a tree.
    pub(super) fn finish(&self) -> Vec<Operation> {
        self.recipe.finish.iter().flat_map(|finish| finishing(&self.setup, finish)).collect()
    }

    /// What initrds must be able to do; `None` where the type says that there is to be none.
    pub(super) fn initrds(&self) -> Option<initrd::Wanted> {
        initrd::Wanted::of(self.recipe.selection, self.epoch)
    }

    /// The state of the build is taken away.
    pub(super) fn end(&self) -> Vec<Operation> {
        let scrub = Scrub { epoch: self.epoch, keep: self.kept.clone() };
        [Step::MachineId, Step::Scrub(scrub)].map(Operation::Setup).to_vec()
    }

    /// All of it, as far as it does not depend on what is in the repositories and in the tree; that is said in words.
    pub(super) fn planned(&self) -> Vec<Stage> {
        let network = self.recipe.network;
        let stage = |name, operations| Stage { name, operations };
        let stages = [
            stage("bootstrap", self.planned_bootstrap()),
            stage("packages", self.planned_packages()),
            stage("setup", all(&self.settle(), network)),
            stage("removal", all(&self.remove(), false)),
            stage("finish", all(&self.finish(), network)),
            stage("initrds", self.planned_initrds()),
            stage("end", all(&self.end(), false)),
        ];
        stages.into_iter().filter(|stage| !stage.operations.is_empty()).collect()
    }

    fn planned_bootstrap(&self) -> Vec<Planned> {
        let architecture = debian_architecture(self.recipe.arch);
        let used = self.sources.iter().filter(|source| source.serves(architecture));
        let mut list: Vec<Planned> = used
            .map(|source| Planned::reached(format!("read {} {}", source.location, source.directory())))
            .collect();
        if let Some(name) = &self.prebuilt {
            list.push(Planned::reached(format!("fetch {name}")));
            list.push(Planned::worded(format!("begin with the tree in {name}")));
            list.extend(self.planned_install(&self.bootstrap));
            return list;
        }
        let names = [&["the essential packages", "apt"].map(str::to_owned)[..], &self.bootstrap].concat();
        let names = format!("{}, and what they depend on", names.join(", "));
        list.push(Planned::reached(format!("fetch {names}")));
        list.push(Planned::worded(format!("unpack {names}")));
        let configure = all(&self.configure(&Left::default()), false);
        let (hold, configure) = configure.split_at(1);
        list.extend_from_slice(hold);
        list.push(Planned::worded("run the preinst scripts of what was unpacked"));
        list.push(Planned::worded("configure the essential packages"));
        list.extend_from_slice(configure);
        list
    }

    fn planned_packages(&self) -> Vec<Planned> {
        let mut list = all(&self.early(), self.recipe.network);
        list.extend(self.planned_install(&self.image));
        list
    }

    fn planned_install(&self, names: &[String]) -> Vec<Planned> {
        if names.is_empty() {
            return Vec::new();
        }
        let mut list = all(&[self.settings.update(), self.settings.solve(names)], false);
        list.push(Planned::reached("fetch what apt has chosen".to_owned()));
        list.extend(all(&self.choose(names), false));
        list.push(Planned::worded("unpack what apt has chosen, where that needs no dpkg"));
        list.push(Planned::worded("unpack the rest and configure all by dpkg, as apt wants it"));
        list.extend(all(&[self.forget()], false));
        list
    }

    fn planned_initrds(&self) -> Vec<Planned> {
        let Some(wanted) = self.initrds() else { return Vec::new() };
        let find = Operation::Setup(Step::Initrd(initrd::Task::Find(wanted)));
        let make =
            "make an initrd for each kernel by the tree's update-initramfs or dracut, and look into it";
        [Planned::of(&find, false), Planned::worded(make)].to_vec()
    }
}

/// What [`finish`](super::finish()) will do.
pub fn planned_finish(setup: &Setup, finish: &Finishing, network: bool) -> Vec<Stage> {
    let operations = all(&finishing(setup, finish), network);
    vec![Stage { name: "finish", operations }]
}

fn all(operations: &[Operation], network: bool) -> Vec<Planned> {
    operations.iter().map(|operation| Planned::of(operation, network)).collect()
}

impl Planned {
    /// `network`: whether programs reach it.
    fn of(operation: &Operation, network: bool) -> Planned {
        let Operation::Run(run) = operation else { return Planned::worded(operation.describe()) };
        let Run { what, environment, optional, .. } = run.clone();
        Planned { operation: what, command: Some(run.command_line()), environment, optional, network }
    }

    fn worded(operation: impl Into<String>) -> Planned {
        let operation = operation.into();
        Planned { operation, command: None, environment: BTreeMap::new(), optional: false, network: false }
    }

    fn reached(operation: String) -> Planned {
        Planned { network: true, ..Planned::worded(operation) }
    }
}
