//! dpkg's database in `/var/lib/dpkg` of a tree, as dpkg keeps it.
//!
//! ```text
//! status                 a stanza for each package, sorted by name and architecture
//! available              of dselect; empty
//! arch                   the architectures, where there is more than one
//! info/format            "1"
//! info/NAME[:ARCH].list  the paths of a package, one a line; `:ARCH` if it is Multi-Arch: same
//! info/NAME[:ARCH].*     its control files
//! triggers/File          PATH PACKAGE[/noawait]
//! triggers/TRIGGER       PACKAGE[/noawait]
//! diversions, statoverride
//! updates/               changes to status that an interrupted dpkg left behind
//! ```

mod local;
mod state;
mod triggers;

pub use local::{Diversion, Override, diversions};
pub use state::{Package, State};
pub(super) use triggers::Triggers;

use super::control::Control;
use super::root::Root;
use super::{DebError, malformed};
use diskwright_formats::bytes::escaped;
use local::overrides;
use std::collections::BTreeMap;

/// The directory of the database.
pub(super) const ADMIN: &str = "/var/lib/dpkg";
/// Most bytes of a file of the database.
const FILE_MAX: u64 = 1 << 30;

/// What a tree's dpkg knows.
#[derive(Debug, Default)]
pub struct Database {
    /// The packages, in the order of `status` and then as they were added.
    packages: Vec<Package>,
    /// Who has a path, by index, in the order in which they came.
    owners: BTreeMap<Vec<u8>, Vec<usize>>,
    /// Files of a package that are installed under other names, by path.
    pub(super) diversions: Vec<Diversion>,
    /// Owners and modes that the administrator set, by path.
    pub(super) overrides: BTreeMap<Vec<u8>, Override>,
    pub(super) triggers: Triggers,
    /// Packages whose list is no longer what is in the tree.
    lists: Vec<usize>,
}

impl Database {
    /// Reads the database of a tree; where there is none, it is empty.
    ///
    /// # Errors
    /// Files that cannot be read or that dpkg could not read; changes of an interrupted dpkg.
    pub fn read(root: &Root) -> Result<Database, DebError> {
        let read = |name: &str| {
            let path = format!("{ADMIN}/{name}");
            Ok::<Vec<u8>, DebError>(root.read(path.as_bytes(), FILE_MAX)?.unwrap_or_default())
        };
        let bad =
            |name: &str, reason: String| malformed(&root.shown(format!("{ADMIN}/{name}").as_bytes()), reason);
        if !root.names(format!("{ADMIN}/updates").as_bytes())?.is_empty() {
            return Err(bad(
                "updates",
                "dpkg was interrupted here: run dpkg --configure -a in the tree".to_owned(),
            ));
        }
        let accounts = local::Accounts::read(root)?;
        let mut database = Database {
            diversions: diversions(&read("diversions")?).map_err(|reason| bad("diversions", reason))?,
            overrides: overrides(&read("statoverride")?, &accounts)
                .map_err(|reason| bad("statoverride", reason))?,
            triggers: Triggers::read(root)?,
            ..Database::default()
        };
        for package in packages(&read("status")?).map_err(|reason| bad("status", reason))? {
            let index = database.packages.len();
            let list = match package.is_there() {
                true => read(&format!("info/{}.list", package.info_name()))?,
                false => Vec::new(),
            };
            database.packages.push(package);
            for path in list.split(|&byte| byte == b'\n').filter(|path| !path.is_empty()) {
                let path = match path {
                    [rest @ .., b'/'] if !rest.is_empty() => rest,
                    path => path,
                };
                database.own(index, path.to_vec());
            }
        }
        Ok(database)
    }

    /// The packages that it knows.
    pub fn packages(&self) -> &[Package] {
        &self.packages
    }

    /// A package of an architecture.
    pub fn find(&self, name: &str, architecture: &str) -> Option<&Package> {
        self.packages.iter().find(|package| package.name == name && package.architecture == architecture)
    }

    pub(super) fn package(&self, index: usize) -> &Package {
        &self.packages[index]
    }

    /// The packages that have a path.
    pub(super) fn owners(&self, path: &[u8]) -> &[usize] {
        self.owners.get(path).map_or(&[], |owners| owners)
    }

    pub(super) fn own(&mut self, index: usize, path: Vec<u8>) {
        let owners = self.owners.entry(path.clone()).or_default();
        if !owners.contains(&index) {
            owners.push(index);
        }
        self.packages[index].files.push(path);
    }

    /// A package loses a path to another.
    pub(super) fn disown(&mut self, index: usize, path: &[u8]) {
        if let Some(owners) = self.owners.get_mut(path) {
            owners.retain(|&owner| owner != index);
        }
        self.packages[index].files.retain(|file| file != path);
        if !self.lists.contains(&index) {
            self.lists.push(index);
        }
    }

