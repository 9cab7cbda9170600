//! `diskwright prepare` and `diskwright fetch`, and the tree of `diskwright build`.

use super::args::{Changes, Selection, Shape};
use super::create::choice;
use super::fail::{Code, Failure};
use super::sandbox::{Sandboxed, found};
use super::say::{FetchBar, Voice};
use super::setting::Setting;
use super::tree::read;
use crate::build::RawFirst;
use crate::describe::Diagnostics;
use crate::describe::kiwi::{Description, load_with};
use crate::emit::{self, Output};
use crate::resolve::{self, Choice, select};
use crate::root::EDIT_BOOT_INSTALL;
use crate::root::edit_disk::{EditDisk, boot_device, edit_disk};
use crate::root::fetch::{Cache, FetchError, FetchErrorKind, Fetcher, Options};
use crate::root::prepare::{
    Finish, Finishing, Preparation, PrepareError, Ready, Recipe, Stage, finish as finish_tree, is_empty,
    planned_finish,
};
use crate::root::repository::OBS_DOWNLOADS;
use crate::root::sandbox::{Mode, Sandbox};
use crate::root::setup::Setup;
use crate::root::store::{Store, Work, copy_tree};
use crate::root::tree::Place;
use crate::survey::{Origin, Survey};
use clap::{ArgGroup, Args};
use diskwright_formats::identity::Identity;
use diskwright_fstools::tar::{self, Archive};
use serde::Serialize;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How packages come, and what is kept of earlier builds.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Packages")]
pub(super) struct Fetching {
    /// Make no connection: what is not in the cache is an error
    #[arg(long)]
    pub(super) offline: bool,
    /// Take repositories that say that they have expired, as snapshots of the past do; their signatures count as ever
    #[arg(long)]
    pub(super) allow_expired: bool,
    /// Begin at the beginning, whatever earlier builds have finished
    #[arg(long)]
    pub(super) fresh: bool,
    /// Scripts of the description reach the network
    #[arg(long)]
    pub(super) script_network: bool,
    /// Seconds after which a program of the tree is killed: a script, all of dpkg's work at once; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 7200)]
    pub(super) step_limit: u32,
}

impl Default for Fetching {
    fn default() -> Fetching {
        Fetching {
            offline: false,
            allow_expired: false,
            fresh: false,
            script_network: false,
            step_limit: 7200,
        }
    }
}

/// `diskwright prepare`
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("made").args(["root", "tar"]).required(true).multiple(true)))]
pub(super) struct Prepare {
    /// Directory of the description, or its file
    pub(super) description: PathBuf,
    /// The directory that becomes the tree; its record appears beside it, as DIR.tree
    #[arg(long, value_name = "DIR")]
    pub(super) root: Option<PathBuf>,
    /// A tar of the tree (pax, uncompressed), for `create --root FILE` and other programs
    #[arg(long, value_name = "FILE")]
    pub(super) tar: Option<PathBuf>,
    /// Replace a tar that exists
    #[arg(long, requires = "tar")]
    pub(super) force: bool,
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) changes: Changes,
    #[command(flatten)]
    pub(super) fetching: Fetching,
    #[command(flatten)]
    pub(super) sandboxed: Sandboxed,
    /// The machine [default: x86_64]
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<String>,
}

#[derive(Serialize)]
struct Prepared<'a> {
    schema: u32,
    directory: Option<&'a Path>,
    record: Option<PathBuf>,
    tar: Option<&'a Path>,
    epoch: i64,
    reused: &'a [&'static str],
    log: &'a Path,
}

/// Makes the tree of a description.
pub(super) fn prepare(args: Prepare, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let Prepare { description, root, tar, force, selection, changes, fetching, sandboxed, arch } = args;
    let shape = Shape { arch, ..Shape::default() };
    let choice = choice(&selection, &shape, OsStr::new(""))?;
    let loaded = load_with(&description, selection.kiwi_file.as_deref(), &choice, &changes.overrides());
    let description = loaded.map_err(|error| voice.load_error(error))?;
    // Said before the work, not behind it.
    let place = root.as_deref().map(new_place).transpose()?;
    tar.iter().try_for_each(|tar| new_tar(tar, force))?;
    let way = Way { fetching: &fetching, sandboxed: &sandboxed, finish: None };
    let ready = tree(&description, &choice, &way, place.as_ref(), setting, voice)?;
    tar.iter().try_for_each(|tar| archive(&ready, tar, force, setting, voice))?;
    let directory = place.as_ref().map(|place| place.directory.as_path());
    let result = Prepared {
        schema: 2,
        directory,
        record: place.as_ref().map(Place::record_path),
        tar: tar.as_deref(),
        epoch: ready.epoch,
        reused: &ready.reused,
        log: &ready.log,
    };
    let made = directory.into_iter().chain(tar.as_deref());
    voice.result(&result, &made.map(|path| format!("{}\n", path.display())).collect::<String>())
}

