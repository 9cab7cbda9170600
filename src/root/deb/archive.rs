//! The file of a package: an ar archive (deb(5), ar(5)).
//!
//! ```text
//! "!<arch>\n"
//! header of 60 bytes: name 16, time 12, uid 6, gid 6, mode 8, size 10, "`\n"; data; "\n" where the size is odd
//! debian-binary     "2.0\n", any 2.x
//! control.tar[.gz|.xz|.zst]
//! data.tar[.gz|.xz|.zst]
//! ```
//!
//! Members whose name starts with `_` are passed over, all others before `data.tar` are refused, as deb(5) wants it;
//! what follows `data.tar` is not looked at.

use super::control::Control;
use super::inflate::{Coding, Stream};
use super::stage::normal_path;
use super::{DebError, malformed, named};
use crate::survey::tar::members::{MemberKind, Members, Source};
use diskwright_formats::bytes::escaped;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::FileExt;

const MAGIC: &[u8; 8] = b"!<arch>\n";
const HEADER: u64 = 60;
/// Bytes copied at once.
const PIECE: usize = 256 << 10;
/// Most bytes of `debian-binary`.
const VERSION_MAX: u64 = 1 << 10;

/// An open package: its control files are read, its data is not.
#[derive(Debug)]
pub struct Deb {
    /// The name of the file, for messages.
    pub shown: String,
    /// Bytes of the file.
    pub size: u64,
    /// What it says of itself.
    pub control: Control,
    file: File,
    data: Member,
}

/// A member of the archive.
#[derive(Clone, Debug)]
struct Member {
    name: String,
    at: u64,
    size: u64,
}

impl Deb {
    /// Opens a package; `shown` is for messages. The file is read by position: its cursor does not matter.
    ///
    /// # Errors
    /// A file that is not a package of format 2.x, with the position of what is wrong; control files that are missing,
    /// malformed or too large.
    pub fn open(file: File, shown: &str) -> Result<Deb, DebError> {
        let size = file.metadata().map_err(|error| named(shown, error))?.len();
        let ar = Ar { file: &file, shown, size };
        ar.magic()?;
        let version = ar.member(MAGIC.len() as u64)?;
        ar.check_version(&version)?;
        let control = ar.after(&version, "control.tar")?;
        let data = ar.after(&control, "data.tar")?;
        let control = Control::read(&ar.stream(&control, "control.tar")?, shown)?;
        Ok(Deb { shown: shown.to_owned(), size, control, data, file })
    }

    /// The paths in the package, in the order of its archive: `/.`, `/usr`, `/usr/bin`. All data is read.
    ///
    /// # Errors
    /// An archive that is malformed, with a name that leads out of it or that is too long.
    pub fn paths(&self) -> Result<Vec<Vec<u8>>, DebError> {
        let stream = self.data()?;
        let mut members = Members::new(&stream);
        let mut paths = Vec::new();
        while let Some(member) = members.next()? {
            let reason =
                |reason| malformed(&self.shown, format!("data.tar: {}: {reason}", escaped(&member.path)));
            paths.push(normal_path(&member.path).map_err(reason)?);
        }
        Ok(paths)
    }

    /// Copies the first of these regular files that the package has; the number of its path in the list. All data is read.
    ///
    /// # Errors
    /// An archive that is malformed; one of the paths that is no regular file; what cannot be written.
    pub fn copy_file(&self, paths: &[&str], into: &mut dyn Write) -> Result<Option<usize>, DebError> {
        let stream = self.data()?;
        let mut members = Members::new(&stream);
        while let Some(member) = members.next()? {
            let path = normal_path(&member.path).unwrap_or_default();
            let Some(index) = paths.iter().position(|wanted| wanted.as_bytes() == path) else { continue };
            let MemberKind::File { at, stored, map: None } = member.kind else {
                return Err(malformed(&self.shown, format!("data.tar: {} is no regular file", paths[index])));
            };
            let mut buffer = vec![0; PIECE];
            let mut position = at;
            while position < at + stored {
                let len = (at + stored - position).min(PIECE as u64) as usize;
                stream.read(position, &mut buffer[..len])?;
                into.write_all(&buffer[..len]).map_err(|error| named(paths[index], error))?;
                position += len as u64;
            }
            return Ok(Some(index));
        }
        Ok(None)
    }

    /// The decompressed `data.tar`.
    pub(super) fn data(&self) -> Result<Stream<'_>, DebError> {
        let ar = Ar { file: &self.file, shown: &self.shown, size: self.size };
        ar.stream(&self.data, "data.tar")
    }
}

