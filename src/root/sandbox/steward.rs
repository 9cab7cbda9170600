//! The first process of a sandbox: does one operation after the other, each in a child.

use super::entrance::{Message, Request, tell};
use super::execute::execute;
use super::mode::Mode;
use super::operation::ENVIRONMENT;
use super::{BINDS, Inputs, Operation, OperationError, Run, mounts};
use crate::root::setup;
use crate::sys;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{MemfdFlags, Mode as FileMode, OFlags, memfd_create, open};
use rustix::process::{
    Pid, PidfdFlags, Resource, Rlimit, Signal, WaitOptions, WaitStatus, kill_process, pidfd_open,
    set_child_subreaper, set_parent_process_death_signal, setrlimit, setsid, umask, wait, waitpid,
};
use rustix::thread::CapabilitySet;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Most bytes of a program's result.
const MOST_CAPTURED: u64 = 64 << 20;
/// Most processes of the caller at once while a program runs: a script that forks forever ends at it.
const MOST_PROCESSES: u64 = 16384;

/// What root may do in the tree: as in a container, without device nodes, raw network and what escapes a bare chroot.
const KEPT: CapabilitySet = CapabilitySet::CHOWN
    .union(CapabilitySet::DAC_OVERRIDE)
    .union(CapabilitySet::DAC_READ_SEARCH)
    .union(CapabilitySet::FOWNER)
    .union(CapabilitySet::FSETID)
    .union(CapabilitySet::KILL)
    .union(CapabilitySet::SETGID)
    .union(CapabilitySet::SETUID)
    .union(CapabilitySet::SETPCAP)
    .union(CapabilitySet::SETFCAP)
    .union(CapabilitySet::NET_BIND_SERVICE)
    .union(CapabilitySet::AUDIT_WRITE);

/// Does all operations of a request; what fails ends it. Everything it has to say goes to `peer`.
pub(super) fn serve(request: &Request, peer: OwnedFd, terminal: Option<OwnedFd>) -> io::Result<()> {
    // In a bare chroot programs would outlive this process: there it ends when its peer goes away, and they before it.
    let signal = (request.mode != Mode::Chroot).then_some(Signal::KILL);
    set_parent_process_death_signal(signal)?;
    umask(FileMode::from_bits_truncate(0o022));
    // Packages are open all at once.
    let files = rustix::process::getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, ..files });
    let inputs = inputs(request)?;
    if request.mode == Mode::Chroot {
        set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    let (tree, made) = mounts::arrange(request)?;
    let steward = Steward { request, inputs, tree, peer, terminal };
    let last = steward.work();
    // Before the last word: who hears it ends this process.
    mounts::clear(&made, &steward.tree);
    tell(&steward.peer, &last?)
}

fn inputs(request: &Request) -> io::Result<Inputs> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let opened = request.inputs.iter().map(|(name, path)| {
        let fd =
            fs_err::File::open(path).map(|_| ()).and_then(|()| Ok(open(path, flags, FileMode::empty())?))?;
        Ok((name.clone(), fd))
    });
    opened.collect()
}

struct Steward<'a> {
    request: &'a Request,
    inputs: Inputs,
    /// The tree, where the root has not changed.
    tree: OwnedFd,
    peer: OwnedFd,
    /// The caller's standard input, for programs that have it.
    terminal: Option<OwnedFd>,
}

