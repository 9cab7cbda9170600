//! The files of a package are written under numbers, with owner, mode and time; their names come later.

use super::archive::Deb;
use super::database::{ADMIN, Override};
use super::filter::{Filter, is_excluded, may_hold_others};
use super::inflate::Stream;
use super::root::{Root, create, remove};
use super::{DebError, malformed, named};
use crate::survey::tar::members::{Member, MemberKind, Members, Source};
use diskwright_formats::bytes::escaped;
use md5::{Digest, Md5};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::fs::{
    chownat, fchmod, fchown, fsetxattr, futimens, linkat, mkdirat, mknodat, openat, symlinkat, utimensat,
};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;

/// Where packages are staged, one directory each.
const STAGING: &str = "tmp.diskwright";
/// Bytes copied at once.
const PIECE: usize = 256 << 10;
/// Most bytes of a path, as in Linux (`PATH_MAX` without its NUL), with room for `.dpkg-new`.
const PATH_MAX: usize = 4000;

/// A package whose files are written.
pub(super) struct Staged {
    /// In dpkg's order: symlinks come last.
    pub(super) members: Vec<StagedMember>,
    /// The control files, as staged: name in the database's directory of them, number.
    pub(super) control: Vec<(String, usize)>,
}

/// A member whose file has a number for a name.
pub(super) struct StagedMember {
    /// Absolute, without a slash at its end; the root is `/.`.
    pub(super) path: Vec<u8>,
    pub(super) kind: StagedKind,
    pub(super) meta: Override,
    pub(super) mtime: i64,
    /// A filter leaves it out; it has no file.
    pub(super) excluded: bool,
    pub(super) number: usize,
}

#[derive(PartialEq, Eq)]
pub(super) enum StagedKind {
    Directory,
    File,
    Symlink(Vec<u8>),
    /// Fifos and devices.
    Special,
}

/// The directory of all staged packages. It is gone when this is dropped.
pub(super) struct Staging<'a> {
    root: &'a Root,
    directory: OwnedFd,
}

impl<'a> Staging<'a> {
    pub(super) fn new(root: &'a Root) -> Result<Staging<'a>, DebError> {
        root.make_directories(ADMIN.as_bytes())?;
        let path = format!("{ADMIN}/{STAGING}");
        root.remove_tree(path.as_bytes())?;
        root.make_directories(path.as_bytes())?;
        let directory =
            root.directory(path.as_bytes()).map_err(|error| root.failed(path.as_bytes(), error))?;
        Ok(Staging { root, directory })
    }

    /// Makes the directory of a package.
    pub(super) fn make(&self, index: usize) -> rustix::io::Result<OwnedFd> {
        mkdirat(&self.directory, index.to_string(), Mode::from_raw_mode(0o700))?;
        self.open(index)
    }

    /// Opens it. It is not kept open: hundreds of packages may wait for their turn.
    pub(super) fn open(&self, index: usize) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        openat(&self.directory, index.to_string(), flags, Mode::empty())
    }
}

impl Drop for Staging<'_> {
    fn drop(&mut self) {
        // What is left over of packages that could not be unpacked; there is an error already.
        let _ = self.root.remove_tree(format!("{ADMIN}/{STAGING}").as_bytes());
    }
}

/// What decides how members are written.
pub(super) struct Rules<'a> {
    pub(super) filters: &'a [Filter],
    pub(super) overrides: &'a BTreeMap<Vec<u8>, Override>,
}

/// Writes the files of a package.
pub(super) fn stage(deb: &Deb, directory: BorrowedFd, rules: &Rules) -> Result<Staged, DebError> {
    let stream = deb.data()?;
    let wants_sums = deb.control.file("md5sums").is_none();
    let mut stage = Stage {
        deb,
        stream: &stream,
        directory,
        rules,
        numbers: BTreeMap::new(),
        sums: wants_sums.then(BTreeMap::new),
        buffer: vec![0; PIECE],
    };
    let mut members = Vec::new();
    let mut reader = Members::new(&stream);
    while let Some(member) = reader.next()? {
        members.push(stage.member(&member, members.len())?);
    }
    let control = stage.control_files(&members)?;
    members.sort_by_key(|member| matches!(member.kind, StagedKind::Symlink(_)));
    Ok(Staged { members, control })
}

struct Stage<'a, 's> {
    deb: &'a Deb,
    stream: &'a Stream<'s>,
    directory: BorrowedFd<'a>,
    rules: &'a Rules<'a>,
    /// The files so far, which hard links can name; what is left out has none.
    numbers: BTreeMap<Vec<u8>, Option<usize>>,
    /// MD5 sums by number, if the package does not bring them.
    sums: Option<BTreeMap<usize, String>>,
    buffer: Vec<u8>,
}

