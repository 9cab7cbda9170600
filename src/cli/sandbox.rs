//! The sandbox as commands use it: found, and its failures told; `diskwright enter`.

use super::fail::{Code, Failure, MORE_SPACE};
use super::say::Voice;
use super::setting::Setting;
use super::tree::dated;
use crate::root::sandbox::{
    Found, Host, Log, Mode, Operation, OperationError, Run, Sandbox, SandboxError, Session,
};
use crate::root::tree;
use crate::survey::Origin;
use clap::{Args, ValueEnum};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// How sandboxes are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum How {
    /// User, mount, process, network namespaces and newuidmap
    Namespaces,
    /// The same, with bwrap for the programs
    Bwrap,
    /// Real root, with namespaces
    Root,
    /// Real root without namespaces (in a container)
    Chroot,
}

impl How {
    fn mode(self) -> Mode {
        match self {
            How::Namespaces => Mode::Namespaces,
            How::Bwrap => Mode::Bubblewrap,
            How::Root => Mode::Root,
            How::Chroot => Mode::Chroot,
        }
    }
}

/// Options of every command that needs a sandbox.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Sandbox")]
pub(super) struct Sandboxed {
    /// How sandboxes are made [default: the first that works]
    #[arg(long, value_name = "HOW", value_enum)]
    pub(super) sandbox: Option<How>,
}

/// `diskwright enter`
#[derive(Args, Debug)]
pub(super) struct Enter {
    /// The prepared tree: a directory with its record beside it
    pub(super) directory: PathBuf,
    /// A program of the tree and its arguments [default: its shell]
    #[arg(last = true)]
    pub(super) command: Vec<String>,
    /// The host's network is there
    #[arg(long)]
    pub(super) network: bool,
    #[command(flatten)]
    pub(super) sandboxed: Sandboxed,
}

/// Tries what this host has.
pub(super) fn tried(
    sandboxed: &Sandboxed,
    setting: &Setting,
    cancel: Arc<AtomicBool>,
) -> Result<Found, Failure> {
    let scratch = setting.cache_dir.join("scratch");
    fs_err::create_dir_all(&scratch)?;
    #[allow(clippy::disallowed_methods)] // this program itself, to be called as a sandbox's entrance
    let program = std::env::current_exe()?;
    let asked = sandboxed.sandbox.map(How::mode);
    Ok(Sandbox::find(&Host { program: &program, path: &setting.path, scratch: &scratch, asked, cancel })?)
}

/// A sandbox, or why there is none and what would mend it.
pub(super) fn found(
    sandboxed: &Sandboxed,
    setting: &Setting,
    cancel: Arc<AtomicBool>,
) -> Result<Sandbox, Failure> {
    let Found { sandbox, tried } = tried(sandboxed, setting, cancel)?;
    sandbox.ok_or_else(|| {
        let reasons: Vec<String> = tried.iter().map(|one| format!("{}: {}", one.mode, one.reason)).collect();
        let hint = tried.first().map_or("", |one| one.mend.as_str());
        Failure::new(Code::Environment, format!("no sandbox can be made here: {}", reasons.join("; ")))
            .hint(format!("{hint} (`diskwright doctor` says more)"))
    })
}

/// In the text of an error: `ENOSPC`.
const FULL: &str = "(os error 28)";

/// What a sandbox's error means for a command; `enter` is the tree that a user may look into.
pub(super) fn failure(error: SandboxError, enter: Option<&Path>) -> Failure {
    let message = error.to_string();
    match error {
        SandboxError::Cancelled => Failure::new(Code::Cancelled, message),
        SandboxError::Impossible(_) => {
            Failure::new(Code::Environment, message).hint("see `diskwright doctor`")
        }
        SandboxError::Io(error) => error.into(),
        SandboxError::Failed { error, tail, log, .. } => {
            let (code, hint) = match error {
                OperationError::Program(_) | OperationError::Limit(_) => (Code::Program, None),
                OperationError::Refused { hint, .. } => (Code::Refused, hint),
                // The message is all that comes out of the sandbox.
                OperationError::Host(text) if text.contains(FULL) => {
                    (Code::Environment, Some(MORE_SPACE.to_owned()))
                }
                OperationError::Host(_) => (Code::Environment, None),
            };
            // Otherwise the last lines are those of a program that did not fail.
            let shown = code == Code::Program && !tail.is_empty();
            let tail = if shown { format!("\n{tail}\n") } else { String::new() };
            let log = log.map(|log| format!("the whole log: {}", log.display()));
            let look = enter.map(|tree| format!("look into the tree: diskwright enter {}", tree.display()));
            let hints: Vec<String> = [hint, log, look].into_iter().flatten().collect();
            let failure = Failure::new(code, message + &tail);
            if hints.is_empty() { failure } else { failure.hint(hints.join("; ")) }
        }
    }
}

/// A program in a prepared tree; afterwards the tree is prepared again, with what was changed.
pub(super) fn enter(args: Enter, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let Enter { directory, command, network, sandboxed } = args;
    let directory = fs_err::canonicalize(&directory)?;
    let place = tree::Place::of(&directory).ok_or_else(|| {
        let message = format!("{}: is not the name of a directory", directory.display());
        Failure::new(Code::Usage, message)
    })?;
    if !place.record_path().is_file() {
        let message = format!("{}: no record {} beside it", directory.display(), place.record);
        return Err(
            Failure::new(Code::Refused, message).hint("`diskwright prepare` makes a tree with its record")
        );
    }
    let origin = Origin::Directory { path: directory.clone(), record: Some(place.record_path()) };
    let setting = &dated(setting, &origin)?;
    let sandbox = found(&sandboxed, setting, Arc::default())?;
    let program = if command.is_empty() { vec!["/bin/sh".to_owned(), "-i".to_owned()] } else { command };
    let run = Run { terminal: true, limit: 0, ..Run::new("the program", program) };
    let log = Log::default();
    let told = |error| failure(error, None);
    sandbox.run(&place.take(), &log, &mut |_| {}).map_err(told)?;
    let session = Session {
        tree: directory.clone(),
        network,
        terminal: true,
        operations: vec![Operation::Run(run)],
        ..Session::default()
    };
    let done = sandbox.run(&session, &log, &mut |_| {});
    sandbox.run(&place.give(setting.epoch_or_default()), &log, &mut |_| {}).map_err(told)?;
    match done {
        Ok(_) => Ok(()),
        Err(error) => {
            voice.note("the tree is prepared again");
            Err(told(error))
        }
    }
}
