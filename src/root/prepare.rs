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

use super::EDIT_BOOT_CONFIG;
use super::apt::{self, AptError, Mirror, Repository, Surroundings, steps};
use super::deb::{self, Left};
use super::fetch::{FetchError, Fetcher, Progress};
use super::repository::{self, Base, Chosen, Runtime, Source, closure, debian_architecture, sources};
use super::sandbox::{Log, Operation, Run, Sandbox, SandboxError, Session};
use super::settle;
use super::setup::functions::FUNCTIONS;
use super::setup::scrub::Scrub;
use super::setup::{self, Setup, Step, initrd};
use super::store::{Key, Store, Work, copy_tree};
use super::tree::Place;
use crate::describe::kiwi::Description;
use crate::describe::{Diagnostic, Diagnostics};
use crate::model::words::{PackageManager, PatternType};
use crate::model::{Arch, Item, Phase, Scope, elements};
use crate::resolve::Selection;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::identity::Identity;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What a tree is made with.
pub struct Preparation<'a> {
    /// What it is made of.
    pub description: &'a Description,
    /// Which part of it.
    pub selection: &'a Selection<'a>,
    /// The machine.
    pub arch: Arch,
    /// Where it is made.
    pub sandbox: &'a Sandbox,
    /// Fetches packages.
    pub fetcher: &'a Fetcher,
    /// Keeps trees.
    pub store: &'a Store,
    /// The latest time in the tree, in seconds since 1970; `None`: the newest date of the repositories.
    pub epoch: Option<i64>,
    /// What ids and salts are derived from, in the place of the description.
    pub seed: Option<&'a [u8]>,
    /// The time, in seconds since 1970: against which signatures and Release files are checked.
    pub now: i64,
    /// Base URL of a build service's downloads.
    pub obs: Option<&'a str>,
    /// Whether scripts of the description reach the network.
    pub network: bool,
    /// Seconds after which a program of the tree is killed; 0: never.
    pub limit: u32,
    /// Whether finished phases of earlier builds count.
    pub reuse: bool,
    /// Whether scripts that KIWI runs when it makes the image of a tree run, too; if so, of what image.
    pub finish: Option<Finishing>,
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

/// What is installed, before anything is.
struct Wishes {
    bootstrap: Vec<String>,
    image: Vec<String>,
    uninstall: Vec<String>,
    delete: Vec<String>,
    recommends: bool,
}

