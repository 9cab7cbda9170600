//! The core value: where every byte of an image comes from.
//!
//! ```text
//! Layout = { len, extents: sorted, disjoint, non-empty; free }      what no extent covers reads as zero
//! Extent = { start, len, source, what }
//! Source = Bytes(shared bytes, offset) | Made(shared generator, argument) | Content(id, offset)
//! ```
//!
//! Laws (each is a property test in `tests/layout_laws.rs`):
//! 1. A layout is a value: cloned, compared, printed; no handles, no lifetimes. Labels take no part in equality.
//! 2. Gaps are zero. [`Layout::splice`] copies another layout to an offset. `free` is a subset of the gaps.
//! 3. Normal form: neighbours merged, zero bytes dropped. Equal normal forms over equal contents are equal images.
//!
//! A layout is flat to its reader and shared inside: it is a list of *pieces*, each a window onto a shared list of
//! extents. Splicing, cutting and mapping through a container cost O(pieces) and copy no extent.

mod contents;
mod differences;
mod extents;
mod normal;
mod patch;
mod piece;
mod read;
mod source;

pub use contents::{Content, ContentError, Contents, Memory, OneFile};
pub use differences::differences;
pub use extents::Extents;
pub use normal::{Normal, NormalExtent};
pub use patch::Patch;
pub use read::{ReadAt, Reader, Window};
pub use source::{Bytes, ContentId, Fill, Key, Made, Source, What};

use piece::{List, Piece};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A run of bytes and where they come from.
#[derive(Clone, Debug)]
pub struct Extent {
    /// Position in the layout, in bytes.
    pub start: u64,
    /// Length in bytes; never 0 inside a layout.
    pub len: u64,
    /// The bytes.
    pub source: Source,
    /// What they are; takes no part in equality.
    pub what: What,
}

impl Extent {
    /// The position behind the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// An extent that holds all of `bytes`.
    pub fn of_bytes(start: u64, bytes: impl Into<Bytes>, what: What) -> Extent {
        let bytes = bytes.into();
        Extent { start, len: bytes.len() as u64, source: Source::Bytes(bytes, 0), what }
    }
}

/// An extent as a layout's reader sees it: cut to its window, with the scopes that splices gave it.
#[derive(Clone, Debug)]
pub struct Placed<'a> {
    /// Position in the layout, in bytes.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
    /// The bytes.
    pub source: Source,
    /// What they are.
    pub what: What,
    /// Names of the objects around it, outermost first, joined with `/`; may be empty.
    pub scope: &'a str,
}

impl Placed<'_> {
    /// The position behind the last byte.
    pub fn end(&self) -> u64 {
        self.start + self.len
    }

    /// Scope and label: `root/ext4 inode table 3`.
    pub fn label(&self) -> String {
        match self.scope {
            "" => self.what.to_string(),
            scope => format!("{scope}/{}", self.what),
        }
    }
}

/// Why a layout cannot be put together: a bug of a writer, or damage in an image that was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// An extent of no bytes.
    Empty {
        /// Where.
        start: u64,
    },
    /// An extent or free range ends behind the layout, or an extent's bytes behind their source.
    Outside {
        /// Where it starts.
        start: u64,
        /// Its length.
        len: u64,
        /// The length of the layout or source.
        within: u64,
    },
    /// Two extents, or an extent and a free range, claim the same byte.
    Overlap {
        /// The first byte claimed twice.
        at: u64,
        /// What claims it second.
        what: String,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LayoutError::Empty { start } => write!(f, "an extent of no bytes at byte {start}"),
            LayoutError::Outside { start, len, within } => {
                write!(f, "{len} bytes at byte {start} end behind {within} bytes")
            }
            LayoutError::Overlap { at, what } => write!(f, "byte {at} is claimed twice, second by: {what}"),
        }
    }
}

impl std::error::Error for LayoutError {}

/// Where every byte of an image comes from. See the [module](self).
#[derive(Clone, Default)]
pub struct Layout {
    len: u64,
    /// Sorted by start, disjoint, none empty.
    pieces: Vec<Piece>,
}

impl Layout {
    /// `len` bytes of zeros.
    pub fn empty(len: u64) -> Layout {
        Layout { len, pieces: Vec::new() }
    }

    /// A layout of these extents and free ranges (bytes whose content does not matter and that no extent covers),
    /// in any order.
    pub fn new(len: u64, extents: Vec<Extent>, free: Vec<Range<u64>>) -> Result<Layout, LayoutError> {
        Layout::of_extents(len, extents.into(), free)
    }

    /// [`Layout::new`] for many extents.
    pub fn of_extents(len: u64, extents: Extents, free: Vec<Range<u64>>) -> Result<Layout, LayoutError> {
        let list = Arc::new(List::new(len, extents, free)?);
        let piece = Piece { start: 0, len, from: 0, list, scope: None };
        Ok(Layout { len, pieces: if len == 0 { vec![] } else { vec![piece] } })
    }

    /// One content, whole: what `raw` opens to.
    pub fn of_content(id: ContentId, len: u64) -> Layout {
        let extent = Extent { start: 0, len, source: Source::Content(id, 0), what: What::new(&"content") };
        let extents = if len == 0 { vec![] } else { vec![extent] };
        Layout::new(len, extents, vec![]).expect("one extent as long as the layout")
    }

