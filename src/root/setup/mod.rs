//! What is done to a tree behind its packages: description, archives, overlay, accounts, places, files, scripts.
//!
//! A [`Setup`] is made of a description and what lies beside it before anything is done; its functions are lists of
//! [operations](Operation), to be done in the order of KIWI (NG 11.1.6 `tasks/system_build.py`, `system/setup.py`):
//!
//! ```text
//! bootstrap packages
//!   bootstrap     archives of the bootstrap, /image, /.kconfig, post_bootstrap.sh, certificates
//! image packages
//!   configure     archives, /.profile, overlay, profile directories, /etc/ImageID, groups and users, keyboard, locale,
//!                 splash, time zone, permissions, files
//!   repositories  what apt finds in the finished image
//!   config        config.sh
//! packages to be uninstalled, to be deleted
//!   images        images.sh, an empty /etc/machine-id
//! ```
//!
//! Nothing of the list is known of the tree: what depends on it (which ids are free, whether there is a locale-gen) is decided
//! in the tree, when the operation is done. What KIWI takes away at the end (`/image`, `/.kconfig`) is left out of images by
//! [excludes](crate::model::Image::excludes), since scripts of a later `create` need it.

mod accounts;
mod beside;
mod files;
mod fstab;
pub mod functions;
pub mod initrd;
mod merge;
mod modes;
mod places;
mod profile;
pub mod scrub;
pub mod selinux;
mod step;

pub use accounts::{Account, Group, accounts};
pub use beside::DESCRIPTION;
pub use fstab::SCRIPT as FSTAB_SCRIPT;
pub use places::Keyboard;
pub use profile::{Variables, profile, variables};
pub use step::{CopiedFile, Outside, Step};

use super::sandbox::{Operation, Run};
use crate::describe::Diagnostic;
use crate::describe::kiwi::Description;
use crate::model::words::{PackageManager, TargetDistribution};
use crate::model::{Item, Phase, Preferences, Scope, elements};
use crate::resolve::Selection;
use beside::{Beside, Layer, Script};
use diskwright_formats::identity::Identity;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Everything that is done behind packages.
#[derive(Clone, Debug)]
pub struct Setup {
    beside: Beside,
    accounts: Vec<Account>,
    variables: Variables,
    keytable: Option<String>,
    locale: Option<String>,
    theme: Option<String>,
    timezone: Option<String>,
    image_id: Option<String>,
    epoch: i64,
}

impl Setup {
    /// Of what is selected of a description. Looks for everything that it names.
    ///
    /// # Errors
    /// What is missing beside the description, is no value for the tree, or is not supported, each at its place.
    pub fn of(
        description: &Description,
        selection: &Selection,
        identity: &Identity,
    ) -> Result<Setup, Vec<Diagnostic>> {
        let mut problems = unsupported(selection);
        let beside = beside::find(&description.directory, selection);
        let accounts = accounts(selection, identity);
        let last = |get: &dyn Fn(&Preferences) -> Option<String>| {
            let said = selection.preferences.iter().rev().find_map(|one| get(one));
            said.filter(|text| !text.is_empty())
        };
        let said = |said: &Option<elements::Said<String>>| elements::text(said).map(str::to_owned);
        let timezone = last(&|one| said(&one.said.timezone));
        if let Some(zone) = timezone.as_ref().filter(|zone| zone.starts_with('/') || zone.contains("..")) {
            let place = selection.preferences.iter().rev().find_map(|one| one.said.timezone.as_ref());
            problems.extend(place.map(|said| said.span.error("bad-value", format!("no time zone: {zone}"))));
        }
        match (beside, accounts) {
            (Ok(beside), Ok(accounts)) if problems.is_empty() => Ok(Setup {
                beside,
                accounts,
                variables: variables(selection),
                keytable: last(&|one| said(&one.said.keytable)),
                locale: last(&|one| one.said.locale.as_ref().map(|said| said.text.clone())),
                theme: last(&|one| said(&one.said.bootsplash_theme)),
                timezone,
                image_id: said(&selection.model.said.id).filter(|id| !id.is_empty()),
                epoch: identity.epoch(),
            }),
            (beside, accounts) => {
                problems.extend(beside.err().into_iter().chain(accounts.err()).flatten());
                Err(problems)
            }
        }
    }

