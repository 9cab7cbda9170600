//! A directory that the tree's apt takes for its repositories: all their Packages, and the packages that it asked for.

use super::repositories::{AptError, Repository, Surroundings, pin, wanted};
use super::{MIRROR, steps};
use crate::root::fetch::Wanted;
use crate::root::repository::{local_list, local_preferences, local_release};
use crate::root::sandbox::{BINDS, Bind};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// By its path in the tree, where a package is below the cache.
pub type Files = BTreeMap<String, PathBuf>;

/// The directory.
#[derive(Debug)]
pub struct Mirror<'a> {
    directory: PathBuf,
    repositories: &'a [Repository],
}

impl<'a> Mirror<'a> {
    /// Writes what apt reads: a flat repository for each, with all packages of all its components, its sources and its
    /// settings.
    pub fn write(
        directory: &Path,
        repositories: &'a [Repository],
        settings: &steps::Settings,
    ) -> Result<Mirror<'a>, AptError> {
        fs_err::create_dir_all(directory)?;
        let sources = directory.join("sources");
        fs_err::create_dir_all(&sources)?;
        let names: Vec<String> =
            (0..repositories.len()).map(|number| format!("diskwright-{number}")).collect();
        for (number, repository) in repositories.iter().enumerate() {
            let here = directory.join(number.to_string());
            fs_err::create_dir_all(&here)?;
            let mut text = Vec::new();
            for package in repository.packages.iter().flat_map(|packages| packages.iter()) {
                text.extend_from_slice(package.stanza().trim_ascii_end());
                text.extend_from_slice(b"\n\n");
            }
            fs_err::write(here.join("Packages"), &text)?;
            let name = &names[number];
            fs_err::write(here.join("Release"), local_release(name, &text))?;
            let list = local_list(&format!("{BINDS}/{MIRROR}/{number}"));
            fs_err::write(sources.join(format!("{name}.sources")), list)?;
        }
        let pins: Vec<(&str, i64)> =
            names.iter().map(String::as_str).zip(repositories.iter().map(pin)).collect();
        fs_err::write(directory.join("preferences"), local_preferences(&pins))?;
        fs_err::write(directory.join("apt.conf"), settings.apt_conf())?;
        Ok(Mirror { directory: directory.to_owned(), repositories })
    }

    /// How it is shown to the tree.
    pub fn bind(&self) -> Bind {
        Bind { from: self.directory.clone(), name: MIRROR.to_owned(), writable: false }
    }

    /// Fetches the files that apt named (`apt-get --print-uris`) and puts them where it looks for them.
    pub fn add(&self, printed: &str, around: &Surroundings<'_>) -> Result<Files, AptError> {
        let lines = printed.lines().filter(|line| line.starts_with('\''));
        let named = lines.map(Named::parse).collect::<Result<Vec<Named<'_>>, _>>()?;
        let wanted = self.wanted(&named)?;
        let stored = around.fetcher.fetch(&wanted, around.progress)?;
        let mut files = Files::new();
        for (Named { repository, file, .. }, stored) in named.iter().zip(&stored) {
            let path = self.directory.join(repository.to_string()).join(file);
            link(&around.fetcher.cache().path(stored), &path)?;
            files.insert(format!("{BINDS}/{MIRROR}/{repository}/{file}"), stored.relative());
        }
        Ok(files)
    }

    /// What is fetched for files, in their order.
    fn wanted(&self, named: &[Named<'_>]) -> Result<Vec<Wanted>, AptError> {
        let mut places: BTreeMap<(usize, String), Option<Wanted>> =
            named.iter().map(|one| ((one.repository, one.file.clone()), None)).collect();
        for (number, repository) in self.repositories.iter().enumerate() {
            for package in repository.packages.iter().flat_map(|packages| packages.iter()) {
                let (name, size, digest) = (package.filename(), package.size(), package.digest());
                if let Some(place @ None) = places.get_mut(&(number, name.clone())) {
                    *place = Some(wanted(&repository.source, &name, size, &digest)?);
                }
            }
        }
        let found = named.iter().map(|one| {
            let place = places.get(&(one.repository, one.file.clone())).cloned().flatten();
            place.ok_or_else(|| strange(one.line).into())
        });
        found.collect()
    }
}

/// A file that apt names: `'file:/run/diskwright/repositories/0/./pool/main/...' NAME SIZE DIGEST`
struct Named<'a> {
    line: &'a str,
    /// Number of the repository.
    repository: usize,
    file: String,
}

impl Named<'_> {
    fn parse(line: &str) -> Result<Named<'_>, Refusal> {
        let strange = || strange(line);
        let uri = line.strip_prefix('\'').and_then(|rest| rest.split('\'').next()).ok_or_else(strange)?;
        let path = percent_decoded(uri).replacen("file://", "file:", 1);
        let prefix = format!("file:{BINDS}/{MIRROR}/");
        let (number, name) =
            path.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')).ok_or_else(strange)?;
        let file = name.trim_start_matches("./").to_owned();
        Ok(Named { line, repository: number.parse().map_err(|_| strange())?, file })
    }
}

fn strange(line: &str) -> Refusal {
    let reason = format!("apt names a file that no repository has: {}", escaped(line.as_bytes()));
    Refusal::new(RefusalKind::Invalid, Spot::new("apt", ""), reason)
}

fn link(from: &Path, to: &Path) -> Result<(), AptError> {
    if to.exists() {
        return Ok(());
    }
    if let Some(parent) = to.parent() {
        fs_err::create_dir_all(parent)?;
    }
    if fs_err::hard_link(from, to).is_err() {
        fs_err::copy(from, to)?;
    }
    Ok(())
}

fn percent_decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = (byte == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match code.and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::percent_decoded;

    #[test]
    fn uris_are_decoded_once() {
        assert_eq!(percent_decoded("a%2bb%252b%"), "a+b%2b%");
        assert_eq!(percent_decoded("1%3a2%zz\u{e9}"), "1:2%zz\u{e9}");
    }
}
