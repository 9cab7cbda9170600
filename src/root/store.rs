//! Where trees are made and kept.
//!
//! ```text
//! CACHE/trees/KEY/root, KEY/root.tree     prepared trees, named by what they are made of; KEY/log: how
//!       work/NAME/root, NAME/log, ...     trees in the making; a lock file each, so that builds never meet
//! ```
//!
//! All of it may be deleted at any time: what is missing is made again. A tree in the making has owners of its own, so
//! that its user cannot delete it; [`Work`] gives it back whenever it ends, and the next build does it for one that was
//! killed.

use super::sandbox::{Log, Sandbox, SandboxError};
use super::tree::Place;
use rustix::fs::{FlockOperation, flock};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

/// The key of a tree: a digest of all that it is made of.
#[derive(Clone, Debug, Default)]
pub struct Key(Sha256);

impl Key {
    /// The key of nothing.
    pub fn new(what: &str) -> Key {
        Key::default().and("what", what.as_bytes())
    }

    /// The key of what this is the key of, and something more.
    #[must_use]
    pub fn and(mut self, name: &str, bytes: &[u8]) -> Key {
        for part in [name.as_bytes(), bytes] {
            self.0.update((part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    /// In hexadecimal digits, half of them: a file name.
    pub fn name(&self) -> String {
        self.0.clone().finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The directory of trees.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
}

impl Store {
    /// Below the cache directory.
    pub fn new(cache: &Path) -> Store {
        Store { directory: cache.to_owned() }
    }

    /// Where the tree of a key is, or would be.
    pub fn place(&self, key: &Key) -> Place {
        let parent = self.directory.join("trees").join(key.name());
        Place { directory: parent.join("root"), parent, record: "root.tree".to_owned() }
    }

    /// The tree of a key, if it is there. The record is written last, and so says that it is whole.
    pub fn find(&self, key: &Key) -> Option<Place> {
        let place = self.place(key);
        (place.record_path().is_file() && place.directory.is_dir()).then_some(place)
    }

    /// The log of the work that made the tree of a key.
    pub fn log(&self, key: &Key) -> PathBuf {
        self.place(key).parent.join("log")
    }

    /// Keeps a prepared tree under a key, and the log of how it was made: they are moved. Somebody else's, which came first,
    /// stays, unless it is to be replaced.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn keep(&self, key: &Key, from: &Place, log: &Path, replace: bool) -> io::Result<Place> {
        let place = self.place(key);
        let _lock = self.lock(&format!("tree-{}", key.name()))?;
        if self.find(key).is_some() && !replace {
            return Ok(place);
        }
        fs_err::create_dir_all(&place.parent)?;
        // Without its record it is none.
        let _ = fs_err::remove_file(place.record_path());
        if place.directory.exists() {
            fs_err::remove_dir_all(&place.directory)?;
        }
        move_to(log, &self.log(key))?;
        move_to(&from.directory, &place.directory)?;
        move_to(&from.record_path(), &place.record_path())?;
        Ok(place)
    }

    /// Keeps a copy, in the same way.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn keep_copy(&self, key: &Key, from: &Place, replace: bool) -> io::Result<()> {
        let place = self.place(key);
        let _lock = self.lock(&format!("tree-{}", key.name()))?;
        if self.find(key).is_none() || replace {
            let _ = fs_err::remove_file(place.record_path());
            copy_tree(from, &place)?;
        }
        Ok(())
    }

    /// Waits until nobody else has this lock.
    ///
    /// # Errors
    /// The cache cannot be written.
    pub fn lock(&self, name: &str) -> io::Result<File> {
        let directory = self.directory.join("locks");
        fs_err::create_dir_all(&directory)?;
        let file = fs_err::File::create(directory.join(name))?.into_parts().0;
        flock(&file, FlockOperation::LockExclusive)?;
        Ok(file)
    }

    /// A directory for a tree in the making: the first of `NAME`, `NAME-2`, ... that nobody is at work in. What is in it
    /// is taken away.
    ///
    /// # Errors
    /// The cache cannot be written; what lies there cannot be taken away.
    pub fn work(&self, name: &str, sandbox: &Sandbox) -> Result<Work, SandboxError> {
        let parent = self.directory.join("work");
        fs_err::create_dir_all(&parent)?;
        for number in 1..1000 {
            let name = if number == 1 { name.to_owned() } else { format!("{name}-{number}") };
            let lock = fs_err::File::create(parent.join(format!("{name}.lock")))?.into_parts().0;
            if flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let directory = parent.join(&name);
            let work = Work { directory, lock, sandbox: sandbox.clone() };
            work.clear()?;
            fs_err::create_dir_all(work.tree().directory)?;
            return Ok(work);
        }
        let message = format!("{}: too many builds at once", parent.display());
        Err(SandboxError::Io(io::Error::new(io::ErrorKind::ResourceBusy, message)))
    }
}

/// A tree in the making, and what lies beside it. Its lock is held.
#[derive(Debug)]
pub struct Work {
    directory: PathBuf,
    #[allow(dead_code)] // held, not used
    lock: File,
    sandbox: Sandbox,
}

impl Work {
    /// The tree.
    pub fn tree(&self) -> Place {
        Place {
            directory: self.directory.join("root"),
            parent: self.directory.clone(),
            record: "root.tree".to_owned(),
        }
    }

    /// What lies beside the tree under this name.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Takes away the tree and what lies beside it.
    ///
    /// # Errors
    /// Files cannot be given to the caller, or not be deleted.
    pub fn clear(&self) -> Result<(), SandboxError> {
        if !self.directory.exists() {
            return Ok(());
        }
        if fs_err::remove_dir_all(&self.directory).is_err() && self.tree().directory.exists() {
            // Somebody was killed at work.
            let sandbox = Sandbox { cancel: Default::default(), ..self.sandbox.clone() };
            sandbox.run(&self.tree().abandon(), &Log::default(), &mut |_| {})?;
        }
        if self.directory.exists() {
            fs_err::remove_dir_all(&self.directory)?;
        }
        Ok(())
    }

    /// Gives the tree to the caller as it is, with its record, so that it can be entered.
    ///
    /// # Errors
    /// Files cannot be given to the caller.
    pub fn leave(&self, epoch: i64) -> Result<Place, SandboxError> {
        let sandbox = Sandbox { cancel: Default::default(), ..self.sandbox.clone() };
        let place = self.tree();
        let given = sandbox.run(&place.give(epoch), &Log::default(), &mut |_| {});
        if given.is_err() {
            // No room for the record: it can be deleted, at least.
            sandbox.run(&place.abandon(), &Log::default(), &mut |_| {})?;
        }
        given.map(|_| place)
    }
}

/// Renames, or copies where the places are on two file systems.
fn move_to(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::rename(from, to) {
        Err(rustix::io::Errno::XDEV) if from.is_dir() => {
            copy_directory(from, to)?;
            fs_err::remove_dir_all(from)
        }
        Err(rustix::io::Errno::XDEV) => {
            fs_err::copy(from, to)?;
            fs_err::remove_file(from)
        }
        done => Ok(done.map_err(|error| {
            let error = io::Error::from(error);
            io::Error::new(error.kind(), format!("{}: {error}", to.display()))
        })?),
    }
}

/// Copies a prepared tree and, last, its record.
///
/// # Errors
/// Something cannot be read or written.
pub fn copy_tree(from: &Place, to: &Place) -> io::Result<()> {
    fs_err::create_dir_all(&to.parent)?;
    // Its own name: others may work beside it.
    let name = to.directory.file_name().unwrap_or_default().to_string_lossy();
    let partial = to.parent.join(format!("{name}.partial"));
    for old in [&to.directory, &partial] {
        if old.exists() {
            fs_err::remove_dir_all(old)?;
        }
    }
    let record = to.parent.join(format!("{}.partial", to.record));
    let copied = copy_directory(&from.directory, &partial).and_then(|()| {
        fs_err::copy(from.record_path(), &record)?;
        move_to(&partial, &to.directory)?;
        move_to(&record, &to.record_path())
    });
    if copied.is_err() {
        // What there was no room for takes none.
        let _ = fs_err::remove_dir_all(&partial);
        let _ = fs_err::remove_file(&record);
    }
    copied
}

/// Copies a directory whose files the caller owns: data, modes, times, symlinks, hard links. What else there is to know is in
/// the record.
#[allow(clippy::disallowed_methods)] // the order in which files are copied makes no difference
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    use std::collections::BTreeMap;
    use std::os::unix::fs::MetadataExt;
    let mut linked: BTreeMap<(u64, u64), PathBuf> = BTreeMap::new();
    let mut directories = vec![(from.to_owned(), to.to_owned())];
    let mut files = Vec::new();
    let mut at = 0;
    while let Some((from, to)) = directories.get(at).cloned() {
        at += 1;
        fs_err::create_dir(&to)?;
        for entry in fs_err::read_dir(&from)? {
            let path = entry?.path();
            let to = to.join(path.file_name().unwrap_or_default());
            let metadata = fs_err::symlink_metadata(&path)?;
            if metadata.is_dir() {
                directories.push((path, to));
            } else if metadata.is_symlink() {
                fs_err::os::unix::fs::symlink(fs_err::read_link(&path)?, &to)?;
                times(&to, &metadata)?;
            } else if metadata.is_file() {
                let first = linked.entry((metadata.dev(), metadata.ino())).or_insert_with(|| to.clone());
                let again = (metadata.nlink() > 1 && *first != to).then(|| first.clone());
                files.push((path, to, metadata, again));
            }
        }
    }
    use rayon::prelude::*;
    files.par_iter().filter(|file| file.3.is_none()).try_for_each(|(from, to, metadata, _)| {
        fs_err::copy(from, to)?;
        times(to, metadata)
    })?;
    for (_, to, _, again) in files {
        if let Some(first) = again {
            fs_err::hard_link(first, to)?;
        }
    }
    for (from, to) in directories.into_iter().rev() {
        let metadata = fs_err::symlink_metadata(&from)?;
        fs_err::set_permissions(&to, metadata.permissions())?;
        times(&to, &metadata)?;
    }
    Ok(())
}

fn times(path: &Path, metadata: &std::fs::Metadata) -> io::Result<()> {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    use std::os::unix::fs::MetadataExt;
    let time = Timespec { tv_sec: metadata.mtime(), tv_nsec: metadata.mtime_nsec() as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}
