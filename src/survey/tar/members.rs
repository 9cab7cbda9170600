//! The members of an archive, with what extended headers say of them.

use super::files::Archive;
use super::header::{BLOCK, Header, more_sparse};
use super::pax::{Extended, Records, decimal};
use super::sparse::{Map, Piece, pairs};
use super::{EXTENDED_MAX, LONG_MAX, SEGMENTS_MAX, SurveyError, read_error, refusal};
use diskwright_formats::bytes::align_up;
use diskwright_fstools::tree::{Time, Xattrs};

/// Where an archive comes from. What is read of it is read in order, and nothing twice: a stream can be one.
pub(crate) trait Source {
    /// Its name for messages.
    fn shown(&self) -> &str;
    /// Its length in bytes; of a stream, whose end shows when it is reached, the largest number.
    fn len(&self) -> u64;
    /// How many bytes may be read at once where a header is looked for; what follows the header is then read again.
    fn ahead(&self) -> u64;
    /// Reads the bytes at a position.
    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), SurveyError>;
}

impl Source for Archive {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn ahead(&self) -> u64 {
        64 << 10
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), SurveyError> {
        Archive::read(self, at, buffer).map_err(|error| read_error(self, error))
    }
}

/// A member.
pub(crate) struct Member {
    /// Position of its first header.
    pub(crate) offset: u64,
    pub(crate) path: Vec<u8>,
    /// Target of a hard link or symlink.
    pub(crate) link: Vec<u8>,
    pub(crate) kind: MemberKind,
    pub(crate) mode: u16,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mtime: Time,
    pub(crate) xattrs: Xattrs,
    /// It has ACLs as text.
    pub(crate) has_text_acl: bool,
}

pub(crate) enum MemberKind {
    Directory,
    /// Data in the archive: where it starts, how much is stored, and where that belongs in a sparse file.
    File {
        at: u64,
        stored: u64,
        map: Option<Map>,
    },
    HardLink,
    Symlink,
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// Reads the members in order.
pub(crate) struct Members<'a, S> {
    archive: &'a S,
    at: u64,
    global: Records,
    /// A part of the archive: headers of small members stand close together.
    buffer: Vec<u8>,
    buffer_at: u64,
}

/// What headers in front of a member say of it.
#[derive(Default)]
struct Before {
    records: Records,
    any: bool,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

/// A header that is looked at: for messages.
struct Seen {
    header: Header,
    name: Vec<u8>,
    offset: u64,
}

impl<'a, S: Source> Members<'a, S> {
    pub(crate) fn new(archive: &'a S) -> Members<'a, S> {
        Members { archive, at: 0, global: Records::default(), buffer: Vec::new(), buffer_at: 0 }
    }

    pub(crate) fn next(&mut self) -> Result<Option<Member>, SurveyError> {
        let offset = self.at;
        let mut before = Before::default();
        while let Some(header) = self.header()? {
            let mut seen = Seen { name: header.name(), header, offset };
            match seen.header.kind() {
                b'x' | b'X' => {
                    let text = self.extension(&seen, EXTENDED_MAX)?;
                    before.records.parse(&text).map_err(|reason| self.refusal(&seen, reason))?;
                    before.any = true;
                }
                b'g' => {
                    let text = self.extension(&seen, EXTENDED_MAX)?;
                    self.global.parse(&text).map_err(|reason| self.refusal(&seen, reason))?;
                    if self.global.is_too_large() {
                        return Err(
                            self.refusal(&seen, format!("global headers of more than {EXTENDED_MAX} bytes"))
                        );
                    }
                }
                b'L' => before.long_name = Some(self.long(&seen)?),
                b'K' => before.long_link = Some(self.long(&seen)?),
                // The name of the volume.
                b'V' => self.skip(&seen, self.stored(&seen)?)?,
                _ => {
                    let extended = Extended { local: &before.records, global: &self.global };
                    let path = extended.get("GNU.sparse.name").or(extended.get("path"));
                    let path = path.map(<[u8]>::to_vec).or_else(|| before.long_name.clone());
                    seen.name = path.unwrap_or(seen.name);
                    return self.member(seen, before).map(Some);
                }
            }
        }
        match before.any || before.long_name.is_some() || before.long_link.is_some() {
            true => Err(self.refused_at(offset, "an extended header without its member")),
            false => Ok(None),
        }
    }

    /// The next header; `None` at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>, SurveyError> {
        let cut = "the archive is cut short: it has no block of zeros at its end";
        let offset = self.at;
        let header = Header(self.block(cut)?);
        if header.is_zero() {
            let alone = self.at < self.archive.len() && !Header(self.block(cut)?).is_zero();
            return match alone {
                true => Err(self.refused_at(offset, "one block of zeros in the middle of the archive")),
                false => Ok(None),
            };
        }
        match header.checksum_holds() {
            true => Ok(Some(header)),
            false if offset == 0 => {
                Err(self.refused_at(offset, "not a tar archive: the checksum of the first header is wrong"))
            }
            false => Err(self.refused_at(
                offset,
                "the checksum of a header is wrong, or the member before it lies about its size",
            )),
        }
    }

