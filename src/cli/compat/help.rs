//! Help, completions and man pages of KIWI's words, made from the table.

use super::table::{GLOBAL, Rest, Row, SERVICES, State, VERBS, Verb};
use super::{KIWI, Options};
use clap::builder::StyledStr;
use clap::{Arg, ArgAction, Command, CommandFactory};

/// The services, each with its commands.
pub(in crate::cli) fn commands() -> Vec<Command> {
    SERVICES.iter().map(|(service, about)| self::service(service, about)).collect()
}

fn service(name: &'static str, about: &'static str) -> Command {
    let verbs = VERBS.iter().filter(|verb| verb.service == name).map(verb);
    let command = Command::new(name).about(about).subcommands(verbs).subcommand_required(true);
    command.after_help(format!(
        "As KIWI NG {KIWI} has it. Its global options stand in front of {name} or behind the command."
    ))
}

fn verb(verb: &'static Verb) -> Command {
    let mut command = Command::new(verb.name).about(about(verb));
    if let Some((why, instead)) = verb.absent {
        command = command.long_about(format!("{}.\n\nNot there yet: {why}; {instead}", verb.about));
    }
    let global = GLOBAL.iter().filter(|(_, services)| services.contains(&verb.service));
    for (row, heading) in verb
        .options
        .iter()
        .map(|row| (row, "Options of KIWI"))
        .chain(global.map(|(row, _)| (row, "Global options of KIWI")))
    {
        let required = verb.needs.contains(&row.long) && verb.alone.is_empty();
        command = command.arg(arg(row).required(required).help_heading(heading));
    }
    let making = matches!(verb.name, "build" | "create");
    let own = super::own_options();
    for argument in Options::command().get_arguments() {
        let of_all = own.iter().any(|own| argument.get_long() == Some(&own.long) && !own.making);
        // Those of every command are the whole program's already.
        if making && !of_all {
            command = command.arg(argument.clone().help_heading("Options of diskwright"));
        }
    }
    if verb.rest != Rest::None {
        let rest = Arg::new("kiwi_command_args").last(true).num_args(1..);
        command = command.arg(rest.help("Options of system build").value_name("ARGS"));
    }
    command
}

/// The program under KIWI's name.
fn kiwi() -> Command {
    let command = Command::new("kiwi-ng").about("diskwright in the words of KIWI NG").subcommands(commands());
    let command = command.args(GLOBAL.iter().map(|(row, _)| arg(row).help_heading("Global options of KIWI")));
    command.after_help("Under its own name, diskwright has more commands.")
}

fn about(verb: &Verb) -> String {
    match verb.absent {
        None => verb.about.to_owned(),
        Some(_) => format!("{} (not there yet)", verb.about),
    }
}

fn arg(row: &'static Row) -> Arg {
    let help = match row.state {
        State::Used(what) | State::Command(what) => StyledStr::from(what.to_owned()),
        State::Noted(why) => format!("Without effect: {why}").into(),
        State::Absent { why, .. } => format!("Refused: {why}").into(),
    };
    let arg = Arg::new(row.long).long(row.long).help(help);
    match (row.value, row.repeats) {
        (None, _) => arg.action(ArgAction::SetTrue),
        (Some(value), false) => arg.value_name(value),
        (Some(value), true) => arg.value_name(value).action(ArgAction::Append),
    }
}

/// Help about everything that KIWI has, a service, or a command.
pub(super) fn text(path: &[&str]) -> String {
    let mut command = match path {
        [] => kiwi(),
        _ => crate::cli::command(),
    };
    command.build();
    let mut command = &mut command;
    for name in path {
        command = command.find_subcommand_mut(name).expect("a path of the table");
    }
    command.render_long_help().to_string()
}
