//! What profiles, type and machine select of a description, whether an image can be made of it or not: KIWI's rules for
//! what counts when a thing is said more than once (KIWI NG 10.3.9 `xml_state.py`).

use super::volumes::{described, volume};
use super::{Choice, ResolveError, wrong_choice};
use crate::describe::{Diagnostic, Span};
use crate::model::elements::{self, Said, is_set, value};
use crate::model::lexical::Mebibytes;
use crate::model::words::{ImageType, Machine, PackageManager, PatternType, RootFilesystem};
use crate::model::{
    DescribedPartition, Item, Model, PackageItem, Phase, Preferences, Profile, Room, Scope, SystemVolume,
    Type, least_volume,
};
use std::collections::BTreeMap;

/// A selected part of a description.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// The description.
    pub model: &'a Model,
    /// The machine, as `uname -m` says it.
    pub machine: Machine,
    /// The profiles, those that are required behind the one that requires them.
    pub profiles: Vec<String>,
    /// `preferences` that apply, in order.
    pub preferences: Vec<&'a Preferences>,
    /// The type; `None` where there is none.
    pub kind: Option<&'a Type>,
    /// What is wrong with the selection itself.
    pub problems: Vec<Diagnostic>,
}

/// Selects. An error is a wrong choice; what is wrong with the description is in the selection.
pub fn select<'a>(model: &'a Model, choice: &Choice) -> Result<Selection<'a>, ResolveError> {
    let machine = choice.arch.machine();
    let mut problems = Vec::new();
    let profiles = profiles(model, choice, &mut problems)?;
    let preferences: Vec<&Preferences> =
        model.preferences.iter().filter(|one| one.scope.applies(&profiles, machine)).collect();
    let kind = kind(model, &preferences, choice, &mut problems)?;
    Ok(Selection { model, machine, profiles, preferences, kind, problems })
}

/// Named profiles with those that they require; else those that import themselves, without.
fn profiles(
    model: &Model,
    choice: &Choice,
    problems: &mut Vec<Diagnostic>,
) -> Result<Vec<String>, ResolveError> {
    let machine = choice.arch.machine();
    let exists = |on: &[Machine]| on.is_empty() || on.contains(&machine);
    // Of two profiles with one name the last one counts.
    let known = |name: &str| model.profiles.iter().rfind(|one| one.name == name && exists(&one.arch));
    if choice.profiles.is_empty() {
        let imported: Vec<&Profile> =
            model.profiles.iter().filter(|one| one.import && exists(&one.arch)).collect();
        for profile in &imported {
            let missing = |required: &&String| !imported.iter().any(|one| one.name == **required);
            let required = profile.requires.iter().filter(|(_, on)| exists(on)).map(|(name, _)| name);
            for name in required.filter(missing) {
                let message = format!(
                    "profile {} requires {name}, which has no effect: KIWI takes imported profiles without what they require",
                    profile.name
                );
                let hint = format!("give {name} import=\"true\", or say --profile {}", profile.name);
                problems.push(profile.span.warning("no-effect", message).hint(hint));
            }
        }
        return Ok(imported.into_iter().map(|one| one.name.clone()).collect());
    }
    let mut selected: Vec<String> = Vec::new();
    for name in &choice.profiles {
        // Depth first: what is required stands behind the one that requires it.
        let mut waiting = vec![name.clone()];
        while let Some(name) = waiting.pop() {
            if selected.contains(&name) {
                continue;
            }
            let Some(profile) = known(&name) else {
                let names: Vec<&str> = model.profiles.iter().map(|one| one.name.as_str()).collect();
                let hint = match names.as_slice() {
                    [] => "the description has no profiles".to_owned(),
                    names => format!("profiles: {}", names.join(", ")),
                };
                return Err(wrong_choice("--profile", format!("no such profile on {machine}: {name}"), hint));
            };
            let required = profile.requires.iter().filter(|(_, on)| exists(on)).map(|(name, _)| name.clone());
            let mut required: Vec<String> = required.collect();
            required.reverse();
            waiting.append(&mut required);
            selected.push(name);
        }
    }
    Ok(selected)
}

