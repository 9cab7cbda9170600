//! Arguments, help, progress, printing. The only room that prints, reads the environment and measures time.

mod args;
mod boot;
mod check;
pub mod compat;
mod create;
mod doctor;
mod explain;
mod fail;
mod info;
mod inspect;
mod mkfs;
mod plan;
mod prepare;
mod reid;
mod run;
mod sandbox;
mod say;
mod scripts;
mod setting;
mod timing;
mod tree;

use crate::emit;
use args::{Cli, Command};
use clap::{CommandFactory, FromArgMatches};
use fail::{Code, Failure};
use say::Voice;
use setting::Setting;
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Runs the program with these arguments (the first is its own name) and says how it ended.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    if let Some(words) = compat::spoken(&arguments) {
        return ended(words.iter().any(|word| word == "--json"), || compat::run(words));
    }
    let cli = match command().try_get_matches_from(&arguments).and_then(|it| Cli::from_arg_matches(&it)) {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { Code::Usage as u8 } else { 0 };
            // A closed pipe is the only way for this to fail.
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    ended(cli.common.json, || dispatch(cli))
}

/// The whole command line, in diskwright's own words and in KIWI's.
fn command() -> clap::Command {
    Cli::command().subcommands(compat::commands())
}

/// Does the work; its failure is said. A panic is a bug: said as one, with the code of one. Whatever was half written is
/// cleaned up while it unwinds.
fn ended(json: bool, work: impl FnOnce() -> Result<(), Failure>) -> ExitCode {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            if !failure.message.is_empty() {
                say::failure(&failure, json);
            }
            ExitCode::from(failure.code as u8)
        }
        Err(_) => {
            let failure = Failure::new(Code::Bug, "this is a bug of diskwright");
            say::failure(&failure.hint("please report it with the command line and the lines above"), json);
            ExitCode::from(Code::Bug as u8)
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let voice = Voice::new(&cli.common);
    // Before any thread is started: the kernel asks for it.
    if let Command::Entrance = cli.command {
        return match crate::root::sandbox::enter() {
            0 => Ok(()),
            _ => Err(Failure::new(Code::Environment, "")),
        };
    }
    if let Command::Bound { command } = &cli.command {
        let error = crate::lab::exec_bound(command);
        return Err(Failure::new(
            Code::Program,
            format!("{}: {error}", crate::lab::quoted(command.iter().map(|it| it.as_os_str()))),
        ));
    }
    let setting = Setting::new(&cli.common)?;
    match cli.command {
        Command::Run(args) => run::run(args, &setting, voice),
        Command::Boot(args) => boot::boot(args, cli.common.json, &setting, voice),
        Command::Create(args) => create::create(args, None, &setting, voice).map(drop),
        Command::Build(args) => create::build(args, None, &setting, voice).map(drop),
        Command::Plan(args) => plan::plan(args, &setting, voice),
        Command::Info(args) => info::info(&args, voice),
        Command::Mkfs(args) => mkfs::mkfs(args, &setting, voice),
        Command::Tree(args) => tree::tree(&args, &setting, voice),
        Command::Inspect(args) => inspect::inspect(&args, voice),
        Command::Check(args) => check::check(&args, voice),
        Command::Prepare(args) => prepare::prepare(args, &setting, voice),
        Command::Fetch(args) => prepare::fetch(args, &setting, voice),
        Command::Enter(args) => sandbox::enter(args, &setting, voice),
        Command::Reid(args) => reid::reid(args, &setting, voice),
        Command::Doctor => doctor::doctor(&setting, voice),
        Command::Explain { code } => explain::explain(code.as_deref()),
        Command::Completions { shell } => completions(shell),
        Command::Man { directory } => man(&directory),
        Command::Entrance | Command::Bound { .. } => Ok(()),
    }
}

/// How files are written, as far as every command does it the same way.
fn emitting(setting: &Setting) -> emit::Options {
    emit::Options { threads: setting.threads, sync: true, overwrite: false }
}

fn completions(shell: clap_complete::Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "diskwright", &mut script);
    say::bytes(&script)
}

fn man(directory: &Path) -> Result<(), Failure> {
    fs_err::create_dir_all(directory)?;
    Ok(clap_mangen::generate_to(command(), directory)?)
}
