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

/// Closes everything that whoever started this process has left open for it, but standard input, output and error
/// (close_range(2), since Linux 5.9; else one after the other). To be called before anything is opened.
pub fn close_inherited() {
    // SAFETY: takes numbers. The process has just begun, so that no value owns one of these descriptors.
    let done = unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    if done != 0 {
        let most = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        for descriptor in 3..most.map_or(65536, |most| most.min(65536)) {
            // SAFETY: as above.
            unsafe { libc::close(descriptor as libc::c_int) };
        }
    }
}

/// Gives this process an empty keyring in the place of its session's (keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`).
///
/// # Errors
/// The user has too many (`EDQUOT`). A kernel that has no keyrings, or does not let this process at them, is none.
pub fn leave_session_keyring() -> io::Result<()> {
    // SAFETY: the kernel reads no memory of ours: the name is null.
    let done = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, std::ptr::null::<libc::c_char>())
    };
    if done >= 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::ENOSYS | libc::EPERM) => Ok(()),
        _ => Err(error),
    }
}

/// Moves this process into namespaces of its own: mounts, processes (its children alone), host name, IPC and, if it is not to
/// reach the network, network (unshare(2)); control groups, where the kernel lets it.
///
/// # Errors
/// What the kernel says: forbidden (`EPERM`), too many (`ENOSPC`).
pub fn unshare_all(network: bool) -> io::Result<()> {
    let flags = UnshareFlags::NEWNS | UnshareFlags::NEWPID | UnshareFlags::NEWUTS | UnshareFlags::NEWIPC;
    let flags = if network { flags } else { flags | UnshareFlags::NEWNET };
    // SAFETY: as in `unshare_user`: none of these flags touches descriptors or memory.
    unsafe { rustix::thread::unshare_unsafe(flags) }?;
    // Only the names of the host's groups would be seen without it.
    // SAFETY: the same.
    let _ = unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWCGROUP) };
    Ok(())
}

/// Doubles this process (fork(2)): `None` in the child.
///
/// # Errors
/// The process has more than one thread, what the child could not survive (`EINVAL`); what the kernel says: no more processes
/// (`EAGAIN`), no memory.
pub fn fork() -> io::Result<Option<rustix::process::Pid>> {
    let threads = fs_err::read_link("/proc/self").and_then(|_| threads());
    // Without /proc nobody can tell; those who fork there have started none.
    if threads.is_ok_and(|threads| threads != 1) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: a process with one thread holds no lock of another, so that its child may allocate and do all else.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(rustix::process::Pid::from_raw(pid)),
    }
}

fn threads() -> io::Result<u64> {
    let status = fs_err::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("Threads:"));
    Ok(line.and_then(|line| line.trim().parse().ok()).unwrap_or(1))
}

/// Ends the process without running anything of its runtime (_exit(2)): the way out of a forked child.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: takes a number, does not return.
    unsafe { libc::_exit(code) }
}

/// Sends `SIGKILL` to every process that this one may signal, in its process namespace (kill(2) with -1). Only for the first
/// process of a namespace of its own.
pub fn kill_all_others() {
    if rustix::process::getpid() == rustix::process::Pid::INIT {
        // SAFETY: takes numbers. The test above keeps it within the namespace that this process is the first of.
        unsafe { libc::kill(-1, libc::SIGKILL) };
    }
}

/// Brings the loopback interface of a network namespace up (netdevice(7), `SIOCSIFFLAGS`).
///
/// # Errors
/// What the kernel says.
pub fn loopback_up() -> io::Result<()> {
    let socket = rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None)?;
    // SAFETY: all-zero bytes are a value of this plain structure.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l' as libc::c_char;
    request.ifr_name[1] = b'o' as libc::c_char;
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the call reads one `struct ifreq`, which lives until it returns; the descriptor is open.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The machine in the kernel's audit numbers (linux/audit.h); 0: no filter is known for it.
const AUDIT_ARCH: u32 = match () {
    () if cfg!(all(target_arch = "x86_64", target_pointer_width = "64")) => 0xc000_003e,
    () if cfg!(target_arch = "aarch64") => 0xc000_00b7,
    () if cfg!(target_arch = "riscv64") => 0xc000_00f3,
    () => 0,
};

/// Makes the calls that wait for a disk (fsync, fdatasync, sync, syncfs, sync_file_range) do nothing and succeed, in this
/// process and in all that come from it, by a filter of system calls (seccomp(2)). Calls of another architecture's
/// programs stay as they are.
///
/// # Errors
/// What the kernel says: it has no filters (`EINVAL`), or the process may not set one (`EACCES`); `ENOSYS` on machines that
/// are not known here.
pub fn ignore_syncs() -> io::Result<()> {
    if AUDIT_ARCH == 0 {
        return Err(io::Error::from_raw_os_error(libc::ENOSYS));
    }
    let calls =
        [libc::SYS_fsync, libc::SYS_fdatasync, libc::SYS_sync, libc::SYS_syncfs, libc::SYS_sync_file_range];
    let step = |code: u32, k: u32, jt: u8, jf: u8| libc::sock_filter { code: code as u16, jt, jf, k };
    // `struct seccomp_data` begins with the number of the call and the architecture, 32 bits each.
    let load = |at: u32| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let equals =
        |value: u32, jt: u8, jf: u8| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, jt, jf);
    let answer = |value: u32| step(libc::BPF_RET | libc::BPF_K, value, 0, 0);
    let last = calls.len() as u8;
    let mut program = vec![load(4), equals(AUDIT_ARCH, 0, last + 1), load(0)];
    program.extend((0..last).map(|at| equals(calls[usize::from(at)] as u32, last - at, 0)));
    // An error of number 0 is success.
    program.extend([answer(libc::SECCOMP_RET_ALLOW), answer(libc::SECCOMP_RET_ERRNO)]);
    let filter = libc::sock_fprog { len: program.len() as libc::c_ushort, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies `len` instructions from `filter`, which `program` holds until the call returns; it writes
    // nothing to our memory.
    let done = unsafe {
        libc::prctl(libc::PR_SET_SECCOMP, libc::c_ulong::from(libc::SECCOMP_MODE_FILTER), &raw const filter)
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
