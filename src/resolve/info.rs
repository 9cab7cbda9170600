//! What a selection says, for people and programs: profiles, types, values, packages, repositories, accounts, partitions
//! and volumes, and where each of it came from.

use super::Selection;
use crate::describe::Span;
use crate::model::{DescribedPartition, Item, Phase, Scope, SystemVolume};
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of the JSON form.
pub const SCHEMA: u32 = 1;

/// A selection in words.
#[derive(Clone, Debug, Serialize)]
pub struct Info {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The machine, as `uname -m` says it.
    pub arch: &'static str,
    /// All profiles.
    pub profiles: Vec<ProfileInfo>,
    /// Types in the preferences that apply.
    pub types: Vec<TypeInfo>,
    /// What counts of `image`, `preferences` and the type, defaults too.
    pub values: Vec<ValueInfo>,
    /// `bootstrap package`, `image collection` and so on: names, sorted.
    pub packages: BTreeMap<String, Vec<Named>>,
    /// In order.
    pub repositories: Vec<RepositoryInfo>,
    /// In order.
    pub users: Vec<UserInfo>,
    /// In order.
    pub partitions: Vec<DescribedPartition>,
    /// The volume manager.
    pub volume_manager: Option<&'static str>,
    /// In order.
    pub volumes: Vec<SystemVolume>,
}

/// A profile.
#[derive(Clone, Debug, Serialize)]
pub struct ProfileInfo {
    /// Its name.
    pub name: String,
    /// What people are told about it.
    pub description: String,
    /// Whether it is selected.
    pub selected: bool,
    /// Where it is written.
    pub from: String,
}

/// A type.
#[derive(Clone, Debug, Serialize)]
pub struct TypeInfo {
    /// `image`.
    pub image: String,
    /// Whether it is selected.
    pub selected: bool,
    /// Where it is written.
    pub from: String,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ValueInfo {
    /// What it is: `version`, `type firmware`, `type bootloader@name`.
    pub name: String,
    /// As it is written.
    pub value: String,
    /// `FILE:LINE`, with the profiles that it is for; `default`; an option of the command line.
    pub from: String,
}

/// A name.
#[derive(Clone, Debug, Serialize)]
pub struct Named {
    /// The name.
    pub name: String,
    /// Where it came from.
    pub from: String,
}

/// A repository.
#[derive(Clone, Debug, Serialize)]
pub struct RepositoryInfo {
    /// Its location.
    pub source: String,
    /// Its other attributes.
    pub attributes: BTreeMap<String, String>,
    /// Keys that sign it.
    pub keys: Vec<String>,
    /// Where it came from.
    pub from: String,
}

/// An account; its password is not shown.
#[derive(Clone, Debug, Serialize)]
pub struct UserInfo {
    /// Its name.
    pub name: String,
    /// Its groups, that of the login first.
    pub groups: Vec<String>,
    /// Its other attributes.
    pub attributes: BTreeMap<String, String>,
    /// Where it came from.
    pub from: String,
}

const DEFAULT: &str = "default";

/// Where a thing is written, and for which profiles.
fn from(span: &Span, scope: Option<&Scope>) -> String {
    // An option of the command line is a source with one line.
    let place = if span.source.file.starts_with("--") { span.source.file.clone() } else { span.to_string() };
    match scope.map(|scope| scope.profiles.as_slice()).unwrap_or_default() {
        [] => place,
        [one] => format!("{place} (profile {one})"),
        several => format!("{place} (profiles {})", several.join(", ")),
    }
}

impl Selection<'_> {
    /// The selection in words.
    pub fn info(&self) -> Info {
        let profile = |one: &crate::model::Profile| ProfileInfo {
            name: one.name.clone(),
            description: one.description.clone(),
            selected: self.profiles.contains(&one.name),
            from: from(&one.span, None),
        };
        let types = self.preferences.iter().flat_map(|one| one.types.iter().map(|kind| (&one.scope, kind)));
        let kind = |(scope, kind): (&Scope, &crate::model::Type)| TypeInfo {
            image: kind.image.clone(),
            selected: self.kind.is_some_and(|chosen| chosen.span == kind.span),
            from: from(&kind.span, Some(scope)),
        };
        Info {
            schema: SCHEMA,
            arch: self.machine,
            profiles: self.model.profiles.iter().map(profile).collect(),
            types: types.map(kind).collect(),
            values: self.values(),
            packages: self.package_names(),
            repositories: self.repository_infos(),
            users: self.user_infos(),
            partitions: self.kind.map(|kind| kind.partitions.clone()).unwrap_or_default(),
            volume_manager: self.volume_manager(),
            volumes: self.volumes(),
        }
    }

