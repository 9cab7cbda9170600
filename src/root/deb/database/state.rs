//! A package of the database: its stanza in `status`.

use super::super::control::{Control, Relation, Stanza, is_architecture, is_name};
use std::collections::BTreeMap;

/// The fields that dpkg knows, in the order in which it writes them; others follow in their own order.
const FIELDS: [&str; 32] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Config-Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
    "Filename",
    "Size",
    "MD5sum",
    "MSDOS-Filename",
    "Description",
    "Triggers-Pending",
    "Triggers-Awaited",
];
/// Those that no package can say of itself.
const NOT_OF_PACKAGES: [&str; 9] = [
    "Status",
    "Config-Version",
    "Conffiles",
    "Filename",
    "Size",
    "MD5sum",
    "MSDOS-Filename",
    "Triggers-Pending",
    "Triggers-Awaited",
];
const RELATIONS: [&str; 9] = [
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
];
const PRIORITIES: [&str; 5] = ["required", "important", "standard", "optional", "extra"];

/// How far a package has come: the last word of `Status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// Nothing of it is there.
    NotInstalled,
    /// Removed, but for its conffiles.
    ConfigFiles,
    /// Its installation was interrupted.
    HalfInstalled,
    /// Its files are there.
    Unpacked,
    /// Its configuration failed.
    HalfConfigured,
    /// Others that it set off have work to do.
    TriggersAwaited,
    /// It was set off by others.
    TriggersPending,
    /// Configured.
    Installed,
}

impl State {
    const NAMES: [(State, &'static str); 8] = [
        (State::NotInstalled, "not-installed"),
        (State::ConfigFiles, "config-files"),
        (State::HalfInstalled, "half-installed"),
        (State::Unpacked, "unpacked"),
        (State::HalfConfigured, "half-configured"),
        (State::TriggersAwaited, "triggers-awaited"),
        (State::TriggersPending, "triggers-pending"),
        (State::Installed, "installed"),
    ];

    /// dpkg's word for it.
    pub fn name(self) -> &'static str {
        State::NAMES.iter().find(|(state, _)| *state == self).map_or("", |(_, name)| name)
    }
}

/// A package that the tree's dpkg knows.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its architecture; empty where only its name is known.
    pub architecture: String,
    /// Its version; may be empty.
    pub version: String,
    /// Whether it is `Multi-Arch: same`.
    pub is_same: bool,
    /// How far it has come.
    pub state: State,
    /// Its fields, as in `status`.
    pub stanza: Stanza,
    /// What it replaces.
    pub replaces: Vec<Relation>,
    /// Its paths, as in its list: `/.`, `/usr`, `/usr/bin/env`.
    pub files: Vec<Vec<u8>>,
}

impl Package {
    pub(super) fn of(stanza: &[u8]) -> Result<Package, String> {
        let stanza = Stanza::parse(stanza)?;
        let text = |name: &str| stanza.text(name).unwrap_or_default().to_owned();
        let (name, architecture) = (text("Package"), text("Architecture"));
        if !is_name(&name) || !(architecture.is_empty() || is_architecture(&architecture)) {
            return Err(format!("a package with a bad name: {}", name.escape_debug()));
        }
        let status = text("Status");
        let word = status.rsplit(' ').next().unwrap_or_default();
        let state = State::NAMES.iter().find(|(_, name)| *name == word).map(|(state, _)| *state);
        let state = state.ok_or_else(|| format!("{name}: a bad Status: {}", status.escape_debug()))?;
        let replaces = replaces(&stanza).map_err(|reason| format!("{name}: {reason}"))?;
        let (version, is_same) = (text("Version"), stanza.text("Multi-Arch") == Some("same"));
        Ok(Package { name, architecture, version, is_same, state, stanza, replaces, files: Vec::new() })
    }

    /// A package as it is when it has just been unpacked, but for its conffiles.
    pub(super) fn unpacked(control: &Control) -> Result<Package, String> {
        let stanza = normalised(control)?;
        Ok(Package {
            name: control.name.clone(),
            architecture: control.architecture.clone(),
            version: control.version.clone(),
            is_same: control.is_same,
            state: State::Unpacked,
            replaces: replaces(&stanza)?,
            stanza,
            files: Vec::new(),
        })
    }

    /// As its files in `info` are named.
    pub fn info_name(&self) -> String {
        match self.is_same {
            true => format!("{}:{}", self.name, self.architecture),
            false => self.name.clone(),
        }
    }

    /// As dpkg names it where that must not be ambiguous.
    pub(super) fn spoken_name(&self) -> String {
        self.info_name()
    }

    /// Whether something of it is in the tree.
    pub fn is_there(&self) -> bool {
        self.state != State::NotInstalled
    }

    /// Whether it can be set off: it is configured.
    pub(super) fn hears(&self) -> bool {
        self.state >= State::TriggersAwaited
    }

    /// Whether a package cannot be unpacked beside it.
    pub(super) fn clashes(&self, control: &Control) -> bool {
        let beside = self.is_same && control.is_same && self.architecture != control.architecture;
        self.state != State::NotInstalled && !beside
    }

