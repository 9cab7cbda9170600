//! Which runtime configuration files are read, and what is said about them.

use super::super::fail::{Code, Failure};
use super::super::say::Voice;
use crate::describe::kiwi::LARGEST;
use crate::describe::kiwi::runtime::{self, Effect, Entry, Runtime};
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Where the vendor's and the administrator's files are; each has a directory of the same name with `.d` behind it.
const SYSTEM: [&str; 2] = ["usr/share/kiwi/kiwi.yml", "etc/kiwi.yml"];

/// Reads all files in KIWI's order, later ones over earlier ones, and says what each is good for.
pub(super) fn load(home: Option<&Path>, custom: Option<&Path>, voice: Voice) -> Result<Runtime, Failure> {
    let mut all = Runtime::default();
    for file in files(Path::new("/"), home, custom)? {
        let (runtime, warnings) =
            runtime::parse(&file.display().to_string(), bytes(&file)?).map_err(|it| voice.refused(&it))?;
        voice.warnings(&warnings);
        all = all.under(runtime);
    }
    said(&all).iter().for_each(|note| voice.note(note));
    Ok(all)
}

/// The files that are there: `root` is where the vendor's and the administrator's are below.
fn files(root: &Path, home: Option<&Path>, custom: Option<&Path>) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    for path in SYSTEM.map(|path| root.join(path)) {
        files.extend(path.exists().then(|| path.clone()));
        let mut beside = path.into_os_string();
        beside.push(".d");
        files.extend(drop_ins(Path::new(&beside))?);
    }
    let own = home.map(|home| home.join(".config/kiwi/config.yml"));
    files.extend(own.filter(|path| path.exists()));
    match custom {
        Some(path) if !path.is_file() => {
            let message = format!("--config {}: no such file", path.display());
            Err(Failure::new(Code::Usage, message).hint("--config FILE names a runtime configuration file"))
        }
        custom => {
            files.extend(custom.map(Path::to_owned));
            Ok(files)
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "sorted before anyone sees the order")]
fn drop_ins(directory: &Path) -> io::Result<Vec<PathBuf>> {
    if !directory.is_dir() {
        return Ok(vec![]);
    }
    let entries = fs_err::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path()));
    let mut files = entries.collect::<io::Result<Vec<PathBuf>>>()?;
    files.retain(|file| file.as_os_str().as_encoded_bytes().ends_with(b".yml"));
    files.sort();
    Ok(files)
}

fn bytes(file: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // One byte more than is allowed: the reader says that it is too much.
    fs_err::File::open(file)?.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A line for each file whose keys count: which are used, and which are not and why.
fn said(runtime: &Runtime) -> Vec<String> {
    let mut files: BTreeMap<&str, Vec<&Entry>> = BTreeMap::new();
    for entry in runtime.entries() {
        files.entry(&entry.span.source.file).or_default().push(entry);
    }
    let mut notes = Vec::new();
    for (file, entries) in files {
        for entry in entries {
            let (line, _) = entry.span.position();
            let (section, name) = (entry.key.section, entry.key.name);
            notes.push(match entry.key.effect {
                Effect::Used(what) => {
                    let value = entry.span.source.text.get(entry.span.range.clone()).unwrap_or_default();
                    format!(
                        "configuration: {file}:{line}: {section}.{name}: {}: {what}",
                        value.trim().escape_debug()
                    )
                }
                Effect::Idle(why) => {
                    format!("configuration: {file}:{line}: {section}.{name} without effect: {why}")
                }
            });
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_in_the_order_of_kiwi() {
        let at = tempfile::tempdir().expect("a directory");
        let all = [
            "usr/share/kiwi/kiwi.yml",
            "usr/share/kiwi/kiwi.yml.d/10-b.yml",
            "usr/share/kiwi/kiwi.yml.d/20-a.yml",
            "etc/kiwi.yml",
            "etc/kiwi.yml.d/a.yml",
            "home/.config/kiwi/config.yml",
            "custom",
        ];
        for name in all.iter().rev().chain(&["etc/kiwi.yml.d/a.yaml", "etc/kiwi.yml.d/b.yml~"]) {
            let path = at.path().join(name);
            fs_err::create_dir_all(path.parent().expect("below")).expect("a directory");
            fs_err::write(path, "").expect("a file");
        }
        let (home, custom) = (at.path().join("home"), at.path().join("custom"));
        let found = files(at.path(), Some(&home), Some(&custom)).expect("all are there");
        assert_eq!(found, all.map(|name| at.path().join(name)));
        assert_eq!(
            files(&at.path().join("none"), None, None).expect("nothing is wrong"),
            Vec::<PathBuf>::new()
        );
        assert!(files(at.path(), None, Some(&at.path().join("none"))).is_err());
    }
}
