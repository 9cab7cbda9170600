//! Tar archives: POSIX.1-2017 pax ("pax Interchange Format", "ustar Interchange Format"), the GNU format ("GNU tar,
//! Basic Tar Format" and "Storing Sparse Files") and Unix v7.
//!
//! ```text
//! member: [pax header x][GNU long link K][GNU long name L] header [sparse headers] data, padded to 512
//! archive: member, member, ..., two blocks of zeros
//! ```
//!
//! - A plain archive is read in place: contents are ranges of it. A compressed or streamed one is inflated once, as a
//!   stream, into an unlinked spool in the work directory; how large it may get is bounded by that disk alone.
//! - Names never leave the tree: absolute names, `..`, and ways through a symlink are refused with the member's name, and
//!   so are hard links to what is not in the archive before them. The last of several members of one name wins.
//! - Directories that the archive leaves out are 0:0 0755 with the epoch as their time.
//! - Numbers, checksums, sizes and extended headers that contradict themselves are refused with the member's name and the
//!   position of its header. What one member may make us hold is bounded ([`EXTENDED_MAX`], [`SEGMENTS_MAX`]), and so is
//!   what a small but well compressed archive may ([`FILES_MAX`], [`HELD_MAX`]).
//! - Hard links, symlinks, devices and fifos have no data, whatever their size field says (as in GNU tar and Go).
//!
//! Why not the `tar` crate: it has no pax sparse files (formats 0.0, 0.1 and 1.0: the data would be the map and the packed
//! bytes), and hands out a sparse file only as a stream, while we need the positions of its pieces.

mod files;
mod header;
mod inflate;
pub(crate) mod members;
mod pax;
mod place;
mod sparse;

use super::{Options, Survey, SurveyError, Surveyed, named};
use crate::survey::stamp::Stamp;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use files::Archive;
use members::Members;
use place::Placing;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Most bytes of a pax header, and of all global ones together.
const EXTENDED_MAX: u64 = 16 << 20;
/// Most bytes of a name in a GNU header.
const LONG_MAX: u64 = 64 << 10;
/// Most bytes of a path, as in Linux (`PATH_MAX` without its NUL).
const PATH_MAX: usize = 4095;
/// Most pieces of a sparse member.
const SEGMENTS_MAX: usize = 1 << 20;
/// Most files of an archive, with the directories that it leaves out.
const FILES_MAX: usize = 1 << 24;
/// Most bytes of names, targets, attributes and maps of sparse files in an archive.
const HELD_MAX: u64 = 4 << 30;

/// Surveys an archive in a file. What is no regular file (a pipe, a terminal) is read as a stream.
pub(super) fn survey(path: &Path, options: &Options) -> Result<Survey, SurveyError> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let shown = path.display().to_string();
    let open = openat(CWD, path, flags, Mode::empty()).map_err(|error| named(&shown, error))?;
    let stat = fstat(&open).map_err(|error| named(&shown, error))?;
    let mut file = File::from(open);
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return survey_stream(&mut file, &shown, options);
    }
    let archive = Archive { file, shown, stamp: Some(Stamp::of(&stat)), len: stat.st_size.max(0) as u64 };
    match inflate::coding_of(&archive)? {
        None => survey_archive(archive, options),
        Some(_) => survey_stream(&mut &archive.file, &archive.shown, options),
    }
}

/// Surveys an archive, plain or compressed, that comes as a stream.
pub(super) fn survey_stream(
    input: &mut dyn Read,
    name: &str,
    options: &Options,
) -> Result<Survey, SurveyError> {
    survey_archive(inflate::spool(input, name, &options.work_dir)?, options)
}

fn survey_archive(archive: Archive, options: &Options) -> Result<Survey, SurveyError> {
    let mut placing = Placing::new(options);
    let mut members = Members::new(&archive);
    while let Some(member) = members.next()? {
        placing.place(member, &archive)?;
    }
    archive.check()?;
    let (tree, files, notes) = placing.done(archive);
    Ok(Survey { tree, contents: Surveyed::of(files), notes })
}

/// The refusal of a member.
fn refusal(shown: &str, member: &[u8], offset: u64, reason: impl Into<String>) -> SurveyError {
    let member = diskwright_formats::bytes::escaped(member);
    let object = match member.as_str() {
        "" => format!("{shown}: at byte {offset}"),
        member => format!("{shown}: {member}, at byte {offset}"),
    };
    SurveyError::Refused(Refusal::new(RefusalKind::Invalid, Spot::new("tar", object), reason))
}

fn read_error(archive: &Archive, error: io::Error) -> SurveyError {
    // Cut short while it was read: say that.
    archive.check().err().unwrap_or_else(|| SurveyError::Io(named(&archive.shown, error)))
}