impl Steward<'_> {
    /// Does all operations; the message with which it ends is not yet told.
    fn work(&self) -> io::Result<Message> {
        for (index, operation) in self.request.operations.iter().enumerate() {
            tell(&self.peer, &Message::Begin(index))?;
            let done = match operation {
                Operation::Run(run) => self.run(run),
                own => self.own_work(own),
            };
            self.end_others();
            match done {
                Ok(result) => tell(&self.peer, &Message::End(index, result))?,
                Err(error) => return Ok(Message::Failed(index, error)),
            }
        }
        Ok(Message::Finished)
    }

    /// Kills what an operation has left running, and reaps it.
    fn end_others(&self) {
        sys::kill_all_others();
        if self.request.mode == Mode::Chroot {
            kill_descendants();
        }
        while let Ok(Some(_)) = wait(WaitOptions::empty()) {}
    }

    fn own_work(&self, operation: &Operation) -> Result<Vec<u8>, OperationError> {
        let result = memory("result")?;
        let child = match sys::fork()? {
            Some(child) => child,
            None => {
                let done = self.enter_tree().map_err(OperationError::from);
                let done = done.and_then(|()| {
                    let work = std::panic::AssertUnwindSafe(|| execute(operation, &self.inputs));
                    std::panic::catch_unwind(work).unwrap_or_else(|_| {
                        Err(OperationError::Host("this is a bug of diskwright".to_owned()))
                    })
                });
                let written = serde_json::to_vec(&done).map_err(io::Error::from);
                let written = written.and_then(|text| File::from(result).write_all(&text));
                sys::exit_now(i32::from(written.is_err()));
            }
        };
        let status = waited(child, 0, &self.peer)?;
        if status.exit_status() != Some(0) {
            return Err(OperationError::Program(words(status)));
        }
        serde_json::from_slice(&contents(result)?).map_err(io::Error::from)?
    }

    fn run(&self, run: &Run) -> Result<Vec<u8>, OperationError> {
        if run.optional {
            let program = run.command.first().cloned().unwrap_or_default();
            let found = self.own_work(&Operation::Setup(setup::Step::Find { program }))?;
            if found.is_empty() {
                return Ok(found);
            }
        }
        if run.needs_proc && !self.request.proc {
            let message =
                format!("{}: cannot be done without /proc, which this sandbox has not got", run.what);
            let hint = Some("`diskwright doctor` says what would give it one".to_owned());
            return Err(OperationError::Refused { message, hint });
        }
        let (input, output) = (memory("input")?, memory("output")?);
        let mut input = File::from(input);
        input.write_all(run.input.as_bytes())?;
        input.rewind()?;
        let stdin = match (run.terminal, &self.terminal) {
            (true, Some(terminal)) => Stdio::from(terminal.try_clone()?),
            _ => Stdio::from(input),
        };
        let child = match sys::fork()? {
            Some(child) => child,
            None => {
                let error = self.become_program(run, stdin, output.try_clone());
                let program = run.command.first().map_or("", String::as_str);
                let _ = writeln!(io::stderr(), "{program}: {error}");
                sys::exit_now(127);
            }
        };
        let status = waited(child, run.limit, &self.peer)?;
        if status.exit_status() != Some(0) {
            return Err(OperationError::Program(words(status)));
        }
        if run.capture { contents(output).map_err(OperationError::from) } else { Ok(Vec::new()) }
    }

    /// The child's half of a program: returns only when it cannot become it.
    fn become_program(&self, run: &Run, stdin: Stdio, output: io::Result<OwnedFd>) -> io::Error {
        match self.try_become(run, stdin, output) {
            Ok(never) => match never {},
            Err(error) => error,
        }
    }

    #[allow(clippy::disallowed_methods)] // this is the room that runs programs
    fn try_become(
        &self,
        run: &Run,
        stdin: Stdio,
        output: io::Result<OwnedFd>,
    ) -> io::Result<std::convert::Infallible> {
        let empty = || io::Error::new(io::ErrorKind::InvalidInput, "no program");
        let (program, arguments) = run.command.split_first().ok_or_else(empty)?;
        let mut command = match &self.request.bwrap {
            None => {
                self.enter_tree()?;
                let mut command = Command::new(program);
                command.args(arguments);
                command
            }
            Some(bwrap) => {
                let mut command = Command::new(bwrap);
                command.args(mounts::bwrap(self.request)).arg("--").args(&run.command);
                command
            }
        };
        let processes = rustix::process::getrlimit(Resource::Nproc);
        // Where the caller has less already, nobody may give more.
        let most = Some(processes.maximum.map_or(MOST_PROCESSES, |most| most.min(MOST_PROCESSES)));
        let current = processes.current.min(most).or(most);
        setrlimit(Resource::Nproc, Rlimit { current, maximum: most })?;
        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
        // Half of dpkg's time is waiting for disks, and a tree that a crash cut short is made again. Where there can be no
        // filter it waits.
        if !run.terminal {
            let _ = sys::ignore_syncs();
        }
        // bwrap needs what it takes to mount, and drops it itself.
        if self.request.bwrap.is_none() {
            keep_capabilities(self.request.mode)?;
        }
        if !run.terminal {
            let _ = setsid();
        }
        command.env_clear().envs(ENVIRONMENT).envs(&run.environment).stdin(stdin);
        if run.capture {
            command.stdout(output?);
        }
        Err(command.exec())
    }

    /// Makes the tree the root of this process, where it is not yet.
    fn enter_tree(&self) -> io::Result<()> {
        rustix::process::fchdir(&self.tree)?;
        if self.request.mode != Mode::Namespaces && self.request.mode != Mode::Root {
            rustix::process::chroot(".")?;
        }
        Ok(rustix::process::chdir("/")?)
    }
}

