//! A member of a package as a stream, decompressed while it is read.

use crate::survey::SurveyError;
use crate::survey::tar::members::Source;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;

/// Bytes read of a package at once.
const INPUT: usize = 256 << 10;
/// Bytes decompressed ahead of small reads.
const OUTPUT: usize = 128 << 10;
/// Largest window of a zstd frame in bytes: what zstd itself accepts without `--long`.
const ZSTD_WINDOW_MAX: u64 = 128 << 20;
/// Most memory of an xz decoder in KiB: twice what `xz -9` needs.
const XZ_MEMORY_MAX: u32 = 130 << 10;

/// How a member is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coding {
    Plain,
    Gzip,
    Xz,
    Zstd,
}

/// A range of a file as a stream of its own, decompressed. It can be read forwards only.
pub(super) struct Stream<'a> {
    shown: String,
    inner: RefCell<Inner<'a>>,
}

struct Inner<'a> {
    reader: BufReader<Box<dyn Read + 'a>>,
    at: u64,
}

impl<'a> Stream<'a> {
    pub(super) fn new(file: &'a File, at: u64, size: u64, coding: Coding, shown: String) -> Stream<'a> {
        let input = BufReader::with_capacity(INPUT, Range { file, at, left: size });
        let reader: Box<dyn Read + 'a> = match coding {
            Coding::Plain => Box::new(input),
            Coding::Gzip => Box::new(MultiGzDecoder::new(input)),
            Coding::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY_MAX)),
            Coding::Zstd => Box::new(Zstd::new(input)),
        };
        let reader = BufReader::with_capacity(OUTPUT, reader);
        Stream { shown, inner: RefCell::new(Inner { reader, at: 0 }) }
    }

    /// Reading failed, or decoding did: only the system's own errors have a number.
    fn failed(&self, at: u64, error: &io::Error) -> SurveyError {
        let text = match (error.raw_os_error(), error.kind()) {
            (Some(_), kind) => {
                return SurveyError::Io(io::Error::new(kind, format!("{}: {error}", self.shown)));
            }
            (None, io::ErrorKind::UnexpectedEof) => "the archive is cut short".to_owned(),
            (None, io::ErrorKind::OutOfMemory) => "decompressing it takes too much memory".to_owned(),
            (None, _) => format!("the compressed data is damaged: {error}"),
        };
        let spot = Spot::new("deb", format!("{}: at byte {at}", self.shown));
        SurveyError::Refused(Refusal::new(RefusalKind::Invalid, spot, text))
    }
}

impl Source for Stream<'_> {
    fn shown(&self) -> &str {
        &self.shown
    }

    fn len(&self) -> u64 {
        u64::MAX
    }

    fn ahead(&self) -> u64 {
        512 // one block: nothing can be read again
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<(), SurveyError> {
        let mut inner = self.inner.borrow_mut();
        inner.read(at, buffer).map_err(|error| self.failed(at, &error))
    }
}

impl Inner<'_> {
    fn read(&mut self, at: u64, buffer: &mut [u8]) -> io::Result<()> {
        let skipped =
            at.checked_sub(self.at).ok_or_else(|| io::Error::other("a stream was read backwards"))?;
        if io::copy(&mut (&mut self.reader).take(skipped), &mut io::sink())? < skipped {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.reader.read_exact(buffer)?;
        self.at = at + buffer.len() as u64;
        Ok(())
    }
}

/// Bytes of a file by position: many can read one file.
struct Range<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(buffer.len() as u64) as usize;
        loop {
            match self.file.read_at(&mut buffer[..most], self.at) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(count) => {
                    self.at += count as u64;
                    self.left -= count as u64;
                    return Ok(count);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Frames of zstd, one behind the other, some of them to be skipped.
struct Zstd<R> {
    input: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Zstd<R> {
    fn new(input: R) -> Zstd<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_MAX);
        Zstd { input, decoder, in_frame: false }
    }

    /// Starts the next frame, or passes over one that is to be skipped.
    fn start(&mut self) -> io::Result<()> {
        match self.decoder.init(&mut self.input) {
            Ok(()) => self.in_frame = true,
            Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                length, ..
            })) => {
                let length = u64::from(length);
                if io::copy(&mut (&mut self.input).take(length), &mut io::sink())? < length {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            Err(error) => return Err(io::Error::other(error.to_string())),
        }
        Ok(())
    }

    fn end(&mut self) -> io::Result<()> {
        self.in_frame = false;
        let says = self.decoder.get_checksum_from_data();
        match says.is_some() && says != self.decoder.get_calculated_checksum() {
            true => Err(io::Error::other("the checksum of a zstd frame is wrong")),
            false => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                if self.input.fill_buf()?.is_empty() {
                    return Ok(0);
                }
                self.start()?;
            } else if self.decoder.can_collect() > 0 {
                return self.decoder.read(buffer);
            } else if self.decoder.is_finished() {
                self.end()?;
            } else {
                let more = self.decoder.decode_blocks(&mut self.input, BlockDecodingStrategy::UptoBlocks(1));
                more.map_err(|error| io::Error::other(error.to_string()))?;
            }
        }
    }
}