/// A directory that is not there yet, or empty.
fn new_place(root: &Path) -> Result<Place, Failure> {
    let place = Place::of(root).ok_or_else(|| {
        Failure::new(Code::Usage, format!("--root {}: not the name of a directory", root.display()))
    })?;
    if place.directory.exists() && !is_empty(&place.directory) {
        let message = format!("{}: is there already", place.directory.display());
        return Err(
            Failure::new(Code::Refused, message).hint("name a directory that is not there, or an empty one")
        );
    }
    fs_err::create_dir_all(&place.parent)?;
    writable(&place.parent)?;
    Ok(place)
}

/// A file that may be written.
fn new_tar(tar: &Path, force: bool) -> Result<(), Failure> {
    let name = tar.file_name().unwrap_or_default().to_string_lossy();
    if let Some(ending) = [".gz", ".tgz", ".xz", ".zst", ".bz2"].iter().find(|ending| name.ends_with(*ending))
    {
        let message = format!("--tar {}: the archive is not compressed", tar.display());
        let hint = format!("name it without {ending}, and compress it by other means");
        return Err(Failure::new(Code::Usage, message).hint(hint));
    }
    if tar.exists() && !force {
        let message = format!("{}: is there already", tar.display());
        return Err(Failure::new(Code::Refused, message).hint("--force replaces it"));
    }
    let parent = tar.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs_err::create_dir_all(parent)?;
    writable(parent)
}

fn writable(directory: &Path) -> Result<(), Failure> {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).map_err(|error| {
        let message = format!("{}: cannot be written: {}", directory.display(), std::io::Error::from(error));
        Failure::new(Code::Environment, message)
    })
}

/// Writes the tree as a tar.
fn archive(ready: &Ready, tar: &Path, force: bool, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let (path, record) = (ready.place.directory.clone(), Some(ready.place.record_path()));
    let setting = &setting.of_epoch(Some(ready.epoch));
    let Survey { tree, contents, .. } =
        read(&Origin::Directory { path, record }, None, setting, tar.parent())?;
    let Archive { layout, left_out } = tar::lay(&tree)?;
    left_out.iter().for_each(|path| voice.note(&format!("a socket, left out of the tar: {path}")));
    drop(tree);
    let emit = emit::Options { overwrite: force, ..super::emitting(setting) };
    let bar = voice.bar("writing")?;
    let outputs = [Output { layout, path: tar.to_owned() }];
    emit::emit(&outputs, &contents, &emit, &bar)?;
    Ok(())
}

/// `diskwright fetch`
#[derive(Args, Debug)]
pub(super) struct Fetch {
    /// Directory of the description, or its file
    pub(super) description: PathBuf,
    #[command(flatten)]
    pub(super) selection: Selection,
    #[command(flatten)]
    pub(super) changes: Changes,
    /// Take repositories that say that they have expired
    #[arg(long, help_heading = "Packages")]
    pub(super) allow_expired: bool,
    #[command(flatten)]
    pub(super) sandboxed: Sandboxed,
    /// The machine [default: x86_64]
    #[arg(long, value_name = "ARCH")]
    pub(super) arch: Option<String>,
}

/// Fetches what a description is made of.
pub(super) fn fetch(args: Fetch, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let Fetch { description, selection, changes, allow_expired, sandboxed, arch } = args;
    let choice = choice(&selection, &Shape { arch, ..Shape::default() }, OsStr::new(""))?;
    let loaded = load_with(&description, selection.kiwi_file.as_deref(), &choice, &changes.overrides());
    let description = loaded.map_err(|error| voice.load_error(error))?;
    let fetching = Fetching { allow_expired, ..Fetching::default() };
    let way = Way { fetching: &fetching, sandboxed: &sandboxed, finish: None };
    preparation(&description, &choice, &way, setting, voice, |it| it.fetch())
}

