//! What is done to a tree, described before it is done.

use crate::root::{deb, setup, tree};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::Refusal;
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// A program runs in the tree.
    Run(Run),
    /// Packages are unpacked.
    Unpack(deb::Unpack),
    /// The tree's files are changed.
    Setup(setup::Step),
    /// The tree is given to the caller, or taken back.
    Tree(tree::Step),
}

/// A program that runs in the tree as its root.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Run {
    /// For people: `config.sh`, `configure packages`.
    pub what: String,
    /// The program, by its path or a name below `/usr/bin`, and its arguments.
    pub command: Vec<String>,
    /// Its environment, on top of [`ENVIRONMENT`].
    pub environment: BTreeMap<String, String>,
    /// What it reads from standard input.
    pub input: String,
    /// Whether its standard output is the step's result, and not part of the log.
    pub capture: bool,
    /// Whether it cannot work without `/proc`.
    pub needs_proc: bool,
    /// Whether it has the caller's terminal.
    pub terminal: bool,
    /// Whether it is passed over where the tree has no such program.
    #[serde(default)]
    pub optional: bool,
    /// Seconds until it is killed; 0: never.
    pub limit: u32,
}

/// The environment of every program: nothing of the caller's.
pub(super) const ENVIRONMENT: [(&str, &str); 6] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("HOME", "/root"),
    ("LANG", "C.UTF-8"),
    ("LC_ALL", "C.UTF-8"),
    ("TZ", "UTC"),
    ("TERM", "dumb"),
];

/// Directories of the host that were opened before the root changed, by name.
pub type Inputs = BTreeMap<String, OwnedFd>;

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OperationError {
    /// The program ended so: `exit status 1`, `killed by signal 9`.
    Program(String),
    /// It was killed after this many seconds.
    Limit(u32),
    /// What the user must change.
    Refused {
        /// What is wrong.
        message: String,
        /// What to change.
        hint: Option<String>,
    },
    /// The host would not do it.
    Host(String),
}

impl From<Refusal> for OperationError {
    fn from(refusal: Refusal) -> OperationError {
        OperationError::Refused { message: refusal.to_string(), hint: refusal.hint }
    }
}

impl From<io::Error> for OperationError {
    fn from(error: io::Error) -> OperationError {
        OperationError::Host(error.to_string())
    }
}

impl From<rustix::io::Errno> for OperationError {
    fn from(error: rustix::io::Errno) -> OperationError {
        io::Error::from(error).into()
    }
}

impl Operation {
    /// One line that says what is done; of a program, what a person would type.
    pub fn describe(&self) -> String {
        match self {
            Operation::Run(run) => run.describe(),
            Operation::Unpack(unpack) => unpack.describe(),
            Operation::Setup(step) => step.describe(),
            Operation::Tree(step) => step.describe(),
        }
    }
}

impl Run {
    /// A program with its arguments.
    pub fn new<T: Into<String>>(what: &str, command: impl IntoIterator<Item = T>) -> Run {
        let command = command.into_iter().map(Into::into).collect();
        Run { what: what.to_owned(), command, limit: 3600, ..Run::default() }
    }

    fn describe(&self) -> String {
        let environment = self.environment.iter().map(|(name, value)| format!("{name}={}", quoted(value)));
        let words = environment.chain([self.command_line()]).collect::<Vec<_>>().join(" ");
        if self.optional { format!("{words} (if the tree has it)") } else { words }
    }

    /// What a person would type, without the environment.
    pub fn command_line(&self) -> String {
        self.command.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
    }
}

/// A word of a shell's command line.
fn quoted(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,+@%^~".contains(&byte);
    match !word.is_empty() && word.bytes().all(plain) {
        true => word.to_owned(),
        false if word.bytes().all(|byte| byte >= b' ') => format!("'{}'", word.replace('\'', "'\\''")),
        false => format!("$'{}'", escaped(word.as_bytes()).replace('\'', "\\'")),
    }
}
