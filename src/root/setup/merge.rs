//! A surveyed tree is laid over the one that is `/`.
//!
//! Files take the place of what has their name, directories merge. Symlinks are files like others and never followed where
//! something is laid; only archives go through symlinks of the tree that lead to directories (`/lib` of a merged `/usr`),
//! as tar does, and they do not leave the tree there either.

use super::files::{Dress, Files, failed, refused};
use crate::root::deb::root::{create, look, split};
use crate::root::sandbox::OperationError;
use crate::survey::{Survey, SurveyError};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::Contents;
use diskwright_fstools::tree::{Data, Kind, Meta, Node, NodeId, ROOT, Tree};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Mode, Timespec, Timestamps, XattrFlags, chmodat, chownat, fchmod, fchown, fsetxattr,
    futimens, linkat, lsetxattr, makedev, mkdirat, mknodat, symlinkat, utimensat,
};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;

/// Bytes copied at once.
const PIECE: u64 = 256 << 10;

/// What decides how it is laid.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// What it is, for messages: `overlay`, `archive`.
    pub(super) what: &'static str,
    /// Directories that are there already get its owners.
    pub(super) owners: bool,
    /// The directory over which it is laid gets owner and mode of its top.
    pub(super) top: bool,
    /// Its directories may be symlinks to directories in the tree.
    pub(super) through_links: bool,
    /// It may have device nodes, which are made; else they are left out.
    pub(super) devices: bool,
}

/// Lays it over the directory `target`, which is made where it is missing.
pub(super) fn lay(files: &Files, survey: &Survey, target: &str, rules: Rules) -> Result<(), OperationError> {
    let tree = &survey.tree;
    let mut laying = Laying { files, survey, rules, firsts: vec![None; tree.nodes()], times: Vec::new() };
    let target = target.trim_end_matches('/');
    for step in tree.walk() {
        let below = if step.node == ROOT { &b""[..] } else { &step.path[..] };
        laying.one(&[target.as_bytes(), below].concat(), step.node)?;
    }
    // From the deepest up: what was laid in a directory changed its time.
    for (path, meta) in laying.times.iter().rev() {
        let (parent, name) = (files.directory(split(path).0)?, split(path).1);
        utimensat(&parent, name_or_self(name), &times(meta), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| failed(path, error))?;
    }
    Ok(())
}

struct Laying<'a> {
    files: &'a Files,
    survey: &'a Survey,
    rules: Rules,
    /// The first path of each node that has one.
    firsts: Vec<Option<Vec<u8>>>,
    /// Directories, whose times come last.
    times: Vec<(Vec<u8>, Meta)>,
}

