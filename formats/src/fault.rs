//! The two families of errors: what cannot be written and what cannot be trusted when read.

use std::fmt;

/// Where in an image or a tree something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The format's name as in the registry: `ext4`, `gpt`, `qcow2`, `tree`.
    pub format: &'static str,
    /// The structure or path: `group 3/inode bitmap`, `/usr/bin/env`. May be empty.
    pub object: String,
}

impl Spot {
    /// A place in a format.
    pub fn new(format: &'static str, object: impl Into<String>) -> Spot {
        Spot { format, object: object.into() }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.object.as_str() {
            "" => f.write_str(self.format),
            object => write!(f, "{}: {object}", self.format),
        }
    }
}

/// What a [`Refusal`] is about, to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The tree or layout does not fit; the size in bytes that would do, where it is known.
    TooSmall {
        /// Bytes.
        needed: Option<u64>,
    },
    /// A limit of the format: a file, a name, a table that is too large for it.
    Limit,
    /// A kind of object that the format cannot hold (a symlink on FAT).
    Kind,
    /// A value that is not allowed: an option, a duplicate name, an overlap.
    Invalid,
    /// Something asked for that does not exist.
    Missing,
    /// Known, and not implemented (yet).
    Unsupported,
}

/// This tree or disk cannot be expressed: writing is refused before a byte is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What to match on.
    pub kind: RefusalKind,
    /// The object that is refused.
    pub spot: Spot,
    /// Why: lower case, no full stop, values after a colon.
    pub reason: String,
    /// What to change, when that is known.
    pub hint: Option<String>,
}

impl Refusal {
    /// A refusal without a hint.
    pub fn new(kind: RefusalKind, spot: Spot, reason: impl Into<String>) -> Refusal {
        Refusal { kind, spot, reason: reason.into(), hint: None }
    }

    /// The same refusal with advice.
    pub fn hint(self, hint: impl Into<String>) -> Refusal {
        Refusal { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.spot, self.reason)
    }
}

impl std::error::Error for Refusal {}

/// What a [`Damage`] is about, to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DamageKind {
    /// A stored checksum does not match.
    Checksum,
    /// A field has a value that the format does not allow.
    Value,
    /// Two structures that must agree do not: a backup, a bitmap, a count.
    Mismatch,
    /// The image ends before the structure does.
    Truncated,
    /// A valid image of a kind that this reader does not know.
    Unsupported,
    /// The bytes could not be read.
    Io,
}

/// An image contradicts its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// What to match on.
    pub kind: DamageKind,
    /// The structure.
    pub spot: Spot,
    /// Byte position in what was opened.
    pub offset: u64,
    /// What should be there.
    pub expected: String,
    /// What is there.
    pub found: String,
}

impl Damage {
    /// A damage report; `expected` and `found` in the words of the format.
    pub fn new(
        kind: DamageKind,
        spot: Spot,
        offset: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> Damage {
        Damage { kind, spot, offset, expected: expected.into(), found: found.into() }
    }

    /// The same damage seen from an outer container in which the damaged object starts at `start` bytes.
    pub fn shifted(self, start: u64) -> Damage {
        Damage { offset: self.offset.saturating_add(start), ..self }
    }
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Damage { spot, offset, expected, found, .. } = self;
        write!(f, "{spot}: at byte {offset}: expected {expected}, found {found}")
    }
}

impl std::error::Error for Damage {}

/// Why the identity of an image cannot be changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReidError {
    /// It cannot be read, or not be trusted.
    Damage(Damage),
    /// It is sound, and must keep its identity as it is.
    Refusal(Refusal),
}

impl From<Damage> for ReidError {
    fn from(damage: Damage) -> ReidError {
        ReidError::Damage(damage)
    }
}

impl From<Refusal> for ReidError {
    fn from(refusal: Refusal) -> ReidError {
        ReidError::Refusal(refusal)
    }
}

impl fmt::Display for ReidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReidError::Damage(damage) => damage.fmt(f),
            ReidError::Refusal(refusal) => refusal.fmt(f),
        }
    }
}

impl std::error::Error for ReidError {}
