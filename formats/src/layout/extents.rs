//! Many extents in little memory.

use super::source::{ContentId, Source, What};
use super::{Extent, LayoutError};
use std::ops::Range;

/// Extents on their way into a layout, in any order. A content from its start, as most files are, takes 24 bytes.
#[derive(Clone, Default)]
pub struct Extents {
    list: Vec<Short>,
    /// Labels without a number, each once.
    names: Vec<What>,
    /// Sources and labels of all other extents.
    others: Vec<(Source, What)>,
}

/// A content from its start with a label of `names`, or ([`OTHER`]) an entry of `others`.
#[derive(Clone, Copy)]
struct Short {
    start: u64,
    len: u64,
    name: u32,
    index: u32,
}

const OTHER: u32 = u32::MAX;

// A million of them stand in memory.
const _: () = assert!(size_of::<Short>() == 24);

impl Extents {
    /// None, with room for `count`.
    pub fn with_capacity(count: usize) -> Extents {
        Extents { list: Vec::with_capacity(count), ..Extents::default() }
    }

    /// Adds one.
    pub fn push(&mut self, extent: Extent) {
        let Extent { start, len, source, what } = extent;
        let (name, index) = match source {
            Source::Content(ContentId(id), 0) if !what.is_numbered() => (self.name(what), id),
            source => {
                self.others.push((source, what));
                (
                    OTHER,
                    u32::try_from(self.others.len() - 1).expect("less than 2^32 tables and parts of files"),
                )
            }
        };
        self.list.push(Short { start, len, name, index });
    }

    fn name(&mut self, what: What) -> u32 {
        let known = self.names.iter().position(|&known| known == what);
        let at = known.unwrap_or_else(|| {
            self.names.push(what);
            self.names.len() - 1
        });
        at as u32 // a label is a constant of a program: there are few
    }

    /// The one that was added last.
    pub fn last(&self) -> Option<Extent> {
        self.list.last().map(|short| self.extent(short))
    }

    /// Makes the last one `by` bytes longer.
    pub fn grow_last(&mut self, by: u64) {
        if let Some(last) = self.list.last_mut() {
            last.len += by;
        }
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = Extent> {
        self.list.iter().map(|short| self.extent(short))
    }

    /// Those that touch `window`. They must be sorted and disjoint.
    pub(super) fn within(&self, window: Range<u64>) -> impl Iterator<Item = Extent> {
        let from = self.list.partition_point(|short| short.start + short.len <= window.start);
        let to = from + self.list[from..].partition_point(|short| short.start < window.end);
        self.list[from..to].iter().map(|short| self.extent(short))
    }

    /// Sorts them by their starts.
    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|short| short.start);
    }

    /// Whether they are sorted, disjoint and not empty, end within `len`, and have the bytes in their sources.
    pub(super) fn check(&self, len: u64) -> Result<(), LayoutError> {
        let mut end = 0;
        for extent in self.iter() {
            let Extent { start, len: size, .. } = extent;
            let outside = LayoutError::Outside { start, len: size, within: len };
            if size == 0 {
                return Err(LayoutError::Empty { start });
            }
            if start < end {
                return Err(LayoutError::Overlap { at: start, what: extent.what.to_string() });
            }
            end = start.checked_add(size).filter(|&end| end <= len).ok_or(outside)?;
            check_source(&extent.source, size)?;
        }
        Ok(())
    }

    fn extent(&self, short: &Short) -> Extent {
        let &Short { start, len, name, index } = short;
        let (source, what) = match name {
            OTHER => self.others[index as usize].clone(),
            name => (Source::Content(ContentId(index), 0), self.names[name as usize]),
        };
        Extent { start, len, source, what }
    }
}

impl From<Vec<Extent>> for Extents {
    fn from(list: Vec<Extent>) -> Extents {
        let mut extents = Extents::with_capacity(list.len());
        extents.extend(list);
        extents
    }
}

impl Extend<Extent> for Extents {
    fn extend<T: IntoIterator<Item = Extent>>(&mut self, extents: T) {
        extents.into_iter().for_each(|extent| self.push(extent));
    }
}

/// The bytes of the extent must exist in its source.
fn check_source(source: &Source, len: u64) -> Result<(), LayoutError> {
    let (start, within) = match source {
        Source::Bytes(bytes, offset) => (*offset, bytes.len() as u64),
        Source::Made(_, offset) | Source::Content(_, offset) => (*offset, u64::MAX),
    };
    let fits = start.checked_add(len).is_some_and(|end| end <= within);
    fits.then_some(()).ok_or(LayoutError::Outside { start, len, within })
}
