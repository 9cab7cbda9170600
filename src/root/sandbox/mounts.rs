//! What is mounted in a sandbox, and the change of its root.

use super::entrance::Request;
use super::mode::Mode;
use super::steward::bind_path;
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode as FileMode, OFlags, ResolveFlags, Timespec, Timestamps, chmodat, makedev,
    mkdirat, mknodat, openat, openat2, symlinkat, utimensat,
};
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive, mount_change,
    mount_remount, unmount,
};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io;
use std::path::Path;

/// Device nodes that every system has: name, major, minor, mode.
pub(in crate::root) const DEVICES: [(&str, u32, u32, u32); 8] = [
    ("console", 5, 1, 0o600),
    ("full", 1, 7, 0o666),
    ("null", 1, 3, 0o666),
    ("ptmx", 5, 2, 0o666),
    ("random", 1, 8, 0o666),
    ("tty", 5, 0, 0o666),
    ("urandom", 1, 9, 0o666),
    ("zero", 1, 5, 0o666),
];

/// Those that a sandbox shows.
const SHOWN: [&str; 6] = ["full", "null", "random", "tty", "urandom", "zero"];
const LINKS: [(&str, &str); 4] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// Mounts what the mode mounts; returns the tree, which is the root already where the mode changes it, and what [`clear`] needs
/// to know of the tree itself.
pub(super) fn arrange(request: &Request) -> io::Result<(OwnedFd, Vec<Before>)> {
    if !request.bare {
        make_mount_points(&directory(CWD, &request.tree)?)?;
    }
    match request.mode {
        Mode::Namespaces | Mode::Root => Ok((change_root(request)?, Vec::new())),
        Mode::Bubblewrap => {
            mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
            // bwrap looks for its own child there, by the number that it has here. Where it is not allowed it must do without.
            let _ = mount(
                "proc",
                "/proc",
                "proc",
                MountFlags::NOSUID | MountFlags::NODEV,
                None::<&std::ffi::CStr>,
            );
            // bwrap shows this one, and not the host's with its interfaces and all that is mounted in it.
            let readonly = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::RDONLY;
            let _ = mount("sysfs", "/sys", "sysfs", readonly, None::<&std::ffi::CStr>);
            Ok((directory(CWD, &request.tree)?, Vec::new()))
        }
        Mode::Chroot => {
            let tree = directory(CWD, &request.tree)?;
            if request.bare {
                return Ok((tree, Vec::new()));
            }
            let before = ["dev", "run", "tmp"].map(|name| before(&tree, name));
            let before = before.into_iter().collect::<io::Result<Vec<Before>>>()?;
            make_devices(&tree)?;
            copy_binds(request, &tree)?;
            Ok((tree, before))
        }
    }
}

/// Directories that some mode mounts something on, or writes to, are in the tree after all of them: whatever the mode, the
/// tree is the same.
fn make_mount_points(tree: &OwnedFd) -> io::Result<()> {
    for (name, mode) in [("dev", 0o755), ("proc", 0o755), ("run", 0o755), ("sys", 0o755), ("tmp", 0o1777)] {
        let mode = FileMode::from_bits_truncate(mode);
        match mkdirat(tree, name, mode) {
            // Whatever the mask of the process takes away.
            Ok(()) => chmodat(tree, name, mode, AtFlags::empty())?,
            // What it is matters only to modes that use it.
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(named(name, error)),
        }
    }
    Ok(())
}

/// A directory of the tree that a bare chroot writes to, where other modes mount a file system that goes away: what was in it.
pub(super) struct Before {
    name: &'static str,
    names: BTreeSet<OsString>,
    times: Timestamps,
}

#[allow(clippy::disallowed_methods)] // a set has no order
fn names_in(directory: &OwnedFd) -> io::Result<BTreeSet<OsString>> {
    fs_err::read_dir(path_of(directory))?.map(|entry| Ok(entry?.file_name())).collect()
}

fn before(tree: &OwnedFd, name: &'static str) -> io::Result<Before> {
    let directory = beneath(tree, name)?;
    let stat = rustix::fs::fstat(&directory)?;
    let time = Timespec { tv_sec: stat.st_mtime as _, tv_nsec: stat.st_mtime_nsec as _ };
    let times = Timestamps { last_access: time, last_modification: time };
    Ok(Before { name, names: names_in(&directory)?, times })
}

/// Takes away what came into these directories since. What cannot be taken away stays, and is seen in the record.
pub(super) fn clear(made: &[Before], tree: &OwnedFd) {
    for Before { name, names, times } in made {
        let Ok(directory) = beneath(tree, name) else { continue };
        let path = path_of(&directory);
        for new in names_in(&directory).unwrap_or_default().difference(names) {
            let new = Path::new(&path).join(new);
            let is_directory = fs_err::symlink_metadata(&new).is_ok_and(|found| found.is_dir());
            let _ = if is_directory { fs_err::remove_dir_all(new) } else { fs_err::remove_file(new) };
        }
        let _ = utimensat(CWD, path, times, AtFlags::empty());
    }
}

