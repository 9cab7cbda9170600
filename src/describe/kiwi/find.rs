//! Descriptions below a directory.

use super::choose;
use std::path::{Path, PathBuf};

/// How deep directories are looked into.
const DEEPEST: usize = 16;
/// Most descriptions that are found.
const MOST: usize = 10_000;

/// The descriptions that a path stands for: a file, or a directory that holds one, is one itself; of any other directory
/// those below it, in the order of their names. Links below it are not followed. What cannot be read stands for itself, and
/// reading it says why; so does a directory without any.
pub fn find(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    below(path, 0, &mut found);
    if found.is_empty() { vec![path.to_owned()] } else { found }
}

fn below(path: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if depth > DEEPEST || found.len() >= MOST {
        return;
    }
    if choose(path, None).is_ok() {
        return found.push(path.to_owned());
    }
    for directory in directories(path).unwrap_or_default() {
        below(&directory, depth + 1, found);
    }
}

#[expect(clippy::disallowed_methods, reason = "sorted before anyone sees the order")]
fn directories(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    let entries = fs_err::read_dir(path)?.collect::<std::io::Result<Vec<_>>>()?;
    let is_directory = |entry: &fs_err::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut directories: Vec<PathBuf> =
        entries.iter().filter(|it| is_directory(it)).map(|it| it.path()).collect();
    directories.sort();
    Ok(directories)
}
