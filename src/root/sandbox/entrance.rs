//! The child's half of a sandbox: from a new process to the steward.

use super::mode::Mode;
use super::steward::serve;
use super::{Bind, Operation, OperationError};
use crate::sys;
use rustix::cmsg_space;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Gid, Signal, Uid, WaitOptions, set_parent_process_death_signal, waitpid};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufRead, BufReader, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::path::PathBuf;

/// The name under which the program calls itself for the entrance; standard input is a socket.
pub const ENTRANCE: &str = "sandbox-entrance";

/// What is asked of a sandbox.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) mode: Mode,
    pub(super) tree: PathBuf,
    pub(super) binds: Vec<Bind>,
    pub(super) inputs: Vec<(String, PathBuf)>,
    pub(super) network: bool,
    pub(super) proc: bool,
    /// Nothing is mounted.
    pub(super) bare: bool,
    pub(super) bwrap: Option<PathBuf>,
    pub(super) resolv_conf: Option<PathBuf>,
    pub(super) operations: Vec<Operation>,
}

/// What a sandbox says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Message {
    /// The entrance has a user namespace and waits for its ids.
    Unshared,
    /// An operation begins.
    Begin(usize),
    /// It has ended, with its result.
    End(usize, Vec<u8>),
    /// It failed, and with it all of it.
    Failed(usize, OperationError),
    /// All is done.
    Finished,
    /// The sandbox could not be made.
    Impossible(String),
}

pub(super) fn tell(peer: &OwnedFd, message: &Message) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    File::from(peer.try_clone()?).write_all(&line)
}

/// Sends a byte ahead of everything, and with it the descriptor that programs with a terminal read (unix(7), `SCM_RIGHTS`): it
/// may be another user's, whom the kernel would not let open it anew.
pub(super) fn hand(socket: &impl AsFd, terminal: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut with = SendAncillaryBuffer::new(&mut space);
    let fds: Vec<BorrowedFd<'_>> = terminal.into_iter().collect();
    if !fds.is_empty() {
        with.push(SendAncillaryMessage::ScmRights(&fds));
    }
    sendmsg(socket, &[IoSlice::new(b"\n")], &mut with, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Takes what [`hand`] sends.
fn handed(socket: &impl AsFd) -> io::Result<Option<OwnedFd>> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(1))];
    let mut with = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut with, RecvFlags::CMSG_CLOEXEC)?;
    let fds = with.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds),
        _ => None,
    });
    Ok(fds.flatten().next())
}

/// Enters: to be called while the process has one thread, before it opens anything. Returns the exit code.
pub fn enter() -> i32 {
    // A directory that the caller's shell has open would be a way out of the tree.
    sys::close_inherited();
    let Ok(peer) = io::stdin().as_fd().try_clone_to_owned() else { return 70 };
    let done = try_enter(&peer);
    match done {
        Ok(code) => code,
        Err(error) => {
            let _ = tell(&peer, &Message::Impossible(error.to_string()));
            1
        }
    }
}

fn step<T, E: Into<io::Error>>(what: &str, done: Result<T, E>) -> io::Result<T> {
    done.map_err(|error| {
        let error = error.into();
        io::Error::new(error.kind(), format!("{what}: {error}"))
    })
}

fn try_enter(peer: &OwnedFd) -> io::Result<i32> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    step("a keyring", sys::leave_session_keyring())?;
    let terminal = handed(peer)?;
    let mut lines = BufReader::new(File::from(peer.try_clone()?));
    let mut line = String::new();
    lines.read_line(&mut line)?;
    let request: Request = serde_json::from_str(&line)?;
    if request.mode == Mode::Chroot {
        // The steward ends what it has started, and then this.
        set_parent_process_death_signal(None)?;
    }
    if matches!(request.mode, Mode::Namespaces | Mode::Bubblewrap) {
        step("a user namespace", sys::unshare_user())?;
        tell(peer, &Message::Unshared)?;
        line.clear();
        // The caller maps ids, or goes away.
        if lines.read_line(&mut line)? == 0 {
            return Ok(1);
        }
        step("no supplementary groups", rustix::thread::set_thread_groups(&[]))?;
        step("group 0", rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT))?;
        step("user 0", rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT))?;
        set_parent_process_death_signal(Some(Signal::KILL))?;
    }
    if matches!(request.mode, Mode::Root | Mode::Chroot) {
        // Who may not has none that count, or is told by what fails later.
        let _ = rustix::thread::set_thread_groups(&[]);
    }
    if request.mode != Mode::Chroot {
        let private = step("namespaces", sys::unshare_all(request.network));
        private?;
        if !request.network {
            step("loopback interface", sys::loopback_up())?;
        }
        step("host name", rustix::system::sethostname(b"localhost"))?;
    }
    match sys::fork()? {
        None => {
            let served = peer.try_clone().and_then(|peer| serve(&request, peer, terminal));
            if let Err(error) = &served {
                let _ = tell(peer, &Message::Impossible(error.to_string()));
            }
            sys::exit_now(i32::from(served.is_err()));
        }
        Some(steward) => {
            let status = waitpid(Some(steward), WaitOptions::empty())?;
            Ok(status.and_then(|(_, status)| status.exit_status()).unwrap_or(1))
        }
    }
}
