//! Compressed and streamed archives: inflated once into a spool, a file without a name in the work directory.

use super::files::Archive;
use super::header::{BLOCK, Header};
use super::{SurveyError, named, refusal};
use diskwright_formats::bytes::is_zero;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::HOLE_WINDOW;
use flate2::bufread::GzDecoder;
use lzma_rust2::XzReader;
use rustix::fd::OwnedFd;
use rustix::fs::{AtFlags, CWD, Mode, OFlags, openat, unlinkat};
use rustix::io::Errno;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Largest window of a zstd frame in bytes: what zstd itself accepts without `--long`.
const ZSTD_WINDOW_MAX: u64 = 128 << 20;
/// Most memory of an xz decoder in KiB: twice what `xz -9` needs.
const XZ_MEMORY_MAX: u32 = 130 << 10;

/// How an archive is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Gzip,
    Zstd,
    Xz,
}

/// How the archive in a file is compressed; `None`: not at all.
pub(super) fn coding_of(archive: &Archive) -> Result<Option<Coding>, SurveyError> {
    let mut head = vec![0; archive.len.min(BLOCK) as usize];
    archive.read(0, &mut head).map_err(|error| super::read_error(archive, error))?;
    recognised(&head, &archive.shown)
}

fn recognised(head: &[u8], shown: &str) -> Result<Option<Coding>, SurveyError> {
    let unsupported = |name: &str, program: &str| {
        let reason = format!("an archive compressed with {name}: gzip, zstd and xz can be read");
        let refusal = Refusal::new(RefusalKind::Unsupported, Spot::new("tar", shown), reason);
        Err(refusal.hint(format!("give it as a stream: {program} -dc FILE | diskwright ... -")).into())
    };
    match head {
        [0x1f, 0x8b, ..] => Ok(Some(Coding::Gzip)),
        // A frame, or one to be skipped in front of it.
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Some(Coding::Zstd)),
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Ok(Some(Coding::Xz)),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => unsupported("bzip2", "bzip2"),
        [0x04, 0x22, 0x4d, 0x18, ..] => unsupported("lz4", "lz4"),
        [0x5d, 0, 0, _, _, ..] if !is_tar(head) => unsupported("lzma", "xz"),
        [b'L', b'Z', b'I', b'P', ..] if !is_tar(head) => unsupported("lzip", "lzip"),
        [0x1f, 0x9d, ..] if !is_tar(head) => unsupported("compress", "gzip"),
        _ if is_tar(head) => Ok(None),
        _ => {
            let reason = "not a tar archive, nor one compressed with gzip, zstd or xz";
            Err(refusal(shown, b"", 0, reason))
        }
    }
}

fn is_tar(head: &[u8]) -> bool {
    let header = <[u8; BLOCK as usize]>::try_from(head).map(Header);
    header.is_ok_and(|header| header.is_zero() || header.checksum_holds())
}

/// Inflates a stream into a spool.
pub(super) fn spool(input: &mut dyn Read, name: &str, work_dir: &Path) -> Result<Archive, SurveyError> {
    let failed = |error: io::Error| SurveyError::Io(named(name, error));
    let mut head = Vec::new();
    (&mut *input).take(BLOCK).read_to_end(&mut head).map_err(failed)?;
    let coding = recognised(&head, name)?;
    let mut input = BufReader::with_capacity(128 << 10, Cursor::new(head).chain(Patient(input)));
    let mut spool = Spool { file: unnamed(work_dir)?, len: 0, name, work_dir };
    match coding {
        None => spool.fill(&mut input)?,
        Some(Coding::Gzip) => spool.gunzip(&mut input)?,
        Some(Coding::Zstd) => spool.unzstd(&mut input)?,
        Some(Coding::Xz) => spool.fill(&mut XzReader::new_mem_limit(&mut input, true, XZ_MEMORY_MAX))?,
    }
    spool.file.set_len(spool.len).map_err(|error| spool.write_failed(error))?;
    Ok(Archive { file: spool.file, shown: name.to_owned(), stamp: None, len: spool.len })
}

/// Reads on when a signal came between: not every decoder does.
struct Patient<'a>(&'a mut dyn Read);

impl Read for Patient<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }
}

struct Spool<'a> {
    file: File,
    len: u64,
    name: &'a str,
    work_dir: &'a Path,
}