    /// The next block.
    fn block(&mut self, cut: &str) -> Result<[u8; BLOCK as usize], SurveyError> {
        let at = self.at;
        let left = self.archive.len().saturating_sub(at);
        if left < BLOCK {
            return Err(self.refused_at(at, cut));
        }
        let inside = |buffer: &[u8], from: u64| at >= from && at + BLOCK <= from + buffer.len() as u64;
        if !inside(&self.buffer, self.buffer_at) {
            self.buffer.resize(self.archive.ahead().min(left) as usize, 0);
            self.archive.read(at, &mut self.buffer)?;
            self.buffer_at = at;
        }
        let start = (at - self.buffer_at) as usize;
        let mut block = [0; BLOCK as usize];
        block.copy_from_slice(&self.buffer[start..start + BLOCK as usize]);
        self.at += BLOCK;
        Ok(block)
    }

    /// The data of an extended header.
    fn extension(&mut self, seen: &Seen, most: u64) -> Result<Vec<u8>, SurveyError> {
        let size = self.stored(seen)?;
        if size > most {
            return Err(self.refusal(seen, format!("an extended header of {size} bytes: at most {most}")));
        }
        let at = self.at;
        self.skip(seen, size)?;
        let mut bytes = vec![0; size as usize];
        self.archive.read(at, &mut bytes)?;
        Ok(bytes)
    }

    /// A long name: it ends with a NUL.
    fn long(&mut self, seen: &Seen) -> Result<Vec<u8>, SurveyError> {
        let mut name = self.extension(seen, LONG_MAX)?;
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    /// What the header says of the length of its data.
    fn stored(&self, seen: &Seen) -> Result<u64, SurveyError> {
        let size = seen.header.size().and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| self.refusal(seen, "a bad size"))
    }

    /// Passes over data of `size` bytes.
    fn skip(&mut self, seen: &Seen, size: u64) -> Result<(), SurveyError> {
        let end = align_up(size, BLOCK).and_then(|size| self.at.checked_add(size));
        let left = self.archive.len().saturating_sub(self.at);
        self.at = end.filter(|&end| end <= self.archive.len()).ok_or_else(|| {
            self.refusal(seen, format!("the archive is cut short: {size} bytes of data, and {left} are left"))
        })?;
        Ok(())
    }

    fn member(&mut self, seen: Seen, before: Before) -> Result<Member, SurveyError> {
        let global = std::mem::take(&mut self.global);
        let member = self.member_of(&seen, &before, &Extended { local: &before.records, global: &global });
        self.global = global;
        member
    }

