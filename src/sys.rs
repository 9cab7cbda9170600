//! The one module with `unsafe`: what rustix lacks.
#![allow(unsafe_code)]

use rustix::ioctl;
use rustix::thread::UnshareFlags;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// `struct file_clone_range` of `linux/fs.h`.
#[repr(C)]
struct FileCloneRange {
    src_fd: i64,
    src_offset: u64,
    src_length: u64,
    dest_offset: u64,
}

/// `FICLONERANGE`, `_IOW(0x94, 13, struct file_clone_range)`.
const FICLONERANGE: ioctl::Opcode = ioctl::opcode::write::<FileCloneRange>(0x94, 13);

const _: () = assert!(size_of::<FileCloneRange>() == 32);

/// Shares bytes `at .. at + len` of `from` with `to`, where they then stand from byte `start` on (`FICLONERANGE`,
/// ioctl_ficlonerange(2)). All three numbers must be multiples of the file system's block size.
///
/// # Errors
/// What the kernel says: most hosts cannot (`EOPNOTSUPP`, `ENOTTY`), two file systems cannot (`EXDEV`), unaligned numbers
/// or a range behind the end of `from` cannot (`EINVAL`).
pub fn clone_range(
    from: BorrowedFd<'_>,
    at: u64,
    len: u64,
    to: BorrowedFd<'_>,
    start: u64,
) -> io::Result<()> {
    if len == 0 {
        return Ok(()); // the kernel takes 0 for "to the end of the file"
    }
    let range = FileCloneRange {
        src_fd: from.as_raw_fd().into(),
        src_offset: at,
        src_length: len,
        dest_offset: start,
    };
    // SAFETY: the opcode is FICLONERANGE and the kernel reads exactly one `struct file_clone_range` for it, which
    // `FileCloneRange` spells (size and representation above); it writes nothing to our memory. `from` is borrowed, so the
    // raw descriptor inside stays open during the call.
    let done = unsafe {
        let call = ioctl::Setter::<FICLONERANGE, FileCloneRange>::new(range);
        ioctl::ioctl(to, call)
    };
    Ok(done?)
}

/// Moves this process into a user namespace of its own (unshare(2), `CLONE_NEWUSER`).
///
/// # Errors
/// What the kernel says: forbidden (`EPERM`), or the process has more than one thread (`EINVAL`).
pub fn unshare_user() -> io::Result<()> {
    // SAFETY: the danger of unshare is `CLONE_FILES`, which makes descriptors of other threads mean something else;
    // `CLONE_NEWUSER` alone touches no descriptor and no memory.
    Ok(unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWUSER) }?)
}
