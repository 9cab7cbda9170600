//! What profiles, type and machine select of a description, whether an image can be made of it or not: KIWI's rules for
//! what counts when a thing is said more than once (KIWI NG 10.3.9 `xml_state.py`).

use super::{Choice, ResolveError, wrong_choice};
use crate::describe::Diagnostic;
use crate::model::{
    Item, Model, PackageItem, Packages, Phase, Preferences, Profile, Repository, Said, Scope, SystemVolume,
    Type, User,
};
use std::collections::BTreeMap;

/// A selected part of a description.
#[derive(Clone, Debug)]
pub struct Selection<'a> {
    /// The description.
    pub model: &'a Model,
    /// The machine, as `uname -m` says it.
    pub machine: &'static str,
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
    let exists = |names: &[String]| names.is_empty() || names.iter().any(|name| name == machine);
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
        let found = types.iter().find(|one| one.image == asked);
        let names: Vec<&str> = types.iter().map(|one| one.image.as_str()).collect();
        let missing = || {
            wrong_choice("--type", format!("no such type: {asked}"), format!("types: {}", names.join(", ")))
        };
        return found.copied().map(Some).ok_or_else(missing);
    }
    let primary = types.iter().find(|one| one.primary).or(types.first()).copied();
    if primary.is_none() {
        let message = "no type in the preferences that are selected";
        let hint = "types may hide behind profiles: --profile NAME";
        problems.push(model.span.error("missing-element", message).hint(hint));
    }
    Ok(primary)
}

impl<'a> Selection<'a> {
    fn applies(&self, scope: &Scope) -> bool {
        scope.applies(&self.profiles, self.machine)
    }

    /// Settings of this name in `preferences`, in order. The first one counts for `version`, `packagemanager`,
    /// `release-version` and the rpm flags, the last one for `timezone`, `locale` and `keytable` in the tree.
    pub fn settings(&self, name: &str) -> Vec<Said<&'a str>> {
        let all = self.preferences.iter().flat_map(|one| &one.settings);
        let named = all.filter(|fact| fact.value.0 == name);
        named.map(|fact| Said { value: fact.value.1.as_str(), span: fact.span.clone() }).collect()
    }

    /// The package manager; KIWI's default is `dnf4`.
    pub fn package_manager(&self) -> &'a str {
        self.settings("packagemanager").first().map_or("dnf4", |one| one.value)
    }

    fn sections(&self, phases: &[Phase]) -> impl Iterator<Item = &'a Packages> {
        let image = self.kind.map_or("", |kind| kind.image.as_str()).to_owned();
        let wanted = phases.to_vec();
        let profiles = self.profiles.clone();
        let machine = self.machine;
        self.model.packages.iter().filter(move |one| {
            let of_type = matches!(one.phase, Some(Phase::Type(name)) if name.0 == image && wanted.contains(&Phase::Image));
            let of_phase = one.phase.is_some_and(|phase| wanted.contains(&phase));
            (of_type || of_phase) && one.scope.applies(&profiles, machine)
        })
    }

    /// What `packages` of a phase hold of a kind, in order; with [`Phase::Image`] also what is for the type alone.
    pub fn items(&self, phase: Phase, item: Item) -> Vec<&'a PackageItem> {
        let machine = self.machine;
        // KIWI filters archives, files and products by nothing.
        let filtered = matches!(item, Item::Package | Item::Collection | Item::Ignore);
        let here = move |one: &&PackageItem| {
            one.item == item
                && (!filtered || one.arch.is_empty() || one.arch.iter().any(|name| name == machine))
        };
        self.sections(&[phase]).flat_map(|section| &section.items).filter(here).collect()
    }

    /// Names, each once and sorted, with the first place of each. KIWI adds the package manager to what is bootstrapped if
    /// there is more to install.
    pub fn names(&self, phase: Phase, item: Item) -> BTreeMap<String, Option<crate::describe::Span>> {
        let mut names = BTreeMap::new();
        for one in self.items(phase, item) {
            names.entry(one.name.value.clone()).or_insert(Some(one.name.span.clone()));
        }
        let grows = phase == Phase::Bootstrap && item == Item::Package && !names.is_empty();
        if grows && !self.items(Phase::Image, Item::Package).is_empty() {
            let manager = match self.package_manager() {
                "dnf4" => "dnf",
                "apk" => "apk-tools",
                other => other,
            };
            names.entry(manager.to_owned()).or_insert(None);
        }
        names
    }

    /// `patternType` of a phase: the first one; KIWI's default is `onlyRequired`.
    pub fn pattern(&self, phase: Phase) -> &'a str {
        self.sections(&[phase])
            .find_map(|one| one.pattern.as_ref())
            .map_or("onlyRequired", |one| one.value.as_str())
    }

    /// Repositories, in order.
    pub fn repositories(&self) -> Vec<&'a Repository> {
        self.model.repositories.iter().filter(|one| self.applies(&one.scope)).collect()
    }

    /// Accounts, in order: of a name the first one, with the groups of all.
    pub fn users(&self) -> Vec<User> {
        let mut users: Vec<User> = Vec::new();
        for user in self.model.users.iter().filter(|one| self.applies(&one.scope)) {
            if users.iter().all(|one| one.name.value != user.name.value) {
                users.push(User { groups: Vec::new(), ..user.clone() });
            }
            let Some(known) = users.iter_mut().find(|one| one.name.value == user.name.value) else {
                continue;
            };
            for group in &user.groups {
                if !known.groups.contains(group) {
                    known.groups.push(group.clone());
                }
            }
        }
        users
    }

    /// Which volume manager: `lvm`, `btrfs`, or none.
    pub fn volume_manager(&self) -> Option<&'static str> {
        let kind = self.kind.filter(|kind| kind.has("systemdisk"))?;
        let btrfs = kind.text("filesystem") == Some("btrfs") && !kind.is_set("systemdisk@preferlvm");
        Some(if btrfs { "btrfs" } else { "lvm" })
    }

    /// Volumes as KIWI makes them: those of this machine, a root if none is named, swap on LVM.
    pub fn volumes(&self) -> Vec<SystemVolume> {
        let (Some(kind), Some(manager)) = (self.kind, self.volume_manager()) else { return Vec::new() };
        let here = |arch: &[String]| arch.is_empty() || arch.iter().any(|name| name == self.machine);
        let mut volumes: Vec<SystemVolume> =
            kind.volumes.iter().filter(|one| here(&one.arch)).map(|one| one.volume.clone()).collect();
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
            let least = crate::describe::kiwi::least_volume(kind.text("filesystem").unwrap_or(""));
            let name = if manager == "lvm" { "LVRoot" } else { "" };
            let size = full.then(|| format!("freespace:{least}"));
            volumes.push(SystemVolume { name: name.to_owned(), size, fullsize: !full, ..none.clone() });
        }
        if manager == "lvm" && kind.is_set("oemconfig/oem-swap") {
            volumes.push(SystemVolume {
                name: kind.text("oemconfig/oem-swapname").unwrap_or("LVSwap").to_owned(),
                realpath: "swap".to_owned(),
                size: Some(format!("size:{}", kind.text("oemconfig/oem-swapsize").unwrap_or("128"))),
                fullsize: false,
                label: Some("SWAP".to_owned()),
                is_root_volume: false,
                ..none
            });
        }
        volumes
    }
}
