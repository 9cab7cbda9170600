//! The files of a surveyed directory, opened again when their bytes are needed.
//!
//! A million files are 24 bytes each, their names those of the tree; no file stays open, only some of their directories.

use super::super::beneath;
use super::super::contents::Part;
use super::super::stamp::Stamp;
use diskwright_formats::bytes::escaped;
use diskwright_formats::layout::{Content, ContentError};
use diskwright_fstools::tree::{NameAt, Names};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::fstat;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Most directories that are kept open.
const OPEN: usize = 64;

pub(super) struct DirectoryFiles {
    top: PathBuf,
    root: Arc<OwnedFd>,
    /// The first is the root; parents come before their children.
    directories: Vec<Place>,
    files: Vec<FileEntry>,
    /// Of files.
    names: Names,
    /// Directories that were used last, the latest first.
    open: Mutex<Vec<(u32, Arc<OwnedFd>)>>,
}

struct Place {
    parent: u32,
    name: Box<[u8]>,
}

struct FileEntry {
    size: u64,
    stamp: u64,
    directory: u32,
    name: NameAt,
}

impl DirectoryFiles {
    pub(super) fn new(top: PathBuf, root: OwnedFd) -> DirectoryFiles {
        DirectoryFiles {
            top,
            root: Arc::new(root),
            directories: vec![Place { parent: 0, name: Box::default() }],
            files: Vec::new(),
            names: Names::default(),
            open: Mutex::default(),
        }
    }

    /// Adds a directory; returns its index. `None`: more than fit.
    pub(super) fn add_directory(&mut self, parent: u32, name: &[u8]) -> Option<u32> {
        let index = u32::try_from(self.directories.len()).ok()?;
        self.directories.push(Place { parent, name: name.into() });
        Some(index)
    }

    /// Adds a file, whose name will be one of those that [`DirectoryFiles::set_names`] gives; returns its index. `None`:
    /// more than fit.
    pub(super) fn add_file(&mut self, directory: u32, name: NameAt, stamp: Stamp) -> Option<u32> {
        let index = u32::try_from(self.files.len()).ok()?;
        self.files.push(FileEntry { size: stamp.size, stamp: stamp.rest(), directory, name });
        Some(index)
    }

    /// The names of the files; to be given before any is opened.
    pub(super) fn set_names(&mut self, names: Names) {
        self.names = names;
    }

    /// Path of a directory below the root; the root's is empty.
    pub(super) fn path(&self, mut directory: u32) -> Vec<u8> {
        let mut names = Vec::new();
        while directory != 0 {
            let place = &self.directories[directory as usize];
            names.push(&place.name[..]);
            directory = place.parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    /// A name in a directory, as the user knows it.
    pub(super) fn shown(&self, directory: u32, name: &[u8]) -> String {
        let mut path = self.path(directory);
        if !path.is_empty() && !name.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
        let path = escaped(&path);
        self.top.join(path).display().to_string()
    }

    /// Opens a directory below the root.
    pub(super) fn open_directory(&self, directory: u32) -> rustix::io::Result<OwnedFd> {
        beneath::open_directory(self.root.as_fd(), &self.path(directory))
    }

    /// A directory that may have been used before.
    fn directory(&self, directory: u32) -> rustix::io::Result<Arc<OwnedFd>> {
        if directory == 0 {
            return Ok(Arc::clone(&self.root));
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().position(|(index, _)| *index == directory) {
            open[..=at].rotate_right(1);
            return Ok(Arc::clone(&open[0].1));
        }
        drop(open);
        let opened = Arc::new(self.open_directory(directory)?);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.truncate(OPEN - 1);
        open.insert(0, (directory, Arc::clone(&opened)));
        Ok(opened)
    }

    fn open_entry(&self, entry: &FileEntry) -> io::Result<File> {
        let directory = self.directory(entry.directory)?;
        let file = beneath::open_file(directory.as_fd(), self.names.get(entry.name))?;
        entry.check(file.as_fd())?;
        Ok(file.into())
    }

    fn error(&self, entry: &FileEntry, error: io::Error) -> ContentError {
        ContentError { path: self.shown(entry.directory, self.names.get(entry.name)), error }
    }
}

impl FileEntry {
    fn check(&self, file: BorrowedFd) -> io::Result<()> {
        Stamp::new(self.size, self.stamp).still(Stamp::of(&fstat(file)?))
    }
}

impl Part for DirectoryFiles {
    fn len(&self) -> u32 {
        self.files.len() as u32
    }

    fn open(&self, index: u32) -> Result<Box<dyn Content + '_>, ContentError> {
        let entry = &self.files[index as usize];
        let file = self.open_entry(entry).map_err(|error| self.error(entry, error))?;
        Ok(Box::new(OpenFile { files: self, entry, file }))
    }
}

struct OpenFile<'a> {
    files: &'a DirectoryFiles,
    entry: &'a FileEntry,
    file: File,
}

impl Content for OpenFile<'_> {
    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> Result<(), ContentError> {
        let read = self.file.read_exact_at(buffer, offset);
        read.map_err(|error| {
            // Why it ended too early, where that is what happened.
            let error = self.entry.check(self.file.as_fd()).err().unwrap_or(error);
            self.files.error(self.entry, error)
        })
    }

    fn file_range(&self, offset: u64, len: u64) -> Option<(BorrowedFd<'_>, u64)> {
        let inside = offset.checked_add(len).is_some_and(|end| end <= self.entry.size);
        inside.then(|| (self.file.as_fd(), offset))
    }

    fn close(self: Box<Self>) -> Result<(), ContentError> {
        self.entry.check(self.file.as_fd()).map_err(|error| self.files.error(self.entry, error))
    }
}