/// How a tree is made.
pub(super) struct Way<'a> {
    pub(super) fetching: &'a Fetching,
    pub(super) sandboxed: &'a Sandboxed,
    /// Whether scripts that KIWI runs when it makes the image run, too; if so, for what image.
    pub(super) finish: Option<Finishing>,
}

/// The tree of a description, in `into` or in the cache.
pub(super) fn tree(
    description: &Description,
    choice: &Choice,
    way: &Way<'_>,
    into: Option<&Place>,
    setting: &Setting,
    voice: Voice,
) -> Result<Ready, Failure> {
    preparation(description, choice, way, setting, voice, |it| it.run(into))
}

fn preparation<T>(
    description: &Description,
    choice: &Choice,
    way: &Way<'_>,
    setting: &Setting,
    voice: Voice,
    work: impl FnOnce(&Preparation<'_>) -> Result<T, PrepareError>,
) -> Result<T, Failure> {
    let bar = FetchBar::new(voice)?;
    let sandbox = found(way.sandboxed, setting, bar.cancelled.clone())?;
    let selection = select(&description.model, choice).map_err(|error| voice.resolve_error(error))?;
    let fetcher = fetcher(way.fetching, setting)?;
    let store = Store::new(&setting.cache_dir);
    let recipe = recipe(description, &selection, choice, way, setting);
    let preparation = Preparation {
        recipe,
        sandbox: &sandbox,
        fetcher: &fetcher,
        store: &store,
        now: setting.now,
        allow_expired: way.fetching.allow_expired,
        limit: way.fetching.step_limit,
        reuse: !way.fetching.fresh,
        progress: &bar,
        begun: &|what| bar.begin(what),
    };
    let made = work(&preparation);
    drop(bar);
    made.map_err(|error| failure(error, voice))
}

fn recipe<'a>(
    description: &'a Description,
    selection: &'a resolve::Selection<'a>,
    choice: &Choice,
    way: &Way<'_>,
    setting: &'a Setting,
) -> Recipe<'a> {
    Recipe {
        description,
        selection,
        arch: choice.arch,
        epoch: setting.epoch,
        seed: setting.seed.as_deref().map(str::as_bytes),
        obs: setting.obs.as_deref().unwrap_or(OBS_DOWNLOADS),
        network: way.fetching.script_network,
        finish: way.finish.clone(),
    }
}

/// What will be done to the tree before its image is laid. `is_prepared`: the tree is there already.
pub(super) fn planned(
    description: &Description,
    choice: &Choice,
    way: &Way<'_>,
    is_prepared: bool,
    setting: &Setting,
    voice: Voice,
) -> Result<Vec<Stage>, Failure> {
    let selection = select(&description.model, choice).map_err(|error| voice.resolve_error(error))?;
    if is_prepared {
        let Some(finish) = &way.finish else { return Ok(Vec::new()) };
        let setup = setup(description, choice, setting, voice)?;
        return Ok(planned_finish(&setup, finish, way.fetching.script_network));
    }
    if !selection.is_installed_by_apt() {
        return Ok(Vec::new());
    }
    let recipe = recipe(description, &selection, choice, way, setting);
    recipe.plan(setting.epoch_or_default()).map_err(|error| failure(error, voice))
}

/// The copy of a prepared tree in which the description's scripts have run.
pub(super) fn finished(
    description: &Description,
    choice: &Choice,
    way: &Way<'_>,
    place: &Place,
    setting: &Setting,
    voice: Voice,
) -> Result<Work, Failure> {
    let bar = FetchBar::new(voice)?;
    let sandbox = found(way.sandboxed, setting, bar.cancelled.clone())?;
    let epoch = setting.epoch_or_default();
    let setup = setup(description, choice, setting, voice)?;
    let finish = Finish {
        name: &description.model.name,
        finishing: &way.finish.clone().unwrap_or_default(),
        epoch,
        network: way.fetching.script_network,
        limit: way.fetching.step_limit,
        store: &Store::new(&setting.cache_dir),
        sandbox: &sandbox,
    };
    let done = finish_tree(place, &setup, &finish, &|what| bar.begin(what));
    drop(bar);
    done.map_err(|error| failure(error, voice))
}

