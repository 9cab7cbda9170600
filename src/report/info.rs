//! What is in a description: what is selected, the values that count, and where each is from.
//!
//! Passwords, and what stands for one, are never in it: of an account neither hash nor text, of a repository neither user
//! name nor password nor the part of its address that may hold them, of an encrypted root not its passphrase.

use super::values::values;
use crate::describe::{Diagnostics, Severity, Span};
use crate::model::elements::{Entry, Repository};
use crate::model::words::Machine;
use crate::model::{
    Arch, DescribedPartition, Item, Model, PackageItem, Phase, Preferences, Profile, Scope, SystemVolume,
    Type,
};
use crate::resolve::{Choice, ResolveError, Selection, User, resolve, select};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// The schema number of [`Info`].
const SCHEMA: u32 = 1;

/// A description and what is selected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Info {
    /// Version of this form.
    pub schema: u32,
    /// The file that was read.
    pub file: String,
    /// `image@name`.
    pub name: String,
    /// The version that counts.
    pub version: Option<String>,
    /// The machine that the image is for.
    pub arch: Arch,
    /// The image type that is selected.
    #[serde(rename = "type")]
    pub image_type: Option<String>,
    /// All profiles.
    pub profiles: Vec<ProfileInfo>,
    /// All image types.
    pub types: Vec<TypeInfo>,
    /// Settings of `preferences`, and what the selected type says and leaves to defaults.
    pub values: Vec<Value>,
    /// Partitions that the selected type names, in order.
    pub partitions: Vec<DescribedPartition>,
    /// What volumes are made with: `lvm` or `btrfs`.
    pub volume_manager: Option<&'static str>,
    /// Volumes of the selected type, in order; those too that KIWI adds.
    pub volumes: Vec<SystemVolume>,
    /// Packages, archives and files that are selected, by section.
    pub packages: Vec<Section>,
    /// Repositories that are selected, in order.
    pub repositories: Vec<RepositoryInfo>,
    /// Accounts that are selected, in order.
    pub users: Vec<UserInfo>,
    /// Why no image of it can be made today; empty if one can.
    pub refused: Vec<String>,
    /// Warnings.
    pub warnings: Vec<String>,
}

/// A profile.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProfileInfo {
    /// Its name.
    pub name: String,
    /// What people are told about it.
    pub description: String,
    /// Whether it is selected now.
    pub selected: bool,
    /// Whether it is selected when no profile is named.
    pub import: bool,
    /// Machines on which it exists; empty: all.
    pub arch: Vec<Machine>,
    /// What it pulls in.
    pub requires: Vec<Required>,
    /// Where it is written.
    pub from: Origin,
}

/// A profile that another one pulls in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Required {
    /// Its name.
    pub profile: String,
    /// On these machines; empty: all.
    pub arch: Vec<Machine>,
}

/// An image type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeInfo {
    /// `image`.
    pub image: String,
    /// Whether its section applies with what is selected.
    pub available: bool,
    /// Whether it is the one when no type is named.
    pub default: bool,
    /// Whether it is selected now.
    pub selected: bool,
    /// Profiles that its section is for; empty: all.
    pub profiles: Vec<String>,
    /// Machines that its section is for; empty: all.
    pub arch: Vec<Machine>,
    /// Where it is written.
    pub from: Origin,
}

/// A value and where it is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Value {
    /// Elements and attribute: `version`, `type@filesystem`, `type/oemconfig/oem-resize`.
    pub name: String,
    /// The value.
    pub value: String,
    /// What becomes of it: `used`, `recorded` or `refused`; nothing for what no row of the table is about.
    pub state: Option<&'static str>,
    /// Where it is from.
    pub from: Origin,
}

/// Where a value is from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Origin {
    /// The description.
    Description {
        /// The file, which may be included.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// Profiles that its section is for; empty: all.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        profiles: Vec<String>,
    },
    /// What counts where nothing is said.
    Default,
    /// The command line.
    CommandLine {
        /// The option.
        option: String,
    },
}

/// A section of packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// `packages@type`.
    #[serde(rename = "type")]
    pub section: String,
    /// `patternType`: that of the first section that has it.
    pub pattern: String,
    /// Sorted by kind and name; each once.
    pub items: Vec<ItemInfo>,
}

/// What is installed, taken away or unpacked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ItemInfo {
    /// What it is.
    pub kind: Item,
    /// Its name.
    pub name: String,
    /// Of archives and files: where in the tree.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Of files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub permissions: Option<String>,
    /// Where it is from; the default is the package manager, which KIWI adds to what is bootstrapped.
    pub from: Origin,
}

