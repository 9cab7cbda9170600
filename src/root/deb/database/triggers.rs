//! Who wants to hear of what: `triggers/`.

use super::super::control::{Control, is_name};
use super::super::root::Root;
use super::super::{DebError, malformed};
use super::{ADMIN, FILE_MAX};
use std::collections::BTreeMap;

/// Interests, of paths and of names.
#[derive(Debug, Default)]
pub(in super::super) struct Triggers {
    /// The lines of `triggers/File`: path, package, whether who sets it off waits.
    files: Vec<(Vec<u8>, String, bool)>,
    /// The lines of `triggers/NAME`.
    names: BTreeMap<String, Vec<(String, bool)>>,
    /// Names whose file is no longer what is in the tree; `File` is one.
    changed: Vec<String>,
}

impl Triggers {
    pub(super) fn read(root: &Root) -> Result<Triggers, DebError> {
        let directory = format!("{ADMIN}/triggers");
        let mut triggers = Triggers::default();
        for name in root.names(directory.as_bytes())? {
            let Ok(name) = String::from_utf8(name) else { continue };
            let path = format!("{directory}/{name}");
            let bad = || malformed(&root.shown(path.as_bytes()), "a bad line");
            if matches!(&name[..], "Lock" | "Unincorp") || !is_name(&name) {
                continue;
            }
            let text = root.read(path.as_bytes(), FILE_MAX)?.unwrap_or_default();
            for line in text.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
                let line = str::from_utf8(line).map_err(|_| bad())?;
                if name != "File" {
                    let (package, waits) = package(line);
                    triggers.names.entry(name.clone()).or_default().push((package, waits));
                } else {
                    let (path, rest) = line.split_once(' ').ok_or_else(bad)?;
                    let (package, waits) = package(rest);
                    triggers.files.push((path.as_bytes().to_vec(), package, waits));
                }
            }
        }
        Ok(triggers)
    }

    /// The packages that want to hear of a path or of a name, and whether who sets it off waits for them.
    pub(super) fn interested(&self, trigger: &[u8]) -> Vec<(String, bool)> {
        match trigger {
            [b'/', ..] => {
                let lines = self.files.iter().filter(|(path, ..)| path == trigger);
                lines.map(|(_, package, waits)| (package.clone(), *waits)).collect()
            }
            _ => str::from_utf8(trigger)
                .ok()
                .and_then(|name| self.names.get(name))
                .cloned()
                .unwrap_or_default(),
        }
    }

    /// Whether anybody wants to hear of any path.
    pub(in super::super) fn has_files(&self) -> bool {
        !self.files.is_empty()
    }

    /// Notes the interests of a package that was unpacked.
    pub(in super::super) fn register(&mut self, control: &Control) {
        let package = control.info_name();
        for trigger in control.triggers.iter().filter(|trigger| trigger.interest) {
            let changed = match trigger.name.starts_with('/') {
                true => {
                    self.register_file(trigger.name.as_bytes(), &package, trigger.awaited);
                    "File"
                }
                false => {
                    let lines = self.names.entry(trigger.name.clone()).or_default();
                    lines.retain(|(other, _)| *other != package);
                    lines.push((package.clone(), trigger.awaited));
                    &trigger.name
                }
            };
            if !self.changed.iter().any(|name| name == changed) {
                self.changed.push(changed.to_owned());
            }
        }
    }

    fn register_file(&mut self, path: &[u8], package: &str, awaited: bool) {
        let old = self.files.iter_mut().find(|(other, name, _)| other == path && name == package);
        match old {
            Some((.., waits)) => *waits = awaited,
            None => self.files.push((path.to_vec(), package.to_owned(), awaited)),
        }
    }

    pub(super) fn write(&mut self, root: &Root) -> Result<(), DebError> {
        for name in std::mem::take(&mut self.changed) {
            let option = |waits: bool| if waits { "" } else { "/noawait" };
            let mut text = Vec::new();
            if name == "File" {
                for (path, package, waits) in &self.files {
                    text.extend(
                        [path, &b" "[..], package.as_bytes(), option(*waits).as_bytes(), b"\n"].concat(),
                    );
                }
            } else {
                for (package, waits) in self.names.get(&name).into_iter().flatten() {
                    text.extend([package.as_bytes(), option(*waits).as_bytes(), b"\n"].concat());
                }
            }
            root.write(format!("{ADMIN}/triggers/{name}").as_bytes(), &text, 0o644)?;
        }
        Ok(())
    }
}

fn package(text: &str) -> (String, bool) {
    match text.split_once('/') {
        Some((package, option)) => (package.to_owned(), option != "noawait"),
        None => (text.to_owned(), true),
    }
}