    /// Adds a package that is being unpacked. It has no files yet.
    pub(super) fn add(&mut self, control: &Control) -> Result<usize, String> {
        if let Some(old) = self.packages.iter().find(|old| old.name == control.name && old.clashes(control)) {
            let (name, version, state) = (&old.name, &old.version, old.state.name());
            return Err(format!("{name} is in the tree already: version {version}, {state}"));
        }
        let package = Package::unpacked(control)?;
        // One that was only known by name becomes this one; others keep their numbers.
        let known = |old: &Package| old.name == control.name && old.state == State::NotInstalled;
        let index = self.packages.iter().position(known).unwrap_or(self.packages.len());
        match self.packages.get_mut(index) {
            Some(old) => *old = package,
            None => self.packages.push(package),
        }
        Ok(index)
    }

    /// The field `Conffiles` of a package whose conffiles have just been unpacked. A hash is taken over where another
    /// package has the file as a conffile.
    pub(super) fn set_conffiles(&mut self, index: usize, control: &Control, obsolete: &[Vec<u8>]) {
        let mut value = Vec::new();
        for conffile in &control.conffiles {
            let owners = self.owners(&conffile.path).iter().filter(|&&owner| owner != index);
            let hash = owners
                .filter_map(|&owner| self.packages[owner].conffiles().remove(&conffile.path[..]))
                .next();
            let hash = hash.unwrap_or(b"newconffile");
            value.extend([&b"\n "[..], &conffile.path, b" ", hash].concat());
            if obsolete.contains(&conffile.path) {
                value.extend(b" obsolete");
            }
            if conffile.remove_on_upgrade {
                value.extend(b" remove-on-upgrade");
            }
        }
        self.packages[index].set_field("Conffiles", value);
    }

    /// The package `by` sets off the triggers of a path or of a name: those who wait for them have work to do, and it
    /// waits for them.
    pub(super) fn activate(&mut self, by: usize, trigger: &[u8], awaited: bool) {
        for (name, waits) in self.triggers.interested(trigger) {
            let found =
                self.packages.iter().position(|package| package.info_name() == name || package.name == name);
            let Some(index) = found else { continue };
            if !self.packages[index].hears() {
                continue;
            }
            self.packages[index].pend(trigger);
            if awaited && waits && index != by {
                let pending = self.packages[index].spoken_name();
                self.packages[by].wait_for(&pending);
            }
        }
    }

    /// Writes what changed.
    pub(super) fn write(&mut self, root: &Root) -> Result<(), DebError> {
        for index in std::mem::take(&mut self.lists) {
            self.write_list(root, index)?;
        }
        self.triggers.write(root)?;
        let mut sorted: Vec<&Package> = self.packages.iter().collect();
        sorted.sort_by(|one, other| (&one.name, &one.architecture).cmp(&(&other.name, &other.architecture)));
        let mut status = Vec::new();
        for package in sorted {
            for (name, value) in &package.stanza.fields {
                // Conffiles start on a line of their own.
                let colon: &[u8] = if value.starts_with(b"\n") { b":" } else { b": " };
                status.extend([name.as_bytes(), colon, value, b"\n"].concat());
            }
            status.push(b'\n');
        }
        root.write(format!("{ADMIN}/status").as_bytes(), &status, 0o644)?;
        for (name, bytes) in [("available", &b""[..]), ("info/format", b"1\n")] {
            let path = format!("{ADMIN}/{name}");
            if root.read(path.as_bytes(), FILE_MAX)?.is_none() {
                root.write(path.as_bytes(), bytes, 0o644)?;
            }
        }
        Ok(())
    }

    pub(super) fn write_list(&self, root: &Root, index: usize) -> Result<(), DebError> {
        let package = &self.packages[index];
        let mut list = Vec::new();
        for path in &package.files {
            if path.contains(&b'\n') {
                return Err(malformed(&package.name, format!("a newline in a name: {}", escaped(path))));
            }
            list.extend_from_slice(path);
            list.push(b'\n');
        }
        let path = format!("{ADMIN}/info/{}.list", package.info_name());
        root.write(path.as_bytes(), &list, 0o644)
    }
}

/// The packages of a file `status`, in its order, without their paths.
///
/// # Errors
/// What dpkg could not read.
pub fn packages(status: &[u8]) -> Result<Vec<Package>, String> {
    stanzas(status).map(Package::of).collect()
}

/// The stanzas of a file, which blank lines separate.
fn stanzas(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_ascii_start();
        let end = rest.windows(2).position(|two| two == b"\n\n").unwrap_or(rest.len());
        let (stanza, behind) = rest.split_at(end);
        rest = behind;
        (!stanza.is_empty()).then_some(stanza)
    })
}
