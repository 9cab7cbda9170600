//! Output files: checked, made under hidden names, shown under their own when all are complete.

use super::kernel::Lacks;
use super::sources::FileId;
use super::{EmitError, Options, Output, PAGE, Progress, Written};
use diskwright_formats::layout::Layout;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How many hidden names are tried before giving up: leftovers of runs that were killed.
const NAMES: u32 = 1000;

/// One output file. Until [`finish`] has settled it, dropping it undoes everything that was done.
pub(super) struct Target {
    name: Name,
    hidden: String,
    file: OwnedFd,
    block: u64,
    will_sync: bool,
    lacks: Lacks,
    state: State,
}

/// What dropping has to undo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The new file has its hidden name.
    Hidden,
    /// The new file has its final name, which was free.
    Shown,
    /// The new file has its final name, the old one the hidden name.
    Exchanged,
    /// Nothing.
    Settled,
}

/// A directory and a name in it, before there is a file of ours.
struct Name {
    path: PathBuf,
    dir: OwnedFd,
    dir_id: FileId,
    last: OsString,
    /// The file that is to be replaced.
    old: Option<FileId>,
}

/// Checks all outputs, then creates their files under hidden names and gives them their length.
pub(super) fn create(outputs: &[Output], options: &Options) -> Result<Vec<Target>, EmitError> {
    let names = outputs.iter().map(|output| Name::of(&output.path, options.overwrite));
    let names: Vec<Name> = names.collect::<Result<_, _>>()?;
    check_distinct(&names)?;
    outputs.iter().try_for_each(|output| check_limit(&output.path, output.layout.len()))?;
    check_space(outputs, &names)?;
    let create = |(output, name): (&Output, Name)| Target::create(name, output.layout.len(), options.sync);
    outputs.iter().zip(names).map(create).collect()
}

/// The files that will be replaced.
pub(super) fn replaced(targets: &[Target]) -> BTreeMap<FileId, &Path> {
    targets.iter().filter_map(|target| Some((target.name.old?, target.name.path.as_path()))).collect()
}

/// Gives all files their final names, in order; all or none.
pub(super) fn finish(
    mut targets: Vec<Target>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<Written>, EmitError> {
    for target in &targets {
        if progress.cancelled() {
            return Err(EmitError::Cancelled);
        }
        if options.sync {
            rustix::fs::fdatasync(&target.file).map_err(|error| target.error(error))?;
        }
    }
    let written: Vec<Written> = targets.iter().map(Target::written).collect::<Result<_, _>>()?;
    if progress.cancelled() {
        return Err(EmitError::Cancelled);
    }
    targets.iter_mut().try_for_each(|target| target.show(options.overwrite))?;
    if options.sync {
        targets.iter().try_for_each(Target::sync_directory)?;
    }
    targets.iter_mut().for_each(Target::settle);
    Ok(written)
}

impl Name {
    fn of(path: &Path, overwrite: bool) -> Result<Name, EmitError> {
        let last = path
            .file_name()
            .ok_or_else(|| EmitError::refused(path, "this names a directory", "name a file in it"))?;
        let parent = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir =
            rustix::fs::open(parent, flags, Mode::empty()).map_err(|error| EmitError::io(parent, error))?;
        let dir_id = rustix::fs::fstat(&dir).map(file_id).map_err(|error| EmitError::io(parent, error))?;
        let old = old_file(&dir, last, path, overwrite)?.map(file_id);
        Ok(Name { path: path.to_owned(), dir, dir_id, last: last.to_owned(), old })
    }
}

/// Refuses a file that is there.
pub(super) fn refuse(path: &Path) -> Result<(), EmitError> {
    Name::of(path, false).map(drop)
}

/// What has the final name already; refused unless it may be replaced.
fn old_file(dir: &OwnedFd, name: &OsStr, path: &Path, overwrite: bool) -> Result<Option<Stat>, EmitError> {
    let stat = match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat.map_err(|error| EmitError::io(path, error))?,
    };
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => None,
        FileType::Directory => Some("a directory"),
        FileType::Symlink => Some("a symbolic link"),
        FileType::BlockDevice | FileType::CharacterDevice => Some("a device"),
        _ => Some("a pipe or a socket"),
    };
    match kind {
        Some(kind) => {
            let reason = format!("only regular files are written, and this is {kind}");
            Err(EmitError::refused(path, &reason, "name another output file"))
        }
        None if !overwrite => {
            Err(EmitError::refused(path, "this file exists", "remove it, or say --force to replace it"))
        }
        None => Ok(Some(stat)),
    }
}

