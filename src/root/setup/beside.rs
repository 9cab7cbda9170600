//! What lies beside a description: overlays, archives, files, scripts, certificates. Found before anything is done, so
//! that what is missing is said at once, with its line; read later, out of directories that the sandbox opened.

use super::step::{CopiedFile, Outside, file_name};
use crate::describe::{Diagnostic, Span};
use crate::model::elements::text;
use crate::model::words::TargetDistribution;
use crate::model::{Item, PackageItem, Phase, Scope};
use crate::resolve::Selection;
use crate::root::{EDIT_BOOT_CONFIG, EDIT_BOOT_INSTALL};
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Name of the input that is the description's directory.
pub const DESCRIPTION: &str = "description";

/// Scripts of fixed names that are copied into the tree, in the order in which they run.
const SCRIPTS: [&str; 7] = [
    "post_bootstrap.sh",
    "config.sh",
    "config-overlay.sh",
    "config-host-overlay.sh",
    "images.sh",
    "pre_disk_sync.sh",
    "disk.sh",
];
/// What is taken as overlay where there is no directory `root`. KIWI knows the first one.
const OVERLAY_TARS: [&str; 4] = ["root.tar.gz", "root.tar.xz", "root.tar.zst", "root.tar"];

/// A layer over the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layer {
    Directory { from: Outside, record: Option<PathBuf> },
    Tar(Outside),
}

/// A script of the description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Script {
    /// Its name in `/image`.
    pub(super) name: String,
    pub(super) from: Outside,
    pub(super) is_executable: bool,
}

/// An archive and the directory that it is unpacked into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Archive {
    pub(super) from: Outside,
    pub(super) target: String,
}

/// All of it.
#[derive(Clone, Debug)]
pub(super) struct Beside {
    /// Directories outside, by name.
    pub(super) inputs: Vec<(String, PathBuf)>,
    /// The description itself.
    pub(super) config: Outside,
    pub(super) layers: Vec<Layer>,
    pub(super) bootstrap_archives: Vec<Archive>,
    pub(super) archives: Vec<Archive>,
    pub(super) files: Vec<CopiedFile>,
    pub(super) scripts: Vec<Script>,
    /// Scripts of repositories, as the description names them.
    pub(super) customizing: BTreeMap<String, Outside>,
    pub(super) certificates: Vec<Outside>,
    pub(super) distribution: Option<TargetDistribution>,
}

impl Beside {
    /// Every file and directory that is read.
    pub(super) fn read(&self) -> Vec<Outside> {
        let mut all = vec![self.config.clone()];
        for layer in &self.layers {
            match layer {
                Layer::Tar(from) => all.push(from.clone()),
                Layer::Directory { from, record } => {
                    all.push(from.clone());
                    all.extend(record.iter().map(|path| Outside { path: path.clone(), ..from.clone() }));
                }
            }
        }
        let archives = self.bootstrap_archives.iter().chain(&self.archives).map(|archive| &archive.from);
        let files = self.files.iter().map(|file| &file.from);
        let scripts = self.scripts.iter().map(|script| &script.from);
        all.extend(archives.chain(files).chain(scripts).chain(&self.certificates).cloned());
        all
    }
}

/// Looks for everything that a selection names.
///
/// # Errors
/// What is missing, at its place; what the system would not tell.
pub(super) fn find(directory: &Path, selection: &Selection) -> Result<Beside, Vec<Diagnostic>> {
    let whole = &selection.model.span;
    let failed = |error: io::Error| vec![whole.error("unreadable", error.to_string())];
    let description = fs_err::canonicalize(directory).map_err(failed)?;
    let mut find = Find { directory, description, inputs: BTreeMap::new(), problems: Vec::new() };
    let config = find.found(&selection.model.span.source.file, whole, "the description");
    let layers = find.layers(selection, whole);
    let bootstrap_archives = find.archives(&selection.items(Phase::Bootstrap, Item::Archive));
    let archives = find.archives(&selection.items(Phase::Image, Item::Archive));
    let files = find.files(selection);
    let scripts = find.scripts(selection, whole);
    let customizing = find.customizing(selection);
    let (certificates, distribution) = find.certificates(selection);
    let Find { description, inputs, problems, .. } = find;
    let Some(config) = config.filter(|_| problems.is_empty()) else { return Err(problems) };
    let own = std::iter::once((DESCRIPTION.to_owned(), description));
    let inputs = own.chain(inputs.into_iter().map(|(path, name)| (name, path))).collect();
    Ok(Beside {
        inputs,
        config,
        layers,
        bootstrap_archives,
        archives,
        files,
        scripts,
        customizing,
        certificates,
        distribution,
    })
}