/// Where binds are seen.
pub(super) fn bind_path(name: &str) -> String {
    format!("{BINDS}/{name}")
}

fn keep_capabilities(mode: Mode) -> io::Result<()> {
    // In a namespace the root cannot be left; in a bare chroot it can, by another chroot.
    let kept = if mode == Mode::Chroot { KEPT } else { KEPT | CapabilitySet::SYS_CHROOT };
    for capability in CapabilitySet::all().iter() {
        if !kept.contains(capability) {
            match rustix::thread::remove_capability_from_bounding_set(capability) {
                // Younger than this kernel.
                Err(rustix::io::Errno::INVAL) | Ok(()) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

fn memory(name: &str) -> io::Result<OwnedFd> {
    Ok(memfd_create(name, MemfdFlags::CLOEXEC)?)
}

fn contents(file: OwnedFd) -> io::Result<Vec<u8>> {
    let mut file = File::from(file);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(MOST_CAPTURED).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Waits for a child, at most `limit` seconds (0: as long as it takes); it is killed then, or when the peer goes away.
fn waited(child: Pid, limit: u32, peer: &OwnedFd) -> Result<WaitStatus, OperationError> {
    let watched = pidfd_open(child, PidfdFlags::empty())?;
    let time = Timespec { tv_sec: limit.into(), tv_nsec: 0 };
    let time = Some(&time).filter(|_| limit > 0);
    let ready = loop {
        // A closed peer is told unasked.
        let mut fds = [PollFd::new(&watched, PollFlags::IN), PollFd::new(peer, PollFlags::empty())];
        match poll(&mut fds, time) {
            Err(rustix::io::Errno::INTR) => {}
            ready => break ready?,
        }
    };
    // One that has ended already is not there to be killed, but to be reaped.
    let _ = kill_process(child, Signal::KILL);
    let (_, status) = waitpid(Some(child), WaitOptions::empty())?.ok_or(io::ErrorKind::NotFound)?;
    if ready == 0 { Err(OperationError::Limit(limit)) } else { Ok(status) }
}

impl From<io::ErrorKind> for OperationError {
    fn from(kind: io::ErrorKind) -> OperationError {
        io::Error::from(kind).into()
    }
}

fn words(status: WaitStatus) -> String {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended in an unknown way".to_owned(),
    }
}

/// Without a process namespace: kills all descendants, those of dead parents included (this process is their subreaper).
#[allow(clippy::disallowed_methods)] // the order of what is killed makes no difference
fn kill_descendants() {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    // A killed process may have had a child while the list was read: until there is nobody left.
    for _ in 0..1000 {
        let mut children: BTreeMap<i32, Vec<(i32, bool)>> = BTreeMap::new();
        for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let stat = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
            let fields = stat.rsplit_once(") ").map(|(_, rest)| rest.split(' ').collect::<Vec<_>>());
            let parent = fields.as_ref().and_then(|fields| fields.get(1)?.parse::<i32>().ok());
            let dead = fields.is_some_and(|fields| fields.first() == Some(&"Z"));
            if let Some(parent) = parent {
                children.entry(parent).or_default().push((pid, dead));
            }
        }
        let (mut waiting, mut ours) = (vec![own], Vec::new());
        while let Some(parent) = waiting.pop() {
            for (pid, dead) in children.remove(&parent).unwrap_or_default() {
                waiting.push(pid);
                if !dead {
                    ours.push(pid);
                }
            }
        }
        if ours.is_empty() {
            return;
        }
        for pid in ours.into_iter().filter_map(Pid::from_raw) {
            let _ = kill_process(pid, Signal::KILL);
        }
        while let Ok(Some(_)) = wait(WaitOptions::NOHANG) {}
    }
}