impl Spool<'_> {
    /// Members of gzip stand one behind the other; zeros may follow, from tapes and padded files.
    fn gunzip(&mut self, input: &mut impl BufRead) -> Result<(), SurveyError> {
        loop {
            self.fill(&mut GzDecoder::new(&mut *input))?;
            match input.fill_buf().map_err(|error| self.read_failed(error))?.first() {
                None => return Ok(()),
                Some(0) => return self.only_zeros(input),
                Some(_) => {}
            }
        }
    }

    fn only_zeros(&mut self, input: &mut impl BufRead) -> Result<(), SurveyError> {
        loop {
            let buffer = input.fill_buf().map_err(|error| self.read_failed(error))?;
            if buffer.is_empty() {
                return Ok(());
            }
            if !is_zero(buffer) {
                return Err(self.refused("garbage behind the compressed data"));
            }
            let len = buffer.len();
            input.consume(len);
        }
    }

    /// Frames of zstd stand one behind the other, some of them to be skipped.
    fn unzstd(&mut self, input: &mut impl BufRead) -> Result<(), SurveyError> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_MAX);
        while !input.fill_buf().map_err(|error| self.read_failed(error))?.is_empty() {
            match StreamingDecoder::new_with_decoder(&mut *input, &mut decoder) {
                Ok(mut frame) => {
                    self.fill(&mut frame)?;
                    let says = frame.decoder.get_checksum_from_data();
                    if says.is_some() && says != frame.decoder.get_calculated_checksum() {
                        return Err(self.refused("the checksum of a zstd frame is wrong"));
                    }
                }
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let skipped = io::copy(&mut input.by_ref().take(u64::from(length)), &mut io::sink());
                    if skipped.map_err(|error| self.read_failed(error))? != u64::from(length) {
                        return Err(self.refused("the compressed data is cut short"));
                    }
                }
                Err(error) => return Err(self.refused(&format!("zstd: {error}"))),
            }
        }
        Ok(())
    }

    /// Appends all that can be read. Windows of zeros are left out: an archive of nothing but zeros takes no space.
    fn fill(&mut self, input: &mut dyn Read) -> Result<(), SurveyError> {
        let mut buffer = vec![0; 4 * HOLE_WINDOW as usize];
        loop {
            let mut len = 0;
            while len < buffer.len() {
                match input.read(&mut buffer[len..]) {
                    Ok(0) => break,
                    Ok(more) => len += more,
                    Err(error) => return Err(self.read_failed(error)),
                }
            }
            if len == 0 {
                return Ok(());
            }
            for part in buffer[..len].chunks(HOLE_WINDOW as usize) {
                if !is_zero(part) {
                    self.file.write_all_at(part, self.len).map_err(|error| self.write_failed(error))?;
                }
                self.len += part.len() as u64;
            }
        }
    }

    fn refused(&self, reason: &str) -> SurveyError {
        refusal(self.name, b"", self.len, reason)
    }

    /// Reading failed, or decoding did: only the system's own errors have a number.
    fn read_failed(&self, error: io::Error) -> SurveyError {
        match (error.raw_os_error(), error.kind()) {
            (Some(_), _) => SurveyError::Io(named(self.name, error)),
            (None, io::ErrorKind::UnexpectedEof) => self.refused("the compressed data is cut short"),
            (None, io::ErrorKind::OutOfMemory) => self.refused("decompressing it takes too much memory"),
            (None, _) => self.refused(&format!("the compressed data is damaged: {error}")),
        }
    }

    fn write_failed(&self, error: io::Error) -> SurveyError {
        let (work_dir, len) = (self.work_dir.display(), self.len);
        let text = format!("the work directory cannot hold the archive: {} after {len} bytes", self.name);
        SurveyError::Io(io::Error::new(error.kind(), format!("{work_dir}: {text}: {error}")))
    }
}

/// A file without a name.
fn unnamed(directory: &Path) -> Result<File, SurveyError> {
    let flags = ACCESS | OFlags::TMPFILE;
    // Not every file system has such files.
    let file = openat(CWD, directory, flags, PRIVATE).or_else(|_| name_taken_away(directory));
    file.map(File::from).map_err(|error| SurveyError::Io(named(directory.display(), error)))
}

const ACCESS: OFlags = OFlags::RDWR.union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A file under a name that was free, which is taken away at once.
fn name_taken_away(directory: &Path) -> rustix::io::Result<OwnedFd> {
    let flags = ACCESS | OFlags::CREATE | OFlags::EXCL;
    for number in 0..1000 {
        let path = directory.join(format!(".diskwright-spool-{number}"));
        match openat(CWD, &path, flags, PRIVATE) {
            Ok(file) => return unlinkat(CWD, &path, AtFlags::empty()).map(|()| file),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
    }
    Err(Errno::EXIST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spools_where_files_need_a_name() {
        let scratch = tempfile::tempdir().unwrap();
        fs_err::write(scratch.path().join(".diskwright-spool-0"), b"of a run that was killed").unwrap();
        let file = File::from(name_taken_away(scratch.path()).unwrap());
        file.write_all_at(b"data", 0).unwrap();
        let mut back = [0; 4];
        file.read_exact_at(&mut back, 0).unwrap();
        assert_eq!(&back, b"data");
        assert!(!scratch.path().join(".diskwright-spool-1").exists());
        assert_eq!(name_taken_away(&scratch.path().join("missing")).err(), Some(Errno::NOENT));
    }
}
