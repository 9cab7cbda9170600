//! Makes and finishes root trees.
//!
//! ```text
//! fetch --> repository --> apt, deb --> setup --> tree      prepare: the order of it all; finish: scripts of an image
//!   packages and indexes    in a sandbox, kept in the store
//! ```
//!
//! What is in this file needs none of that: descriptions without packages, whose tree is their overlay. KIWI's overlay is the
//! directory `root/` beside the description, else `root.tar.gz`; on top of it one directory for each selected profile,
//! named like the profile (KIWI NG, `system/setup.py: import_overlay_files`). Beyond KIWI, a record `NAME.tree` beside
//! such a directory gives owners, modes and times, so that they do not depend on how it was copied here.

pub mod apt;
pub mod deb;
pub mod edit_disk;
pub mod fetch;
pub mod lists;
pub mod prepare;
pub mod repository;
pub mod sandbox;
mod settle;
pub mod setup;
pub mod store;
pub mod tree;

use crate::describe::Diagnostics;
use crate::describe::kiwi::Description;
use crate::model::words::ImageType;
use crate::model::{Item, Phase, Target, elements};
use crate::resolve::{Resolved, Selection};
use crate::survey::{self, Origin, Survey, SurveyError, overlay};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::fmt;
use std::path::{Path, PathBuf};

/// Scripts that run while a tree is prepared, in KIWI's order.
const PREPARE_HOOKS: [&str; 2] = ["post_bootstrap.sh", "config.sh"];
/// Scripts that run when an image is made of a tree.
const CREATE_HOOKS: [&str; 1] = ["images.sh"];
/// Scripts that run in the tree when the image is a disk.
const DISK_HOOKS: [&str; 2] = ["pre_disk_sync.sh", "disk.sh"];
/// The script of `editbootconfig`, under KIWI's name: runs in the tree before a disk is made of it.
pub const EDIT_BOOT_CONFIG: &str = "edit_boot_config.sh";
/// The script of `editbootinstall`, under KIWI's name: runs in the tree, and changes the finished disk.
pub const EDIT_BOOT_INSTALL: &str = "edit_boot_install.sh";

/// What a tree is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The tree is made from the description.
    Build,
    /// The tree is prepared already.
    Create,
}

/// A tree that can be surveyed: layers, the lowest first.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// At least one.
    pub layers: Vec<Layer>,
}

/// What is surveyed, and who owns it.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Directory or tar.
    pub origin: Origin,
    /// Owner and group of everything, where the source does not count.
    pub owner: Option<(u32, u32)>,
}

/// Why there is no tree: everything that would have to be done and cannot be yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unprepared {
    /// What the description asks for, with its place.
    pub description: Diagnostics,
    /// What lies beside it.
    pub directory: Vec<Refusal>,
}

impl fmt::Display for Unprepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.description.fmt(f)?;
        self.directory.iter().try_for_each(|refusal| writeln!(f, "{refusal}"))
    }
}

impl std::error::Error for Unprepared {}

/// The tree of a description that needs no packages: its overlay. In directories without a record all belongs to 0:0; a
/// tar keeps its owners.
pub fn prepare(description: &Description, resolved: &Resolved) -> Result<Prepared, Unprepared> {
    let mut directory = hooks(description, resolved);
    let layers = layers(description, resolved);
    // Who needs packages has more to do than to add an overlay.
    if layers.is_empty() && resolved.needs.is_empty() {
        let spot = Spot::new("description", description.directory.join("root").display().to_string());
        let reason =
            "no overlay: a description without packages takes its tree from the directory root beside it";
        directory.push(Refusal::new(RefusalKind::Missing, spot, reason));
    }
    if directory.is_empty() && resolved.needs.is_empty() {
        return Ok(Prepared { layers });
    }
    let needs = Diagnostics::new(resolved.needs.clone());
    Err(Unprepared { description: needs, directory })
}

fn layers(description: &Description, resolved: &Resolved) -> Vec<Layer> {
    let at = |name: &str| description.directory.join(name);
    let directory = |name: &str| {
        let record = Some(at(&format!("{name}.tree"))).filter(|record| record.is_file());
        let owner = record.is_none().then_some((0, 0));
        let origin = Origin::Directory { path: at(name), record };
        at(name).is_dir().then_some(Layer { origin, owner })
    };
    let tar = || {
        let archive = at("root.tar.gz");
        archive.is_file().then_some(Layer { origin: Origin::Tar(archive), owner: None })
    };
    // A profile named `root` is the overlay itself.
    let profiles = resolved.profiles.iter().filter(|name| *name != "root");
    let profiles = profiles.filter_map(|name| directory(name));
    directory("root").or_else(tar).into_iter().chain(profiles).collect()
}