    fn values(&self) -> Vec<ValueInfo> {
        let value = |name: &str, value: &str, from: String| ValueInfo {
            name: name.to_owned(),
            value: value.to_owned(),
            from,
        };
        let model = self.model;
        let of_image = from(&model.span, None);
        let mut values = vec![value("name", &model.name, of_image.clone())];
        values.push(match &model.displayname {
            Some(name) => value("displayname", name, of_image),
            None => value("displayname", &model.name, DEFAULT.to_owned()),
        });
        const FIRST: [&str; 8] = [
            "version",
            "packagemanager",
            "release-version",
            "rpm-locale-filtering",
            "rpm-check-signatures",
            "rpm-excludedocs",
            "bootsplash-theme",
            "showlicense",
        ];
        const LAST: [&str; 4] = ["locale", "keytable", "timezone", "bootloader-theme"];
        for (name, last) in FIRST.iter().map(|name| (name, false)).chain(LAST.iter().map(|name| (name, true)))
        {
            let settings = self.settings(name);
            let said = if last { settings.last() } else { settings.first() };
            if let Some(said) = said {
                let section =
                    self.preferences.iter().find(|one| one.settings.iter().any(|it| it.span == said.span));
                values.push(value(name, said.value, from(&said.span, section.map(|one| &one.scope))));
            } else if *name == "packagemanager" {
                values.push(value(name, self.package_manager(), DEFAULT.to_owned()));
            }
        }
        let Some(kind) = self.kind else { return values };
        let scope = self.preferences.iter().find(|one| one.types.iter().any(|it| it.span == kind.span));
        let facts = kind.facts.iter().filter(|fact| {
            !fact.value.0.starts_with("partitions/") && !fact.value.0.starts_with("systemdisk/volume")
        });
        values.extend(facts.map(|fact| {
            let shown = if fact.value.0 == "luks" { "(a secret)" } else { fact.value.1.as_str() };
            value(&format!("type {}", fact.value.0), shown, from(&fact.span, scope.map(|one| &one.scope)))
        }));
        let open = self.defaults().into_iter().filter(|(path, _)| kind.fact(path).is_none());
        values.extend(open.map(|(path, text)| value(&format!("type {path}"), text, DEFAULT.to_owned())));
        values
    }

    /// What KIWI takes where a type says nothing.
    pub fn defaults(&self) -> Vec<(&'static str, &'static str)> {
        let Some(kind) = self.kind else { return Vec::new() };
        let image = kind.image.as_str();
        let firmware = if matches!(self.machine, "x86_64" | "i686") { "bios" } else { "efi" };
        let initrd = match image {
            "oem" | "iso" | "kis" => "dracut",
            "pxe" => "kiwi",
            _ => "none",
        };
        let mut defaults = vec![("initrd_system", initrd)];
        if matches!(image, "oem" | "iso") {
            defaults.push(("firmware", firmware));
            defaults.push(("bootloader@name", "grub2"));
            defaults.push(("bootloader@timeout", "10"));
            defaults.push(("devicepersistency", "by-uuid"));
        }
        if image == "oem" {
            defaults.extend([
                ("rootfs_label", "ROOT"),
                ("eficsm", "true"),
                ("efipartsize", "20"),
                ("disk_start_sector", "2048"),
                ("target_blocksize", "512"),
                ("oemconfig/oem-resize", "true"),
                ("oemconfig/oem-swap", "false"),
            ]);
        }
        if kind.has("systemdisk") {
            defaults.push(("systemdisk@name", "systemVG"));
        }
        defaults
    }

    /// What a type says at a path, or KIWI's default.
    pub fn value(&self, path: &str) -> Option<&str> {
        let default = || self.defaults().into_iter().find(|(name, _)| *name == path).map(|(_, value)| value);
        self.kind.and_then(|kind| kind.text(path)).or_else(default)
    }

    fn package_names(&self) -> BTreeMap<String, Vec<Named>> {
        const PHASES: [(Phase, &str); 5] = [
            (Phase::Bootstrap, "bootstrap"),
            (Phase::Image, "image"),
            (Phase::Uninstall, "uninstall"),
            (Phase::Delete, "delete"),
            (Phase::Systemfiles, "systemfiles"),
        ];
        const ITEMS: [(Item, &str); 8] = [
            (Item::Package, "packages"),
            (Item::Collection, "collections"),
            (Item::Module, "modules"),
            (Item::NoModule, "disabled modules"),
            (Item::Product, "products"),
            (Item::Ignore, "ignored"),
            (Item::Archive, "archives"),
            (Item::File, "files"),
        ];
        let mut all = BTreeMap::new();
        for (phase, phase_name) in PHASES {
            for (item, item_name) in ITEMS {
                let names = self.names(phase, item).into_iter().map(|(name, span)| Named {
                    name,
                    from: span.map_or(DEFAULT.to_owned(), |span| self.place_of(&span)),
                });
                let names: Vec<Named> = names.collect();
                if !names.is_empty() {
                    all.insert(format!("{phase_name} {item_name}"), names);
                }
            }
        }
        all
    }

    fn place_of(&self, span: &Span) -> String {
        let section =
            self.model.packages.iter().find(|one| one.items.iter().any(|item| item.name.span == *span));
        from(span, section.map(|one| &one.scope))
    }

    fn repository_infos(&self) -> Vec<RepositoryInfo> {
        let info = |one: &crate::model::Repository| RepositoryInfo {
            source: one.source.value.clone(),
            attributes: one
                .attributes
                .iter()
                .map(|(name, value)| match name.as_str() {
                    "password" => (name.clone(), "(a secret)".to_owned()),
                    _ => (name.clone(), value.clone()),
                })
                .collect(),
            keys: one.keys.clone(),
            from: from(&one.source.span, Some(&one.scope)),
        };
        self.repositories().into_iter().map(info).collect()
    }

    fn user_infos(&self) -> Vec<UserInfo> {
        let info = |one: crate::model::User| UserInfo {
            from: from(&one.name.span, Some(&one.scope)),
            name: one.name.value,
            groups: one.groups,
            attributes: one.attributes.into_iter().collect(),
        };
        self.users().into_iter().map(info).collect()
    }
}
