//! The store on disk: whole files by their digest, half ones under a lock, and what locations gave last.

use super::Size;
use super::digest::Digest;
use super::error::{FetchError, FetchErrorKind, ROOM};
use super::location::Location;
use fs_err::os::unix::fs::OpenOptionsExt as _;
use fs_err::{File, OpenOptions};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fs::TryLockError;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Bytes that are read at a time.
const CHUNK: usize = 128 << 10;
/// The largest note on what a location gave last, in bytes.
const NOTE_MAX: u64 = 64 << 10;

/// A directory of files from elsewhere. Several processes may use it at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    directory: PathBuf,
}

/// A file in a [`Cache`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stored {
    /// SHA-256 of its bytes.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
}

impl Stored {
    /// Its path below the cache's directory: `files/sha256/ab/abcd...`.
    pub fn relative(&self) -> PathBuf {
        relative(&self.digest)
    }
}

fn relative(digest: &Digest) -> PathBuf {
    let name = digest.to_string();
    Path::new("files/sha256").join(&name[..2]).join(name)
}

impl Cache {
    /// The cache in a directory, which is made if it is not there.
    ///
    /// # Errors
    /// Kind `Disk`: it cannot be made.
    pub fn open(directory: &Path) -> Result<Cache, FetchError> {
        fs_err::create_dir_all(directory).map_err(|error| FetchError::disk("", &error))?;
        Ok(Cache { directory: directory.to_owned() })
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Where a file of it is.
    pub fn path(&self, stored: &Stored) -> PathBuf {
        self.directory.join(stored.relative())
    }

    /// The file with this digest, if it is there and its size is right.
    ///
    /// # Errors
    /// Kind `Disk`: the directory cannot be read.
    pub fn find(&self, digest: &Digest, size: Size) -> Result<Option<Stored>, FetchError> {
        match fs_err::symlink_metadata(self.directory.join(relative(digest))) {
            Ok(found) if found.is_file() && size.fits(found.len()) => {
                Ok(Some(Stored { digest: *digest, size: found.len() }))
            }
            Err(error) if !gone(&error) => Err(FetchError::disk("", &error)),
            _ => Ok(None),
        }
    }

    /// Opens a file of it.
    ///
    /// # Errors
    /// Kind `Disk`: it was taken away meanwhile, or has another size.
    pub fn read(&self, stored: &Stored) -> Result<File, FetchError> {
        let path = self.path(stored);
        let disk = |error: io::Error| FetchError::disk("", &error);
        let file = File::open(&path).map_err(disk)?;
        let len = file.metadata().map_err(disk)?.len();
        if len != stored.size {
            let reason = format!("the cached file has {len} bytes, not {}", stored.size);
            return Err(FetchError::new(FetchErrorKind::Disk, path.display(), reason).hint("delete it"));
        }
        Ok(file)
    }

    /// Reads a file of it and compares its digest. What is damaged is deleted.
    ///
    /// # Errors
    /// Kinds `Disk`, `Mismatch`.
    pub fn verify(&self, stored: &Stored) -> Result<(), FetchError> {
        let mut file = self.read(stored)?;
        let mut hash = Sha256::new();
        copy(&mut file, u64::MAX, |bytes| {
            hash.update(bytes);
            Ok(())
        })
        .map_err(|error| FetchError::disk("", &error))?;
        let found = Digest(hash.finalize().into());
        if found == stored.digest {
            return Ok(());
        }
        let path = self.path(stored);
        remove(&path)?;
        let reason = format!("the cached file is damaged and was deleted: its SHA-256 is {found}");
        Err(FetchError::new(FetchErrorKind::Mismatch, path.display(), reason))
    }

    /// Whether the file system has room for so many bytes more.
    pub(super) fn room_for(&self, bytes: u64) -> Result<(), FetchError> {
        // Not every file system says how much it has.
        let Ok(system) = rustix::fs::statvfs(&self.directory) else { return Ok(()) };
        let free = system.f_bavail.saturating_mul(system.f_frsize);
        if bytes <= free || system.f_blocks == 0 {
            return Ok(());
        }
        let reason = format!("{bytes} bytes are to be fetched, {free} are free");
        Err(FetchError::new(FetchErrorKind::Disk, self.directory.display(), reason).hint(ROOM))
    }

    /// Takes hold of an entry: no other process has it until the [`Partial`] is dropped. `wait` is called about ten times a
    /// second while another has it, sleeps, and may give up.
    pub(super) fn hold(
        &self,
        name: &str,
        mut wait: impl FnMut() -> Result<(), FetchError>,
    ) -> Result<Partial, FetchError> {
        let disk = |error: io::Error| FetchError::disk("", &error);
        let directory = self.directory.join("partial");
        let path = directory.join(name);
        loop {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true).create(true).custom_flags(libc::O_NOFOLLOW);
            let file = match options.open(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    fs_err::create_dir_all(&directory).map_err(disk)?;
                    continue;
                }
                opened => opened.map_err(disk)?,
            };
            match file.file().try_lock() {
                // Who had it before us may have renamed it or taken it away.
                Ok(()) if same_file(&file, &path).map_err(disk)? => {
                    let len = file.metadata().map_err(disk)?.len();
                    return Ok(Partial { file, path, len, hash: Sha256::new(), keep: false });
                }
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => wait()?,
                Err(TryLockError::Error(error)) => {
                    let reason = format!("the file system has no locks (flock): {error}");
                    return Err(FetchError::new(FetchErrorKind::Disk, path.display(), reason)
                        .hint("choose a cache directory on another file system"));
                }
            }
        }
    }

    /// Gives a complete file its name.
    pub(super) fn store(&self, mut partial: Partial) -> Result<Stored, FetchError> {
        let stored = Stored { digest: partial.digest(), size: partial.len };
        let path = self.path(&stored);
        let disk = |error: io::Error| FetchError::disk("", &error);
        fs_err::create_dir_all(path.parent().expect("it is in a directory")).map_err(disk)?;
        if !same_file(&partial.file, &partial.path).map_err(disk)? {
            let reason = "the cache was deleted while a file was fetched";
            return Err(FetchError::new(FetchErrorKind::Disk, self.directory.display(), reason));
        }
        fs_err::rename(&partial.path, &path).map_err(disk)?;
        partial.keep = true;
        Ok(stored)
    }

    /// What a location gave last, if its file is still there.
    pub(super) fn last(&self, location: &Location) -> Result<Option<(Note, Stored)>, FetchError> {
        let path = self.note(location);
        let bytes = match File::open(&path).and_then(|file| {
            let mut bytes = Vec::new();
            file.take(NOTE_MAX).read_to_end(&mut bytes).map(|_| bytes)
        }) {
            Err(error) if gone(&error) => return Ok(None),
            bytes => bytes.map_err(|error| FetchError::disk("", &error))?,
        };
        // What cannot be read is asked for anew.
        let Ok(note) = serde_json::from_slice::<Note>(&bytes) else { return Ok(None) };
        let Ok(digest) = note.sha256.parse() else { return Ok(None) };
        if note.schema != SCHEMA || note.location != location.to_string() {
            return Ok(None);
        }
        let found = self.find(&digest, Size::Exactly(note.size))?;
        Ok(found.map(|stored| (note, stored)))
    }

    /// Writes down what a location gave.
    pub(super) fn remember(&self, location: &Location, note: &Note) -> Result<(), FetchError> {
        let path = self.note(location);
        let disk = |error: io::Error| FetchError::disk("", &error);
        fs_err::create_dir_all(path.parent().expect("it is in a directory")).map_err(disk)?;
        let new = path.with_extension(format!("{}.new", std::process::id()));
        let json = serde_json::to_vec(note).map_err(|error| disk(error.into()))?;
        let written = fs_err::write(&new, json).and_then(|()| fs_err::rename(&new, &path));
        written.map_err(|error| {
            let _ = fs_err::remove_file(&new); // the first error counts
            disk(error)
        })
    }

    fn note(&self, location: &Location) -> PathBuf {
        let name = location.key().to_string();
        self.directory.join("latest").join(&name[..2]).join(name)
    }
}