impl Stage<'_, '_> {
    fn refused(&self, member: &Member, reason: impl std::fmt::Display) -> DebError {
        let (path, offset) = (escaped(&member.path), member.offset);
        malformed(&self.deb.shown, format!("data.tar: {path}, at byte {offset}: {reason}"))
    }

    fn failed(&self, member: &Member, error: impl Into<std::io::Error>) -> DebError {
        named(format!("{}: {}", self.deb.shown, escaped(&member.path)), error)
    }

    fn member(&mut self, member: &Member, number: usize) -> Result<StagedMember, DebError> {
        let path = normal_path(&member.path).map_err(|reason| self.refused(member, reason))?;
        let excluded = is_excluded(self.rules.filters, &path, may_hold_others(member));
        let says = Override { uid: member.uid, gid: member.gid, mode: member.mode };
        let meta = self.rules.overrides.get(&path).copied().unwrap_or(says);
        let kind = match member.kind {
            MemberKind::Directory => StagedKind::Directory,
            MemberKind::File { map: Some(_), .. } => return Err(self.refused(member, "a sparse file")),
            MemberKind::File { .. } | MemberKind::HardLink => StagedKind::File,
            MemberKind::Symlink => StagedKind::Symlink(member.link.clone()),
            _ => StagedKind::Special,
        };
        if !member.xattrs.is_empty() && !matches!(member.kind, MemberKind::File { .. } | MemberKind::HardLink)
        {
            return Err(self.refused(member, "extended attributes of what is no regular file"));
        }
        if kind != StagedKind::Directory {
            let file = (kind == StagedKind::File && !excluded).then_some(number);
            if self.numbers.insert(path.clone(), file).is_some() {
                return Err(self.refused(member, "twice in the package"));
            }
        }
        if !excluded {
            self.write(member, number, meta)?;
        }
        Ok(StagedMember { path, kind, meta, mtime: member.mtime.sec, excluded, number })
    }

