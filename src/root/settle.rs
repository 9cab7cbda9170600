//! What of a description is asked of package managers beside names, and what its trees depend on.

use super::deb::Filter;
use super::setup::Setup;
use crate::describe::kiwi::Description;
use crate::model::elements::value;
use crate::resolve::Selection;
use sha2::{Digest, Sha256};
use std::fs::Metadata;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// What dpkg leaves out: documentation and other languages, where the description says so (`rpm-excludedocs`,
/// `rpm-locale-filtering`).
pub(super) fn filters(selection: &Selection<'_>) -> Vec<Filter> {
    let filter = |pattern: &str, include| Filter { pattern: pattern.to_owned(), include };
    let said = |find: fn(&crate::model::elements::Preferences) -> Option<bool>| {
        selection.preferences.iter().find_map(|one| find(&one.said)).unwrap_or(false)
    };
    let mut filters = Vec::new();
    if said(|one| value(&one.rpm_excludedocs)) {
        let left_out = [
            "/usr/share/doc/*",
            "/usr/share/man/*",
            "/usr/share/info/*",
            "/usr/share/groff/*",
            "/usr/share/lintian/*",
        ];
        filters.extend(left_out.map(|pattern| filter(pattern, false)));
        // Licences stay, as Debian's policy wants them to.
        filters.push(filter("/usr/share/doc/*/copyright", true));
    }
    if said(|one| value(&one.rpm_locale_filtering)) {
        filters.push(filter("/usr/share/locale/*", false));
        filters.push(filter("/usr/share/locale/locale.alias", true));
        let locales = selection.preferences.iter().find_map(|one| one.said.locale.as_ref());
        for locale in locales.iter().flat_map(|said| said.text.split(',')) {
            let language = locale.split(['_', '.', '@']).next().unwrap_or(locale);
            filters.push(filter(&format!("/usr/share/locale/{language}*"), true));
        }
    }
    filters
}

/// A digest of what is done before packages are installed depends on, beside the packages.
pub(super) fn early_inputs(
    description: &Description,
    selection: &Selection<'_>,
    setup: &Setup,
) -> io::Result<Vec<u8>> {
    if !setup.is_early() {
        return Ok(Vec::new());
    }
    Ok([inputs(description)?, elsewhere(setup)?, selection.profiles.join(" ").into_bytes()].concat())
}

/// A digest of every byte that a tree is made of and that does not lie beside the description: what it names by another path,
/// what symlinks lead to.
pub(super) fn elsewhere(setup: &Setup) -> io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    for (name, path) in setup.elsewhere() {
        hash.update(name.as_bytes());
        let metadata = fs_err::metadata(&path)?;
        entry(&mut hash, &path, Path::new(&name), &metadata)?;
        if metadata.is_dir() {
            add(&mut hash, &path, Path::new(""))?;
        }
    }
    Ok(hash.finalize().to_vec())
}

/// A digest of every byte beside the description: names, types, modes, contents.
pub(super) fn inputs(description: &Description) -> io::Result<Vec<u8>> {
    let mut hash = Sha256::new();
    add(&mut hash, &description.directory, Path::new(""))?;
    Ok(hash.finalize().to_vec())
}

#[allow(clippy::disallowed_methods)] // sorted before it counts
fn add(hash: &mut Sha256, top: &Path, below: &Path) -> io::Result<()> {
    let directory = top.join(below);
    let mut names: Vec<_> =
        fs_err::read_dir(&directory)?.map(|entry| Ok(entry?.file_name())).collect::<io::Result<_>>()?;
    names.sort();
    for name in names {
        let path = below.join(&name);
        let full = top.join(&path);
        let metadata = fs_err::symlink_metadata(&full)?;
        entry(hash, &full, &path, &metadata)?;
        if metadata.is_dir() {
            add(hash, top, &path)?;
        }
    }
    Ok(())
}

/// One path: its name, its mode, what is in a file or behind a symlink.
fn entry(hash: &mut Sha256, full: &Path, name: &Path, metadata: &Metadata) -> io::Result<()> {
    let mut field = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    field(name.as_os_str().as_bytes());
    field(&metadata.permissions().mode().to_le_bytes());
    if metadata.is_symlink() {
        field(fs_err::read_link(full)?.as_os_str().as_bytes());
    } else if metadata.is_file() {
        field(&metadata.len().to_le_bytes());
        let mut file = fs_err::File::open(full)?;
        let mut buffer = vec![0; 1 << 16];
        while let len @ 1.. = file.read(&mut buffer)? {
            hash.update(&buffer[..len]);
        }
    }
    Ok(())
}
