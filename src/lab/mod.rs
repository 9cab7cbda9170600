//! Runs images in QEMU, and finds out what this host can do by doing it. With `root/`, the only room that runs other
//! programs; each by a vector of arguments, never through a shell.
//!
//! ```text
//! image -look-> Looked  --.
//! host  -find_uefi, kvm----+--> Machine -arguments-> program, argument vector -exec-> in the terminal (`run`)
//! command line  ----------'                                 '----- boot(Watch) -> Outcome: verdict, text (`boot`)
//! ```
//!
//! A program that is watched is in a process group of its own, which is ended with the verdict, and it dies with this
//! process, however this ends.

mod accelerator;
mod boot;
mod firmware;
mod look;
mod machine;
mod monitor;
mod serial;

pub use accelerator::{Accelerator, kvm};
pub use boot::{Limits, Outcome, Verdict, boot};
pub use firmware::{Uefi, find_uefi, firmware_package};
pub use look::{Looked, look};
pub use machine::{Console, Disk, Firmware, Machine, Net, quoted, system_package, system_program};
pub use serial::{Event, LONGEST, Reject, SIGNS, Watch, Watcher};

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

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

/// The name under which the program calls itself for a program that must not outlive it; see [`exec_bound`].
pub const BOUND: &str = "exec-bound";

/// A command for a program that leads a process group of its own and is killed by the kernel when this thread ends.
#[allow(clippy::disallowed_methods)] // this is the room that runs programs
fn bound(program: &Path) -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg(BOUND).arg(program).process_group(0);
    command
}

/// The child's half of a bound program: the process becomes it. Returns only when that fails.
pub fn exec_bound(program: &[OsString]) -> std::io::Error {
    let kill = Some(rustix::process::Signal::KILL);
    if let Err(error) = rustix::process::set_parent_process_death_signal(kill) {
        return error.into();
    }
    match program.split_first() {
        Some((program, arguments)) => exec(Path::new(program), arguments, None),
        None => std::io::ErrorKind::InvalidInput.into(),
    }
}

/// The process becomes this program, in this terminal, with scratch files below `scratch`. Returns only when that fails.
#[allow(clippy::disallowed_methods)] // this is the room that runs programs
pub fn exec(program: &Path, arguments: &[OsString], scratch: Option<&Path>) -> std::io::Error {
    let mut command = Command::new(program);
    command.args(arguments).envs(scratch.map(|directory| ("TMPDIR", directory)));
    command.exec()
}