    /// The directories that the sandbox has to open, by name.
    pub fn inputs(&self) -> Vec<(String, PathBuf)> {
        self.beside.inputs.clone()
    }

    /// What it reads that does not lie in the description's directory: a name without a place of the host, and where it is.
    pub fn elsewhere(&self) -> Vec<(String, PathBuf)> {
        let inputs = &self.beside.inputs;
        let place = |from: &Outside| {
            let (_, directory) = inputs.iter().find(|(name, _)| *name == from.input)?;
            Some((format!("{}/{}", from.input, from.path.display()), directory.join(&from.path)))
        };
        let other = |from: &&Outside| from.input != DESCRIPTION;
        let read = self.beside.read();
        read.iter().filter(other).filter_map(place).collect()
    }

    /// What the overlay and `<file>` elements bring of what is [scrubbed](scrub) otherwise: it stays. Archives are not looked
    /// into.
    ///
    /// # Errors
    /// An overlay cannot be read.
    pub fn kept(&self) -> std::io::Result<BTreeSet<PathBuf>> {
        let mut kept = BTreeSet::new();
        for layer in &self.beside.layers {
            let Layer::Directory { from, .. } = layer else { continue };
            let place = self.beside.inputs.iter().find(|(name, _)| *name == from.input);
            let Some((_, directory)) = place else { continue };
            brought(&directory.join(&from.path), Path::new(""), &mut kept)?;
        }
        for CopiedFile { target, name, .. } in &self.beside.files {
            let target = PathBuf::from(target.trim_matches('/'));
            kept.extend([target.join(name), target].into_iter().filter(|path| scrub::concerns(path)));
        }
        Ok(kept)
    }

    /// Whether there are scripts, which may want the functions of `/.kconfig`.
    pub fn has_scripts(&self) -> bool {
        !self.beside.scripts.is_empty()
    }

    /// Behind the packages of the bootstrap. `functions` is the text of `/.kconfig`.
    pub fn bootstrap(&self, functions: &str) -> Vec<Operation> {
        let mut list: Vec<Operation> =
            self.beside.bootstrap_archives.iter().map(|archive| self.archive(archive)).collect();
        list.extend(self.import(functions));
        list.extend(self.script("post_bootstrap.sh"));
        list.extend(self.certificates());
        list
    }

    /// Whether more than the description itself comes into the tree in front of the packages of the image.
    pub fn is_early(&self) -> bool {
        let Beside { bootstrap_archives, certificates, scripts, .. } = &self.beside;
        let is_early = |script: &Script| script.name == "post_bootstrap.sh";
        !bootstrap_archives.is_empty() || !certificates.is_empty() || scripts.iter().any(is_early)
    }

    /// In a tree whose packages may have been installed for another description: this one and its scripts in the place
    /// of that. Nothing where the packages can only have been installed for this one, because something came before them.
    pub fn refresh(&self, functions: &str) -> Vec<Operation> {
        if self.is_early() {
            return Vec::new();
        }
        let paths = vec!["/image".to_owned(), "/.kconfig".to_owned()];
        [Operation::Setup(Step::Remove { paths })].into_iter().chain(self.import(functions)).collect()
    }

    /// The description and its scripts in the tree, where KIWI has them.
    fn import(&self, functions: &str) -> Vec<Operation> {
        let copy = |from: &Outside, name: &str, mode: u32| {
            Operation::Setup(Step::Copy { from: from.clone(), path: format!("/image/{name}"), mode })
        };
        let config = &self.beside.config;
        let name = step::file_name(&config.path);
        let is_xml = [".xml", ".kiwi"].iter().any(|ending| name.ends_with(ending));
        let directory = Step::Directory { path: "/image".to_owned(), mode: 0o755, owner: (0, 0) };
        // It may have passwords in it.
        let mut list =
            vec![Operation::Setup(directory), copy(config, if is_xml { "config.xml" } else { &name }, 0o600)];
        for Script { name, from, is_executable } in &self.beside.scripts {
            list.push(copy(from, name, if *is_executable { 0o755 } else { 0o644 }));
        }
        if self.has_scripts() {
            list.push(Operation::Setup(Step::write("/.kconfig", functions)));
        }
        list
    }