/// The type of this choice: the first that `--type` names; else the first that is primary; else the first.
fn kind<'a>(
    model: &Model,
    applying: &[&'a Preferences],
    choice: &Choice,
    problems: &mut Vec<Diagnostic>,
) -> Result<Option<&'a Type>, ResolveError> {
    let types: Vec<&Type> = applying.iter().flat_map(|one| &one.types).collect();
    if let Some(asked) = &choice.image_type {
        // KIWI renamed `vmx` to `oem`, and still takes the old name here.
        let asked = if asked == "vmx" { "oem" } else { asked };
        let found = types.iter().find(|one| one.image_name() == asked);
        let names: Vec<&str> = types.iter().map(|one| one.image_name()).collect();
        let missing = || {
            wrong_choice("--type", format!("no such type: {asked}"), format!("types: {}", names.join(", ")))
        };
        return found.copied().map(Some).ok_or_else(missing);
    }
    let primary = types.iter().find(|one| is_set(&one.said.primary)).or(types.first()).copied();
    if primary.is_none() {
        let message = "no type in the preferences that are selected";
        let hint = "types may hide behind profiles: --profile NAME";
        problems.push(model.span.error("missing-element", message).hint(hint));
    }
    Ok(primary)
}

/// An account, of all sections that name it.
#[derive(Clone, Debug)]
pub struct User<'a> {
    /// When the first of them applies.
    pub scope: Scope,
    /// Its name, where it is first.
    pub name: &'a Said<String>,
    /// The first of them.
    pub said: &'a elements::User,
    /// Of all, in order; the first one is that of the login.
    pub groups: Vec<String>,
}

impl<'a> Selection<'a> {
    fn applies(&self, scope: &Scope) -> bool {
        scope.applies(&self.profiles, self.machine)
    }

