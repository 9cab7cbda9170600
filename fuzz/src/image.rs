//! Mutated images: a base that our writers made, and patches aimed at its metadata.
//!
//! ```text
//! input  = selector, records      selector: which base, modulo their number
//!        | 255, bytes             the image itself
//!        | 254, u32, records      zeros, this many times 512 bytes
//! record = u32 position, u8 count, bytes
//! ```
//! All numbers are little endian. A position counts bytes of the base's metadata; with bit 31 it is a position in the
//! image. A record of no bytes cuts the image there. Small inputs reach every field of a large image that way.

use diskwright_formats::layout::{Layout, ReadAt, Reader, Source};
use std::collections::BTreeMap;
use std::io;

/// The image itself follows.
pub const WHOLE: u8 = 255;
/// A length and records follow; the base is zeros.
pub const ZEROS: u8 = 254;
/// A longer base of zeros would only cost time.
const LONGEST_ZEROS: u64 = 64 << 20;
/// Metadata is found in units of this many bytes.
const GRANULE: u64 = 64;

/// An image to mutate.
pub struct Base {
    bytes: Vec<u8>,
    /// Whether one of our writers made it, so that a reader must find nothing wrong with it.
    is_ours: bool,
    /// Starts of the granules that hold metadata and are not all zero.
    metadata: Vec<u64>,
}

impl Base {
    /// The image of `layout`, whose contents are `contents`.
    pub fn new(layout: &Layout, contents: &dyn diskwright_formats::layout::Contents) -> Base {
        let mut bytes = vec![0; layout.len() as usize];
        Reader::new(layout, contents).read_exact_at(0, &mut bytes).expect("contents in memory");
        let computed = layout.extents().filter(|extent| !matches!(extent.source, Source::Content(..)));
        let mut metadata: Vec<u64> =
            computed.flat_map(|extent| extent.start / GRANULE..extent.end().div_ceil(GRANULE)).collect();
        metadata.dedup();
        metadata.retain(|granule| {
            let start = (granule * GRANULE) as usize;
            bytes[start..bytes.len().min(start + GRANULE as usize)].iter().any(|&byte| byte != 0)
        });
        metadata.iter_mut().for_each(|granule| *granule *= GRANULE);
        Base { bytes, is_ours: true, metadata }
    }

    /// An image of another program in the form of `fuzz/seeds`: its length (u64), then each granule that is not all zero, with
    /// its number (u32) in front; little endian.
    pub fn sparse(stored: &[u8]) -> Base {
        let (len, records) = stored.split_first_chunk().expect("a length");
        let mut bytes = vec![0; u64::from_le_bytes(*len) as usize];
        let mut metadata = Vec::new();
        for record in records.chunks_exact(4 + GRANULE as usize) {
            let (number, granule) = record.split_first_chunk().expect("a number");
            let start = u64::from(u32::from_le_bytes(*number)) * GRANULE;
            metadata.push(start);
            let to = &mut bytes[start as usize..];
            let count = to.len().min(granule.len());
            to[..count].copy_from_slice(&granule[..count]);
        }
        Base { bytes, is_ours: false, metadata }
    }

    /// Where a record's position points.
    fn position(&self, at: u32, len: u64) -> u64 {
        let at = u64::from(at);
        let count = self.metadata.len() as u64;
        match at >> 31 {
            0 if count > 0 => self.metadata[(at / GRANULE % count) as usize] + at % GRANULE,
            _ => (at & 0x7fff_ffff) % len.max(1),
        }
    }
}

/// A base with patches.
pub struct Mutant<'a> {
    base: &'a [u8],
    len: u64,
    patches: BTreeMap<u64, u8>,
    /// Whether it is an image of ours and nothing was changed.
    pub pristine: bool,
}

impl<'a> Mutant<'a> {
    /// The image that `data` describes; `None` when it describes none.
    pub fn new(bases: &'a [Base], data: &'a [u8]) -> Option<Mutant<'a>> {
        static NOTHING: Base = Base { bytes: Vec::new(), is_ours: false, metadata: Vec::new() };
        let (&selector, rest) = data.split_first()?;
        let whole = |bytes: &'a [u8]| Mutant {
            base: bytes,
            len: bytes.len() as u64,
            patches: BTreeMap::new(),
            pristine: false,
        };
        match selector {
            WHOLE => Some(whole(rest)),
            ZEROS => {
                let (len, rest) = rest.split_first_chunk()?;
                let len = (u64::from(u32::from_le_bytes(*len)) * 512).min(LONGEST_ZEROS);
                Some(Mutant { len, ..whole(&[]) }.patched(&NOTHING, rest))
            }
            _ => {
                let base = bases.get(usize::from(selector) % bases.len().max(1))?;
                Some(Mutant { pristine: base.is_ours, ..whole(&base.bytes) }.patched(base, rest))
            }
        }
    }

    fn patched(mut self, base: &Base, mut records: &[u8]) -> Mutant<'a> {
        while let Some((&[a, b, c, d, count], rest)) = records.split_first_chunk() {
            let (bytes, rest) = rest.split_at(rest.len().min(usize::from(count)));
            records = rest;
            let at = base.position(u32::from_le_bytes([a, b, c, d]), self.len);
            match count {
                0 => self.len = self.len.min(at),
                _ => self.patches.extend((at..).zip(bytes.iter().copied())),
            }
            self.pristine = false;
        }
        self
    }

    /// Changes bytes of the image that lie within it.
    pub fn patch(&mut self, at: u64, bytes: &[u8]) {
        self.patches.extend((at..self.len).zip(bytes.iter().copied()));
    }
}

impl ReadAt for Mutant<'_> {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buffer.len() as u64).filter(|&end| end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let stored = self.base.get(offset.min(self.base.len() as u64) as usize..).unwrap_or_default();
        let count = stored.len().min(buffer.len());
        buffer[..count].copy_from_slice(&stored[..count]);
        buffer[count..].fill(0);
        for (at, &byte) in self.patches.range(offset..end) {
            buffer[(at - offset) as usize] = byte;
        }
        Ok(())
    }
}
