//! The normal form: one spelling for all layouts that describe the same bytes in the same way.

use super::{Bytes, ContentId, Key, Layout, Placed, Source};
use sha2::{Digest, Sha256};

/// Zero runs of computed bytes shorter than this stay inside their extent: cutting them costs more than it says.
const SHORTEST_GAP: u64 = 32;

/// An extent of the normal form: no label, no empty bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalExtent {
    /// Position in bytes.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// The bytes.
    pub source: Source,
}

/// Extents in order: neighbours merged, zero bytes dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Normal {
    /// Length of the layout in bytes.
    pub len: u64,
    /// The extents, sorted and disjoint.
    pub extents: Vec<NormalExtent>,
}

impl Layout {
    /// The normal form. Computed bytes are copied (they are small); generators and contents stay references.
    pub fn normal(&self) -> Normal {
        let mut extents: Vec<NormalExtent> = Vec::new();
        let mut computed = Computed::default();
        for Placed { start, len, source, .. } in self.extents() {
            if let Source::Bytes(bytes, from) = source {
                let bytes = &bytes[from as usize..(from + len) as usize];
                computed.add(start, bytes, &mut extents);
                continue;
            }
            computed.flush(&mut extents);
            match extents.last_mut() {
                Some(last) if last.start + last.len == start && last.source.skip(last.len) == source => {
                    last.len += len;
                }
                _ => extents.push(NormalExtent { start, len, source }),
            }
        }
        computed.flush(&mut extents);
        Normal { len: self.len(), extents }
    }

    /// Names the image before it exists: a digest of the normal form with each content's own digest in the place of its
    /// id. Equal ids are equal images.
    pub fn id(&self, digest_of: impl Fn(ContentId) -> [u8; 32]) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(b"diskwright layout 1\0");
        hash.update(self.len().to_le_bytes());
        for NormalExtent { start, len, source } in self.normal().extents {
            hash.update(start.to_le_bytes());
            hash.update(len.to_le_bytes());
            match source {
                Source::Bytes(bytes, _) => {
                    hash.update([0]);
                    hash.update(Sha256::digest(&*bytes));
                }
                Source::Made(made, argument) => {
                    let Key { format, digest } = made.key();
                    hash.update([1]);
                    hash.update((format.len() as u64).to_le_bytes());
                    hash.update(format);
                    hash.update(digest);
                    hash.update(argument.to_le_bytes());
                }
                Source::Content(id, offset) => {
                    hash.update([2]);
                    hash.update(digest_of(id));
                    hash.update(offset.to_le_bytes());
                }
            }
        }
        hash.finalize().into()
    }
}

/// Computed bytes that wait for their neighbours.
#[derive(Default)]
struct Computed {
    start: u64,
    bytes: Vec<u8>,
}

impl Computed {
    /// Takes bytes that follow. Everything depends on where bytes are not zero and on nothing else, so it does not
    /// matter how they were split.
    fn add(&mut self, start: u64, bytes: &[u8], out: &mut Vec<NormalExtent>) {
        let Some(first) = bytes.iter().position(|&byte| byte != 0) else { return };
        let last = bytes.iter().rposition(|&byte| byte != 0).expect("one is not zero");
        let at = start + first as u64;
        for run in runs(&bytes[first..=last]) {
            let gap = at + run.start as u64 - self.end();
            if self.bytes.is_empty() || gap >= SHORTEST_GAP {
                self.flush(out);
                self.start = at + run.start as u64;
            } else {
                self.bytes.resize(self.bytes.len() + gap as usize, 0);
            }
            self.bytes.extend_from_slice(&bytes[first..=last][run]);
        }
    }

    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn flush(&mut self, out: &mut Vec<NormalExtent>) {
        if self.bytes.is_empty() {
            return;
        }
        let bytes = Bytes::from(std::mem::take(&mut self.bytes));
        out.push(NormalExtent {
            start: self.start,
            len: bytes.len() as u64,
            source: Source::Bytes(bytes, 0),
        });
    }
}

/// The parts of `bytes` (whose first and last byte are not zero) between zero runs that are long enough to cut.
fn runs(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let mut runs = Vec::new();
    let (mut start, mut end) = (0, 0);
    for (at, &byte) in bytes.iter().enumerate() {
        if byte == 0 {
            continue;
        }
        if (at - end) as u64 >= SHORTEST_GAP {
            runs.push(start..end);
            start = at;
        }
        end = at + 1;
    }
    runs.push(start..end);
    runs
}
