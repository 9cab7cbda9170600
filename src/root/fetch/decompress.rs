//! Compressed indexes, read as they are.

use flate2::bufread::MultiGzDecoder;
use lzma_rust2::XzReader;
use ruzstd::decoding::errors::{FrameDecoderError, ReadFrameHeaderError};
use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read};

/// Most memory of an xz decoder in KiB: twice what `xz -9` needs.
const XZ_MEMORY_MAX: u32 = 130 << 10;
/// Largest window of a zstd frame in bytes: what zstd itself accepts without `--long`.
const ZSTD_WINDOW_MAX: u64 = 128 << 20;
/// Bytes of a zstd frame that are decoded at a time.
const ZSTD_STEP: usize = 128 << 10;

/// How a file is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// Not at all.
    Plain,
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// zstd (RFC 8878).
    Zstd,
}

impl Coding {
    /// By the ending of a name: `.gz`, `.xz`, `.zst`.
    pub fn of(name: &str) -> Coding {
        match name.rsplit_once('.').map(|(_, ending)| ending) {
            Some("gz") => Coding::Gzip,
            Some("xz") => Coding::Xz,
            Some("zst") => Coding::Zstd,
            _ => Coding::Plain,
        }
    }
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Coding::Plain => "plain",
            Coding::Gzip => "gzip",
            Coding::Xz => "xz",
            Coding::Zstd => "zstd",
        })
    }
}

/// Reads what is compressed in `file`, to its last byte; more than `limit` bytes are an error of kind `InvalidData`, as
/// is all that the decoders refuse.
pub fn decompressed<F: Read + Send + 'static>(file: F, coding: Coding, limit: u64) -> Box<dyn Read + Send> {
    let input = BufReader::with_capacity(128 << 10, file);
    let inner: Box<dyn Read + Send> = match coding {
        Coding::Plain => Box::new(input),
        Coding::Gzip => Box::new(MultiGzDecoder::new(input)),
        Coding::Xz => Box::new(XzReader::new_mem_limit(input, true, XZ_MEMORY_MAX)),
        Coding::Zstd => Box::new(Frames::new(input)),
    };
    Box::new(Limited { inner, coding, left: limit, limit })
}

struct Limited {
    inner: Box<dyn Read + Send>,
    coding: Coding,
    left: u64,
    limit: u64,
}

impl Read for Limited {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // One byte more than the limit shows whether there is more.
        let most = usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX).min(buffer.len());
        let len = loop {
            match self.inner.read(&mut buffer[..most]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error().is_some() => return Err(error),
                read => break read.map_err(|error| invalid(format!("{}: {error}", self.coding)))?,
            }
        };
        self.left = self
            .left
            .checked_sub(len as u64)
            .ok_or_else(|| invalid(format!("{}: more than {} bytes", self.coding, self.limit)))?;
        Ok(len)
    }
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

/// Frames of zstd, one behind the other, some of them to be skipped.
struct Frames<R> {
    input: R,
    decoder: FrameDecoder,
    within: bool,
}

impl<R: BufRead> Frames<R> {
    fn new(input: R) -> Frames<R> {
        let mut decoder = FrameDecoder::new();
        decoder.set_max_window_size(ZSTD_WINDOW_MAX);
        Frames { input, decoder, within: false }
    }

    /// Begins the next frame; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        while !self.input.fill_buf()?.is_empty() {
            match self.decoder.reset(&mut self.input) {
                Ok(()) => return Ok(true),
                Err(FrameDecoderError::ReadFrameHeaderError(ReadFrameHeaderError::SkipFrame {
                    length,
                    ..
                })) => {
                    let length = u64::from(length);
                    if io::copy(&mut self.input.by_ref().take(length), &mut io::sink())? != length {
                        return Err(io::ErrorKind::UnexpectedEof.into());
                    }
                }
                Err(error) => return Err(invalid(error.to_string())),
            }
        }
        Ok(false)
    }
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let len = self.decoder.read(buffer)?;
            if len > 0 || buffer.is_empty() {
                return Ok(len);
            }
            if self.within && !self.decoder.is_finished() {
                let step = BlockDecodingStrategy::UptoBytes(ZSTD_STEP);
                let decoded = self.decoder.decode_blocks(&mut self.input, step);
                decoded.map_err(|error| invalid(error.to_string()))?;
                continue;
            }
            if self.within {
                let says = self.decoder.get_checksum_from_data();
                if says.is_some() && says != self.decoder.get_calculated_checksum() {
                    return Err(invalid("the checksum of a frame is wrong".to_owned()));
                }
            }
            self.within = self.next()?;
            if !self.within {
                return Ok(0);
            }
        }
    }
}
