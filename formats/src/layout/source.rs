//! Where the bytes of an extent come from.

use std::fmt;
use std::sync::Arc;

/// Small metadata that was computed; shared, cheap to clone. (Two words thinner than `Arc<[u8]>`: an extent holds one.)
#[derive(Clone, PartialEq, Eq)]
pub struct Bytes(Arc<Box<[u8]>>);

impl std::ops::Deref for Bytes {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Bytes {
        Bytes(Arc::new(bytes.into_boxed_slice()))
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Bytes {
        Bytes::from(bytes.to_vec())
    }
}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// An index into one [`Contents`](super::Contents).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub u32);

/// What a generator makes: its format and the digest of its inputs. Equal keys make equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// `ext4 inode table`, `qcow2 l2 table`.
    pub format: &'static str,
    /// A digest of everything the bytes depend on.
    pub digest: [u8; 32],
}

/// Bytes that are computed when they are asked for, so that large tables never stand in memory.
///
/// A pure function of the value: any thread may ask for any part in any order.
pub trait Fill: Send + Sync {
    /// Names the bytes.
    fn key(&self) -> Key;
    /// Writes the bytes at `argument` (a byte position in the generator's own address space) and on to `buffer`,
    /// all of it.
    fn fill(&self, argument: u64, buffer: &mut [u8]);
}

/// A shared generator; equality is by key. (A word thinner than `Arc<dyn Fill>`.)
#[derive(Clone)]
pub struct Made(Arc<Box<dyn Fill>>);

impl Made {
    /// Shares a generator.
    pub fn new(fill: impl Fill + 'static) -> Made {
        Made(Arc::new(Box::new(fill)))
    }
}

impl std::ops::Deref for Made {
    type Target = dyn Fill;
    fn deref(&self) -> &Self::Target {
        &**self.0
    }
}

impl PartialEq for Made {
    fn eq(&self, other: &Made) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.key() == other.key()
    }
}

impl Eq for Made {}

impl fmt::Debug for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.key().format)
    }
}

/// One byte value over and over.
pub(super) struct Constant(pub(super) u8);

impl Fill for Constant {
    fn key(&self) -> Key {
        Key { format: "constant", digest: [self.0; 32] }
    }
    fn fill(&self, _: u64, buffer: &mut [u8]) {
        buffer.fill(self.0);
    }
}

/// Where the bytes of an extent come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// These bytes, from this index on.
    Bytes(Bytes, u64),
    /// What the generator makes for this argument.
    Made(Made, u64),
    /// A content's bytes from this position on.
    Content(ContentId, u64),
}

impl Source {
    /// The same source `by` bytes further on.
    pub fn skip(&self, by: u64) -> Source {
        match self {
            Source::Bytes(bytes, offset) => Source::Bytes(bytes.clone(), offset + by),
            Source::Made(made, argument) => Source::Made(made.clone(), argument + by),
            Source::Content(id, offset) => Source::Content(*id, offset + by),
        }
    }
}

/// A label: what an extent holds, with a number where there are many (`ext4 inode table 3`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct What {
    // A reference to a constant reference is one word; a million extents carry it.
    name: &'static &'static str,
    number: u32,
}

impl What {
    /// A label without a number: `What::new(&"gpt header")`.
    pub const fn new(name: &'static &'static str) -> What {
        What { name, number: u32::MAX }
    }

    /// A label with a number: a group, a table, a slot.
    pub const fn numbered(name: &'static &'static str, number: u32) -> What {
        What { name, number }
    }

    /// Whether it has a number.
    pub(super) fn is_numbered(self) -> bool {
        self.number != u32::MAX
    }

    /// Its number, if it has one.
    pub fn number(&self) -> Option<u32> {
        self.is_numbered().then_some(self.number)
    }

    /// The label without its number.
    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number {
            u32::MAX => f.write_str(self.name),
            number => write!(f, "{} {number}", self.name),
        }
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
