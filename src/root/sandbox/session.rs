//! The caller's half of a sandbox: starts it, maps its ids, hears what it says, keeps its log.

use super::entrance::{ENTRANCE, Message, Request, hand};
use super::mode::Mode;
use super::{Bind, Ids, Operation, OperationError, Sandbox};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::AsFd;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

/// Bytes of a log's end that a message shows.
const TAIL: usize = 4096;
/// Most bytes of a log; what comes behind is read and dropped.
const MOST_LOGGED: u64 = 64 << 20;

/// What is to be done in a tree.
#[derive(Clone, Debug, Default)]
pub struct Session {
    /// The tree's directory.
    pub tree: PathBuf,
    /// Directories that programs see.
    pub binds: Vec<Bind>,
    /// Directories that our own work reads and writes, by name.
    pub inputs: Vec<(String, PathBuf)>,
    /// Whether the host's network is there.
    pub network: bool,
    /// Whether programs have the caller's terminal, and no log is kept.
    pub terminal: bool,
    /// Whether nothing is mounted: for our own work on the tree as it lies on the disk.
    pub bare: bool,
    /// In order.
    pub operations: Vec<Operation>,
}

/// Where the output of programs goes: a file, and the last lines in memory. Clones are the same log.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    file: Option<(PathBuf, std::fs::File)>,
    written: u64,
    tail: VecDeque<u8>,
}

impl Log {
    /// A log that is kept in a file.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn create(path: PathBuf) -> io::Result<Log> {
        let file = fs_err::File::create(&path)?.into_parts().0;
        Ok(Log(Arc::new(Mutex::new(Kept { file: Some((path, file)), ..Kept::default() }))))
    }

    /// Its file.
    pub fn path(&self) -> Option<PathBuf> {
        self.lock().file.as_ref().map(|(path, _)| path.clone())
    }

    /// Its last lines.
    pub fn tail(&self) -> String {
        let kept = self.lock();
        let bytes: Vec<u8> = kept.tail.iter().copied().collect();
        drop(kept);
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// Adds a line of our own.
    pub fn line(&self, text: &str) {
        self.add(format!("{text}\n").as_bytes());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, bytes: &[u8]) {
        let mut kept = self.lock();
        let Kept { file, written, tail } = &mut *kept;
        let room = MOST_LOGGED.saturating_sub(*written).min(bytes.len() as u64);
        if let Some((_, file)) = file.as_mut().filter(|_| room > 0) {
            // A log that cannot be written (a full disk) must not stop the work; the work will tell.
            let _ = file.write_all(&bytes[..usize::try_from(room).unwrap_or(0)]);
            *written += room;
            if *written == MOST_LOGGED {
                let _ = file.write_all(b"\n[the rest is left out]\n");
            }
        }
        tail.extend(bytes);
        let over = tail.len().saturating_sub(TAIL);
        tail.drain(..over);
    }
}

/// Why a sandbox did not do what was asked.
#[derive(Debug)]
pub enum SandboxError {
    /// It cannot be made on this host.
    Impossible(String),
    /// An operation failed.
    Failed {
        /// What was done.
        what: String,
        /// How it failed.
        error: OperationError,
        /// The last lines that programs printed.
        tail: String,
        /// The whole log.
        log: Option<PathBuf>,
    },
    /// The user ended it.
    Cancelled,
    /// The host would not do it.
    Io(io::Error),
}

impl fmt::Display for SandboxError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SandboxError::Impossible(reason) => write!(f, "no sandbox: {reason}"),
            SandboxError::Cancelled => f.write_str("cancelled"),
            SandboxError::Io(error) => error.fmt(f),
            SandboxError::Failed { what, error, .. } => match error {
                OperationError::Program(status) => write!(f, "{what}: {status}"),
                OperationError::Limit(seconds) => {
                    write!(f, "{what}: not done after {seconds} seconds, and killed")
                }
                OperationError::Refused { message, .. } => f.write_str(message),
                OperationError::Host(message) => write!(f, "{what}: {message}"),
            },
        }
    }
}

impl std::error::Error for SandboxError {}

impl From<io::Error> for SandboxError {
    fn from(error: io::Error) -> SandboxError {
        SandboxError::Io(error)
    }
}

impl Sandbox {
    /// Does all operations of a session and returns their results. `begun` hears of each when it begins.
    ///
    /// # Errors
    /// The first that failed; what came before it is done.
    pub fn run(
        &self,
        session: &Session,
        log: &Log,
        begun: &mut dyn FnMut(&Operation),
    ) -> Result<Vec<Vec<u8>>, SandboxError> {
        if self.cancel.load(Ordering::Relaxed) {
            return Err(SandboxError::Cancelled);
        }
        let (ours, theirs) = UnixStream::pair()?;
        let mut child = self.entrance(session, theirs)?;
        let reader = child.stdout.take().map(|output| follow(output, log.clone()));
        let heard = self.hear(session, ours, &mut child, log, begun);
        // Whatever is still there: the steward dies with the entrance, and all with the steward. In a bare chroot it ends
        // by itself: its peer is gone.
        if self.mode != Mode::Chroot {
            let _ = child.kill();
        }
        let _ = child.wait();
        if let Some(reader) = reader {
            let _ = reader.join();
        }
        match heard {
            Err(SandboxError::Failed { what, error, .. }) => {
                Err(SandboxError::Failed { what, error, tail: log.tail(), log: log.path() })
            }
            heard => heard,
        }
    }

