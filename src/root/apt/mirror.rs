//! A directory that the tree's apt takes for its repositories: all their Packages, and the packages that it asked for.

use super::repositories::{AptError, Repository, Surroundings, pin, wanted};
use super::{MIRROR, steps};
use crate::root::fetch::{Digest, Wanted};
use crate::root::sandbox::{BINDS, Bind};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::collections::BTreeMap;
use std::fmt::Write;
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
        let (mut sources, mut pins) = (String::new(), String::new());
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
            fs_err::write(here.join("Release"), release(number, repository, &text))?;
            let _ = writeln!(sources, "deb [trusted=yes] file:{BINDS}/{MIRROR}/{number} ./");
            let pin = pin(repository);
            let _ = writeln!(pins, "Package: *\nPin: release l=diskwright-{number}\nPin-Priority: {pin}\n");
            files.push(offered);
        }
        fs_err::write(directory.join("sources.list"), sources)?;
        fs_err::write(directory.join("preferences"), pins)?;
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

/// What apt's pins look at; without dates, so that it is the same each time.
fn release(number: usize, repository: &Repository, packages: &[u8]) -> String {
    let release = &repository.release;
    let mut text = String::new();
    for (name, value) in
        [("Origin", &release.origin), ("Suite", &release.suite), ("Codename", &release.codename)]
    {
        if let Some(value) = value {
            let _ = writeln!(text, "{name}: {value}");
        }
    }
    let digest = Digest::of(packages);
    let _ = writeln!(text, "Label: diskwright-{number}");
    let _ = writeln!(text, "SHA256:\n {digest} {} Packages", packages.len());
    text
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