fn check_distinct(names: &[Name]) -> Result<(), EmitError> {
    let mut seen: BTreeSet<(FileId, &OsStr)> = BTreeSet::new();
    match names.iter().find(|name| !seen.insert((name.dir_id, name.last.as_os_str()))) {
        None => Ok(()),
        Some(name) => {
            Err(EmitError::refused(&name.path, "two outputs have this name", "give each a name of its own"))
        }
    }
}

/// Asks the process's limit before the kernel answers with a signal (`SIGXFSZ`).
fn check_limit(path: &Path, len: u64) -> Result<(), EmitError> {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Fsize).current;
    match limit.filter(|&limit| limit < len) {
        None => Ok(()),
        Some(limit) => {
            let text = format!("a file of {len} bytes, and the process may write (ulimit -f): {limit} bytes");
            Err(EmitError::io(path, io::Error::new(io::ErrorKind::FileTooLarge, text)))
        }
    }
}

/// Compares what all outputs on a file system need with what is free there.
fn check_space(outputs: &[Output], names: &[Name]) -> Result<(), EmitError> {
    let mut needs: BTreeMap<u64, u64> = BTreeMap::new();
    for (output, name) in outputs.iter().zip(names) {
        let free = rustix::fs::fstatvfs(&name.dir).map_err(|error| EmitError::io(&name.path, error))?;
        let needed = needs.entry(name.dir_id.0).or_default();
        *needed += blocks(&output.layout, free.f_frsize.max(1)).saturating_mul(free.f_frsize);
        let available = free.f_bavail.saturating_mul(free.f_frsize);
        // A file system without blocks does not count them (some network and user-space ones).
        if free.f_blocks > 0 && *needed > available {
            let path = name.path.parent().unwrap_or(Path::new("")).to_owned();
            return Err(EmitError::Space { path, needed: *needed, available });
        }
    }
    Ok(())
}

/// How many blocks the covered bytes of a layout touch.
fn blocks(layout: &Layout, block: u64) -> u64 {
    let mut end = 0;
    let count = |run: std::ops::Range<u64>| {
        let first = (run.start / block).max(end);
        end = run.end.div_ceil(block);
        end - first
    };
    layout.covered().map(count).sum()
}

impl Target {
    fn create(name: Name, len: u64, will_sync: bool) -> Result<Target, EmitError> {
        let failed = |error: Errno| EmitError::io(&name.path, error);
        let block = rustix::fs::fstatvfs(&name.dir).map_err(failed)?.f_frsize.max(PAGE);
        let (hidden, file) = create_hidden(&name).map_err(failed)?;
        let target =
            Target { name, hidden, file, block, will_sync, lacks: Lacks::default(), state: State::Hidden };
        rustix::fs::ftruncate(&target.file, len).map_err(|error| target.error(error))?;
        Ok(target)
    }

    /// Gives the new file the mode of the old one before it has any bytes, and its owner where the host lets us.
    pub(super) fn take_after(&self) -> Result<(), EmitError> {
        let Name { dir, last, old, .. } = &self.name;
        if old.is_none() {
            return Ok(());
        }
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let stat = rustix::fs::statat(dir, last.as_os_str(), flags).map_err(|error| self.error(error))?;
        let owner = (rustix::fs::Uid::from_raw(stat.st_uid), rustix::fs::Gid::from_raw(stat.st_gid));
        // Only root may give a file away, and the mode says who may read it in any case.
        let _ = rustix::fs::fchown(&self.file, Some(owner.0), Some(owner.1));
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::fchmod(&self.file, mode).map_err(|error| self.error(error))
    }

    pub(super) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// What ranges that are cloned must be multiples of.
    pub(super) fn block(&self) -> u64 {
        self.block
    }

