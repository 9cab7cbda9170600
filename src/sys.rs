//! The one module with `unsafe`: what rustix lacks.
#![allow(unsafe_code)]

use rustix::ioctl;
use rustix::thread::UnshareFlags;
use std::ffi::CStr;
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

/// Lets the kernel begin to write bytes `start .. start + len` of a file to the disk (sync_file_range(2),
/// `SYNC_FILE_RANGE_WRITE`). A hint: it may wait for the disk's queue, promises nothing and cannot fail in a way that
/// matters, since whoever needs the data on the disk syncs the file and hears of errors there.
pub fn begin_write(file: BorrowedFd<'_>, start: u64, len: u64) {
    let (Ok(start), Ok(len)) = (i64::try_from(start), i64::try_from(len)) else { return };
    // SAFETY: the call takes numbers alone and touches no memory of ours; `file` is borrowed, so its descriptor stays
    // open during the call.
    unsafe { libc::sync_file_range(file.as_raw_fd(), start, len, libc::SYNC_FILE_RANGE_WRITE) };
}

/// The system call listxattrat(2), since Linux 6.13: the number is the same on all architectures but alpha and mips.
#[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
const LISTXATTRAT: libc::c_long = 465;

/// Lists the names of the extended attributes of a name in an open directory, each with a NUL behind it; a symbolic link is
/// not followed. Returns their length in bytes (listxattrat(2)).
///
/// # Errors
/// What the kernel says: it does not know the call (`ENOSYS`), a filter forbids it (`EPERM`), the list is longer than the
/// buffer (`ERANGE`), the file system knows no attributes (`EOPNOTSUPP`).
#[cfg(not(any(target_arch = "mips", target_arch = "mips64")))]
pub fn list_xattrs(directory: BorrowedFd<'_>, name: &CStr, list: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the kernel reads `name` up to its NUL and writes at most `list.len()` bytes to `list`; both are borrowed during
    // the call, as is `directory`.
    let len = unsafe {
        libc::syscall(
            LISTXATTRAT,
            directory.as_raw_fd(),
            name.as_ptr(),
            libc::AT_SYMLINK_NOFOLLOW,
            list.as_mut_ptr(),
            list.len(),
        )
    };
    usize::try_from(len).map_err(|_| io::Error::last_os_error())
}

/// Not known here.
///
/// # Errors
/// Always `ENOSYS`.
#[cfg(any(target_arch = "mips", target_arch = "mips64"))]
pub fn list_xattrs(_: BorrowedFd<'_>, _: &CStr, _: &mut [u8]) -> io::Result<usize> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
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