    /// Whether it may take over files of another.
    pub(in super::super) fn replaces(&self, other: &Package) -> bool {
        let admits = |relation: &Relation| relation.package == other.name && relation.admits(&other.version);
        self.replaces.iter().any(admits)
    }

    /// Its conffiles and their hashes.
    pub fn conffiles(&self) -> BTreeMap<&[u8], &[u8]> {
        let lines = self.stanza.get("Conffiles").unwrap_or_default().split(|&byte| byte == b'\n');
        lines.filter_map(conffile).collect()
    }

    /// Sets a field in its place; an empty value takes it away.
    pub(super) fn set_field(&mut self, name: &str, value: Vec<u8>) {
        match value.is_empty() {
            true => self.stanza.take(name),
            false => self.stanza.set(name, value),
        }
        self.stanza.fields.sort_by_key(|(name, _)| rank(name));
    }

    fn set_state(&mut self, state: State) {
        self.state = state;
        let status = self.stanza.text("Status").unwrap_or_default();
        let words = status.rsplit_once(' ').map_or("install ok", |(words, _)| words);
        let status = format!("{words} {}", state.name());
        self.set_field("Status", status.into_bytes());
    }

    /// Notes a trigger that it has to work for.
    pub(super) fn pend(&mut self, trigger: &[u8]) {
        let pending = self.stanza.get("Triggers-Pending").unwrap_or_default();
        if pending.split(|&byte| byte == b' ').any(|other| other == trigger) {
            return;
        }
        let all = [trigger, pending].join(&b' ');
        self.set_field("Triggers-Pending", all.trim_ascii_end().to_vec());
        let waits = self.stanza.get("Triggers-Awaited").is_some();
        self.set_state(if waits { State::TriggersAwaited } else { State::TriggersPending });
    }

    /// Notes a package whose work it waits for.
    pub(super) fn wait_for(&mut self, name: &str) {
        let awaited = self.stanza.get("Triggers-Awaited").unwrap_or_default();
        if awaited.split(|&byte| byte == b' ').any(|other| other == name.as_bytes()) {
            return;
        }
        let all = [awaited, name.as_bytes()].join(&b' ');
        self.set_field("Triggers-Awaited", all.trim_ascii_start().to_vec());
        if self.state > State::TriggersAwaited {
            self.set_state(State::TriggersAwaited);
        }
    }
}

/// The path and the hash of a line of `Conffiles`.
fn conffile(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut line = line.strip_prefix(b" ")?;
    for word in [&b" remove-on-upgrade"[..], b" obsolete"] {
        line = line.strip_suffix(word).unwrap_or(line);
    }
    let space = line.iter().rposition(|&byte| byte == b' ')?;
    Some((&line[..space], &line[space + 1..]))
}

fn replaces(stanza: &Stanza) -> Result<Vec<Relation>, String> {
    Ok(stanza.relations("Replaces")?.into_iter().flatten().collect())
}

/// The place of a field.
fn rank(name: &str) -> usize {
    FIELDS.iter().position(|known| known.eq_ignore_ascii_case(name)).unwrap_or(FIELDS.len())
}

/// The fields of a package as dpkg writes them.
fn normalised(control: &Control) -> Result<Stanza, String> {
    let mut fields = vec![("Status".to_owned(), b"install ok unpacked".to_vec())];
    for (name, value) in &control.stanza.fields {
        let known = FIELDS.iter().find(|known| known.eq_ignore_ascii_case(name));
        let Some(&known) = known else {
            fields.push((name.clone(), value.clone()));
            continue;
        };
        let yes_or_no = |no: &str| match value.eq_ignore_ascii_case(no.as_bytes()) {
            true => None,
            false => Some(value.to_ascii_lowercase()),
        };
        let written = match known {
            _ if NOT_OF_PACKAGES.contains(&known) || value.is_empty() => None,
            "Package" => Some(control.name.clone().into_bytes()),
            "Version" => Some(control.version.clone().into_bytes()),
            "Essential" | "Protected" | "Multi-Arch" => yes_or_no("no"),
            "Priority" => Some(priority(value)),
            _ if RELATIONS.contains(&known) => Some(relations(&control.stanza, known)?),
            _ => Some(value.clone()),
        };
        fields.extend(written.map(|value| (known.to_owned(), value)));
    }
    fields.sort_by_key(|(name, _)| rank(name));
    Ok(Stanza { fields })
}

fn priority(value: &[u8]) -> Vec<u8> {
    let known = PRIORITIES.iter().find(|known| known.as_bytes().eq_ignore_ascii_case(value));
    known.map_or(value.to_vec(), |known| known.as_bytes().to_vec())
}

fn relations(stanza: &Stanza, name: &str) -> Result<Vec<u8>, String> {
    let groups = stanza.relations(name)?;
    let group = |group: &Vec<Relation>| group.iter().map(Relation::written).collect::<Vec<_>>().join(" | ");
    Ok(groups.iter().map(group).collect::<Vec<_>>().join(", ").into_bytes())
}