    /// Whether its data is forced to the disk in the end.
    pub(super) fn will_sync(&self) -> bool {
        self.will_sync
    }

    pub(super) fn lacks(&self) -> &Lacks {
        &self.lacks
    }

    /// An error of writing it.
    pub(super) fn error(&self, error: impl Into<io::Error>) -> EmitError {
        EmitError::io(&self.name.path, error)
    }

    fn written(&self) -> Result<Written, EmitError> {
        let stat = rustix::fs::fstat(&self.file).map_err(|error| self.error(error))?;
        let path = self.name.path.clone();
        Ok(Written { path, len: stat.st_size as u64, allocated: stat.st_blocks as u64 * 512 })
    }

    /// Gives the file its final name.
    fn show(&mut self, overwrite: bool) -> Result<(), EmitError> {
        let shown = match self.rename(RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) if overwrite => self.replace(),
            // A file system that cannot promise not to replace: look, then rename.
            Err(Errno::INVAL | Errno::NOSYS) => self.show_after_looking(overwrite),
            renamed => renamed.map(|()| State::Shown).map_err(|error| self.error(error)),
        };
        self.state = shown?;
        Ok(())
    }

    /// Exchanges the file with the old one, so that both are there until all outputs are.
    fn replace(&self) -> Result<State, EmitError> {
        old_file(&self.name.dir, &self.name.last, &self.name.path, true)?;
        match self.rename(RenameFlags::EXCHANGE) {
            Ok(()) => Ok(State::Exchanged),
            Err(Errno::INVAL | Errno::NOSYS) => self.show_after_looking(true),
            Err(error) => Err(self.error(error)),
        }
    }

    fn show_after_looking(&self, overwrite: bool) -> Result<State, EmitError> {
        let old = old_file(&self.name.dir, &self.name.last, &self.name.path, overwrite)?;
        self.rename(RenameFlags::empty()).map_err(|error| self.error(error))?;
        // An old file is lost at this moment and cannot be brought back: the new one stays, whatever happens next.
        Ok(if old.is_some() { State::Settled } else { State::Shown })
    }

    fn rename(&self, flags: RenameFlags) -> rustix::io::Result<()> {
        let Name { dir, last, .. } = &self.name;
        rustix::fs::renameat_with(dir, self.hidden.as_str(), dir, last.as_os_str(), flags)
    }

    fn sync_directory(&self) -> Result<(), EmitError> {
        match rustix::fs::fsync(&self.name.dir) {
            Ok(()) | Err(Errno::INVAL | Errno::ROFS) => Ok(()), // some file systems have nothing to sync here
            Err(error) => Err(self.error(error)),
        }
    }

    fn settle(&mut self) {
        if self.state == State::Exchanged {
            self.remove_hidden();
        }
        self.state = State::Settled;
    }

    /// Best effort: there is nobody left to tell.
    fn remove_hidden(&self) {
        let _ = rustix::fs::unlinkat(&self.name.dir, self.hidden.as_str(), AtFlags::empty());
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let Name { dir, last, .. } = &self.name;
        match self.state {
            State::Settled => return,
            State::Hidden => {}
            State::Shown => {
                let _ = rustix::fs::renameat(dir, last.as_os_str(), dir, self.hidden.as_str());
            }
            State::Exchanged => {
                let _ = self.rename(RenameFlags::EXCHANGE);
            }
        }
        self.remove_hidden();
    }
}

/// A new file beside the final name. Its name is made from the final one, which may be as long as names can be, and the
/// first free number.
fn create_hidden(name: &Name) -> Result<(String, OwnedFd), Errno> {
    let digest = Sha256::digest(name.last.as_bytes());
    let digest: String = digest[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    for number in 0..NAMES {
        let hidden = format!(".diskwright-{digest}-{number}");
        match rustix::fs::openat(&name.dir, hidden.as_str(), flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::EXIST) => {}
            file => return Ok((hidden, file?)),
        }
    }
    Err(Errno::EXIST)
}

fn file_id(stat: Stat) -> FileId {
    (stat.st_dev, stat.st_ino)
}
