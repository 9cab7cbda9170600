//! Opening below a directory and nowhere else: no symbolic link is followed, whoever moves things meanwhile.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Result;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens the directory at `path` below `root`, for listing; the empty path is `root` itself.
pub(super) fn open_directory(root: BorrowedFd, path: &[u8]) -> Result<OwnedFd> {
    if path.is_empty() {
        return openat(root, c".", DIRECTORY, Mode::empty());
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    // Name by name where that does not work: before Linux 5.6, behind filters of system calls, with long paths.
    openat2(root, path, DIRECTORY, Mode::empty(), resolve).or_else(|_| open_by_names(root, path))
}

fn open_by_names(root: BorrowedFd, path: &[u8]) -> Result<OwnedFd> {
    let names: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let (last, parents) = names.split_last().expect("a split has at least one part");
    let mut directory: Option<OwnedFd> = None;
    for name in parents {
        let parent = directory.as_ref().map_or(root, AsFd::as_fd);
        directory = Some(openat(parent, *name, DIRECTORY | OFlags::PATH, Mode::empty())?);
    }
    openat(directory.as_ref().map_or(root, AsFd::as_fd), *last, DIRECTORY, Mode::empty())
}

/// Opens a file of an open directory, for reading. One name is no path: there is nothing to follow but itself.
pub(super) fn open_file(directory: BorrowedFd, name: &[u8]) -> Result<OwnedFd> {
    // Should it have become a fifo or a terminal meanwhile: do not wait, do not adopt.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    openat(directory, name, flags, Mode::empty())
}