    fn write(&mut self, member: &Member, number: usize, meta: Override) -> Result<(), DebError> {
        let name = number.to_string();
        let mode = Mode::from_raw_mode(u32::from(meta.mode));
        let node = |kind: FileType, device: u64| mknodat(self.directory, &name, kind, Mode::empty(), device);
        match member.kind {
            MemberKind::Directory => return Ok(()),
            MemberKind::File { at, stored, .. } => return self.file(member, number, meta, at..at + stored),
            MemberKind::HardLink => return self.hard_link(member, number),
            MemberKind::Symlink => symlinkat(&member.link[..], self.directory, &name),
            MemberKind::Fifo => node(FileType::Fifo, 0),
            MemberKind::CharDevice { major, minor } => {
                node(FileType::CharacterDevice, rustix::fs::makedev(major, minor))
            }
            MemberKind::BlockDevice { major, minor } => {
                node(FileType::BlockDevice, rustix::fs::makedev(major, minor))
            }
        }
        .map_err(|error| match error {
            rustix::io::Errno::PERM => self.refused(member, "a device, which only the real root can make"),
            error => self.failed(member, error),
        })?;
        let (uid, gid) = owner(meta);
        let done = chownat(self.directory, &name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .and_then(|()| match member.kind {
                MemberKind::Symlink => Ok(()),
                _ => rustix::fs::chmodat(self.directory, &name, mode, AtFlags::empty()),
            })
            .and_then(|()| {
                utimensat(self.directory, &name, &times(member.mtime.sec), AtFlags::SYMLINK_NOFOLLOW)
            });
        done.map_err(|error| self.failed(member, error))
    }

    fn file(
        &mut self,
        member: &Member,
        number: usize,
        meta: Override,
        range: std::ops::Range<u64>,
    ) -> Result<(), DebError> {
        let name = number.to_string();
        let file = create(self.directory, name.as_bytes(), 0o600);
        let mut file = file.map_err(|error| self.failed(member, error))?;
        let mut sum = self.sums.is_some().then(Md5::new);
        let mut at = range.start;
        while at < range.end {
            let len = (range.end - at).min(PIECE as u64) as usize;
            self.stream.read(at, &mut self.buffer[..len])?;
            let piece = &self.buffer[..len];
            file.write_all(piece).map_err(|error| self.failed(member, error))?;
            if let Some(sum) = &mut sum {
                sum.update(piece);
            }
            at += len as u64;
        }
        if let (Some(sum), Some(sums)) = (sum, &mut self.sums) {
            sums.insert(number, hexadecimal(&sum.finalize()));
        }
        dress(&file, meta, member).map_err(|error| self.failed(member, error))
    }

    fn hard_link(&mut self, member: &Member, number: usize) -> Result<(), DebError> {
        let target = normal_path(&member.link).map_err(|reason| self.refused(member, reason))?;
        let link = || escaped(&member.link);
        let first = match self.numbers.get(&target) {
            Some(&Some(first)) if first != number => first,
            Some(None) => {
                return Err(self.refused(member, format!("a hard link to what is left out: {}", link())));
            }
            _ => {
                let reason = format!("a hard link to what the package does not have before it: {}", link());
                return Err(self.refused(member, reason));
            }
        };
        let done =
            linkat(self.directory, first.to_string(), self.directory, number.to_string(), AtFlags::empty());
        done.map_err(|error| self.failed(member, error))?;
        if let Some(sums) = &mut self.sums
            && let Some(sum) = sums.get(&first).cloned()
        {
            sums.insert(number, sum);
        }
        Ok(())
    }

    /// Control files become files, numbered on; with the sums that dpkg makes where the package has none.
    fn control_files(&self, members: &[StagedMember]) -> Result<Vec<(String, usize)>, DebError> {
        let mut control = Vec::new();
        let files = self.deb.control.files.iter();
        // dpkg passes over names with a dot; the list is its own, and the fields are in its status.
        let kept =
            files.filter(|file| !file.name.contains('.') && !matches!(&file.name[..], "control" | "list"));
        let mut write = |name: &str, mode: u32, mtime: Option<i64>, bytes: &[u8]| {
            let number = members.len() + control.len();
            let failed = |error: std::io::Error| named(format!("{}: {name}", self.deb.shown), error);
            let file = create(self.directory, number.to_string().as_bytes(), mode);
            let mut file = file.map_err(|error| failed(error.into()))?;
            file.write_all(bytes).map_err(failed)?;
            if let Some(mtime) = mtime {
                futimens(&file, &times(mtime)).map_err(|error| failed(error.into()))?;
            }
            control.push((format!("{}.{name}", self.deb.control.info_name()), number));
            Ok::<(), DebError>(())
        };
        for file in kept {
            write(&file.name, file.mode, Some(file.mtime), &file.bytes)?;
        }
        if let Some(sums) = &self.sums {
            let line = |member: &StagedMember| {
                let sum = sums.get(&member.number)?;
                Some([sum.as_bytes(), b"  ", &member.path[1..], b"\n"].concat())
            };
            let lines: Vec<u8> = members.iter().filter_map(line).flatten().collect();
            write("md5sums", 0o644, None, &lines)?;
        }
        Ok(control)
    }
}

/// Owner, permissions (a change of owner takes special bits away), attributes, time.
fn dress(file: &File, meta: Override, member: &Member) -> rustix::io::Result<()> {
    if (meta.uid, meta.gid) != (0, 0) {
        let (uid, gid) = owner(meta);
        fchown(file, uid, gid)?;
    }
    fchmod(file, Mode::from_raw_mode(u32::from(meta.mode)))?;
    for (name, value) in &member.xattrs {
        fsetxattr(file, &name[..], value, rustix::fs::XattrFlags::empty())?;
    }
    futimens(file, &times(member.mtime.sec))
}

pub(super) fn owner(meta: Override) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
}

/// Both times, in whole seconds, as dpkg sets them.
pub(super) fn times(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

/// `./usr/bin/` is `/usr/bin`, `./` is `/.`.
pub(super) fn normal_path(path: &[u8]) -> Result<Vec<u8>, String> {
    if path.starts_with(b"/") {
        return Err("an absolute name".to_owned());
    }
    if path.contains(&b'\n') || path.contains(&0) {
        return Err("a newline or NUL in a name".to_owned());
    }
    let parts = path.split(|&byte| byte == b'/').filter(|part| !matches!(*part, b"" | b"."));
    let mut normal = Vec::with_capacity(path.len() + 1);
    for part in parts {
        if part == b".." {
            return Err("a name with `..` in it".to_owned());
        }
        normal.push(b'/');
        normal.extend(part);
    }
    match normal.len() {
        0 => Ok(b"/.".to_vec()),
        1..=PATH_MAX => Ok(normal),
        len => Err(format!("a name of {len} bytes: at most {PATH_MAX}")),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes away a staged file that is not wanted.
pub(super) fn discard(directory: BorrowedFd, number: usize) -> rustix::io::Result<()> {
    remove(directory, number.to_string().as_bytes())
}