    fn archive(&self, archive: &beside::Archive) -> Operation {
        let (from, target) = (archive.from.clone(), archive.target.clone());
        Operation::Setup(Step::Archive { from, target, epoch: self.epoch })
    }

    /// Certificates of authorities, where the distribution looks for them.
    fn certificates(&self) -> Vec<Operation> {
        let Some(distribution) = self.beside.distribution.filter(|_| !self.beside.certificates.is_empty())
        else {
            return Vec::new();
        };
        let (directory, tool) = match distribution {
            TargetDistribution::Suse => ("/etc/pki/trust/anchors", "update-ca-certificates"),
            TargetDistribution::Redhat => ("/etc/pki/ca-trust/source/anchors", "update-ca-trust"),
            TargetDistribution::Debian => ("/usr/local/share/ca-certificates", "update-ca-certificates"),
            TargetDistribution::Archlinux => ("/etc/ca-certificates/trust-source/anchors", "update-ca-trust"),
        };
        let copy = |from: &Outside| {
            let mut name = from.path.clone();
            // Debian's tool passes over all others without a word.
            if distribution == TargetDistribution::Debian
                && name.extension().is_none_or(|ending| ending != "crt")
            {
                name.set_extension("crt");
            }
            let path = format!("{directory}/{}", step::file_name(&name));
            Operation::Setup(Step::Copy { from: from.clone(), path, mode: 0o644 })
        };
        let update = Operation::Run(Run::new("certificates", [tool]));
        self.beside.certificates.iter().map(copy).chain([update]).collect()
    }

    /// Behind the packages of the image.
    pub fn configure(&self) -> Vec<Operation> {
        let mut list: Vec<Operation> = self.beside.archives.iter().map(|one| self.archive(one)).collect();
        list.push(Operation::Setup(Step::write("/.profile", profile(&self.variables))));
        list.extend(self.beside.layers.iter().map(|layer| self.layer(layer)));
        if let Some(id) = &self.image_id {
            list.push(Operation::Setup(Step::write("/etc/ImageID", format!("{id}\n"))));
        }
        if !self.accounts.is_empty() {
            let day = self.epoch.div_euclid(86400);
            list.push(Operation::Setup(Step::Accounts { accounts: self.accounts.clone(), day }));
        }
        list.extend(self.places());
        list.push(optional("permissions", &["chkstat", "--system", "--set"]));
        list.extend(self.beside.files.iter().map(|file| Operation::Setup(Step::File(file.clone()))));
        list
    }

    fn layer(&self, layer: &Layer) -> Operation {
        Operation::Setup(match layer {
            Layer::Directory { from, record } => {
                Step::Overlay { from: from.clone(), record: record.clone(), epoch: self.epoch }
            }
            Layer::Tar(from) => {
                Step::Archive { from: from.clone(), target: "/".to_owned(), epoch: self.epoch }
            }
        })
    }

    fn places(&self) -> Vec<Operation> {
        let mut list = Vec::new();
        if let Some(keytable) = &self.keytable {
            list.push(Operation::Setup(Step::Keyboard(Keyboard::of(keytable))));
        }
        if let Some(said) = &self.locale {
            list.push(Operation::Setup(Step::Locale { locale: places::locale_name(said) }));
            list.push(optional("locales", &["locale-gen"]));
        }
        if let Some(theme) = &self.theme {
            list.push(optional("splash theme", &["plymouth-set-default-theme", theme]));
        }
        if let Some(zone) = &self.timezone {
            list.push(Operation::Setup(Step::Timezone { zone: zone.clone() }));
        }
        list
    }

    /// `config.sh`.
    pub fn config(&self) -> Vec<Operation> {
        self.script("config.sh").into_iter().collect()
    }

    /// `images.sh`, and what is left of the machine that made the tree.
    pub fn images(&self) -> Vec<Operation> {
        self.script("images.sh").into_iter().chain([Operation::Setup(Step::MachineId)]).collect()
    }

