//! What is in an initrd, as far as growth asks: cpio archives in the "new ASCII" format, one behind the other, each of which
//! may be compressed (Linux, `Documentation/driver-api/early-userspace/buffer-format.rst`).

use diskwright_formats::layout::{Content, Contents};
use diskwright_fstools::tree::Data;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::io::{self, BufRead, BufReader, Cursor, Read};

/// KIWI's hook, behind the number that dracut puts in front of it.
const REPART: &[u8] = b"kiwi-repart-disk.sh";
const SHELLS: [&[u8]; 2] = [b"usr/bin/sh", b"bin/sh"];
/// The last entry of an archive.
const TRAILER: &[u8] = b"TRAILER!!!";
/// Bytes of a header: the magic and 13 numbers of eight hexadecimal digits.
const HEADER: usize = 110;
/// Longest name, as in Linux (`PATH_MAX`).
const LONGEST_NAME: u64 = 4096;
/// Largest window of a zstd frame in bytes: what zstd itself accepts without `--long`.
const ZSTD_WINDOW_MAX: u64 = 128 << 20;
/// Most memory of an xz decoder in KiB.
const XZ_MEMORY_MAX: u32 = 130 << 10;
/// Most bytes that are looked at, so that a small file of much air ends.
const LONGEST: u64 = 4 << 30;

/// What an initrd has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    /// Whether all of it could be read.
    pub(super) readable: bool,
    /// KIWI's hook that grows the disk.
    pub(super) repart: bool,
    /// The program that `/bin/sh` is a link to.
    pub(super) shell: Option<String>,
}

/// All bytes of a file; `None`: it cannot be read, or has more than `limit`.
pub(super) fn read(data: &Data, contents: &dyn Contents, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(usize::try_from(data.size()).ok().filter(|_| data.size() <= limit)?);
    stream(data, contents)?.read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// Puts an archive with files behind an initrd: paths without a slash in front, and their bytes.
pub(super) fn append(initrd: &mut Vec<u8>, files: &[(&str, Vec<u8>)], time: i64) {
    initrd.resize(initrd.len().next_multiple_of(4), 0);
    let trailer: (&[u8], u32, &[u8]) = (TRAILER, 0, &[]);
    let files = files.iter().map(|(name, bytes)| (name.as_bytes(), 0o100_644, &bytes[..]));
    for (name, mode, bytes) in files.chain([trailer]) {
        let time = u32::try_from(time).unwrap_or(0);
        let len = |bytes: &[u8], more| u32::try_from(bytes.len()).map_or(0, |len| len + more);
        // c_ino, c_mode, c_uid, c_gid, c_nlink, c_mtime, c_filesize, c_maj, c_min, c_rmaj, c_rmin, c_namesize, c_chksum
        let numbers = [0, mode, 0, 0, 1, time, len(bytes, 0), 0, 0, 0, 0, len(name, 1), 0];
        initrd.extend(b"070701");
        numbers.iter().for_each(|number| initrd.extend(format!("{number:08x}").bytes()));
        initrd.extend(name);
        initrd.push(0);
        initrd.resize(initrd.len().next_multiple_of(4), 0);
        initrd.extend(bytes);
        initrd.resize(initrd.len().next_multiple_of(4), 0);
    }
}

/// Looks into an initrd. What cannot be read has what was seen until then.
pub(super) fn look(data: &Data, contents: &dyn Contents) -> Found {
    let Some(stream) = stream(data, contents) else { return Found::default() };
    let mut found = Found::default();
    found.readable = archives(&mut BufReader::with_capacity(128 << 10, stream), &mut found).is_ok();
    found
}

/// Archives with zeros between them, to the first that is compressed. What is behind that is not looked at.
fn archives(input: &mut impl BufRead, found: &mut Found) -> io::Result<()> {
    while skip_zeros(input)? {
        let mut magic = [0; 6];
        input.read_exact(&mut magic)?;
        let mut input = Cursor::new(magic).chain(&mut *input);
        match magic {
            [b'0', b'7', b'0', b'7', b'0', _] => archive(&mut input, found)?,
            [0x1f, 0x8b, ..] => return inflated(GzDecoder::new(input), found),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => {
                return inflated(XzReader::new_mem_limit(input, false, XZ_MEMORY_MAX), found);
            }
            [0x28, 0xb5, 0x2f, 0xfd, ..] => {
                let mut decoder = FrameDecoder::new();
                decoder.set_max_window_size(ZSTD_WINDOW_MAX);
                let frame =
                    StreamingDecoder::new_with_decoder(input, &mut decoder).map_err(io::Error::other)?;
                return inflated(frame, found);
            }
            _ => return Err(io::ErrorKind::Unsupported.into()),
        }
    }
    Ok(())
}

/// What was compressed: archives, and no compression in them.
fn inflated(input: impl Read, found: &mut Found) -> io::Result<()> {
    let mut input = BufReader::with_capacity(128 << 10, input.take(LONGEST));
    while skip_zeros(&mut input)? {
        archive(&mut input, found)?;
    }
    Ok(())
}

/// Whether anything follows behind zeros.
fn skip_zeros(input: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
        let (end, other) = (buffer.is_empty(), zeros < buffer.len());
        input.consume(zeros);
        if end || other {
            return Ok(other);
        }
    }
}

