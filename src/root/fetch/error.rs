//! Why a file is not there.

use std::fmt;
use std::io;

/// Why a file could not be fetched. Its text names no credentials.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchError {
    /// What to match on.
    pub kind: FetchErrorKind,
    /// The URL without credentials, or the path.
    pub what: String,
    /// Why: lower case, no full stop, values after a colon.
    pub reason: String,
    /// What to change, when that is known.
    pub hint: Option<String>,
}

/// What a [`FetchError`] is about, to match on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// A location that is none, or of a kind that is not fetched, or a redirect that is not followed.
    Refused,
    /// There is no such file (404).
    Missing,
    /// It is not for us (401, 403).
    Denied,
    /// It is not what was wanted: its size or its digest.
    Mismatch,
    /// It is longer than the limit.
    TooLarge,
    /// No connection: the name is unknown, nobody listens, it broke off.
    Connection,
    /// The other side is too slow.
    Timeout,
    /// The other side is not who it should be, or speaks another TLS.
    Tls,
    /// The other side has a fault (500), or speaks neither HTTP nor FTP.
    Server,
    /// The cache cannot be written, or a local file not be read.
    Disk,
    /// Another process has been fetching the same file for too long.
    Locked,
    /// Not in the cache, and no connection may be made.
    Offline,
    /// [`Progress::cancelled`](super::Progress::cancelled) said so.
    Cancelled,
}

/// What to do when a disk is full.
pub(super) const ROOM: &str = "free some space, or choose another cache directory";

impl FetchErrorKind {
    /// Whether it is the host, or the network around it, that lacks something; else what was asked for is wrong.
    pub fn is_environment(self) -> bool {
        use FetchErrorKind::{
            Cancelled, Connection, Denied, Disk, Locked, Mismatch, Missing, Offline, Refused, Server,
            Timeout, Tls, TooLarge,
        };
        match self {
            Connection | Timeout | Tls | Server | Disk | Locked | Offline => true,
            Refused | Missing | Denied | Mismatch | TooLarge | Cancelled => false,
        }
    }

    /// Whether the same may work a moment later.
    pub(super) fn may_pass(self) -> bool {
        matches!(self, FetchErrorKind::Connection | FetchErrorKind::Timeout | FetchErrorKind::Server)
    }
}

impl FetchError {
    /// An error without advice.
    pub fn new(kind: FetchErrorKind, what: impl fmt::Display, reason: impl Into<String>) -> FetchError {
        FetchError { kind, what: what.to_string(), reason: reason.into(), hint: None }
    }

    /// The same error with advice.
    pub fn hint(self, hint: impl Into<String>) -> FetchError {
        FetchError { hint: Some(hint.into()), ..self }
    }

    /// An error of the cache or of a local file.
    pub(super) fn disk(what: impl fmt::Display, error: &io::Error) -> FetchError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        let full = matches!(error.kind(), StorageFull | QuotaExceeded | FileTooLarge);
        let found = FetchError::new(FetchErrorKind::Disk, what, error.to_string());
        if full { found.hint(ROOM) } else { found }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.what.as_str() {
            "" => f.write_str(&self.reason),
            what => write!(f, "{what}: {}", self.reason),
        }
    }
}

impl std::error::Error for FetchError {}