/// A repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepositoryInfo {
    /// Its location, without what may hold a password.
    pub path: String,
    /// Whether it has a user name or a password.
    pub credentials: bool,
    /// Its other attributes, as they are written.
    pub attributes: BTreeMap<String, String>,
    /// Keys that sign it.
    pub keys: Vec<String>,
    /// Where it is from.
    pub from: Origin,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserInfo {
    /// Its name.
    pub name: String,
    /// In order; the first one is that of the login.
    pub groups: Vec<String>,
    /// Its other attributes, as they are written.
    pub attributes: BTreeMap<String, String>,
    /// Where it is from first.
    pub from: Origin,
}

impl Origin {
    /// A place in the description, in a section of this scope.
    pub(super) fn of(span: &Span, scope: &Scope) -> Origin {
        // An option that changes a description is a source of its own.
        if span.source.file.starts_with("--") {
            return Origin::CommandLine { option: span.source.file.clone() };
        }
        let (line, _) = span.position();
        Origin::Description { file: span.source.file.clone(), line, profiles: scope.profiles.clone() }
    }
}

/// `FILE:LINE (profiles A, B)`, `default`, `--fs`
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Description { file, line, profiles } => {
                write!(f, "{file}:{line}")?;
                match profiles.as_slice() {
                    [] => Ok(()),
                    [one] => write!(f, " (profile {one})"),
                    many => write!(f, " (profiles {})", many.join(", ")),
                }
            }
            Origin::Default => f.write_str("default"),
            Origin::CommandLine { option } => f.write_str(option),
        }
    }
}

/// What is in a description with this choice. An error is a wrong choice: what is wrong with the description is told.
pub fn info(model: &Model, choice: &Choice) -> Result<Info, ResolveError> {
    let selection = select(model, choice)?;
    let (refused, warnings) = match resolve(model, choice) {
        Ok(resolved) => {
            let refused = told(&Diagnostics::new(resolved.lacks), Severity::Error);
            (refused, told(&resolved.warnings, Severity::Warning))
        }
        Err(ResolveError::Refused(problems)) => {
            (told(&problems, Severity::Error), told(&problems, Severity::Warning))
        }
        Err(error) => return Err(error),
    };
    Ok(Info {
        schema: SCHEMA,
        file: model.span.source.file.clone(),
        name: model.name.clone(),
        version: selection.preferences.iter().find_map(|one| one.version.clone()),
        arch: choice.arch,
        image_type: selection.kind.map(|kind| kind.image_name().to_owned()),
        profiles: model.profiles.iter().map(|profile| self::profile(profile, &selection)).collect(),
        types: types(&selection, choice),
        values: values(&selection, choice),
        partitions: selection.partitions(),
        volume_manager: selection.volume_manager(),
        volumes: selection.volumes(),
        packages: packages(&selection),
        repositories: selection.repositories().into_iter().filter_map(repository).collect(),
        users: users(&selection),
        refused,
        warnings,
    })
}

fn told(problems: &Diagnostics, severity: Severity) -> Vec<String> {
    problems.list.iter().filter(|one| one.severity == severity).map(ToString::to_string).collect()
}

fn profile(profile: &Profile, selection: &Selection<'_>) -> ProfileInfo {
    let required =
        |(name, arch): &(String, Vec<Machine>)| Required { profile: name.clone(), arch: arch.clone() };
    ProfileInfo {
        name: profile.name.clone(),
        description: profile.description.clone(),
        selected: selection.profiles.contains(&profile.name),
        import: profile.import,
        arch: profile.arch.clone(),
        requires: profile.requires.iter().map(required).collect(),
        from: Origin::of(&profile.span, &Scope::default()),
    }
}

fn types(selection: &Selection<'_>, choice: &Choice) -> Vec<TypeInfo> {
    let unnamed = Choice { image_type: None, ..choice.clone() };
    let default = select(selection.model, &unnamed).ok().and_then(|one| one.kind);
    let all = selection
        .model
        .preferences
        .iter()
        .flat_map(|section| section.types.iter().map(move |kind| (section, kind)));
    let one = |(section, kind): (&Preferences, &Type)| TypeInfo {
        image: kind.image_name().to_owned(),
        available: section.scope.applies(&selection.profiles, selection.machine),
        default: default.is_some_and(|default| default.span == kind.span),
        selected: selection.kind.is_some_and(|selected| selected.span == kind.span),
        profiles: section.scope.profiles.clone(),
        arch: section.scope.arch.clone(),
        from: Origin::of(&kind.span, &section.scope),
    };
    all.map(one).collect()
}

/// Phases in the order in which they are worked through.
const PHASES: [Phase; 5] =
    [Phase::Bootstrap, Phase::Image, Phase::Uninstall, Phase::Delete, Phase::Systemfiles];
