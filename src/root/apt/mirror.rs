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

/// The directory.
#[derive(Debug)]
pub struct Mirror {
    directory: PathBuf,
    /// By number of the repository and file name: what is fetched for it.
    files: Vec<BTreeMap<String, Wanted>>,
}

impl Mirror {
    /// Writes what apt reads: a flat repository for each, with all packages of all its components, its sources and its
    /// settings.
    pub fn write(
        directory: &Path,
        repositories: &[Repository],
        settings: &steps::Settings,
    ) -> Result<Mirror, AptError> {
        fs_err::create_dir_all(directory)?;
        let sources = directory.join("sources");
        fs_err::create_dir_all(&sources)?;
        let names: Vec<String> =
            (0..repositories.len()).map(|number| format!("diskwright-{number}")).collect();
        let mut files = Vec::new();
        for (number, repository) in repositories.iter().enumerate() {
            let here = directory.join(number.to_string());
            fs_err::create_dir_all(&here)?;
            let mut text = Vec::new();
            let mut offered = BTreeMap::new();
            for package in repository.packages.iter().flat_map(|packages| packages.iter()) {
                text.extend_from_slice(package.stanza().trim_ascii_end());
                text.extend_from_slice(b"\n\n");
                let name = package.filename();
                let wanted = wanted(&repository.source, &name, package.size(), &package.digest())?;
                offered.insert(name, wanted);
            }
            fs_err::write(here.join("Packages"), &text)?;
            let name = &names[number];
            fs_err::write(here.join("Release"), local_release(name, &text))?;
            let list = local_list(&format!("{BINDS}/{MIRROR}/{number}"));
            fs_err::write(sources.join(format!("{name}.sources")), list)?;
            files.push(offered);
        }
        let pins: Vec<(&str, i64)> =
            names.iter().map(String::as_str).zip(repositories.iter().map(pin)).collect();
        fs_err::write(directory.join("preferences"), local_preferences(&pins))?;
        fs_err::write(directory.join("apt.conf"), settings.apt_conf())?;
        Ok(Mirror { directory: directory.to_owned(), files })
    }

    /// How it is shown to the tree.
    pub fn bind(&self) -> Bind {
        Bind { from: self.directory.clone(), name: MIRROR.to_owned(), writable: false }
    }

    /// Fetches the files that apt named (`apt-get --print-uris`) and puts them where it looks for them. Returns how many.
    pub fn add(&self, printed: &str, around: &Surroundings<'_>) -> Result<usize, AptError> {
        let named = printed.lines().filter(|line| line.starts_with('\''));
        let files = named.map(|line| self.file(line)).collect::<Result<Vec<_>, _>>()?;
        let wanted: Vec<Wanted> = files.iter().map(|(_, wanted)| wanted.clone()).collect();
        let stored = around.fetcher.fetch(&wanted, around.progress)?;
        for ((path, _), stored) in files.iter().zip(&stored) {
            link(&around.fetcher.cache().path(stored), &self.directory.join(path))?;
        }
        Ok(files.len())
    }

    /// `'file:/run/diskwright/repositories/0/./pool/main/...' NAME SIZE DIGEST`
    fn file(&self, line: &str) -> Result<(PathBuf, Wanted), AptError> {
        let strange = || {
            let reason = format!("apt names a file that no repository has: {}", escaped(line.as_bytes()));
            Refusal::new(RefusalKind::Invalid, Spot::new("apt", ""), reason)
        };
        let uri = line.strip_prefix('\'').and_then(|rest| rest.split('\'').next()).ok_or_else(strange)?;
        let path = percent_decoded(uri).replacen("file://", "file:", 1);
        let prefix = format!("file:{BINDS}/{MIRROR}/");
        let (number, name) =
            path.strip_prefix(&prefix).and_then(|rest| rest.split_once('/')).ok_or_else(strange)?;
        let name = name.trim_start_matches("./");
        let files = number.parse().ok().and_then(|number: usize| self.files.get(number));
        let wanted = files.and_then(|files| files.get(name)).ok_or_else(strange)?;
        Ok((PathBuf::from(number).join(name), wanted.clone()))
    }
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