impl Laying<'_> {
    fn tree(&self) -> &Tree {
        &self.survey.tree
    }

    fn one(&mut self, path: &[u8], id: NodeId) -> Result<(), OperationError> {
        let node = self.survey.tree.node(id);
        if matches!(node.kind, Kind::Directory(_)) {
            return self.directory(path, id, node);
        }
        let parent = self.files.directory(split(path).0)?;
        self.files.make_room(parent.as_fd(), path).map_err(|error| self.named(error))?;
        if let Some(first) = &self.firsts[id.0 as usize] {
            let (above, name) = (self.files.directory(split(first).0)?, split(first).1);
            return linkat(&above, name, &parent, split(path).1, AtFlags::empty())
                .map_err(|error| failed(path, error));
        }
        self.firsts[id.0 as usize] = Some(path.to_vec());
        match &node.kind {
            Kind::File(data) => self.file(path, &parent, node, data),
            _ => self.special(path, &parent, node),
        }
    }

    fn named(&self, error: OperationError) -> OperationError {
        match error {
            OperationError::Refused { message, hint } => {
                OperationError::Refused { message: format!("{}: {message}", self.rules.what), hint }
            }
            other => other,
        }
    }

    fn directory(&mut self, path: &[u8], id: NodeId, node: &Node) -> Result<(), OperationError> {
        let is_top = id == ROOT;
        if is_top {
            self.files.root.make_directories(split(path).0)?;
        }
        let (above, name) = (self.files.root.directory(split(path).0), name_or_self(split(path).1));
        let above = above.map_err(|error| failed(path, error))?;
        let at = |error: Errno| failed(path, error);
        let old = look(above.as_fd(), name).map_err(at)?;
        let mut made = false;
        match old.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
            None => {
                self.files.directory(split(path).0)?;
                mkdirat(&above, name, Mode::from_raw_mode(0o700)).map_err(at)?;
                made = true;
            }
            Some(FileType::Directory) => {}
            Some(FileType::Symlink) if is_top || self.rules.through_links => {
                return match self.files.root.is_directory(path).map_err(at)? {
                    true => Ok(()),
                    false => Err(self.clash(path, "a symlink that leads to no directory")),
                };
            }
            Some(FileType::Symlink) => return Err(self.clash(path, "a symlink")),
            Some(_) => return Err(self.clash(path, "a file")),
        }
        let directory = self.files.root.directory(path).map_err(at)?;
        // What is mounted here keeps what it has: an overlay may have a /tmp.
        let own = self.files.is_own(directory.as_fd()).map_err(at)?;
        if made || own && (!is_top || self.rules.top) {
            let dress = dress(&node.meta);
            if made || self.rules.owners {
                let (uid, gid) = dress.owner();
                chownat(&above, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
            }
            self.xattrs(path, node)?;
            chmodat(&above, name, Mode::from_raw_mode(dress.mode), AtFlags::empty()).map_err(at)?;
            self.times.push((path.to_vec(), node.meta));
        }
        Ok(())
    }

    fn clash(&self, path: &[u8], old: &str) -> OperationError {
        let reason = format!("a directory would take the place of {old}");
        let refusal = Refusal::new(RefusalKind::Invalid, Spot::new(self.rules.what, escaped(path)), reason);
        refusal.hint("put the files where it leads to").into()
    }

    fn file(&self, path: &[u8], parent: &OwnedFd, node: &Node, data: &Data) -> Result<(), OperationError> {
        let at = |error: Errno| failed(path, error);
        let file = create(parent.as_fd(), split(path).1, 0o600).map_err(at)?;
        self.fill(&file, data)?;
        let dress = dress(&node.meta);
        let (uid, gid) = dress.owner();
        fchown(&file, uid, gid).map_err(at)?;
        for (name, value) in self.tree().xattrs(node.meta.xattrs) {
            fsetxattr(&file, OsStr::from_bytes(name), value, XattrFlags::empty()).map_err(at)?;
        }
        fchmod(&file, Mode::from_raw_mode(dress.mode)).map_err(at)?;
        futimens(&file, &times(&node.meta)).map_err(at)
    }

    fn fill(&self, file: &File, data: &Data) -> Result<(), OperationError> {
        file.set_len(data.size())?;
        let Data::Content { id, .. } = data else {
            if let Data::Bytes(bytes) = data {
                file.write_all_at(bytes, 0)?;
            }
            return Ok(());
        };
        let unreadable =
            |error: diskwright_formats::layout::ContentError| OperationError::Host(error.to_string());
        let content = self.survey.contents.open(*id).map_err(unreadable)?;
        let mut buffer = Vec::new();
        for run in data.runs() {
            let mut at = run.start;
            while at < run.end {
                buffer.resize((run.end - at).min(PIECE) as usize, 0);
                content.read_exact_at(at, &mut buffer).map_err(unreadable)?;
                file.write_all_at(&buffer, at)?;
                at += buffer.len() as u64;
            }
        }
        content.close().map_err(unreadable)
    }

    fn special(&self, path: &[u8], parent: &OwnedFd, node: &Node) -> Result<(), OperationError> {
        if !self.rules.devices && matches!(node.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. }) {
            return Ok(());
        }
        let name = split(path).1;
        let make = |kind, device| mknodat(parent, name, kind, Mode::from_raw_mode(0o600), device);
        let made = match &node.kind {
            Kind::Symlink(target) => symlinkat(&target[..], parent, name),
            Kind::CharDevice { major, minor } => make(FileType::CharacterDevice, makedev(*major, *minor)),
            Kind::BlockDevice { major, minor } => make(FileType::BlockDevice, makedev(*major, *minor)),
            Kind::Fifo => make(FileType::Fifo, 0),
            Kind::Socket | Kind::Directory(_) | Kind::File(_) => make(FileType::Socket, 0),
        };
        made.map_err(|error| match error {
            Errno::PERM => refused(
                self.rules.what,
                &escaped(path),
                "a device node, which only the real root can make: leave it out, the kernel makes /dev itself",
            ),
            error => failed(path, error),
        })?;
        let at = |error: Errno| failed(path, error);
        let dress = dress(&node.meta);
        let (uid, gid) = dress.owner();
        chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW).map_err(at)?;
        self.xattrs(path, node)?;
        if !matches!(node.kind, Kind::Symlink(_)) {
            chmodat(parent, name, Mode::from_raw_mode(dress.mode), AtFlags::empty()).map_err(at)?;
        }
        utimensat(parent, name, &times(&node.meta), AtFlags::SYMLINK_NOFOLLOW).map_err(at)
    }

    /// Attributes of what cannot be opened. The directories of the path were looked at before.
    fn xattrs(&self, path: &[u8], node: &Node) -> Result<(), OperationError> {
        let path = if path.is_empty() { b"/" } else { path };
        for (name, value) in self.tree().xattrs(node.meta.xattrs) {
            lsetxattr(OsStr::from_bytes(path), OsStr::from_bytes(name), value, XattrFlags::empty())
                .map_err(|error| failed(path, error))?;
        }
        Ok(())
    }
}

/// The root itself has no name.
fn name_or_self(name: &[u8]) -> &[u8] {
    if name.is_empty() { b"." } else { name }
}

fn dress(meta: &Meta) -> Dress {
    Dress { mode: meta.mode.into(), uid: meta.uid, gid: meta.gid }
}

fn times(meta: &Meta) -> Timestamps {
    let time = Timespec { tv_sec: meta.mtime.sec, tv_nsec: meta.mtime.nsec.into() };
    Timestamps { last_access: time, last_modification: time }
}

impl From<SurveyError> for OperationError {
    fn from(error: SurveyError) -> OperationError {
        match error {
            SurveyError::Refused(refusal) => refusal.into(),
            SurveyError::Io(error) => error.into(),
        }
    }
}