struct Find<'a> {
    /// As it was named.
    directory: &'a Path,
    /// The same without symlinks.
    description: PathBuf,
    /// Other directories, with their names.
    inputs: BTreeMap<PathBuf, String>,
    problems: Vec<Diagnostic>,
}

impl Find<'_> {
    /// A path without symlinks as an input and what is below it.
    fn outside(&mut self, path: &Path) -> Outside {
        if let Ok(below) = path.strip_prefix(&self.description) {
            return Outside { input: DESCRIPTION.to_owned(), path: below.to_owned() };
        }
        let parent = path.parent().unwrap_or(Path::new("/")).to_owned();
        let next = format!("beside-{}", self.inputs.len() + 1);
        let input = self.inputs.entry(parent).or_insert(next).clone();
        Outside { input, path: path.file_name().unwrap_or(".".as_ref()).into() }
    }

    /// A regular file that must be there; relative names start at the description.
    fn found(&mut self, name: &str, span: &Span, what: &str) -> Option<Outside> {
        // A description in memory, or the description itself, was named from elsewhere.
        let path = if what == "the description" { PathBuf::from(name) } else { self.directory.join(name) };
        let problem = match fs_err::canonicalize(&path) {
            Ok(path) if path.is_file() => return Some(self.outside(&path)),
            Ok(_) => format!("{what} is no file: {}", path.display()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!("{what} is missing: {}", path.display())
            }
            Err(error) => error.to_string(),
        };
        self.problems.push(span.error("missing-file", problem));
        None
    }

    /// What may be there.
    fn if_there(&mut self, name: &str, span: &Span) -> Option<PathBuf> {
        match fs_err::canonicalize(self.directory.join(name)) {
            Ok(path) => Some(path),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                self.problems.push(span.error("unreadable", error.to_string()));
                None
            }
        }
    }

    fn layers(&mut self, selection: &Selection, whole: &Span) -> Vec<Layer> {
        let mut layers: Vec<Layer> = self.layer("root", whole).into_iter().collect();
        if layers.is_empty() {
            let tar = OVERLAY_TARS.iter().find_map(|name| self.if_there(name, whole));
            layers.extend(tar.filter(|path| path.is_file()).map(|path| Layer::Tar(self.outside(&path))));
        }
        // A profile named `root` is the overlay itself.
        for profile in selection.profiles.iter().filter(|name| *name != "root") {
            layers.extend(self.layer(profile, whole));
        }
        layers
    }

    fn layer(&mut self, name: &str, whole: &Span) -> Option<Layer> {
        let path = self.if_there(name, whole).filter(|path| path.is_dir())?;
        let record = self.if_there(&format!("{name}.tree"), whole).filter(|record| record.is_file());
        let from = self.outside(&path);
        let record = record.map(|record| self.outside(&record));
        if record.as_ref().is_some_and(|record| record.input != from.input) {
            let message =
                format!("{name} is a symlink, and its record {name}.tree does not lie where it leads to");
            self.problems
                .push(whole.error("record", message).hint("put the directory beside the description"));
        }
        Some(Layer::Directory { from, record: record.map(|record| record.path) })
    }

    fn archives(&mut self, items: &[PackageItem]) -> Vec<Archive> {
        let mut sorted: Vec<&PackageItem> = items.iter().collect();
        sorted.sort_by_key(|item| item.name.trim());
        let mut archives = Vec::new();
        for item in sorted {
            let from = self.found(item.name.trim(), item.span, "the archive");
            let target = absolute(item.target.unwrap_or_default());
            archives.extend(from.map(|from| Archive { from, target }));
        }
        archives
    }

    /// Those of the image, then those of the bootstrap; of a name the last one.
    fn files(&mut self, selection: &Selection) -> Vec<CopiedFile> {
        let mut files = Vec::new();
        for phase in [Phase::Image, Phase::Bootstrap] {
            let items = selection.items(phase, Item::File);
            let by_name: BTreeMap<String, &PackageItem> =
                items.iter().map(|item| (item.name.clone(), item)).collect();
            for (name, item) in by_name {
                let Some(from) = self.found(&name, item.span, "the file") else { continue };
                let own = |text: Option<&str>| text.unwrap_or_default().trim().to_owned();
                files.push(CopiedFile {
                    from,
                    name: file_name(Path::new(&name)),
                    target: own(item.target),
                    owner: own(item.owner),
                    permissions: own(item.permissions),
                });
            }
        }
        files
    }

    fn scripts(&mut self, selection: &Selection, whole: &Span) -> Vec<Script> {
        let mut scripts = Vec::new();
        for name in SCRIPTS {
            let path = self.if_there(name, whole);
            scripts.extend(path.and_then(|path| self.script(name, &path, whole)));
        }
        let hooks = selection.said().map(|said| {
            [(EDIT_BOOT_CONFIG, &said.editbootconfig), (EDIT_BOOT_INSTALL, &said.editbootinstall)]
        });
        for (name, said) in hooks.into_iter().flatten() {
            let Some(said) = said.as_ref().filter(|said| !said.value.is_empty()) else { continue };
            // In a tree that was prepared it lies under KIWI's name, beside the copy of the description.
            let copied = self.directory.ends_with("image") && self.directory.join(name).is_file();
            let file = if copied { name } else { &said.value };
            if self.found(file, &said.span, "the script").is_some() {
                let path = self.if_there(file, &said.span);
                scripts.extend(path.and_then(|path| self.script(name, &path, &said.span)));
            }
        }
        scripts
    }

    fn customizing(&mut self, selection: &Selection) -> BTreeMap<String, Outside> {
        let mut found = BTreeMap::new();
        for said in selection.repositories().into_iter().filter_map(|one| one.customize.as_ref()) {
            let script = self.found(&said.value, &said.span, "the script");
            found.extend(script.map(|script| (said.value.clone(), script)));
        }
        found
    }

    fn script(&mut self, name: &str, path: &Path, span: &Span) -> Option<Script> {
        match fs_err::metadata(path) {
            Ok(metadata) if metadata.is_file() => {
                let (from, is_executable) = (self.outside(path), metadata.mode() & 0o111 != 0);
                Some(Script { name: name.to_owned(), from, is_executable })
            }
            Ok(_) => {
                self.problems.push(span.error("missing-file", format!("{name} is no file")));
                None
            }
            Err(error) => {
                self.problems.push(span.error("unreadable", error.to_string()));
                None
            }
        }
    }

    fn certificates(&mut self, selection: &Selection) -> (Vec<Outside>, Option<TargetDistribution>) {
        let Some(section) = selection.model.said.certificates.as_ref() else { return (Vec::new(), None) };
        if !Scope::of(&section.profiles, &None).applies(&selection.profiles, selection.machine) {
            return (Vec::new(), None);
        }
        let named =
            section.certificate.iter().filter_map(|one| Some((text(&one.name)?.to_owned(), &one.span)));
        let named: BTreeMap<String, &Span> = named.collect();
        let mut found = Vec::new();
        for (name, span) in named {
            found.extend(self.found(&name, span, "the certificate"));
        }
        (found, section.target_distribution.as_ref().map(|said| said.value))
    }
}

/// A directory of the tree; the root if nothing is said.
fn absolute(target: &str) -> String {
    format!("/{}", target.trim().trim_matches('/'))
}