const ITEMS: [Item; 8] = [
    Item::Package,
    Item::Collection,
    Item::Module,
    Item::NoModule,
    Item::Product,
    Item::Ignore,
    Item::Archive,
    Item::File,
];

fn packages(selection: &Selection<'_>) -> Vec<Section> {
    let mut sections: Vec<Section> = Vec::new();
    let mut add = |name: &str, phase: Phase, item: ItemInfo| {
        let at = sections.iter().position(|one| one.section == name).unwrap_or_else(|| {
            let pattern = selection.pattern(phase).to_string();
            sections.push(Section { section: name.to_owned(), pattern, items: Vec::new() });
            sections.len() - 1
        });
        let items = &mut sections[at].items;
        if !items.iter().any(|one| (one.kind, &one.name) == (item.kind, &item.name)) {
            items.push(item);
        }
    };
    for phase in PHASES {
        for kind in ITEMS {
            for one in selection.items(phase, kind) {
                let section = one.section.phase().unwrap_or(phase).name();
                add(section, phase, item(one));
            }
        }
    }
    for (name, span) in selection.names(Phase::Bootstrap, Item::Package) {
        if span.is_none() {
            let added = ItemInfo {
                kind: Item::Package,
                name,
                target: None,
                owner: None,
                permissions: None,
                from: Origin::Default,
            };
            add("bootstrap", Phase::Bootstrap, added);
        }
    }
    for section in &mut sections {
        section.items.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    }
    sections
}

fn item(item: PackageItem<'_>) -> ItemInfo {
    let scope = Scope::of(&item.section.profiles, &None);
    ItemInfo {
        kind: item.item,
        target: item.target.map(str::to_owned),
        owner: item.owner.map(str::to_owned),
        permissions: item.permissions.map(str::to_owned),
        from: Origin::of(item.span, &scope),
        name: item.name,
    }
}

/// The attributes of an element but some, as they are written.
fn attributes(entries: &[Entry<'_>], but: &[&str]) -> BTreeMap<String, String> {
    let named =
        |entry: &Entry<'_>| entry.path.strip_prefix('@').map(|name| (name.to_owned(), entry.text.to_owned()));
    entries.iter().filter_map(named).filter(|(name, _)| !but.contains(&name.as_str())).collect()
}

fn repository(repository: &Repository) -> Option<RepositoryInfo> {
    let (path, hidden) = without_secrets(&repository.location()?.value);
    let secret = repository.username.is_some() || repository.password.is_some();
    let not_shown = ["profiles", "arch", "username", "password"];
    Some(RepositoryInfo {
        path,
        credentials: hidden || secret,
        attributes: attributes(&repository.entries(""), &not_shown),
        keys: repository.keys().map(|key| without_secrets(key).0).collect(),
        from: Origin::of(&repository.span, &Scope::of(&repository.profiles, &repository.arch)),
    })
}

/// A location without user, password and query, either of which may open it; whether there was any.
pub(super) fn without_secrets(location: &str) -> (String, bool) {
    let (place, query) = match location.split_once('?') {
        Some((place, _)) => (place, "?***"),
        None => (location, ""),
    };
    let (scheme, rest) = match place.split_once("//") {
        Some((scheme, rest)) => (format!("{scheme}//"), rest),
        None => (String::new(), place),
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (user, host) = match authority.rsplit_once('@').filter(|_| !scheme.is_empty()) {
        Some((_, host)) => ("***@", host),
        None => ("", authority),
    };
    (format!("{scheme}{user}{host}{path}{query}"), !user.is_empty() || !query.is_empty())
}

fn users(selection: &Selection<'_>) -> Vec<UserInfo> {
    let one = |user: User<'_>| UserInfo {
        from: Origin::of(&user.name.span, &user.scope),
        name: user.name.value.clone(),
        groups: user.groups,
        attributes: attributes(&user.said.entries(""), &["name", "password", "groups"]),
    };
    selection.users().into_iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_open_a_repository_is_taken_out_of_its_location() {
        let cases = [
            ("https://host/path", "https://host/path", false),
            ("https://me:secret@host:8080/path", "https://***@host:8080/path", true),
            ("https://me:se@cret@host/p@th", "https://***@host/p@th", true),
            ("https://host/path?0a1b2c", "https://host/path?***", true),
            ("https://host?token=a@b", "https://host?***", true),
            ("obs://project:/sub@v/repo", "obs://project:/sub@v/repo", false),
            ("dir:///a@b", "dir:///a@b", false),
            ("/a@b", "/a@b", false),
            ("", "", false),
        ];
        for (location, shown, hidden) in cases {
            assert_eq!(without_secrets(location), (shown.to_owned(), hidden), "{location}");
        }
    }
}