fn directory(at: BorrowedFd<'_>, path: impl rustix::path::Arg) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    Ok(openat(at, path, flags, FileMode::empty())?)
}

/// A directory of the tree, made where it is missing; a symlink on the way is an error, wherever it leads.
fn beneath(tree: &impl AsFd, name: &str) -> io::Result<OwnedFd> {
    match mkdirat(tree, name, FileMode::from_bits_truncate(0o755)) {
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(error) => return Err(named(name, error)),
    }
    let flags = OFlags::DIRECTORY | OFlags::PATH | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    openat2(tree, name, flags, FileMode::empty(), resolve).map_err(|error| named(name, error))
}

fn named(name: &str, error: impl Into<io::Error>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("/{name} of the tree: {error}"))
}

fn path_of(fd: &impl AsRawFd) -> String {
    format!("/proc/self/fd/{}", fd.as_raw_fd())
}

fn change_root(request: &Request) -> io::Result<OwnedFd> {
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // A root must be a mount of its own. Without MS_REC: what the host has mounted in the tree stays outside.
    mount_bind(&request.tree, &request.tree)?;
    let tree = directory(CWD, &request.tree)?;
    if !request.bare {
        mount_all(request, &tree)?;
    }
    rustix::process::fchdir(&tree)?;
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/")?;
    directory(CWD, "/")
}

fn mount_all(request: &Request, tree: &OwnedFd) -> io::Result<()> {
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    let temporary = |name: &str, options: &std::ffi::CStr| -> io::Result<OwnedFd> {
        let place = beneath(tree, name)?;
        mount("tmpfs", path_of(&place), "tmpfs", plain, Some(options)).map_err(|error| named(name, error))?;
        beneath(tree, name)
    };
    temporary("tmp", c"mode=1777")?;
    let run = temporary("run", c"mode=755")?;
    mkdirat(&run, "lock", FileMode::from_bits_truncate(0o1777))?;
    chmodat(&run, "lock", FileMode::from_bits_truncate(0o1777), AtFlags::empty())?;
    if request.proc {
        mount_proc(tree, request.mode)?;
    }
    let sys = beneath(tree, "sys")?;
    // Only whoever has a network namespace of its own may mount it; nothing needs it.
    let readonly = plain | MountFlags::NOEXEC | MountFlags::RDONLY;
    let _ = mount("sysfs", path_of(&sys), "sysfs", readonly, None::<&std::ffi::CStr>);
    let dev = temporary("dev", c"mode=755")?;
    show_devices(&dev)?;
    bind_inputs(request, &run)?;
    if let (Some(from), Ok(etc)) = (&request.resolv_conf, beneath(tree, "etc")) {
        // Only where the tree has the file: it would stay behind.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(place) = openat(&etc, "resolv.conf", flags, FileMode::empty()) {
            let _ = mount_bind(from, path_of(&place));
        }
    }
    Ok(())
}

/// A new one, else the host's (in a container that hides parts of its own, the kernel allows no new one).
fn mount_proc(tree: &OwnedFd, mode: Mode) -> io::Result<()> {
    let place = beneath(tree, "proc")?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    if mount("proc", path_of(&place), "proc", flags, None::<&std::ffi::CStr>).is_err() {
        return mount_bind_recursive("/proc", path_of(&place)).map_err(|error| named("proc", error));
    }
    if mode == Mode::Root {
        // Real root could set the host's kernel through these.
        for name in ["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus"] {
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(place) = openat(tree, name, flags, FileMode::empty()) {
                mount_bind(path_of(&place), path_of(&place))?;
                let place = openat(tree, name, flags, FileMode::empty())?;
                mount_remount(path_of(&place), MountFlags::BIND | MountFlags::RDONLY, c"")?;
            }
        }
    }
    Ok(())
}

fn show_devices(dev: &OwnedFd) -> io::Result<()> {
    let file = OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC;
    for name in SHOWN {
        let place = openat(dev, name, file, FileMode::from_bits_truncate(0o666))?;
        mount_bind(format!("/dev/{name}"), path_of(&place))
            .map_err(|error| named(&format!("dev/{name}"), error))?;
    }
    for (name, target) in LINKS {
        symlinkat(target, dev, name)?;
    }
    for name in ["pts", "shm"] {
        mkdirat(dev, name, FileMode::from_bits_truncate(0o755))?;
    }
    let shm = directory(dev.as_fd(), "shm")?;
    let plain = MountFlags::NOSUID | MountFlags::NODEV;
    mount("tmpfs", path_of(&shm), "tmpfs", plain, Some(c"mode=1777"))?;
    let pts = directory(dev.as_fd(), "pts")?;
    let options = c"newinstance,ptmxmode=0666,mode=0620";
    let quiet = MountFlags::NOSUID | MountFlags::NOEXEC;
    if mount("devpts", path_of(&pts), "devpts", quiet, Some(options)).is_ok() {
        symlinkat("pts/ptmx", dev, "ptmx")?;
    }
    Ok(())
}

