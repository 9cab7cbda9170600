//! One name of a live directory.

use super::super::beneath;
use super::super::holes;
use super::super::stamp::Stamp;
use super::xattrs::{self, Of};
use diskwright_fstools::tree::{HOLE_WINDOW, Time, Xattrs};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd};
use rustix::fs::{Access, AtFlags, FileType, Stat, access, fstat, major, minor, readlinkat, statat};
use rustix::process::geteuid;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What is known of a file.
pub(super) struct Found {
    pub(super) what: What,
    pub(super) mode: u16,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) xattrs: Xattrs,
    /// Names of attributes that were not taken.
    pub(super) left_out: Vec<Vec<u8>>,
    /// Device and inode, where it has more than one name.
    pub(super) link: Option<(u64, u64)>,
}

pub(super) enum What {
    Directory,
    File { stamp: Stamp, runs: Option<Box<[Range<u64>]>> },
    Symlink(Box<[u8]>),
    CharDevice { major: u32, minor: u32 },
    BlockDevice { major: u32, minor: u32 },
    Fifo,
    Socket,
}

/// What the host gives and who we are.
#[derive(Clone, Copy)]
pub(super) struct Host {
    /// Whether `/proc/self/fd` is there.
    pub(super) magic: bool,
    /// Whether the kernel lists the attributes of a name in an open directory.
    lists_names: bool,
    uid: u32,
}

impl Host {
    /// `directory`: any.
    pub(super) fn of(directory: BorrowedFd) -> Host {
        Host {
            magic: access("/proc/self/fd", Access::EXISTS).is_ok(),
            lists_names: xattrs::lists_names(directory),
            uid: geteuid().as_raw(),
        }
    }
}

/// Looks at a name of an open directory.
pub(super) fn look(directory: BorrowedFd, name: &[u8], host: &Host) -> io::Result<Found> {
    let stat = statat(directory, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let what = match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => What::Directory,
        FileType::RegularFile => look_into(directory, name, &stat, host.uid)?,
        FileType::Symlink => What::Symlink(readlinkat(directory, name, Vec::new())?.into_bytes().into()),
        FileType::CharacterDevice => {
            What::CharDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) }
        }
        FileType::BlockDevice => What::BlockDevice { major: major(stat.st_rdev), minor: minor(stat.st_rdev) },
        FileType::Fifo => What::Fifo,
        FileType::Socket => What::Socket,
        FileType::Unknown => return Err(io::Error::other("neither file nor directory nor anything known")),
    };
    let (xattrs, left_out) = match &what {
        // None of the attributes that are taken can be on a symlink.
        What::Symlink(_) => Default::default(),
        _ if host.lists_names && !xattrs::has_some(directory, name)? => Default::default(),
        _ if host.magic => {
            let path = [format!("/proc/self/fd/{}/", directory.as_raw_fd()).as_bytes(), name].concat();
            xattrs::read(&Of::Name(CString::new(path)?))?
        }
        What::Directory => xattrs::read(&Of::Open(beneath::open_directory(directory, name)?.as_fd()))?,
        What::File { .. } => xattrs::read(&Of::Open(beneath::open_file(directory, name)?.as_fd()))?,
        // To open a device may do things. Without /proc its ACL stays unknown.
        _ => Default::default(),
    };
    let found = Found { xattrs, left_out, ..Found::of(&stat, what) };
    Ok(found)
}

impl Found {
    #[allow(clippy::unnecessary_cast)] // the types of `Stat` differ between architectures
    pub(super) fn of(stat: &Stat, what: What) -> Found {
        let many = stat.st_nlink > 1 && !matches!(what, What::Directory);
        Found {
            what,
            mode: (stat.st_mode & 0o7777) as u16,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: Time { sec: stat.st_mtime as i64, nsec: stat.st_mtime_nsec as u32 },
            xattrs: Xattrs::new(),
            left_out: Vec::new(),
            link: many.then_some((stat.st_dev as u64, stat.st_ino as u64)),
        }
    }
}

/// A regular file. It is opened only where there may be holes, or where it is not sure that we may read it.
fn look_into(directory: BorrowedFd, name: &[u8], stat: &Stat, uid: u32) -> io::Result<What> {
    let stamp = Stamp::of(stat);
    let ours = stat.st_uid == uid;
    let readable = if ours { stat.st_mode & 0o400 != 0 } else { stat.st_mode & 0o444 == 0o444 };
    let mut runs = None;
    if stamp.size >= HOLE_WINDOW || !readable {
        let file = File::from(beneath::open_file(directory, name)?);
        stamp.still(Stamp::of(&fstat(&file)?))?;
        runs = holes::runs(stamp.size, holes::Segments::new(&file, stamp.size), |offset, buffer| {
            file.read_exact_at(buffer, offset)
        })?;
    }
    Ok(What::File { stamp, runs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{CWD, Mode, OFlags, XattrFlags, lsetxattr, openat};
    use rustix::io::Errno;

    #[test]
    fn attributes_are_the_same_without_proc() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::write(scratch.path().join("file"), b"").unwrap();
        fs_err::create_dir(scratch.path().join("directory")).unwrap();
        let directory = openat(CWD, scratch.path(), OFlags::DIRECTORY, Mode::empty()).unwrap();
        for name in ["file", "directory"] {
            let set =
                lsetxattr(scratch.path().join(name), "user.a", &[b'v'; 5000][..2000], XattrFlags::empty());
            if set == Err(Errno::OPNOTSUPP) {
                return; // a host without them
            }
            set.unwrap();
            let host = Host::of(directory.as_fd());
            for (magic, lists_names) in [(true, true), (true, false), (false, true), (false, false)] {
                // A kernel that does not list names is not asked.
                let host = Host { magic, lists_names: lists_names && host.lists_names, ..host };
                let found = look(directory.as_fd(), name.as_bytes(), &host).unwrap();
                let expected = Xattrs::from([(b"user.a".to_vec(), vec![b'v'; 2000])]);
                assert_eq!(found.xattrs, expected, "{name}, /proc: {magic}, lists names: {lists_names}");
            }
        }
    }
}
