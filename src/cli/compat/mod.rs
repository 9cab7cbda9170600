//! KIWI's command line: `diskwright system build ...`, and the same when the program is started as `kiwi-ng` or `kiwi`.
//!
//! ```text
//! words -words-> Call -judge-> notes | refusals       each option by its row in the table
//!                  '-tasks-> create, build, results    what diskwright does for it
//! ```
//!
//! An option has the meaning that it has in KIWI, or is accepted and a note says that nothing depends on it, or is refused
//! by name with what to do today. Nothing is ignored in silence.

mod bundle;
mod config;
mod help;
mod resize;
mod results;
pub mod table;
mod tasks;
mod words;

use super::args::{Common, Shape, Writing};
use super::fail::{Code, Failure};
use super::say::{self, Voice};
use super::setting::Setting;
use crate::describe::kiwi::runtime::Runtime;
use clap::{Args, CommandFactory, FromArgMatches, Parser};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use words::{Asked, Call, Own};

pub(super) use help::commands;

/// Names under which the program speaks KIWI's words alone.
const KIWI_NAMES: [&str; 3] = ["kiwi-ng", "kiwi", "kiwi-ng-3"];

/// The words behind the program's name, if they are KIWI's.
pub(super) fn spoken(arguments: &[OsString]) -> Option<&[OsString]> {
    let (program, words) = arguments.split_first()?;
    let name = Path::new(program).file_name().and_then(OsStr::to_str).unwrap_or_default();
    let service = || words::service(words, &own_options());
    let kiwi = KIWI_NAMES.contains(&name);
    let service = kiwi || service().is_some_and(|word| table::SERVICES.iter().any(|(name, _)| word == *name));
    // The probe is a call of ourselves.
    let probe = words.first().is_some_and(|word| word == crate::root::sandbox::ENTRANCE);
    (service && !probe).then_some(words)
}

/// Does what these words ask for.
pub(super) fn run(words: &[OsString]) -> Result<(), Failure> {
    let call = match words::read(words, &own_options())? {
        Asked::Version => {
            let ours = env!("CARGO_PKG_VERSION");
            return say::print(&format!(
                "diskwright {ours}, in the words of KIWI (next generation) {KIWI}\n"
            ));
        }
        Asked::Help(path) => return say::print(&help::text(&path)),
        Asked::Call(call) => call,
    };
    let (call, notes) = match call.rest {
        Some(_) if call.verb.absent.is_none() => tasks::unboxed(call)?,
        _ => (call, vec![]),
    };
    let options = Options::of(&call)?;
    let voice = voice(&call, &options.common)?;
    let done = surrounded(&call, options, notes, voice);
    // Said here, since only this voice knows the log.
    done.map_err(|failure| {
        voice.failure(&failure);
        Failure { message: String::new(), ..failure }
    })
}

/// The version of KIWI whose words these are.
const KIWI: &str = "10.3.9";

fn surrounded(
    call: &Call,
    mut options: Options,
    mut notes: Vec<String>,
    voice: Voice,
) -> Result<(), Failure> {
    notes.extend(words::judge(call)?);
    notes.extend(environment(call, &mut options.common)?);
    if let Some(directory) = call.value("temp-dir") {
        options.common.work_dir.get_or_insert_with(|| PathBuf::from(directory));
    }
    notes.iter().for_each(|note| voice.note(&format!("note: {note}")));
    let mut setting = Setting::new(&options.common)?;
    let runtime = config::load(setting.home.as_deref(), call.value("config").map(Path::new), voice)?;
    setting.obs = runtime.obs_download_url().map(str::to_owned);
    let task = Task { call, options, runtime: &runtime, setting: &setting, voice };
    match (call.verb.service, call.verb.name) {
        ("system", "build") => tasks::build(task),
        ("system", "prepare") => tasks::prepare(&task),
        ("system", "create") => tasks::create(task),
        ("system", "boxbuild") => tasks::list_boxes(&task),
        ("image", "info") => tasks::info(&task),
        ("image", "resize") => resize::resize(&task),
        ("result", "list") => results::list(&task),
        ("result", "bundle") => results::bundle(&task),
        _ => unreachable!("every other command is refused by its row"),
    }
}

