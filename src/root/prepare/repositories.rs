//! What the finished image knows of repositories: `imageinclude`, `imageonly`, and what `customize` makes of their files.

use super::stages::Stages;
use crate::root::repository::{Source, debian_architecture};
use crate::root::sandbox::Operation;
use crate::root::setup::Step;

impl Stages<'_> {
    /// A file for each repository that the image knows, and one for its priority. Those of others are there while their
    /// scripts look at them.
    pub(super) fn repositories(&self) -> Vec<Operation> {
        self.sources.iter().flat_map(|source| self.repository(source)).collect()
    }

    fn repository(&self, source: &Source) -> Vec<Operation> {
        let is_kept = source.imageinclude || source.imageonly;
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
}
