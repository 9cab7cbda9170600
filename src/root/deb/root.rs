//! The root of a tree: paths are resolved inside it as if it were the root of the file system.

use super::{DebError, named};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::fs::{chmodat, mkdirat, openat, openat2, renameat, statat, unlinkat};
use rustix::io::{Errno, Result};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);

/// How often a path is resolved again.
const TRIES: usize = 10_000;

/// A directory that is the root of a tree. Symlinks cannot lead out of it, whatever they say.
#[derive(Debug)]
pub struct Root {
    directory: OwnedFd,
    shown: String,
}

impl Root {
    /// Opens a tree. After a chroot it is `/`.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn open(path: &Path) -> std::result::Result<Root, DebError> {
        let shown = path.display().to_string();
        let directory = openat(CWD, path, LOOK | OFlags::DIRECTORY, Mode::empty());
        let directory = directory.map_err(|error| named(&shown, error))?;
        let shown = shown.trim_end_matches('/').to_owned();
        Ok(Root { directory, shown })
    }

    /// The path of something in the tree, for messages.
    pub(in crate::root) fn shown(&self, path: &[u8]) -> String {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        format!("{}/{}", self.shown, diskwright_formats::bytes::escaped(path))
    }

    pub(in crate::root) fn failed(&self, path: &[u8], error: impl Into<std::io::Error>) -> DebError {
        named(self.shown(path), error)
    }

    pub(in crate::root) fn open_at(&self, path: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
        let path = match path.strip_prefix(b"/").unwrap_or(path) {
            b"" => b".",
            path => path,
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        // `..` on the way and anything renamed on the host meanwhile: it has to be tried again (openat2(2), EAGAIN).
        let mut tries = 0;
        loop {
            match openat2(&self.directory, path, flags | OFlags::CLOEXEC, mode, resolve) {
                Err(Errno::AGAIN) if tries < TRIES => tries += 1,
                done => return done,
            }
        }
    }

    /// A directory, through symlinks.
    pub(in crate::root) fn directory(&self, path: &[u8]) -> Result<OwnedFd> {
        self.open_at(path, LOOK | OFlags::DIRECTORY, Mode::empty())
    }

    /// What a path leads to, through symlinks.
    pub(in crate::root) fn stat(&self, path: &[u8]) -> Result<Stat> {
        rustix::fs::fstat(self.open_at(path, LOOK, Mode::empty())?)
    }

    pub(in crate::root) fn is_directory(&self, path: &[u8]) -> Result<bool> {
        match self.directory(path) {
            Ok(_) => Ok(true),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a regular file; `None` where there is none. At most `most` bytes.
    pub(in crate::root) fn read(
        &self,
        path: &[u8],
        most: u64,
    ) -> std::result::Result<Option<Vec<u8>>, DebError> {
        // A fifo must not make us wait.
        let open = self.open_at(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty());
        let file = match open {
            Ok(file) => File::from(file),
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(error) => return Err(self.failed(path, error)),
        };
        let meta = file.metadata().map_err(|error| self.failed(path, error))?;
        if !FileType::from_raw_mode(meta.mode()).is_file() || meta.len() > most {
            let reason = format!("not a regular file of at most {most} bytes");
            return Err(self.failed(path, std::io::Error::other(reason)));
        }
        let mut bytes = Vec::with_capacity(meta.len() as usize);
        file.take(most).read_to_end(&mut bytes).map_err(|error| self.failed(path, error))?;
        Ok(Some(bytes))
    }

    /// Writes a file in the place of another, in one step.
    pub(in crate::root) fn write(
        &self,
        path: &[u8],
        bytes: &[u8],
        mode: u32,
    ) -> std::result::Result<(), DebError> {
        let failed = |error: std::io::Error| self.failed(path, error);
        let (parent, name) = split(path);
        let directory = self.directory(parent).map_err(|error| failed(error.into()))?;
        let new = [name, b"-new"].concat();
        remove(directory.as_fd(), &new).map_err(|error| failed(error.into()))?;
        let mut file = create(directory.as_fd(), &new, mode).map_err(|error| failed(error.into()))?;
        file.write_all(bytes).map_err(failed)?;
        renameat(&directory, &new[..], &directory, name).map_err(|error| failed(error.into()))
    }

    /// Makes a directory and those above it, where they are missing.
    pub(in crate::root) fn make_directories(&self, path: &[u8]) -> std::result::Result<(), DebError> {
        let ends = (1..=path.len()).filter(|&end| end == path.len() || path[end] == b'/');
        for path in ends.map(|end| &path[..end]) {
            if self.is_directory(path).map_err(|error| self.failed(path, error))? {
                continue;
            }
            let (parent, name) = split(path);
            let made = self.directory(parent).and_then(|parent| {
                let mode = Mode::from_raw_mode(0o755);
                mkdirat(&parent, name, mode)?;
                // Whatever the mask of the process takes away.
                chmodat(&parent, name, mode, AtFlags::empty())
            });
            made.map_err(|error| self.failed(path, error))?;
        }
        Ok(())
    }

    /// The names in a directory, sorted; none where it is missing.
    pub(in crate::root) fn names(&self, path: &[u8]) -> std::result::Result<Vec<Vec<u8>>, DebError> {
        match self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).and_then(names) {
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(Vec::new()),
            names => names.map_err(|error| self.failed(path, error)),
        }
    }

    /// Removes a directory with files and directories of files in it, if it is there; no symlink is followed.
    pub(in crate::root) fn remove_tree(&self, path: &[u8]) -> std::result::Result<(), DebError> {
        let (parent, name) = split(path);
        let removed = match self.directory(parent) {
            Ok(parent) => remove_tree(parent.as_fd(), name, 2),
            Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error),
        };
        removed.map_err(|error| self.failed(path, error))
    }
}

/// The directory of a path and the name in it.
pub(in crate::root) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// A new file in a directory: it must not be there.
pub(in crate::root) fn create(directory: BorrowedFd, name: &[u8], mode: u32) -> Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat(directory, name, flags, Mode::from_raw_mode(mode))?;
    // Whatever the mask of the process takes away.
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    Ok(File::from(file))
}

/// Removes a file that is no directory, if it is there.
pub(in crate::root) fn remove(directory: BorrowedFd, name: &[u8]) -> Result<()> {
    match unlinkat(directory, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        done => done,
    }
}

fn names(directory: OwnedFd) -> Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    for entry in Dir::new(directory)? {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.to_vec()),
        }
    }
    names.sort();
    Ok(names)
}

/// Removes whatever has a name; directories to a depth.
fn remove_tree(parent: BorrowedFd, name: &[u8], depth: usize) -> Result<()> {
    match unlinkat(parent, name, AtFlags::empty()) {
        Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) if depth > 0 => {}
        done => return done,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = openat(parent, name, flags, Mode::empty())?;
    for name in names(directory.try_clone().map_err(|_| Errno::MFILE)?)? {
        remove_tree(directory.as_fd(), &name, depth - 1)?;
    }
    unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// What has a name in a directory; a symlink is not followed.
pub(in crate::root) fn look(directory: BorrowedFd, name: &[u8]) -> Result<Option<Stat>> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}