/// A command and everything around it.
struct Task<'a> {
    call: &'a Call,
    options: Options,
    runtime: &'a Runtime,
    setting: &'a Setting,
    voice: Voice,
}

/// Options of diskwright itself.
#[derive(Debug, Parser)]
#[command(name = "diskwright", no_binary_name = true, disable_help_flag = true, disable_version_flag = true)]
struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    making: Making,
}

/// Those of commands that make images.
#[derive(Args, Clone, Debug)]
struct Making {
    /// What replaces the description's values.
    #[command(flatten)]
    shape: Shape,
    /// How results are written.
    #[command(flatten)]
    writing: Writing,
    /// The record of the tree's directory [default: TREE.tree, if there is one]
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

impl Options {
    fn of(call: &Call) -> Result<Options, Failure> {
        let matches = Options::command().try_get_matches_from(&call.own);
        matches.and_then(|it| Options::from_arg_matches(&it)).map_err(|error| {
            let text = error.to_string();
            let message = text.lines().next().unwrap_or_default().trim_start_matches("error: ").to_owned();
            Failure::new(Code::Usage, message).hint("all options: diskwright system build --help")
        })
    }
}

fn own_options() -> Vec<Own> {
    let common = Common::augment_args(clap::Command::new("common"));
    let names: Vec<&str> = common.get_arguments().map(|it| it.get_id().as_str()).collect();
    let own = |argument: &clap::Arg| {
        Some(Own {
            long: argument.get_long()?.to_owned(),
            short: argument.get_short(),
            value: argument.get_action().takes_values(),
            making: !names.contains(&argument.get_id().as_str()),
        })
    };
    Options::command().get_arguments().filter_map(own).collect()
}

/// How to talk, as KIWI's options for messages say it.
fn voice(call: &Call, common: &Common) -> Result<Voice, Failure> {
    let level = call.value("loglevel").map(|level| {
        let number = level.to_str().and_then(|level| level.parse::<i64>().ok());
        number.ok_or_else(|| {
            let message = format!("--loglevel is no number: {}", level.display());
            Failure::new(Code::Usage, message).hint("20: everything; 40: errors alone")
        })
    });
    let quiet = common.quiet || level.transpose()?.is_some_and(|level| level >= 40);
    let mut voice = Voice::new(&Common { quiet, ..common.clone() });
    if call.has("color-output") {
        voice = voice.coloured();
    }
    match call.value("logfile") {
        None => Ok(voice),
        Some(name) if name == "stdout" => Ok(voice.aloud()),
        Some(name) => voice.logged(Path::new(name)),
    }
}

/// `--setenv`: the one variable that images depend on is taken, others are noted.
fn environment(call: &Call, common: &mut Common) -> Result<Vec<String>, Failure> {
    let mut others = Vec::new();
    for assignment in call.values("setenv") {
        let text = text(assignment, "setenv")?;
        let wrong = |why: &str| {
            let message = format!("--setenv {text}: {why}");
            Failure::new(Code::Usage, message).hint("--setenv VARIABLE=VALUE")
        };
        let (name, value) = text.split_once('=').ok_or_else(|| wrong("there is no = in it"))?;
        if name != "SOURCE_DATE_EPOCH" {
            others.push(name.to_owned());
            continue;
        }
        let seconds = value.parse().map_err(|_| wrong("not a number of seconds"))?;
        common.epoch.get_or_insert(seconds);
    }
    Ok(match others.is_empty() {
        true => vec![],
        false => vec![format!("--setenv {} without effect: no scripts are run", others.join(", "))],
    })
}

/// The value of an option as text.
fn text(value: &OsStr, long: &str) -> Result<String, Failure> {
    let wrong = || Failure::new(Code::Usage, format!("--{long} is not UTF-8: {}", value.display()));
    value.to_str().map(str::to_owned).ok_or_else(wrong)
}
