//! Files of the tree: made, replaced, changed, taken away.
//!
//! Paths go through the tree's symlinks and never out of it. Where something else is mounted (`/proc`, `/dev`) nothing is
//! written: it would be lost, or not be the tree's. Only in the memory that is `/tmp` and `/run` while a tree is made files
//! may lie: scripts of the same session find them there, and no image has them (KIWI leaves them out, too).

use crate::root::deb::Root;
use crate::root::deb::root::{create, look, remove, split};
use crate::root::sandbox::OperationError;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::fs::{chmodat, chownat, fchmod, fchown, fstat, fstatfs, mkdirat, openat, symlinkat, unlinkat};
use rustix::io::Errno;
use std::io;
use std::path::Path;

/// Most bytes of a file that is changed.
const MOST: u64 = 64 << 20;

/// `f_type` of memory (`linux/magic.h`).
const TMPFS_MAGIC: i64 = 0x0102_1994;
const LIST: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// The tree; `/` of this process.
pub(super) struct Files {
    pub(super) root: Root,
    device: u64,
    /// Of `/tmp` and `/run`, where they are memory.
    scratch: Vec<u64>,
}

/// Who a file is given to, and its permissions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Dress {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Dress {
    pub(super) const fn of_root(mode: u32) -> Dress {
        Dress { mode, uid: 0, gid: 0 }
    }

    pub(super) fn owner(self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }
}

impl Files {
    pub(super) fn open() -> Result<Files, OperationError> {
        let root = Root::open(Path::new("/"))?;
        let device = root.stat(b"").map_err(|error| failed(b"/", error))?.st_dev;
        let memory = |path: &str| {
            let directory = root.directory(path.as_bytes()).ok()?;
            let is_memory = fstatfs(&directory).ok()?.f_type == TMPFS_MAGIC;
            is_memory.then(|| fstat(&directory).ok()).flatten().map(|stat| stat.st_dev)
        };
        let scratch = ["/tmp", "/run"].into_iter().filter_map(memory).collect();
        Ok(Files { root, device, scratch })
    }

    /// Whether an open directory is of the tree, and not mounted into it.
    pub(super) fn is_own(&self, directory: BorrowedFd) -> Result<bool, Errno> {
        Ok(fstat(directory)?.st_dev == self.device)
    }

    /// An existing directory, through symlinks.
    pub(super) fn directory(&self, path: &[u8]) -> Result<OwnedFd, OperationError> {
        let directory = self.root.directory(path).map_err(|error| failed(path, error))?;
        let device = fstat(&directory).map_err(|error| failed(path, error))?.st_dev;
        match device == self.device || self.scratch.contains(&device) {
            true => Ok(directory),
            false => Err(mounted(path)),
        }
    }

    /// The directory that holds a path, made where it is missing.
    pub(super) fn parent(&self, path: &[u8]) -> Result<OwnedFd, OperationError> {
        let (parent, _) = split(path);
        self.root.make_directories(parent)?;
        self.directory(parent)
    }

