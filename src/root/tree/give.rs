//! Between real owners and a record.

use super::RECORD;
use crate::root::sandbox::{DEVICES, Inputs, OperationError};
use crate::root::setup::selinux::{self, Contexts, Policy};
use crate::survey::{self, Origin, survey};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{Kind, Meta, Node, Time, Tree, record};
use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, CWD, Gid, Mode, OFlags, Uid, XattrFlags, chmodat, chownat, fsync, lsetxattr, openat, renameat,
};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub(super) fn probe() -> io::Result<()> {
    for id in [1, 65534] {
        let path = format!("/probe-{id}");
        fs_err::write(&path, "")?;
        chownat(CWD, &path, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| {
                io::Error::new(io::Error::from(error).kind(), format!("give a file to user {id}: {error}"))
            })?;
        fs_err::remove_file(&path)?;
    }
    Ok(())
}

/// The record, then the owners: who is killed in between has a record too many.
pub(super) fn give(name: &str, epoch: i64, inputs: &Inputs) -> Result<(), OperationError> {
    let options = survey::Options {
        epoch,
        owner: None,
        work_dir: PathBuf::from("/"),
        threads: rayon::current_num_threads(),
    };
    let surveyed = survey(&Origin::Directory { path: PathBuf::from("/"), record: None }, &options);
    let mut tree = surveyed.map_err(|error| OperationError::Host(error.to_string()))?.tree;
    let directory = input(inputs)?;
    add_devices(&mut tree, epoch)?;
    keep_special(&mut tree, name, directory)?;
    label(&mut tree)?;
    let partial = format!("{name}.partial");
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = File::from(openat(directory, &partial, flags, Mode::from_bits_truncate(0o644))?);
    let mut out = BufWriter::new(file);
    record::write(&tree, &mut out)?;
    out.flush()?;
    fsync(out.get_ref())?;
    to_caller(Path::new("/"))?;
    renameat(directory, &partial, directory, name)?;
    Ok(())
}

fn input(inputs: &Inputs) -> Result<&OwnedFd, OperationError> {
    inputs.get(RECORD).ok_or_else(|| OperationError::Host("no directory for the record".to_owned()))
}

/// The nodes that every system has: no user namespace can make them.
fn add_devices(tree: &mut Tree, epoch: i64) -> Result<(), Refusal> {
    let Some(dev) = tree.lookup(b"dev") else { return Ok(()) };
    for (name, major, minor, mode) in DEVICES {
        if tree.child(dev, name.as_bytes()).is_none() {
            let mode = u16::try_from(mode).unwrap_or(0o600);
            let meta =
                Meta { gid: if name == "tty" { 5 } else { 0 }, ..Meta::of_root(mode, Time::seconds(epoch)) };
            tree.add(dev, name.as_bytes(), Node { meta, kind: Kind::CharDevice { major, minor } })?;
        }
    }
    tree.renumber();
    Ok(())
}

/// Labels by the policy that is in the tree, where there is one (selinux(8)): what the host thinks of labels does not count.
fn label(tree: &mut Tree) -> Result<(), OperationError> {
    let read = |path: &str| fs_err::read_to_string(path).unwrap_or_default();
    let Some(directory) = selinux::directory(&read("/etc/selinux/config")) else { return Ok(()) };
    let file = |name: &str| read(&format!("{directory}/file_contexts{name}"));
    let policy = Policy {
        contexts: file(""),
        homes: file(".homedirs"),
        local: file(".local"),
        distribution_aliases: file(".subs_dist"),
        aliases: file(".subs"),
    };
    if !policy.contexts.is_empty() {
        selinux::label(tree, &Contexts::read(&policy)?);
    }
    Ok(())
}