    fn member_of(
        &mut self,
        seen: &Seen,
        before: &Before,
        extended: &Extended,
    ) -> Result<Member, SurveyError> {
        let refuse = |archive: &S, reason: String| refusal(archive.shown(), &seen.name, seen.offset, reason);
        let archive = self.archive;
        let header = &seen.header;
        let link = extended.get("linkpath").map(<[u8]>::to_vec).or_else(|| before.long_link.clone());
        let owner = |key: &str, says: Option<i64>| {
            let pax = extended.number(key).map_err(|reason| refuse(archive, reason))?;
            let id = pax.or(says.and_then(|id| u64::try_from(id).ok())).and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| refuse(archive, format!("a bad {key}")))
        };
        let (uid, gid) = (owner("uid", header.uid())?, owner("gid", header.gid())?);
        let mode = header.mode().ok_or_else(|| refuse(archive, "a bad mode".to_owned()))?;
        let mtime = extended.mtime().map_err(|reason| refuse(archive, reason))?;
        let mtime = mtime.or(header.mtime().map(Time::seconds));
        let mtime = mtime.ok_or_else(|| refuse(archive, "a bad time".to_owned()))?;
        let xattrs = extended.xattrs().map_err(|reason| refuse(archive, reason))?;
        Ok(Member {
            offset: seen.offset,
            path: seen.name.clone(),
            link: link.unwrap_or_else(|| header.link()),
            kind: self.kind(seen, extended)?,
            mode: (mode & 0o7777) as u16,
            uid,
            gid,
            mtime,
            xattrs,
            has_text_acl: extended.has_text_acl(),
        })
    }

    fn kind(&mut self, seen: &Seen, extended: &Extended) -> Result<MemberKind, SurveyError> {
        match seen.header.kind() {
            // In v7 a name that ends with a slash is all that makes a directory.
            0 | b'0' | b'7' if seen.name.ends_with(b"/") => self.directory(seen, extended),
            0 | b'0' | b'7' | b'S' => self.file(seen, extended),
            b'1' => Ok(MemberKind::HardLink),
            b'2' => Ok(MemberKind::Symlink),
            b'3' | b'4' => self.device(seen),
            b'5' => Ok(MemberKind::Directory),
            b'6' => Ok(MemberKind::Fifo),
            // A directory with the names in it as data, of incremental archives.
            b'D' => self.directory(seen, extended),
            b'M' => Err(self.refusal(seen, "a member that started on another volume")),
            kind => Err(self.refusal(seen, format!("an unknown type of member: {}", kind.escape_ascii()))),
        }
    }

    fn directory(&mut self, seen: &Seen, extended: &Extended) -> Result<MemberKind, SurveyError> {
        let stored = self.stored_extended(seen, extended)?;
        self.skip(seen, stored)?;
        Ok(MemberKind::Directory)
    }

    fn device(&self, seen: &Seen) -> Result<MemberKind, SurveyError> {
        let numbers = seen.header.device();
        let numbers =
            numbers.and_then(|(major, minor)| Some((u32::try_from(major).ok()?, u32::try_from(minor).ok()?)));
        let (major, minor) = numbers.ok_or_else(|| self.refusal(seen, "a bad device number"))?;
        Ok(match seen.header.kind() {
            b'3' => MemberKind::CharDevice { major, minor },
            _ => MemberKind::BlockDevice { major, minor },
        })
    }

    fn stored_extended(&self, seen: &Seen, extended: &Extended) -> Result<u64, SurveyError> {
        match extended.number("size").map_err(|reason| self.refusal(seen, reason))? {
            Some(size) => Ok(size),
            None => self.stored(seen),
        }
    }