const SCHEMA: u32 = 1;

/// What a location gave last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Note {
    schema: u32,
    /// For people; the name of the note says which it is.
    location: String,
    sha256: String,
    size: u64,
    pub(super) fields: Fields,
}

/// What a server says of a file, for the next request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Fields {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

impl Note {
    pub(super) fn new(location: &Location, stored: &Stored, fields: Fields) -> Note {
        let (location, sha256) = (location.to_string(), stored.digest.to_string());
        Note { schema: SCHEMA, location, sha256, size: stored.size, fields }
    }
}

/// A file that is being fetched, which no other process touches. It is deleted when it is dropped, unless it was stored or
/// is to be kept.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    len: u64,
    hash: Sha256,
    keep: bool,
}

impl Partial {
    /// Bytes that are there.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Begins anew.
    pub(super) fn clear(&mut self) -> Result<(), FetchError> {
        let cleared = self.file.set_len(0).and_then(|()| self.file.rewind());
        cleared.map_err(|error| FetchError::disk("", &error))?;
        self.hash = Sha256::new();
        self.len = 0;
        Ok(())
    }

    /// Goes on behind what a killed process left.
    pub(super) fn resume(&mut self) -> Result<(), FetchError> {
        let disk = |error: io::Error| FetchError::disk("", &error);
        self.file.rewind().map_err(disk)?;
        let hash = &mut self.hash;
        *hash = Sha256::new();
        self.len = copy(&mut self.file, self.len, |bytes| {
            hash.update(bytes);
            Ok(())
        })
        .map_err(disk)?;
        self.file.seek(SeekFrom::Start(self.len)).map_err(disk)?;
        Ok(())
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<(), FetchError> {
        self.file.write_all(bytes).map_err(|error| FetchError::disk("", &error))?;
        self.hash.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The digest of what is there.
    pub(super) fn digest(&self) -> Digest {
        Digest(self.hash.clone().finalize().into())
    }

    /// Leaves it for the next who wants it, if there is something in it.
    pub(super) fn leave(mut self) {
        self.keep = self.len > 0;
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs_err::remove_file(&self.path); // who comes next begins anew
        }
    }
}

/// Hands on at most `limit` bytes; gives their number.
pub(super) fn copy(
    from: &mut impl Read,
    limit: u64,
    mut to: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u64> {
    let mut buffer = vec![0; CHUNK];
    let mut len = 0;
    while len < limit {
        let most = usize::try_from(limit - len).unwrap_or(CHUNK).min(CHUNK);
        match from.read(&mut buffer[..most]) {
            Ok(0) => break,
            Ok(more) => {
                to(&buffer[..more])?;
                len += more as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(len)
}

fn same_file(file: &File, path: &Path) -> io::Result<bool> {
    let ours = file.metadata()?;
    match fs_err::symlink_metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if gone(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn remove(path: &Path) -> Result<(), FetchError> {
    match fs_err::remove_file(path) {
        Err(error) if !gone(&error) => Err(FetchError::disk("", &error)),
        _ => Ok(()),
    }
}
