//! What this host can do, found out by doing it. With `root/`, the only room that runs other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The name under which the program calls itself for [`user_namespace`]; see [`enter_user_namespace`].
pub const PROBE: &str = "probe-user-namespace";

/// Whether an unprivileged user namespace can be made: a throw-away child makes one.
#[allow(clippy::disallowed_methods)] // this is the room that runs programs
pub fn user_namespace() -> bool {
    let child = Command::new("/proc/self/exe").arg(PROBE).stdin(Stdio::null()).stdout(Stdio::null()).status();
    child.is_ok_and(|status| status.success())
}

/// The child's half of [`user_namespace`]: to be called while the process has one thread.
pub fn enter_user_namespace() -> bool {
    crate::sys::unshare_user().is_ok()
}

/// Where a program lies on a search path (in the form of `PATH`) or in the administrator's directories.
pub fn find_program(name: &str, search: &std::ffi::OsStr) -> Option<PathBuf> {
    std::env::split_paths(search)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|path| is_program(path))
}

fn is_program(path: &Path) -> bool {
    rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok() && path.is_file()
}