impl Preparation<'_> {
    fn around(&self) -> Surroundings<'_> {
        Surroundings {
            fetcher: self.fetcher,
            progress: self.progress,
            now: self.now,
            architecture: debian_architecture(self.arch),
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
        self.refuse()?;
        let sources = self.sources()?;
        (self.begun)("reading repositories");
        let repositories = apt::read(&sources, &self.around())?;
        let newest = repositories.iter().filter_map(|one| one.release.date).max();
        let epoch = self.epoch.or(newest).unwrap_or_default();
        let identity = self.identity(epoch)?;
        let setup = Setup::of(self.description, self.selection, &identity);
        let setup = setup.map_err(|problems| PrepareError::Description(Diagnostics::new(problems)))?;
        let wishes = self.wishes();
        let chosen = self.chosen(&repositories, &wishes)?;
        let keys = self.keys(&repositories, &chosen, &wishes, &setup, epoch)?;
        let ready = |place, reused| Some(Ready { place, epoch, reused });
        let kept = self.store.find(&keys.tree).filter(|_| self.reuse && goal == Goal::Tree);
        if let Some(place) = kept {
            into.map_or(Ok(()), |into| copy_tree(&place, into))?;
            return Ok(ready(into.cloned().unwrap_or(place), vec!["tree"]));
        }
        let work = self.store.work(&self.description.model.name, self.sandbox)?;
        let log = Log::create(work.beside("log"))?;
        let job = Job {
            preparation: self,
            sources: &sources,
            repositories: &repositories,
            setup: &setup,
            wishes: &wishes,
            epoch,
            work: &work,
            log,
        };
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
                let kept = self.store.keep(&keys.tree, &work.tree(), !self.reuse)?;
                work.clear()?;
                let place = into.cloned().unwrap_or(kept);
                Ok(ready(place, reused))
            }
            Err(error) => Err(job.left(error)),
        }
    }

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

    /// What cannot be done yet is said before anything is fetched.
    fn refuse(&self) -> Result<(), PrepareError> {
        let manager = self.selection.package_manager();
        if manager != PackageManager::Apt {
            let spot = Spot::new("description", self.description.model.name.clone());
            let reason = format!("trees can only be made by apt yet, not by {}", manager.name());
            let hint = "make the tree by other means, and `diskwright create` the image: --root TREE";
            return Err(Refusal::new(RefusalKind::Unsupported, spot, reason).hint(hint).into());
        }
        let sections = self.selection.model.said.packages.iter();
        let named = sections.filter_map(|section| section.bootstrap_package.as_ref()).map(|said| {
            let message = "a tree out of a package is not supported yet: bootstrap_package";
            let hint = "take the attribute away: trees begin with the essential packages and apt";
            said.span.error("unsupported", message).hint(hint)
        });
        let repositories = self.selection.repositories();
        let customized = repositories.iter().filter_map(|one| one.customize.as_ref()).map(|said| {
            let message = "a script that edits a repository's file is not supported yet: customize";
            let hint = "write what it would write as a file of the overlay";
            said.span.error("unsupported", message).hint(hint)
        });
        let problems: Vec<Diagnostic> = named.chain(customized).collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(PrepareError::Description(Diagnostics::new(problems))),
        }
    }

    /// Ids and salts: those of the seed, else of the description and what lies beside it.
    fn identity(&self, epoch: i64) -> io::Result<Identity> {
        match self.seed {
            Some(seed) => Ok(Identity::new(seed, epoch)),
            None => Ok(Identity::new(&settle::inputs(self.description)?, epoch)),
        }
    }

    fn wishes(&self) -> Wishes {
        let names =
            |phase| -> Vec<String> { self.selection.names(phase, Item::Package).into_keys().collect() };
        Wishes {
            bootstrap: names(Phase::Bootstrap),
            image: names(Phase::Image),
            uninstall: names(Phase::Uninstall),
            delete: names(Phase::Delete),
            recommends: self.selection.pattern(Phase::Image) == PatternType::PlusRecommended,
        }
    }

    /// What a first tree is made of.
    fn chosen(&self, repositories: &[Repository], wishes: &Wishes) -> Result<Vec<Chosen>, PrepareError> {
        let catalogue = apt::catalogue(repositories)?;
        let names: Vec<&str> = wishes.bootstrap.iter().map(String::as_str).collect();
        let architecture = debian_architecture(self.arch);
        let wanted = repository::Wanted { base: Base::Essential, names: &names, architecture };
        Ok(closure(&catalogue, &wanted)?)
    }

    fn keys(
        &self,
        repositories: &[Repository],
        chosen: &[Chosen],
        wishes: &Wishes,
        setup: &Setup,
        epoch: i64,
    ) -> Result<Keys, PrepareError> {
        let text = |lines: &[String]| lines.join("\n").into_bytes();
        let packages: Vec<String> = chosen.iter().map(|one| format!("{:?}", one.digest)).collect();
        let offered: Vec<String> = repositories.iter().flat_map(|one| one.digests.clone()).collect();
        let bootstrap = Key::new(concat!("bootstrap ", env!("CARGO_PKG_VERSION")))
            .and("epoch", epoch.to_string().as_bytes())
            .and("packages", &text(&packages))
            .and("filters", format!("{:?}", settle::filters(self.selection)).as_bytes());
        let installed = bootstrap
            .clone()
            .and("offered", &text(&offered))
            .and("image", &text(&wishes.image))
            .and("recommends", &[u8::from(wishes.recommends)])
            .and("early", &settle::early_inputs(self.description, self.selection, setup)?);
        let tree = installed
            .clone()
            .and(
                "removed",
                &text(&[wishes.uninstall.clone(), vec![String::new()], wishes.delete.clone()].concat()),
            )
            .and("seed", self.seed.unwrap_or_default())
            .and("network", &[u8::from(self.network)])
            .and("finish", format!("{:?}", self.finish).as_bytes())
            .and("profiles", self.selection.profiles.join(" ").as_bytes())
            .and("description", &settle::inputs(self.description)?);
        Ok(Keys { bootstrap, installed, tree })
    }
}