    /// What the type says.
    pub fn said(&self) -> Option<&'a elements::Type> {
        self.kind.map(|kind| &kind.said)
    }

    /// What the selected type makes.
    pub fn image(&self) -> Option<ImageType> {
        self.kind.and_then(Type::image)
    }

    /// The package manager: the first one that is named; KIWI's default is `dnf4`.
    pub fn package_manager(&self) -> PackageManager {
        let named = self.preferences.iter().find_map(|one| value(&one.said.packagemanager));
        named.unwrap_or(PackageManager::Dnf4)
    }

    /// Whether a tree of packages is made by apt.
    pub fn is_installed_by_apt(&self) -> bool {
        let packages = |&phase: &Phase| !self.items(phase, Item::Package).is_empty();
        let any = [Phase::Bootstrap, Phase::Image].iter().any(packages);
        self.package_manager() == PackageManager::Apt && any
    }

    fn sections(&self, phase: Phase) -> impl Iterator<Item = &'a elements::Packages> {
        let of_type = self.image().filter(|_| phase == Phase::Image).map(Phase::Type);
        let (profiles, machine) = (self.profiles.clone(), self.machine);
        self.model.said.packages.iter().filter(move |one| {
            let wanted = one.phase().is_some_and(|it| it == phase || Some(it) == of_type);
            wanted && Scope::of(&one.profiles, &None).applies(&profiles, machine)
        })
    }

    /// The package that has a tree to begin with (`bootstrap_package`).
    pub fn bootstrap_package(&self) -> Option<&'a str> {
        let mut named =
            self.sections(Phase::Bootstrap).filter_map(|one| elements::text(&one.bootstrap_package));
        named.find(|name| !name.is_empty())
    }

    /// What `packages` of a phase hold of a kind, in order; with [`Phase::Image`] also what is for the type alone.
    pub fn items(&self, phase: Phase, item: Item) -> Vec<PackageItem<'a>> {
        let machine = self.machine;
        // KIWI filters archives, files and products by nothing.
        let filtered = matches!(item, Item::Package | Item::Collection | Item::Ignore);
        let here =
            move |one: &PackageItem<'_>| !filtered || one.arch.is_empty() || one.arch.contains(&machine);
        self.sections(phase).flat_map(|section| section.items(item)).filter(here).collect()
    }

    /// Names, each once and sorted, with the first place of each. KIWI adds the package manager to what is bootstrapped if
    /// there is more to install.
    pub fn names(&self, phase: Phase, item: Item) -> BTreeMap<String, Option<Span>> {
        let mut names = BTreeMap::new();
        for one in self.items(phase, item) {
            names.entry(one.name).or_insert(Some(one.span.clone()));
        }
        let grows = phase == Phase::Bootstrap && item == Item::Package && !names.is_empty();
        if grows && !self.items(Phase::Image, Item::Package).is_empty() {
            let manager = match self.package_manager() {
                PackageManager::Dnf4 => "dnf",
                PackageManager::Apk => "apk-tools",
                other => other.name(),
            };
            names.entry(manager.to_owned()).or_insert(None);
        }
        names
    }

    /// `patternType` of a phase: the first one; KIWI's default is `onlyRequired`.
    pub fn pattern(&self, phase: Phase) -> PatternType {
        let said = self.sections(phase).find_map(|one| value(&one.pattern_type));
        said.unwrap_or(PatternType::OnlyRequired)
    }

    /// Repositories with a location, in order.
    pub fn repositories(&self) -> Vec<&'a elements::Repository> {
        let all = self.model.said.repository.iter();
        let here = |one: &&elements::Repository| {
            one.location().is_some() && self.applies(&Scope::of(&one.profiles, &one.arch))
        };
        all.filter(here).collect()
    }

    /// Accounts, in order: of a name the first one, with the groups of all.
    pub fn users(&self) -> Vec<User<'a>> {
        let mut users: Vec<User<'a>> = Vec::new();
        for section in &self.model.said.users {
            let scope = Scope::of(&section.profiles, &section.arch);
            for said in section.user.iter().filter(|_| self.applies(&scope)) {
                let Some(name) = &said.name else { continue };
                let at = users.iter().position(|one| one.name.value == name.value).unwrap_or_else(|| {
                    users.push(User { scope: scope.clone(), name, said, groups: Vec::new() });
                    users.len() - 1
                });
                for group in said.groups.iter().flat_map(|groups| &groups.value.0) {
                    if !users[at].groups.contains(&group.name) {
                        users[at].groups.push(group.name.clone());
                    }
                }
            }
        }
        users
    }

    /// Which volume manager: `lvm`, `btrfs`, or none.
    pub fn volume_manager(&self) -> Option<&'static str> {
        let said = self.said()?;
        let disk = said.systemdisk.as_ref()?;
        let btrfs = value(&said.filesystem) == Some(RootFilesystem::Btrfs) && !is_set(&disk.preferlvm);
        Some(if btrfs { "btrfs" } else { "lvm" })
    }

    /// Partitions that the type names, in order: of a name the last one, in the place of the first.
    pub fn partitions(&self) -> Vec<DescribedPartition> {
        self.said().and_then(|said| said.partitions.as_ref()).map(described).unwrap_or_default()
    }

    /// Volumes as KIWI makes them: those of this machine, a root if none is named, swap on LVM.
    pub fn volumes(&self) -> Vec<SystemVolume> {
        let (Some(said), Some(manager)) = (self.said(), self.volume_manager()) else { return Vec::new() };
        let filesystem = value(&said.filesystem);
        let here = |one: &&elements::Volume| Scope::of(&None, &one.arch).applies(&[], self.machine);
        let written = said.systemdisk.iter().flat_map(|disk| &disk.volume);
        let mut volumes: Vec<SystemVolume> =
            written.filter(here).filter_map(|one| volume(one, filesystem)).collect();
        let none = SystemVolume {
            name: String::new(),
            mountpoint: None,
            realpath: "/".to_owned(),
            size: None,
            fullsize: true,
            parent: String::new(),
            label: None,
            attributes: Vec::new(),
            is_root_volume: true,
        };
        if !volumes.iter().any(|one| one.is_root_volume) {
            let full = volumes.iter().any(|one| one.fullsize);
            let name = if manager == "lvm" { "LVRoot" } else { "" };
            let size = full.then(|| Room::Freespace(least_volume(filesystem)));
            volumes.push(SystemVolume { name: name.to_owned(), size, fullsize: !full, ..none.clone() });
        }
        let oem = said.oemconfig.as_ref().filter(|oem| manager == "lvm" && is_set(&oem.swap));
        if let Some(oem) = oem {
            let name = elements::text(&oem.swapname).filter(|name| !name.is_empty());
            volumes.push(SystemVolume {
                name: name.unwrap_or("LVSwap").to_owned(),
                realpath: "swap".to_owned(),
                size: Some(Room::Size(value(&oem.swapsize).unwrap_or(Mebibytes(128)))),
                fullsize: false,
                label: Some("SWAP".to_owned()),
                is_root_volume: false,
                ..none
            });
        }
        volumes
    }
}
