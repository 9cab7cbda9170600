//! The place where a tree is made: described operations on it, and programs that run in it.
//!
//! ```text
//! this program  --request: tree, inputs, operations-->  entrance  (a child: this program again, one thread)
//!    newuidmap, newgidmap: caller -> 0,                    | new user namespace, waits for its ids
//!    subordinate range -> 1..                              | new mount, process, host name, IPC, network namespaces
//!                                                          v
//!                                                       steward   (first process of the namespace)
//!                                                          | binds the tree, mounts /proc /sys /dev /run /tmp, makes it the root
//!                                                          v
//! messages, log  <-------------------------------------  one child for each operation: our own work on the tree, or a program
//! ```
//!
//! - Whatever an operation leaves running is killed when it ends; when this program ends, however, the kernel kills all of it.
//! - Entrance and steward are forked, never executed anew, so that their memory belongs to the caller's user namespace:
//!   what runs in the tree cannot look at them, nor through `/proc/1` at the host.
//! - Of the host there is only what [`Bind`]s and the mounts name; inputs of our own work are directories that were opened before
//!   the root changed.
//! - Programs keep the capabilities that a container's root has, less those that make device nodes or mounts.
//!
//! Four [modes](Mode). Which one a host has is found out by [doing it](Sandbox::find), never by reading settings: Ubuntu's AppArmor
//! and containers forbid parts of the sequence in ways that no setting tells.

mod entrance;
mod execute;
mod mode;
mod mounts;
mod operation;
mod session;
mod steward;

pub use entrance::{ENTRANCE, enter};
pub use mode::{Found, Host, Mode, Tried};
pub(in crate::root) use mounts::DEVICES;
pub use operation::{Inputs, Operation, OperationError, Run};
pub use session::{Log, SandboxError, Session};

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A way to make sandboxes that works on this host.
#[derive(Clone, Debug)]
pub struct Sandbox {
    /// How.
    pub mode: Mode,
    /// This program.
    pub program: PathBuf,
    /// `newuidmap`, `newgidmap` and the ranges, where the mode maps ids.
    pub ids: Option<Ids>,
    /// `bwrap`, in its mode.
    pub bwrap: Option<PathBuf>,
    /// Whether programs find a `/proc`.
    pub proc: bool,
    /// Set by Ctrl-C: what runs is killed.
    pub cancel: Arc<AtomicBool>,
}

/// The ranges of ids that the caller may use, and the programs that map them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids {
    /// `newuidmap`.
    pub newuidmap: PathBuf,
    /// `newgidmap`.
    pub newgidmap: PathBuf,
    /// The caller.
    pub uid: u32,
    /// The caller's group.
    pub gid: u32,
    /// First id and count of the subordinate users.
    pub users: (u32, u32),
    /// First id and count of the subordinate groups.
    pub groups: (u32, u32),
}

/// A directory of the host that is seen in the sandbox, below `/run/diskwright`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Bind {
    /// The directory.
    pub from: PathBuf,
    /// Its name below `/run/diskwright`.
    pub name: String,
    /// Whether programs may change what is in it. A bare chroot, which gets copies, cannot show such a directory.
    pub writable: bool,
}

/// Where [`Bind`]s are, in the tree.
pub const BINDS: &str = "/run/diskwright";
