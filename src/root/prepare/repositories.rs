//! What the finished image knows of repositories: `imageinclude`, `imageonly`, and what `customize` makes of their files.

use super::stages::Stages;
use crate::root::deb::PACKAGES;
use crate::root::repository::{Location, Source, debian_architecture};
use crate::root::sandbox::Operation;
use crate::root::setup::{Outside, Step};
use std::path::PathBuf;

impl Stages<'_> {
    /// A file for each repository that the image knows, and one for its priority. Those of others are there while their
    /// scripts look at them.
    pub(super) fn repositories(&self) -> Vec<Operation> {
        self.sources.iter().flat_map(|source| self.repository(source)).collect()
    }

    fn repository(&self, source: &Source) -> Vec<Operation> {
        let is_kept = source.is_kept();
        let customize = source.customize.as_ref();
        if !is_kept && customize.is_none() {
            return Vec::new();
        }
        let path = format!("/etc/apt/sources.list.d/{}.sources", source.name);
        let text = source.list();
        let priority = source.preferences();
        let priority = priority.map(|text| (format!("/etc/apt/preferences.d/{}.pref", source.name), text));
        let files: Vec<(String, String)> =
            [(path.clone(), text.clone())].into_iter().chain(priority).collect();
        let write = |(path, text): &(String, String)| Operation::Setup(Step::write(path, text));
        let mut operations: Vec<Operation> = files.iter().map(write).collect();
        if is_kept {
            operations.extend(self.keyrings(source));
        }
        if let Some(script) = customize {
            let changed = files.iter().flat_map(|(path, _)| self.setup.customize(script, path));
            operations.extend(changed);
            if source.serves(debian_architecture(self.recipe.arch)) {
                operations.push(Operation::Setup(Step::Customized { path, text }));
            }
        }
        if !is_kept {
            let paths = files.into_iter().map(|(path, _)| path).collect();
            operations.push(Operation::Setup(Step::Remove { paths }));
        }
        operations
    }

    /// The keys that sign a repository which the image knows.
    fn keyrings(&self, source: &Source) -> Vec<Operation> {
        let files = self.cached_keys(&source.name);
        let keyring = |(index, (path, key)): (usize, (String, &Location))| {
            let file = files.get(index).cloned().unwrap_or_else(|| PathBuf::from(key.to_string()));
            Operation::Setup(Step::Keyring { from: Outside { input: PACKAGES.to_owned(), path: file }, path })
        };
        source.keyrings().enumerate().map(keyring).collect()
    }
}