    #[allow(clippy::disallowed_methods)] // this is the room that runs programs
    fn entrance(&self, session: &Session, socket: UnixStream) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        // Its path is the host's: programs of the tree see the name.
        command.arg0("diskwright").arg(ENTRANCE).stdin(Stdio::from(rustix::fd::OwnedFd::from(socket)));
        if !session.terminal {
            // One pipe for both, so that lines keep their order.
            let (reader, writer) = io::pipe()?;
            command.stdout(writer.try_clone()?).stderr(writer).process_group(0);
            let mut child = command.spawn()?;
            drop(command);
            child.stdout = Some(std::process::ChildStdout::from(rustix::fd::OwnedFd::from(reader)));
            return Ok(child);
        }
        command.spawn()
    }

    fn request(&self, session: &Session) -> Request {
        let absolute = |path: &PathBuf| fs_err::canonicalize(path).unwrap_or_else(|_| path.clone());
        Request {
            mode: self.mode,
            tree: absolute(&session.tree),
            binds: session
                .binds
                .iter()
                .map(|bind| Bind { from: absolute(&bind.from), ..bind.clone() })
                .collect(),
            inputs: session.inputs.iter().map(|(name, path)| (name.clone(), absolute(path))).collect(),
            network: session.network,
            proc: self.proc && !session.bare,
            bare: session.bare,
            bwrap: self.bwrap.clone().filter(|_| self.mode == Mode::Bubblewrap),
            resolv_conf: session.network.then(|| PathBuf::from("/etc/resolv.conf")),
            operations: session.operations.clone(),
        }
    }

    fn hear(
        &self,
        session: &Session,
        socket: UnixStream,
        child: &mut Child,
        log: &Log,
        begun: &mut dyn FnMut(&Operation),
    ) -> Result<Vec<Vec<u8>>, SandboxError> {
        let mut lines = Lines { socket, waiting: Vec::new() };
        let terminal = io::stdin();
        hand(&lines.socket, session.terminal.then(|| terminal.as_fd()))?;
        lines.say(&self.request(session))?;
        let mut results = Vec::new();
        let mut since = now();
        loop {
            let Some(line) = lines.next(&self.cancel)? else {
                let _ = child.kill();
                let status = child.wait()?;
                return Err(SandboxError::Impossible(format!("it ended by itself, {status}")));
            };
            let message: Message = serde_json::from_slice(&line).map_err(io::Error::from)?;
            let what = |index: usize| session.operations.get(index).map_or_else(String::new, name);
            match message {
                Message::Unshared => {
                    self.map_ids(child.id())?;
                    lines.socket.write_all(b"mapped\n")?;
                }
                Message::Begin(index) => {
                    since = now();
                    if let Some(operation) = session.operations.get(index) {
                        log.line(&format!("+ {}", operation.describe()));
                        begun(operation);
                    }
                }
                Message::End(_, result) => {
                    log.line(&format!("= {:.2} s", since.elapsed().as_secs_f32()));
                    results.push(result);
                }
                Message::Failed(index, error) => {
                    let (tail, log) = (String::new(), None);
                    return Err(SandboxError::Failed { what: what(index), error, tail, log });
                }
                Message::Impossible(reason) => return Err(SandboxError::Impossible(reason)),
                Message::Finished => return Ok(results),
            }
        }
    }

    fn map_ids(&self, pid: u32) -> Result<(), SandboxError> {
        let missing = || SandboxError::Impossible("no ids to map".to_owned());
        let Ids { newuidmap, newgidmap, uid, gid, users, groups } = self.ids.as_ref().ok_or_else(missing)?;
        for (program, own, range) in [(newuidmap, uid, users), (newgidmap, gid, groups)] {
            let words = [pid, 0, *own, 1, 1, range.0, range.1].map(|number| number.to_string());
            #[allow(clippy::disallowed_methods)] // this is the room that runs programs
            let output = Command::new(program).args(words).stdin(Stdio::null()).output()?;
            if !output.status.success() {
                let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
                return Err(SandboxError::Impossible(said));
            }
        }
        Ok(())
    }
}

#[allow(clippy::disallowed_methods)] // how long something takes, for the log; no image hears of it
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// What an operation is called in messages.
fn name(operation: &Operation) -> String {
    match operation {
        Operation::Run(run) => run.what.clone(),
        Operation::Unpack(unpack) => format!("unpack {} packages", unpack.packages.len()),
        other => other.describe(),
    }
}

/// Reads a log to its end in a thread of its own.
fn follow(mut output: impl Read + Send + 'static, log: Log) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        let mut buffer = [0; 16384];
        while let Ok(len @ 1..) = output.read(&mut buffer) {
            log.add(&buffer[..len]);
        }
    })
}

/// Lines of a socket, waited for while nobody cancels.
struct Lines {
    socket: UnixStream,
    waiting: Vec<u8>,
}

impl Lines {
    fn say(&mut self, request: &Request) -> io::Result<()> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.socket.write_all(&line)
    }

    fn next(&mut self, cancel: &std::sync::atomic::AtomicBool) -> Result<Option<Vec<u8>>, SandboxError> {
        let mut buffer = [0; 65536];
        loop {
            if let Some(end) = self.waiting.iter().position(|&byte| byte == b'\n') {
                let rest = self.waiting.split_off(end + 1);
                return Ok(Some(std::mem::replace(&mut self.waiting, rest)));
            }
            if cancel.load(Ordering::Relaxed) {
                return Err(SandboxError::Cancelled);
            }
            let time = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
            let fd = self.socket.as_fd();
            match poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&time)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => continue,
                Ok(_) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => return Ok(None),
                Ok(len) => self.waiting.extend(&buffer[..len]),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