fn setup(
    description: &Description,
    choice: &Choice,
    setting: &Setting,
    voice: Voice,
) -> Result<Setup, Failure> {
    let selection = select(&description.model, choice).map_err(|error| voice.resolve_error(error))?;
    let seed = setting.seed.as_deref().unwrap_or_default().as_bytes();
    let setup = Setup::of(description, &selection, &Identity::new(seed, setting.epoch_or_default()));
    setup.map_err(|problems| voice.refused(&Diagnostics::new(problems)))
}

/// The script that changes a finished disk, and the tree that it runs in.
pub(super) struct Edit {
    setup: Setup,
    sandbox: Sandbox,
    work: Work,
    epoch: i64,
    network: bool,
    /// The second argument.
    boot_device: String,
}

impl Edit {
    /// Of a tree that is the caller's to change. `number` is that of the partition that `/boot` is in.
    pub(super) fn new(
        description: &Description,
        choice: &Choice,
        way: &Way<'_>,
        work: Work,
        number: u32,
        setting: &Setting,
        voice: Voice,
    ) -> Result<Edit, Failure> {
        Ok(Edit {
            setup: setup(description, choice, setting, voice)?,
            sandbox: showing(way, setting)?,
            work,
            epoch: setting.epoch_or_default(),
            network: way.fetching.script_network,
            boot_device: boot_device(number),
        })
    }

    /// The tree that it runs in.
    pub(super) fn work(&self) -> &Work {
        &self.work
    }

    /// Lets it change the disk.
    pub(super) fn run(&self, raw: &RawFirst, voice: Voice) -> Result<(), Failure> {
        let bar = FetchBar::new(voice)?;
        let sandbox = Sandbox { cancel: bar.cancelled.clone(), ..self.sandbox.clone() };
        let edit = EditDisk {
            directory: raw.directory(),
            file: raw.file(),
            boot_device: &self.boot_device,
            epoch: self.epoch,
            network: self.network,
            sandbox: &sandbox,
        };
        let done = edit_disk(&self.work, &self.setup, &edit, &|what| bar.begin(what));
        drop(bar);
        done.map_err(|error| failure(error, voice))
    }
}

/// A sandbox that can show a file so that it can be changed.
pub(super) fn showing(way: &Way<'_>, setting: &Setting) -> Result<Sandbox, Failure> {
    let sandbox = found(way.sandboxed, setting, Arc::default())?;
    if sandbox.mode != Mode::Chroot {
        return Ok(sandbox);
    }
    let message = format!(
        "{EDIT_BOOT_INSTALL}: runs in the tree and changes the disk's file, which a bare chroot cannot show it"
    );
    Err(Failure::new(Code::Environment, message).hint("`diskwright doctor` says what other sandboxes need"))
}

/// A copy of a prepared tree, to be changed.
pub(super) fn copied(
    name: &str,
    place: &Place,
    sandbox: &Sandbox,
    setting: &Setting,
) -> Result<Work, Failure> {
    let work = Store::new(&setting.cache_dir).work(name, sandbox);
    let work = work.map_err(|error| super::sandbox::failure(error, None))?;
    copy_tree(place, &work.tree())?;
    Ok(work)
}

fn fetcher(fetching: &Fetching, setting: &Setting) -> Result<Fetcher, Failure> {
    let cache = Cache::open(&setting.cache_dir)?;
    let proxies = setting.proxies.clone().map_err(Failure::from)?;
    let options =
        Options { offline: fetching.offline, proxies, trust: setting.trust.clone(), ..Options::default() };
    Ok(Fetcher::new(cache, options))
}

fn failure(error: PrepareError, voice: Voice) -> Failure {
    match error {
        PrepareError::Description(diagnostics) => voice.refused(&diagnostics),
        PrepareError::Refused(refusal) => (*refusal).into(),
        PrepareError::Fetch(error) => (*error).into(),
        PrepareError::Sandbox(error, tree) => super::sandbox::failure(*error, tree.as_deref()),
        PrepareError::Io(error) => error.into(),
    }
}

impl From<FetchError> for Failure {
    fn from(error: FetchError) -> Failure {
        let code = match error.kind {
            FetchErrorKind::Cancelled => Code::Cancelled,
            kind if kind.is_environment() => Code::Environment,
            _ => Code::Refused,
        };
        Failure { code, message: error.to_string(), hint: error.hint }
    }
}