    /// Length in bytes, gaps included.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes at all, not even zeros.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many pieces it is made of: what copying it costs.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Copies `other` to the bytes from `at` on, under the name `scope` (may be empty). All of those bytes must be
    /// gaps; free ranges there give way. Costs O(pieces), not O(extents).
    pub fn splice(&mut self, at: u64, other: &Layout, scope: &str) -> Result<(), LayoutError> {
        let outside = LayoutError::Outside { start: at, len: other.len, within: self.len };
        let end = at.checked_add(other.len).filter(|&end| end <= self.len).ok_or(outside)?;
        if other.len == 0 {
            return Ok(());
        }
        if let Some(hit) = self.extents_in(at..end).next() {
            return Err(LayoutError::Overlap { at: hit.start, what: scope.to_owned() });
        }
        let first = self.pieces.partition_point(|piece| piece.end() <= at);
        let last = self.pieces.partition_point(|piece| piece.start < end);
        let before = self.pieces[first..last].first().and_then(|piece| piece.cut(piece.start..at));
        let after = self.pieces[first..last].last().and_then(|piece| piece.cut(end..piece.end()));
        let inner = other.pieces.iter().map(|piece| piece.moved(at, scope));
        let new: Vec<Piece> = before.into_iter().chain(inner).chain(after).collect();
        self.pieces.splice(first..last, new);
        Ok(())
    }

    /// Bytes `range` of this layout as a layout of their own. Must lie within it. Costs O(pieces in the range).
    pub fn window(&self, range: Range<u64>) -> Layout {
        assert!(range.start <= range.end && range.end <= self.len, "a window within the layout");
        let pieces = self.pieces_in(&range).map(|piece| Piece { start: piece.start - range.start, ..piece });
        Layout { len: range.end - range.start, pieces: pieces.collect() }
    }

    /// The same bytes with zeros up to `len`, or cut to it.
    pub fn resized(&self, len: u64) -> Layout {
        Layout { len, ..self.window(0..len.min(self.len)) }
    }

    /// All extents in order.
    pub fn extents(&self) -> impl Iterator<Item = Placed<'_>> {
        self.extents_in(0..self.len)
    }

    /// The extents that touch `range`, cut to it, in order.
    pub fn extents_in(&self, range: Range<u64>) -> impl Iterator<Item = Placed<'_>> {
        let (first, last) = self.touched(&range);
        self.pieces[first..last].iter().flat_map(move |piece| {
            let window = piece.seen(&range);
            let extents = piece.list.extents_in(window.clone());
            extents.map(move |extent| piece.place(extent, &window))
        })
    }

    /// The runs of bytes that extents cover, in order, neighbours joined: everything that is not zero by definition.
    pub fn covered(&self) -> impl Iterator<Item = Range<u64>> {
        joined(self.extents().map(|extent| extent.start..extent.end()))
    }

    /// The runs of bytes whose content does not matter, in order, neighbours joined. They are gaps and read as zero.
    pub fn free(&self) -> impl Iterator<Item = Range<u64>> {
        joined(self.pieces.iter().flat_map(|piece| {
            let here = |at: u64| at - piece.from + piece.start;
            piece.free().map(move |range| here(range.start)..here(range.end))
        }))
    }

    /// The same layout with every free byte set to `byte`: whoever reads the image as its format says must not notice.
    pub fn poisoned(&self, byte: u8) -> Layout {
        let poison = Made::new(source::Constant(byte));
        let pieces = self.pieces.iter().map(|piece| piece.poisoned(&poison)).collect();
        Layout { len: self.len, pieces }
    }

    fn touched(&self, range: &Range<u64>) -> (usize, usize) {
        if range.is_empty() {
            return (0, 0); // else a piece around it would show an extent of no bytes
        }
        let first = self.pieces.partition_point(|piece| piece.end() <= range.start);
        let last = self.pieces.partition_point(|piece| piece.start < range.end);
        (first, last)
    }

    fn pieces_in(&self, range: &Range<u64>) -> impl Iterator<Item = Piece> {
        let (first, last) = self.touched(range);
        self.pieces[first..last].iter().filter_map(move |piece| piece.cut(range.clone()))
    }
}

/// Sorted ranges with neighbours joined.
fn joined(ranges: impl Iterator<Item = Range<u64>>) -> impl Iterator<Item = Range<u64>> {
    let mut ranges = ranges.peekable();
    std::iter::from_fn(move || {
        let mut run = ranges.next()?;
        while let Some(next) = ranges.next_if(|next| next.start == run.end) {
            run.end = next.end;
        }
        Some(run)
    })
}

/// Two layouts are equal when their normal forms are: labels, pieces and free ranges take no part.
impl PartialEq for Layout {
    fn eq(&self, other: &Layout) -> bool {
        self.len == other.len && self.normal() == other.normal()
    }
}

impl Eq for Layout {}

/// The map of the layout, a line an extent.
impl fmt::Debug for Layout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "layout of {} bytes", self.len)?;
        self.extents().try_for_each(|extent| {
            let Placed { start, len, ref source, .. } = extent;
            writeln!(f, "{start:>16} {len:>14} {source:?} {}", extent.label())
        })
    }
}
