//! Why a command ends, what it says then, and its exit code.

use crate::build::BuildError;
use crate::emit::EmitError;
use crate::survey::SurveyError;
use diskwright_formats::fault::{Damage, Refusal};
use std::io;

/// What to do about a full disk.
pub(super) const MORE_SPACE: &str =
    "free some space, or choose another output or cache directory (--cache-dir)";

/// The exit codes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Code {
    /// The description, tree or image is refused.
    Refused = 1,
    /// Wrong usage.
    Usage = 2,
    /// The host lacks something.
    Environment = 3,
    /// A program that was run failed.
    Program = 4,
    /// A bug of ours.
    Bug = 70,
    /// The user (or the system) ended it with a signal.
    Cancelled = 130,
}

/// A command that cannot be done.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// How the program ends.
    pub(super) code: Code,
    /// What is wrong: one line, or a rendered picture of the place in a description.
    pub(super) message: String,
    /// What to change.
    pub(super) hint: Option<String>,
}

impl Failure {
    /// A failure without advice.
    pub(super) fn new(code: Code, message: impl Into<String>) -> Failure {
        Failure { code, message: message.into(), hint: None }
    }

    /// The same failure with advice.
    pub(super) fn hint(self, hint: impl Into<String>) -> Failure {
        Failure { hint: Some(hint.into()), ..self }
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Failure {
        Failure { code: Code::Refused, message: refusal.to_string(), hint: refusal.hint }
    }
}

impl From<Damage> for Failure {
    fn from(damage: Damage) -> Failure {
        Failure::new(Code::Refused, damage.to_string())
    }
}

/// What the host would not do: space, permissions, a device that fails. A file that is not there, or that is not what it
/// says, is the caller's.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        use io::ErrorKind::{
            AlreadyExists, InvalidData, InvalidInput, IsADirectory, NotADirectory, NotFound, QuotaExceeded,
            StorageFull,
        };
        let code = match error.kind() {
            NotFound | AlreadyExists | IsADirectory | NotADirectory | InvalidInput | InvalidData => {
                Code::Refused
            }
            _ => Code::Environment,
        };
        let failure = Failure::new(code, error.to_string());
        match error.kind() {
            StorageFull | QuotaExceeded => failure.hint(MORE_SPACE),
            _ => failure,
        }
    }
}

impl From<SurveyError> for Failure {
    fn from(error: SurveyError) -> Failure {
        match error {
            SurveyError::Refused(refusal) => refusal.into(),
            SurveyError::Io(error) => error.into(),
        }
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Failure {
        match error {
            BuildError::Refused(refusal) => refusal.into(),
            BuildError::Emit(error) => error.into(),
        }
    }
}

impl From<EmitError> for Failure {
    fn from(error: EmitError) -> Failure {
        match error {
            EmitError::Refused(refusal) => refusal.into(),
            EmitError::Cancelled => Failure::new(Code::Cancelled, "cancelled: nothing was written"),
            EmitError::Content(error) => Failure::new(Code::Refused, error.to_string()),
            EmitError::Io(error) => error.into(),
            EmitError::Space { path, needed, available } => {
                let message = format!("{}: {needed} bytes are needed, {available} are free", path.display());
                Failure::new(Code::Environment, message)
                    .hint("free some space, or choose another output directory")
            }
        }
    }
}
