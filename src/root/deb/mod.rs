//! Packages of the apt family: read, unpacked into a tree, written down in the tree's dpkg database.
//!
//! What is done here is what `dpkg --unpack` does with packages that are not there yet, for many packages at once; the
//! tree's own dpkg then configures them. Sources: deb(5), deb-control(5), deb-conffiles(5), deb-triggers(5), dpkg(1),
//! the dpkg database as dpkg 1.21 to 1.23 writes it.
//!
//! ```text
//! .deb ──Deb::open──> control files, position of data.tar
//!                          │ stage: in parallel, a package a thread: decompress, write files with owner, mode and time
//!                          ▼
//!      /var/lib/dpkg/tmp.diskwright/PACKAGE/NUMBER      names of the archive are not used yet
//!                          │ place: one package after the other, in the order that is asked for
//!                          ▼
//!      files under their names, NAME.dpkg-new for conffiles; owners of all paths, triggers
//!                          │ Database::write
//!                          ▼
//!      /var/lib/dpkg/{status,available,info/*,triggers/*}
//! ```
//!
//! - The order of the packages decides, not the threads: two packages that have the same file conflict, unless one
//!   replaces the other; diversions, stat overrides, shared files of `Multi-Arch: same` packages are dpkg's.
//! - Nothing outside the root is touched: every path is resolved inside it (openat2, `RESOLVE_IN_ROOT`), as if it were
//!   the root of the file system. Symlinks to directories in the tree are followed, as dpkg does (`/lib` of a merged
//!   tree); absolute names and `..` in archives are refused. A package's own symlinks are placed after all its files, so
//!   its files never go through them.
//! - Nothing is synced: a tree that was interrupted is made again.
//! - Owners are the numbers in the archive. dpkg prefers the names beside them where the tree knows these; Debian's
//!   archive has only names with fixed numbers.

pub mod archive;
pub mod control;
pub mod database;
pub mod filter;
mod inflate;
mod merge;
mod native;
mod operation;
pub mod order;
mod place;
pub mod root;
mod stage;
pub mod unpack;

pub use archive::Deb;
pub use control::{Control, Stanza};
pub use database::Database;
pub use filter::Filter;
pub use merge::merge_usr;
pub use native::needs_dpkg;
pub use operation::{Left, PACKAGES, Unpack};
pub use order::{Script, essential, preinsts};
pub use root::Root;
pub use unpack::{Options, Unpacked, unpack};

use crate::survey::SurveyError;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use std::fmt;
use std::io;

/// Why packages cannot be unpacked.
#[derive(Debug)]
pub enum DebError {
    /// A package is malformed, or cannot be unpacked into this tree.
    Refused(Refusal),
    /// Something could not be read or written. The text names the file.
    Io(io::Error),
}

impl fmt::Display for DebError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DebError::Refused(refusal) => refusal.fmt(f),
            DebError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for DebError {}

impl From<Refusal> for DebError {
    fn from(refusal: Refusal) -> DebError {
        DebError::Refused(refusal)
    }
}

impl From<SurveyError> for DebError {
    fn from(error: SurveyError) -> DebError {
        match error {
            SurveyError::Refused(refusal) => DebError::Refused(refusal),
            SurveyError::Io(error) => DebError::Io(error),
        }
    }
}

/// A package that is malformed.
fn malformed(package: &str, reason: impl Into<String>) -> DebError {
    DebError::Refused(Refusal::new(RefusalKind::Invalid, Spot::new("deb", package), reason))
}

/// An I/O error with the file that it is about.
fn named(path: impl fmt::Display, error: impl Into<io::Error>) -> DebError {
    let error = error.into();
    DebError::Io(io::Error::new(error.kind(), format!("{path}: {error}")))
}