fn bind_inputs(request: &Request, run: &OwnedFd) -> io::Result<()> {
    let mode = FileMode::from_bits_truncate(0o755);
    mkdirat(run, "diskwright", mode)?;
    for bind in &request.binds {
        let name = format!("diskwright/{}", bind.name);
        mkdirat(run, &name, mode)?;
        let place = beneath(run, &name)?;
        let named = |error: rustix::io::Errno| named(&bind.from.display().to_string(), error);
        mount_bind(&bind.from, path_of(&place)).map_err(named)?;
        let place = beneath(run, &name)?;
        // Flags that the host's mount has must stay: the kernel refuses to take them away.
        let locked = rustix::fs::fstatvfs(&place)?.f_flag;
        let kept = [
            (rustix::fs::StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
            (rustix::fs::StatVfsMountFlags::NODEV, MountFlags::NODEV),
            (rustix::fs::StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
            (rustix::fs::StatVfsMountFlags::NOATIME, MountFlags::NOATIME),
            (rustix::fs::StatVfsMountFlags::NODIRATIME, MountFlags::NODIRATIME),
            (rustix::fs::StatVfsMountFlags::RELATIME, MountFlags::RELATIME),
        ];
        let kept = kept
            .iter()
            .filter(|one| locked.contains(one.0))
            .fold(MountFlags::empty(), |sum, one| sum | one.1);
        let own = match bind.writable {
            true => MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            false => MountFlags::RDONLY,
        };
        mount_remount(path_of(&place), kept | MountFlags::BIND | own, c"").map_err(named)?;
    }
    Ok(())
}

/// In a bare chroot the tree itself gets the nodes, until the end.
fn make_devices(tree: &OwnedFd) -> io::Result<()> {
    let dev = beneath(tree, "dev")?;
    for (name, major, minor, mode) in DEVICES.into_iter().filter(|one| SHOWN.contains(&one.0)) {
        let mode = FileMode::from_bits_truncate(mode);
        match mknodat(&dev, name, FileType::CharacterDevice, mode, makedev(major, minor)) {
            Ok(()) => chmodat(&dev, name, mode, AtFlags::empty())?,
            Err(rustix::io::Errno::EXIST) => {}
            Err(error) => return Err(named(&format!("dev/{name}"), error)),
        }
    }
    for (name, target) in LINKS {
        let _ = symlinkat(target, &dev, name);
    }
    Ok(())
}

/// In a bare chroot inputs are copied: what runs there could write to a link.
fn copy_binds(request: &Request, tree: &OwnedFd) -> io::Result<()> {
    let run = beneath(tree, "run")?;
    if let Some(bind) = request.binds.iter().find(|bind| bind.writable) {
        let message = format!("a bare chroot cannot show {} so that it can be changed", bind.from.display());
        return Err(io::Error::new(io::ErrorKind::Unsupported, message));
    }
    // Of a session that was killed: links to files that must not be written.
    match fs_err::remove_dir_all(format!("{}/diskwright", path_of(&run))) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for bind in &request.binds {
        let to = format!("{}/diskwright/{}", path_of(&run), bind.name);
        fs_err::create_dir_all(&to)?;
        copy(&bind.from, Path::new(&to))?;
    }
    Ok(())
}

#[allow(clippy::disallowed_methods)] // the order of what is copied makes no difference
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs_err::read_dir(from)? {
        let entry = entry?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        match fs_err::metadata(&from)?.is_dir() {
            true => {
                fs_err::create_dir_all(&to)?;
                copy(&from, &to)?;
            }
            false => drop(fs_err::copy(&from, &to)?),
        }
    }
    Ok(())
}

/// bwrap's arguments for a program.
pub(super) fn bwrap(request: &Request) -> Vec<OsString> {
    let mut words: Vec<OsString> = Vec::new();
    let mut say = |list: &[&std::ffi::OsStr]| words.extend(list.iter().map(|&word| word.to_owned()));
    let text = std::ffi::OsStr::new;
    say(&[text("--die-with-parent"), text("--bind"), request.tree.as_os_str(), text("/")]);
    if request.proc {
        say(&["--unshare-pid", "--proc", "/proc"].map(text));
    }
    say(&["--ro-bind", "/sys", "/sys", "--dev", "/dev", "--tmpfs", "/run", "--tmpfs", "/tmp"].map(text));
    say(&["--perms", "1777", "--dir", "/run/lock", "--chdir", "/"].map(text));
    for bind in &request.binds {
        let place = bind_path(&bind.name);
        let how = if bind.writable { "--bind" } else { "--ro-bind" };
        say(&[text(how), bind.from.as_os_str(), text(&place)]);
    }
    let kept = [
        "CHOWN",
        "DAC_OVERRIDE",
        "DAC_READ_SEARCH",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "SETFCAP",
        "NET_BIND_SERVICE",
        "AUDIT_WRITE",
        "SYS_CHROOT",
    ];
    say(&["--cap-drop", "ALL"].map(text));
    for name in kept {
        say(&[text("--cap-add"), text(&format!("CAP_{name}"))]);
    }
    words
}