struct Ar<'a> {
    file: &'a File,
    shown: &'a str,
    size: u64,
}

impl<'a> Ar<'a> {
    fn read(&self, at: u64, bytes: &mut [u8]) -> Result<(), DebError> {
        self.file.read_exact_at(bytes, at).map_err(|error| named(self.shown, error))
    }

    fn refused(&self, at: u64, reason: &str) -> DebError {
        malformed(self.shown, format!("at byte {at}: {reason}"))
    }

    fn magic(&self) -> Result<(), DebError> {
        let mut magic = [0; MAGIC.len()];
        if self.size >= MAGIC.len() as u64 {
            self.read(0, &mut magic)?;
        }
        match &magic == MAGIC {
            true => Ok(()),
            false => Err(self.refused(0, "not a Debian package: it is no ar archive")),
        }
    }

    /// The member whose header is at a position.
    fn member(&self, at: u64) -> Result<Member, DebError> {
        let start = at.checked_add(HEADER).filter(|&start| start <= self.size);
        let start = start.ok_or_else(|| self.refused(at, "the package is cut short"))?;
        let mut header = [0; HEADER as usize];
        self.read(at, &mut header)?;
        if header[58..] != *b"`\n" {
            return Err(self.refused(at, "no header of an ar member"));
        }
        let text = |range: std::ops::Range<usize>| header[range].trim_ascii_end();
        let name = text(0..16);
        // GNU's way to end a name; dpkg takes both.
        let name = name.strip_suffix(b"/").unwrap_or(name);
        let name = str::from_utf8(name).ok().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| self.refused(at, "a member with a bad name"))?;
        let digits = text(48..58);
        let size = str::from_utf8(digits).ok().filter(|_| digits.iter().all(u8::is_ascii_digit));
        let size: Option<u64> = size.and_then(|size| size.parse().ok());
        let size = size.ok_or_else(|| self.refused(at, "a member with a bad size"))?;
        if start.checked_add(size).is_none_or(|end| end > self.size) {
            let reason = format!("the package is cut short: {name} has {size} bytes");
            return Err(self.refused(at, &reason));
        }
        Ok(Member { name: name.to_owned(), at: start, size })
    }

    /// The member behind another, which must be `wanted` in any compression.
    fn after(&self, member: &Member, wanted: &str) -> Result<Member, DebError> {
        let mut member = member.clone();
        loop {
            // The data of a member fits into the file: no overflow.
            let at = member.at + member.size;
            let at = at + at % 2;
            if at >= self.size {
                return Err(self.refused(at, &format!("the package has no {wanted}")));
            }
            member = self.member(at)?;
            match member.name.strip_prefix(wanted) {
                Some("" | ".gz" | ".xz" | ".zst") => return Ok(member),
                Some(ending @ (".bz2" | ".lzma")) => {
                    let reason =
                        format!("{wanted}{ending}: packages compressed with gzip, xz or zstd can be read");
                    return Err(self.refused(at, &reason));
                }
                _ if member.name.starts_with('_') => {}
                _ => {
                    let reason = format!("a member {} where {wanted} should be", member.name);
                    return Err(self.refused(at, &reason));
                }
            }
        }
    }

    fn check_version(&self, member: &Member) -> Result<(), DebError> {
        let at = member.at - HEADER;
        if member.name != "debian-binary" || member.size > VERSION_MAX {
            return Err(self.refused(at, "not a Debian package: its first member is not debian-binary"));
        }
        let mut text = vec![0; member.size as usize];
        self.read(member.at, &mut text)?;
        let line = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let minor = line.strip_prefix(b"2.").filter(|minor| !minor.is_empty());
        match minor.is_some_and(|minor| minor.iter().all(u8::is_ascii_digit)) {
            true => Ok(()),
            false => {
                let reason = format!("a package of format {}: 2.x can be read", line.escape_ascii());
                Err(self.refused(member.at, &reason))
            }
        }
    }

    fn stream(&self, member: &Member, what: &str) -> Result<Stream<'a>, DebError> {
        let coding = match member.name.rsplit('.').next() {
            Some("gz") => Coding::Gzip,
            Some("xz") => Coding::Xz,
            Some("zst") => Coding::Zstd,
            _ => Coding::Plain,
        };
        let shown = format!("{}: {what}", self.shown);
        Ok(Stream::new(self.file, member.at, member.size, coding, shown))
    }
}