/// Surveys the layers, one over the other.
pub fn survey(prepared: &Prepared, options: &survey::Options) -> Result<Survey, SurveyError> {
    let one = |layer: &Layer| {
        let owner = options.owner.or(layer.owner);
        survey::survey(&layer.origin, &survey::Options { owner, ..options.clone() })
    };
    let mut layers = prepared.layers.iter();
    let Some(first) = layers.next() else {
        let reason = "no layers to survey";
        return Err(SurveyError::Refused(Refusal::new(RefusalKind::Missing, Spot::new("tree", ""), reason)));
    };
    layers.try_fold(one(first)?, |base, layer| Ok(overlay(base, one(layer)?)?))
}

/// A refusal for each script beside the description that KIWI would run and that cannot run in a tree that is made of
/// overlays alone.
fn hooks(description: &Description, resolved: &Resolved) -> Vec<Refusal> {
    let is_disk = matches!(resolved.image.target, Target::Disk(_));
    let refusal = |path: PathBuf| {
        let spot = Spot::new("description", path.display().to_string());
        let reason = "a script that KIWI runs here, which is not supported yet";
        let hint = "do what it does in the tree by other means, and take the script away";
        Refusal::new(RefusalKind::Unsupported, spot, reason).hint(hint)
    };
    scripts(&description.directory, is_disk, Task::Build).into_iter().map(refusal).collect()
}

fn disk_hooks(is_disk: bool) -> impl Iterator<Item = &'static str> {
    DISK_HOOKS.iter().copied().filter(move |_| is_disk)
}

/// Whether the tree of a description may have `etc/fstab.script`, which is run on the generated fstab: its overlay has it, or
/// there is an archive or a script that may bring it.
pub fn may_bring_fstab_script(directory: &Path, selection: &Selection) -> bool {
    const NAME: &str = "fstab.script";
    let overlays = ["root"].into_iter().chain(selection.profiles.iter().map(String::as_str));
    let mut overlays = overlays.map(|name| directory.join(name).join("etc").join(NAME));
    let tars = ["root.tar.gz", "root.tar.xz", "root.tar.zst", "root.tar"];
    let named = |item| {
        let items = [Phase::Bootstrap, Phase::Image].map(|phase| selection.items(phase, item));
        items.into_iter().flatten().collect::<Vec<_>>()
    };
    let tells = |name: &&str| {
        let text = fs_err::read(directory.join(name)).unwrap_or_default();
        text.windows(NAME.len()).any(|part| part == NAME.as_bytes())
    };
    overlays.any(|path| path.exists())
        || tars.iter().any(|name| directory.join(name).exists())
        || !named(Item::Archive).is_empty()
        || named(Item::File)
            .iter()
            .any(|one| one.name.contains(NAME) || one.target.unwrap_or_default().contains(NAME))
        || PREPARE_HOOKS.iter().chain(&CREATE_HOOKS).any(tells)
}

/// The scripts in a description's directory that run in a prepared tree before an image is made of it, in KIWI's order.
pub fn finishing(directory: &Path, is_disk: bool) -> Vec<&'static str> {
    let names = CREATE_HOOKS.iter().copied().chain(disk_hooks(is_disk));
    names.filter(|name| directory.join(name).exists()).collect()
}

/// The scripts that a type names for its disk (`editbootconfig`, `editbootinstall`), in the order in which they run. A file of
/// such a name that no attribute names counts for nothing, as in KIWI (NG 11.1.6, `system/setup.py:
/// _import_custom_scripts`).
pub fn boot_hooks(selection: &Selection) -> Vec<&'static str> {
    let is_disk = selection.image() == Some(ImageType::Oem);
    let Some(said) = selection.said().filter(|_| is_disk) else { return Vec::new() };
    let hooks = [(EDIT_BOOT_CONFIG, &said.editbootconfig), (EDIT_BOOT_INSTALL, &said.editbootinstall)];
    let named =
        |said: &&Option<elements::Said<String>>| said.as_ref().is_some_and(|said| !said.value.is_empty());
    hooks.into_iter().filter(|(_, said)| named(said)).map(|(name, _)| name).collect()
}

/// The scripts in a description's directory that KIWI would run for `task` and that cannot run, in its order: in a tree that is
/// made of overlays alone none can.
pub fn scripts(directory: &Path, is_disk: bool, task: Task) -> Vec<PathBuf> {
    let names = PREPARE_HOOKS.iter().chain(&CREATE_HOOKS).copied().chain(disk_hooks(is_disk));
    let names = names.filter(|_| task == Task::Build);
    names.map(|name| directory.join(name)).filter(|path| path.exists()).collect()
}