/// One archive, to its last entry.
fn archive(input: &mut impl BufRead, found: &mut Found) -> io::Result<()> {
    loop {
        let mut header = [0; HEADER];
        input.read_exact(&mut header)?;
        let [mode, size, name_len] = [14, 54, 94].map(|at| number(&header[at..at + 8]));
        if !header.starts_with(b"0707") || name_len.is_none_or(|len| len > LONGEST_NAME) {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let (size, name_len) = (size.ok_or(io::ErrorKind::InvalidData)?, name_len.unwrap_or(0));
        let mut name = vec![0; name_len as usize];
        input.read_exact(&mut name)?;
        let name = name.strip_suffix(b"\0").unwrap_or(&name);
        if name == TRAILER {
            return Ok(());
        }
        let name = name.strip_prefix(b"./").unwrap_or(name);
        found.repart |= name.ends_with(REPART);
        skip(input, padding(HEADER as u64 + name_len))?;
        let is_link = mode.is_some_and(|mode| mode & 0o170_000 == 0o120_000) && size <= LONGEST_NAME;
        if is_link && SHELLS.contains(&name) {
            let mut target = vec![0; size as usize];
            input.read_exact(&mut target)?;
            let program = target.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            found.shell = Some(String::from_utf8_lossy(program).into_owned());
        } else {
            skip(input, size)?;
        }
        skip(input, padding(size))?;
    }
}

fn skip(input: &mut impl BufRead, len: u64) -> io::Result<()> {
    match io::copy(&mut input.take(len), &mut io::sink())? < len {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(()),
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// What is missing to a multiple of four.
fn padding(len: u64) -> u64 {
    len.next_multiple_of(4) - len
}

fn stream<'a>(data: &'a Data, contents: &'a dyn Contents) -> Option<Stream<'a>> {
    let content = match data {
        Data::Bytes(_) => None,
        Data::Content { id, .. } => Some(contents.open(*id).ok()?),
    };
    Some(Stream { data, content, at: 0 })
}

/// A file of a tree from its beginning to its end.
struct Stream<'a> {
    data: &'a Data,
    content: Option<Box<dyn Content + 'a>>,
    at: u64,
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let len = (self.data.size() - self.at).min(buffer.len() as u64);
        let (buffer, end) = (&mut buffer[..len as usize], self.at + len);
        match (self.data, &self.content) {
            (Data::Bytes(bytes), _) => {
                let from = self.at as usize;
                buffer.iter_mut().zip(bytes.iter().skip(from)).for_each(|(byte, is)| *byte = *is);
            }
            (data, Some(content)) => {
                buffer.fill(0);
                for run in data.runs() {
                    let (start, stop) = (run.start.max(self.at), run.end.min(end));
                    if start < stop {
                        let range = (start - self.at) as usize..(stop - self.at) as usize;
                        content.read_exact_at(start, &mut buffer[range]).map_err(io::Error::other)?;
                    }
                }
            }
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        }
        self.at = end;
        Ok(len as usize)
    }
}