/// Device nodes that an earlier record has and that no user namespace can make: they are still meant.
fn keep_special(tree: &mut Tree, name: &str, directory: &OwnedFd) -> Result<(), OperationError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(file) = openat(directory, name, flags, Mode::empty()) else { return Ok(()) };
    let mut text = Vec::new();
    File::from(file).read_to_end(&mut text)?;
    let earlier = record::read(&text)?;
    for step in earlier.walk() {
        let node = earlier.node(step.node);
        let is_device = matches!(node.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. });
        let parent = step.path.iter().rposition(|&byte| byte == b'/').map_or(&b""[..], |at| &step.path[..at]);
        let is_there = tree.lookup(&step.path).is_some();
        let has_place =
            tree.lookup(parent).is_some_and(|at| matches!(tree.node(at).kind, Kind::Directory(_)));
        if is_device && !is_there && has_place {
            let meta = Meta { xattrs: tree.intern(earlier.xattrs(node.meta.xattrs).clone()), ..node.meta };
            tree.put(
                &step.path,
                Node { meta, kind: node.kind.clone() },
                Meta::of_root(0o755, node.meta.mtime),
            )?;
        }
    }
    tree.renumber();
    Ok(())
}

/// Gives everything below a directory to the caller, who is user 0 here, readable and without special bits.
pub(super) fn to_caller(top: &Path) -> io::Result<()> {
    let device = fs_err::symlink_metadata(top)?.dev();
    let mut waiting = vec![top.to_owned()];
    while let Some(directory) = waiting.pop() {
        one_to_caller(&directory, true)?;
        for entry in list(&directory)? {
            let metadata = fs_err::symlink_metadata(&entry)?;
            if metadata.is_dir() {
                // What is mounted here is not the tree.
                if metadata.dev() == device {
                    waiting.push(entry);
                }
            } else if metadata.is_symlink() {
                own(&entry)?;
            } else {
                one_to_caller(&entry, false)?;
            }
        }
    }
    Ok(())
}

#[allow(clippy::disallowed_methods)] // the order in which files are given away makes no difference
fn list(directory: &Path) -> io::Result<Vec<PathBuf>> {
    fs_err::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect()
}

fn own(path: &Path) -> io::Result<()> {
    let metadata = fs_err::symlink_metadata(path)?;
    if (metadata.uid(), metadata.gid()) != (0, 0) {
        chownat(CWD, path, Some(Uid::ROOT), Some(Gid::ROOT), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(|error| named(path, error))?;
    }
    Ok(())
}

fn one_to_caller(path: &Path, is_directory: bool) -> io::Result<()> {
    own(path)?;
    let mode = fs_err::symlink_metadata(path)?.mode();
    let wanted = mode & 0o777 | if is_directory { 0o700 } else { 0o600 };
    if mode & 0o7777 != wanted {
        let mode = Mode::from_bits_truncate(wanted);
        chmodat(CWD, path, mode, AtFlags::empty()).map_err(|error| named(path, error))?;
    }
    Ok(())
}

fn named(path: &Path, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// Owners, attributes, modes of a record; in this order, since a new owner takes special bits and capabilities away.
pub(super) fn take(name: &str, inputs: &Inputs) -> Result<(), OperationError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let mut text = Vec::new();
    File::from(openat(input(inputs)?, name, flags, Mode::empty())?).read_to_end(&mut text)?;
    let tree = record::read(&text)?;
    for step in tree.walk() {
        let path = Path::new("/").join(OsStr::from_bytes(&step.path));
        let node = tree.node(step.node);
        let Ok(metadata) = fs_err::symlink_metadata(&path) else {
            if matches!(
                node.kind,
                Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo | Kind::Socket
            ) {
                continue;
            }
            let reason = "in the record, and not in the directory";
            let spot = Spot::new("record", path.display().to_string());
            return Err(Refusal::new(RefusalKind::Missing, spot, reason).into());
        };
        let Meta { uid, gid, mode, .. } = node.meta;
        let at = |error: rustix::io::Errno| named(&path, error);
        chownat(CWD, &path, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(at)?;
        for (name, value) in tree.xattrs(node.meta.xattrs) {
            lsetxattr(&path, OsStr::from_bytes(name), value, XattrFlags::empty()).map_err(at)?;
        }
        if !metadata.is_symlink() {
            chmodat(CWD, &path, Mode::from_bits_truncate(mode.into()), AtFlags::empty()).map_err(at)?;
        }
    }
    Ok(())
}