/// What is wanted of a preparation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Goal {
    Tree,
    /// In the cache.
    Packages,
}

/// Keys of the phases.
struct Keys {
    bootstrap: Key,
    installed: Key,
    tree: Key,
}

/// A tree in the making.
struct Job<'a> {
    preparation: &'a Preparation<'a>,
    sources: &'a [Source],
    repositories: &'a [Repository],
    setup: &'a Setup,
    wishes: &'a Wishes,
    epoch: i64,
    work: &'a Work,
    log: Log,
}

impl Job<'_> {
    /// Makes it, from the last phase on that is kept.
    fn make(&self, chosen: &[Chosen], keys: &Keys) -> Result<Vec<&'static str>, PrepareError> {
        let reused = self.packages(chosen, keys)?;
        self.settle()?;
        (self.preparation.begun)("writing the record");
        self.sandbox(&self.work.tree().give(self.epoch))?;
        Ok(reused)
    }

    /// What happens after a failure: nothing of it runs any more, and its user can look into the tree, or delete it.
    fn left(&self, error: PrepareError) -> PrepareError {
        match (error, self.work.leave(self.epoch)) {
            (PrepareError::Sandbox(error, _), Ok(place)) => {
                PrepareError::Sandbox(error, Some(place.directory))
            }
            (error, _) => error,
        }
    }

    fn sandbox(&self, session: &Session) -> Result<Vec<Vec<u8>>, PrepareError> {
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
    fn session(&self, operations: Vec<Operation>) -> Session {
        Session { tree: self.work.tree().directory, inputs: self.inputs(), operations, ..Session::default() }
    }

    fn inputs(&self) -> Vec<(String, PathBuf)> {
        let packages = self.preparation.fetcher.cache().directory().to_owned();
        let mut inputs = self.setup.inputs();
        inputs.push((deb::PACKAGES.to_owned(), packages));
        inputs
    }

    fn settings(&self) -> steps::Settings {
        steps::Settings {
            recommends: self.wishes.recommends,
            filters: settle::filters(self.preparation.selection),
            epoch: self.epoch,
        }
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
        let place = self.work.tree();
        self.sandbox(&place.give(self.epoch))?;
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
    fn fetch(&self, chosen: &[Chosen], keys: &Keys) -> Result<Vec<&'static str>, PrepareError> {
        // A bootstrap that is kept may be of packages that are not.
        apt::fetch_chosen(chosen, self.repositories, &self.preparation.around())?;
        let reused = self.first_tree(chosen, keys)?;
        if !self.wishes.image.is_empty() {
            self.fetched(&self.mirror()?)?;
        }
        Ok(reused)
    }

    /// The packages that the tree's apt chooses are in the mirror.
    fn fetched(&self, mirror: &Mirror) -> Result<(), PrepareError> {
        let (settings, names) = (self.settings(), &self.wishes.image);
        let operations = vec![settings.update(), settings.solve(names)];
        let session = Session { binds: vec![mirror.bind()], ..self.session(operations) };
        let results = self.sandbox(&session)?;
        let printed = results.last().map(Vec::as_slice).unwrap_or_default();
        (self.preparation.begun)("fetching packages");
        mirror.add(&String::from_utf8_lossy(printed), &self.preparation.around())?;
        Ok(())
    }

    fn bootstrap(&self, chosen: &[Chosen]) -> Result<(), PrepareError> {
        let Preparation { begun, .. } = self.preparation;
        begun(&format!("fetching {} packages", chosen.len()));
        let stored = apt::fetch_chosen(chosen, self.repositories, &self.preparation.around())?;
        let packages = chosen.iter().zip(&stored);
        let packages =
            packages.map(|(one, stored)| (format!("{} {}", one.name, one.version), stored.relative()));
        let architectures = vec![debian_architecture(self.preparation.arch).to_owned()];
        let settings = self.settings();
        let options = deb::Options {
            architectures,
            filters: settings.filters.clone(),
            threads: rayon::current_num_threads(),
        };
        begun(&format!("unpacking {} packages", chosen.len()));
        let unpack = Operation::Unpack(deb::Unpack { packages: packages.collect(), options });
        let session = Session { bare: true, ..self.session(vec![unpack]) };
        let results = self.sandbox(&session)?;
        let left: Left = serde_json::from_slice(results.first().map(Vec::as_slice).unwrap_or_default())
            .map_err(io::Error::from)?;
        let mirror = self.mirror()?;
        let mut operations = vec![settings.hold_services()];
        operations.extend(settings.configure(&left));
        self.sandbox(&Session { binds: vec![mirror.bind()], ..self.session(operations) })?;
        Ok(())
    }

    fn mirror(&self) -> Result<Mirror, PrepareError> {
        Ok(Mirror::write(&self.work.beside("mirror"), self.repositories, &self.settings())?)
    }

    /// What comes into the tree behind the bootstrap, before the description's files.
    fn install(&self) -> Result<(), PrepareError> {
        self.sandbox(&self.scripted(self.setup.bootstrap(FUNCTIONS)))?;
        let names = &self.wishes.image;
        if names.is_empty() {
            return Ok(());
        }
        let mirror = self.mirror()?;
        let settings = self.settings();
        self.fetched(&mirror)?;
        let operations = vec![settings.hold_services(), settings.install(names)];
        self.sandbox(&Session { binds: vec![mirror.bind()], ..self.session(operations) })?;
        Ok(())
    }

    /// A session in which scripts of the description run.
    fn scripted(&self, operations: Vec<Operation>) -> Session {
        Session { network: self.preparation.network, ..self.session(operations) }
    }

    /// Everything behind the packages.
    fn settle(&self) -> Result<(), PrepareError> {
        let settings = self.settings();
        let mut operations = vec![settings.release_services()];
        operations.extend(self.setup.refresh(FUNCTIONS));
        operations.extend(self.setup.configure());
        operations.extend(setup::repositories(&self.kept_repositories()));
        operations.extend(self.kept_priorities());
        operations.extend(self.setup.config());
        self.sandbox(&self.scripted(operations))?;
        let mut removal = Vec::new();
        if !self.wishes.uninstall.is_empty() {
            removal.push(settings.uninstall(&self.wishes.uninstall));
        }
        if !self.wishes.delete.is_empty() {
            removal.extend(settings.delete(&self.wishes.delete));
        }
        if !removal.is_empty() {
            let mirror = self.mirror()?;
            self.sandbox(&Session { binds: vec![mirror.bind()], ..self.session(removal) })?;
        }
        if let Some(finish) = &self.preparation.finish {
            self.sandbox(&self.scripted(finishing(self.setup, finish)))?;
        }
        self.initrds()?;
        let scrub = Scrub { epoch: self.epoch, ..Scrub::default() };
        let last = [Step::MachineId, Step::Scrub(scrub)].map(Operation::Setup).to_vec();
        self.sandbox(&Session { bare: true, ..self.session(last) })?;
        Ok(())
    }

    /// An initrd for each kernel, unless the type says that there is to be none.
    fn initrds(&self) -> Result<(), PrepareError> {
        let selection = self.preparation.selection;
        let said = selection.said();
        let none = said.and_then(|said| said.initrd_system.as_ref()).is_some_and(|said| said.text == "none");
        if none {
            return Ok(());
        }
        let applies = |scope: &elements::Drivers| {
            Scope::of(&scope.profiles, &None).applies(&selection.profiles, selection.machine)
        };
        let drivers = selection.model.said.drivers.iter().filter(|drivers| applies(drivers));
        let drivers = drivers.flat_map(|drivers| &drivers.file).filter_map(|file| file.name.as_ref());
        let wanted = initrd::Wanted {
            filesystem: said.and_then(|said| said.filesystem.as_ref()).map(|said| said.text.clone()),
            drivers: drivers.map(|name| name.text.clone()).collect(),
            epoch: self.epoch,
            ..initrd::Wanted::default()
        };
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

    /// Repositories that the finished image knows (`imageinclude`, `imageonly`).
    fn kept_repositories(&self) -> Vec<(String, String)> {
        let kept = self.sources.iter().filter(|source| source.imageinclude || source.imageonly);
        kept.map(|source| (source.name.clone(), source.list())).collect()
    }

    /// Priorities of repositories that the finished image knows.
    fn kept_priorities(&self) -> Vec<Operation> {
        let kept = self.sources.iter().filter(|source| source.imageinclude || source.imageonly);
        let file = |source: &Source| {
            let path = format!("/etc/apt/preferences.d/{}.pref", source.name);
            source.preferences().map(|text| Operation::Setup(Step::write(path, text)))
        };
        kept.filter_map(file).collect()
    }
}

fn limited(operations: &[Operation], limit: u32) -> Vec<Operation> {
    let limited = |operation: &Operation| match operation {
        Operation::Run(run) => Operation::Run(Run { limit, ..run.clone() }),
        other => other.clone(),
    };
    operations.iter().map(limited).collect()
}

/// What KIWI runs in a tree before it makes an image of it.
fn finishing(setup: &Setup, Finishing { is_disk, boot_config }: &Finishing) -> Vec<Operation> {
    let mut list = setup.images();
    if *is_disk {
        list.extend(setup.boot_script(EDIT_BOOT_CONFIG, boot_config));
        list.extend(["pre_disk_sync.sh", "disk.sh"].into_iter().filter_map(|name| setup.script(name)));
    }
    list
}

/// Runs what KIWI runs in a tree before it makes an image of it, on a copy.
pub fn finish(
    place: &Place,
    setup: &Setup,
    session: &Finish<'_>,
    begun: &dyn Fn(&str),
) -> Result<Work, PrepareError> {
    let Finish { name, finishing, epoch, network, limit, store, sandbox } = *session;
    let work = store.work(name, sandbox)?;
    copy_tree(place, &work.tree())?;
    let log = Log::create(work.beside("log"))?;
    let scripts = Session {
        tree: work.tree().directory,
        inputs: setup.inputs(),
        network,
        operations: limited(&self::finishing(setup, finishing), limit),
        ..Session::default()
    };
    for session in [work.tree().take(), scripts, work.tree().give(epoch)] {
        let done = sandbox.run(&session, &log, &mut |operation| {
            if let Operation::Run(run) = operation
                && !run.optional
            {
                begun(&run.what);
            }
        });
        if let Err(error) = done {
            let tree = work.leave(epoch).ok().map(|place| place.directory);
            return Err(PrepareError::Sandbox(Box::new(error), tree));
        }
    }
    Ok(work)
}

/// What image KIWI's scripts are run for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finishing {
    /// Whether it is a disk.
    pub is_disk: bool,
    /// Arguments of `edit_boot_config.sh`: the root's file system, the number of the partition that `/boot` is in.
    pub boot_config: Vec<String>,
}

/// How a tree is finished.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Of the copy.
    pub name: &'a str,
    /// Of what image.
    pub finishing: &'a Finishing,
    /// The latest time in the tree, in seconds since 1970.
    pub epoch: i64,
    /// Whether scripts reach the network.
    pub network: bool,
    /// Seconds after which a script is killed; 0: never.
    pub limit: u32,
    /// Where the copy is made.
    pub store: &'a Store,
    /// Where scripts run.
    pub sandbox: &'a Sandbox,
}

/// Whether a path is a directory with nothing in it.
pub fn is_empty(path: &Path) -> bool {
    #[allow(clippy::disallowed_methods)] // one name is enough
    fs_err::read_dir(path).is_ok_and(|mut names| names.next().is_none())
}