    fn file(&mut self, seen: &Seen, extended: &Extended) -> Result<MemberKind, SurveyError> {
        let stored = self.stored_extended(seen, extended)?;
        let refused = |members: &Self, reason: String| members.refusal(seen, reason);
        let number =
            |members: &Self, key: &str| extended.number(key).map_err(|reason| refused(members, reason));
        if seen.header.kind() == b'S' {
            let (pieces, size) = self.gnu_pieces(seen)?;
            return self.sparse_file(seen, stored, size, &pieces);
        }
        if let Some(major) = number(self, "GNU.sparse.major")? {
            let minor = number(self, "GNU.sparse.minor")?;
            if (major, minor) != (1, Some(0)) {
                return Err(refused(self, format!("an unknown format of sparse files: {major}")));
            }
            let missing = || refused(self, "a sparse file without its size".to_owned());
            let size = number(self, "GNU.sparse.realsize")?.ok_or_else(missing)?;
            let start = self.at;
            let pieces = self.map_in_front(seen, stored)?;
            return self.sparse_file(seen, stored - (self.at - start), size, &pieces);
        }
        if let Some(size) = number(self, "GNU.sparse.size")? {
            let pieces = match extended.get("GNU.sparse.map") {
                Some(map) => {
                    pairs(map).ok_or_else(|| refused(self, "a bad map of a sparse file".to_owned()))?
                }
                None => extended.local.pieces.clone(),
            };
            return self.sparse_file(seen, stored, size, &pieces);
        }
        let at = self.at;
        self.skip(seen, stored)?;
        Ok(MemberKind::File { at, stored, map: None })
    }

    fn sparse_file(
        &mut self,
        seen: &Seen,
        stored: u64,
        size: u64,
        pieces: &[Piece],
    ) -> Result<MemberKind, SurveyError> {
        let at = self.at;
        self.skip(seen, stored)?;
        if i64::try_from(size).is_err() {
            return Err(self.refusal(seen, format!("a sparse file of {size} bytes: at most {}", i64::MAX)));
        }
        let map = Map::new(size, pieces, stored).map_err(|reason| self.refusal(seen, reason))?;
        Ok(MemberKind::File { at, stored, map: Some(map) })
    }

    /// GNU format: the first pieces are in the header, others in blocks behind it.
    fn gnu_pieces(&mut self, seen: &Seen) -> Result<(Vec<Piece>, u64), SurveyError> {
        let bad = |members: &Self| members.refusal(seen, "a bad map of a sparse file");
        let (mut pieces, mut more, size) = seen.header.sparse().ok_or_else(|| bad(self))?;
        while more {
            let block = self.block("the archive is cut short in the map of a sparse file")?;
            let (next, again) = more_sparse(&block).ok_or_else(|| bad(self))?;
            pieces.extend(next);
            more = again;
            self.check_pieces(seen, pieces.len())?;
        }
        Ok((pieces, size))
    }

    /// Pax format 1.0: lines with the number of pieces, then position and length of each, padded to whole blocks.
    fn map_in_front(&mut self, seen: &Seen, stored: u64) -> Result<Vec<Piece>, SurveyError> {
        let bad = |members: &Self| members.refusal(seen, "a bad map of a sparse file");
        let end = self.at.saturating_add(stored);
        let (mut numbers, mut line): (Vec<u64>, Vec<u8>) = Default::default();
        loop {
            let block = self.block("the archive is cut short in the map of a sparse file")?;
            for byte in block {
                if byte != b'\n' {
                    line.push(byte);
                    continue;
                }
                numbers.push(decimal(&line).ok_or_else(|| bad(self))?);
                line.clear();
                self.check_pieces(seen, numbers.len() / 2)?;
                if numbers.len() as u64 == numbers[0].saturating_mul(2).saturating_add(1) {
                    let (pairs, _) = numbers[1..].as_chunks::<2>();
                    let pieces = pairs.iter().map(|&[start, len]| (start, len)).collect();
                    return if self.at <= end { Ok(pieces) } else { Err(bad(self)) };
                }
            }
            // No number has more digits than this.
            if self.at >= end || line.len() > 20 {
                return Err(bad(self));
            }
        }
    }

    fn check_pieces(&self, seen: &Seen, count: usize) -> Result<(), SurveyError> {
        match count > SEGMENTS_MAX {
            true => Err(self.refusal(seen, format!("a sparse file of more than {SEGMENTS_MAX} pieces"))),
            false => Ok(()),
        }
    }

    fn refusal(&self, seen: &Seen, reason: impl Into<String>) -> SurveyError {
        refusal(self.archive.shown(), &seen.name, seen.offset, reason)
    }

    fn refused_at(&self, offset: u64, reason: &str) -> SurveyError {
        refusal(self.archive.shown(), b"", offset, reason)
    }
}