    /// The fstab that was generated, and the tree's script that changes it, where it has one.
    pub fn fstab(&self, text: &str) -> Vec<Operation> {
        let run = Run::new("etc/fstab.script", [fstab::DONE]);
        let run = Run { environment: self.variables.clone(), optional: true, ..run };
        vec![Operation::Setup(Step::Fstab { text: text.to_owned() }), Operation::Run(run)]
    }

    /// A script of the description, if it has one of this name: by itself where it is executable, else by bash.
    pub fn script(&self, name: &str) -> Option<Operation> {
        let script = self.beside.scripts.iter().find(|script| script.name == name)?;
        let path = format!("/image/{name}");
        let command = if script.is_executable { vec![path] } else { vec!["bash".to_owned(), path] };
        Some(Operation::Run(Run { environment: self.variables.clone(), ..Run::new(name, command) }))
    }

    /// A repository's script (`customize`), with a file: by bash, whatever its mode (KIWI NG, `repository/base.py:
    /// run_repo_customize`).
    pub fn customize(&self, script: &str, file: &str) -> Vec<Operation> {
        let Some(from) = self.beside.customizing.get(script) else { return Vec::new() };
        let path = "/image/customize".to_owned();
        let words = ["bash", "--norc", &path, file];
        let run = Run { environment: self.variables.clone(), ..Run::new(&format!("{script} {file}"), words) };
        let remove = Step::Remove { paths: vec![path.clone()] };
        let copy = Step::Copy { from: from.clone(), path, mode: 0o755 };
        vec![Operation::Setup(copy), Operation::Run(run), Operation::Setup(remove)]
    }

    /// A script that the type names for its disk, with KIWI's arguments: by bash, whatever its mode (KIWI NG,
    /// `system/setup.py: _call_script_no_chroot`), in the root of the tree, to which it is copied first. KIWI's runs on the
    /// host; this one finds the programs of the tree.
    pub fn boot_script(&self, name: &str, arguments: &[String]) -> Vec<Operation> {
        let Some(script) = self.beside.scripts.iter().find(|script| script.name == name) else {
            return Vec::new();
        };
        let path = format!("/image/{name}");
        let directory = Step::Directory { path: "/image".to_owned(), mode: 0o755, owner: (0, 0) };
        let copy = Step::Copy { from: script.from.clone(), path: path.clone(), mode: 0o755 };
        let words = ["bash".to_owned(), "--norc".to_owned(), path];
        let run = Run::new(name, words.into_iter().chain(arguments.iter().cloned()));
        let run = Run { environment: self.variables.clone(), ..run };
        vec![Operation::Setup(directory), Operation::Setup(copy), Operation::Run(run)]
    }
}

/// The files below a directory that are scrubbed otherwise.
#[allow(clippy::disallowed_methods)] // a set has no order
fn brought(top: &Path, below: &Path, kept: &mut BTreeSet<PathBuf>) -> std::io::Result<()> {
    for entry in fs_err::read_dir(top.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => brought(top, &path, kept)?,
            false if scrub::concerns(&path) => drop(kept.insert(path)),
            false => {}
        }
    }
    Ok(())
}

/// A program that is run where the tree has it.
fn optional(what: &str, command: &[&str]) -> Operation {
    Operation::Run(Run { optional: true, ..Run::new(what, command.iter().copied()) })
}

/// What is asked for and not done, at its place.
fn unsupported(selection: &Selection) -> Vec<Diagnostic> {
    let mut problems = Vec::new();
    for section in &selection.model.said.containers {
        if Scope::of(&section.profiles, &section.arch).applies(&selection.profiles, selection.machine) {
            let message = "containers in the tree are not supported yet";
            problems.push(section.span.error("unsupported", message));
        }
    }
    let manager = selection.package_manager();
    for item in [Item::Collection, Item::Product, Item::Ignore, Item::Module, Item::NoModule] {
        for phase in [Phase::Bootstrap, Phase::Image] {
            let found = selection.items(phase, item).into_iter().filter(|_| manager == PackageManager::Apt);
            problems.extend(found.map(|one| {
                let message = format!("{} {}: apt has no such thing", item.name(), one.name);
                one.span
                    .error("unsupported", message)
                    .hint("name packages; KIWI passes over it with a warning")
            }));
        }
    }
    problems
}