    /// What a path leads to, through symlinks.
    pub(super) fn stat(&self, path: &str) -> Result<Option<Stat>, OperationError> {
        match self.root.stat(path.as_bytes()) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(failed(path.as_bytes(), error)),
        }
    }

    /// What has the name itself.
    pub(super) fn look(&self, path: &str) -> Result<Option<Stat>, OperationError> {
        let (parent, name) = split(path.as_bytes());
        match self.root.directory(parent) {
            Ok(parent) => look(parent.as_fd(), name).map_err(|error| failed(path.as_bytes(), error)),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(failed(path.as_bytes(), error)),
        }
    }

    pub(super) fn is_symlink(&self, path: &str) -> Result<bool, OperationError> {
        Ok(self.look(path)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_symlink()))
    }

    pub(super) fn is_directory(&self, path: &str) -> Result<bool, OperationError> {
        Ok(self.stat(path)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode).is_dir()))
    }

    /// A file's text; `None` where there is none.
    pub(super) fn read(&self, path: &str) -> Result<Option<String>, OperationError> {
        let Some(bytes) = self.root.read(path.as_bytes(), MOST)? else { return Ok(None) };
        let text = String::from_utf8(bytes);
        text.map(Some).map_err(|_| refused("tree", path, "no UTF-8, and is to be changed"))
    }

    /// Writes a file in the place of what has its name, and makes the directories above it.
    pub(super) fn write(&self, path: &str, bytes: &[u8], dress: Dress) -> Result<(), OperationError> {
        self.fill(path, dress, &mut &bytes[..])
    }

    /// The same with bytes that are read meanwhile.
    pub(super) fn fill(
        &self,
        path: &str,
        dress: Dress,
        bytes: &mut dyn io::Read,
    ) -> Result<(), OperationError> {
        let (parent, name) = (self.parent(path.as_bytes())?, split(path.as_bytes()).1);
        let at = |error: Errno| failed(path.as_bytes(), error);
        self.make_room(parent.as_fd(), path.as_bytes())?;
        let mut file = create(parent.as_fd(), name, 0o600).map_err(at)?;
        io::copy(bytes, &mut file)?;
        let (uid, gid) = dress.owner();
        fchown(&file, uid, gid).map_err(at)?;
        fchmod(&file, Mode::from_raw_mode(dress.mode)).map_err(at)
    }

    /// Writes a file anew with the owner and mode that it has; what is not there becomes `absent`.
    pub(super) fn rewrite(&self, path: &str, text: &str, absent: Dress) -> Result<(), OperationError> {
        let dress = self.stat(path)?.map_or(absent, |stat| Dress {
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
        });
        self.write(path, text.as_bytes(), dress)
    }

    /// Adds to a file's end.
    pub(super) fn append(&self, path: &str, text: &str) -> Result<(), OperationError> {
        let old = self.read(path)?.unwrap_or_default();
        self.rewrite(path, &(old + text), Dress::of_root(0o644))
    }

    /// Takes away the file that has a name, so that another one can get it.
    pub(super) fn make_room(&self, parent: BorrowedFd, path: &[u8]) -> Result<(), OperationError> {
        match remove(parent, split(path).1) {
            Err(Errno::ISDIR) => {
                let shown = escaped(path);
                Err(refused("tree", &shown, "a file would take the place of a directory"))
            }
            done => done.map_err(|error| failed(path, error)),
        }
    }

    pub(super) fn symlink(&self, path: &str, target: &str) -> Result<(), OperationError> {
        let parent = self.parent(path.as_bytes())?;
        self.make_room(parent.as_fd(), path.as_bytes())?;
        let done = symlinkat(target, &parent, split(path.as_bytes()).1);
        done.map_err(|error| failed(path.as_bytes(), error))
    }

    /// A directory with this owner and mode, whether it is there or not.
    pub(super) fn make_directory(&self, path: &str, dress: Dress) -> Result<(), OperationError> {
        let (parent, name) = (self.parent(path.as_bytes())?, split(path.as_bytes()).1);
        let at = |error: Errno| failed(path.as_bytes(), error);
        match mkdirat(&parent, name, Mode::from_raw_mode(0o700)) {
            Err(Errno::EXIST) if !self.is_symlink(path)? && self.is_directory(path)? => {}
            done => done.map_err(at)?,
        }
        let (uid, gid) = dress.owner();
        chownat(&parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
        chmodat(&parent, name, Mode::from_raw_mode(dress.mode), AtFlags::empty()).map_err(at)
    }

    /// Gives a directory and all in it to others; no symlink is followed, what is mounted in it stays as it is.
    pub(super) fn chown_tree(
        &self,
        path: &str,
        owner: &dyn Fn(u32, u32) -> (u32, u32),
    ) -> Result<(), OperationError> {
        let at = |error: Errno| failed(path.as_bytes(), error);
        let mut waiting = vec![self.root.open_at(path.as_bytes(), LIST, Mode::empty()).map_err(at)?];
        while let Some(directory) = waiting.pop() {
            if !self.is_own(directory.as_fd()).map_err(at)? {
                continue;
            }
            let stat = fstat(&directory).map_err(at)?;
            let (uid, gid) = owner(stat.st_uid, stat.st_gid);
            fchown(&directory, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))).map_err(at)?;
            for name in names_of(&directory).map_err(at)? {
                let stat = look(directory.as_fd(), &name).map_err(at)?;
                let Some(stat) = stat else { continue };
                if FileType::from_raw_mode(stat.st_mode).is_dir() {
                    let below = openat(&directory, &name[..], LIST | OFlags::NOFOLLOW, Mode::empty());
                    waiting.push(below.map_err(at)?);
                } else {
                    let (uid, gid) = owner(stat.st_uid, stat.st_gid);
                    let ids = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
                    chownat(&directory, &name[..], ids.0, ids.1, AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
                }
            }
        }
        Ok(())
    }

    /// Takes away what has a name, with all that is in it; what is mounted in it stays.
    pub(super) fn remove(&self, path: &str) -> Result<(), OperationError> {
        let (parent, name) = split(path.as_bytes());
        let parent = match self.root.directory(parent) {
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            parent => parent.map_err(|error| failed(path.as_bytes(), error))?,
        };
        if !self.is_own(parent.as_fd())? || name.is_empty() {
            return Ok(());
        }
        self.remove_at(parent, name).map_err(|error| failed(path.as_bytes(), error))
    }

    fn remove_at(&self, parent: OwnedFd, name: &[u8]) -> Result<(), Errno> {
        // Directories on the way down, each with its name in the one before and what is still to be looked at.
        let mut open: Vec<(OwnedFd, Vec<Vec<u8>>)> = vec![(parent, vec![name.to_vec()])];
        let mut way: Vec<Vec<u8>> = Vec::new();
        while let Some((directory, names)) = open.last_mut() {
            let Some(name) = names.pop() else {
                open.pop();
                if let (Some((above, _)), Some(name)) = (open.last(), way.pop()) {
                    match unlinkat(above, &name[..], AtFlags::REMOVEDIR) {
                        // Something is mounted in it.
                        Err(Errno::NOTEMPTY | Errno::BUSY) => {}
                        done => done?,
                    }
                }
                continue;
            };
            match unlinkat(&*directory, &name[..], AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => continue,
                Err(Errno::ISDIR | Errno::PERM) => {}
                Err(error) => return Err(error),
            }
            let below = openat(&*directory, &name[..], LIST | OFlags::NOFOLLOW, Mode::empty())?;
            if self.is_own(below.as_fd())? {
                let names = names_of(&below)?;
                way.push(name);
                open.push((below, names));
            }
        }
        Ok(())
    }
}

fn names_of(directory: &OwnedFd) -> Result<Vec<Vec<u8>>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        match entry?.file_name().to_bytes() {
            b"." | b".." => {}
            name => names.push(name.to_vec()),
        }
    }
    Ok(names)
}

/// What the system would not do, with its path.
pub(super) fn failed(path: &[u8], error: Errno) -> OperationError {
    OperationError::Host(format!("{}: {}", escaped(path), std::io::Error::from(error)))
}

pub(super) fn refused(what: &'static str, object: &str, reason: impl Into<String>) -> OperationError {
    Refusal::new(RefusalKind::Invalid, Spot::new(what, object), reason).into()
}

fn mounted(path: &[u8]) -> OperationError {
    let reason =
        "while a tree is made, something of the host or the memory is mounted there: files would be lost";
    let refusal = Refusal::new(RefusalKind::Invalid, Spot::new("tree", escaped(path)), reason);
    refusal.hint("/dev, /proc and /sys are empty in an image: the system that starts mounts them").into()
}
