//! What a layout is made of inside: windows onto shared lists of extents.

use super::extents::Extents;
use super::source::{Made, Source, What};
use super::{Extent, LayoutError, Placed};
use std::ops::Range;
use std::sync::Arc;

/// A window onto a shared list: bytes `from .. from + len` of the list appear at `start`.
#[derive(Clone)]
pub(super) struct Piece {
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) from: u64,
    pub(super) list: Arc<List>,
    pub(super) scope: Option<Arc<str>>,
}

/// Extents and free ranges in an address space of their own, both sorted; together disjoint.
pub(super) struct List {
    extents: Extents,
    free: Vec<Range<u64>>,
}

impl List {
    /// Sorts and checks.
    pub(super) fn new(
        len: u64,
        mut extents: Extents,
        mut free: Vec<Range<u64>>,
    ) -> Result<List, LayoutError> {
        extents.sort();
        free.retain(|range| !range.is_empty());
        free.sort_by_key(|range| range.start);
        extents.check(len)?;
        check_free(len, &extents, &free)?;
        Ok(List { extents, free })
    }

    /// The extents that touch `window`.
    pub(super) fn extents_in(&self, window: Range<u64>) -> impl Iterator<Item = Extent> {
        self.extents.within(window)
    }
}

impl Piece {
    pub(super) fn end(&self) -> u64 {
        self.start + self.len
    }

    /// What of this piece lies in `range`, at the same place.
    pub(super) fn cut(&self, range: Range<u64>) -> Option<Piece> {
        let start = self.start.max(range.start);
        let end = self.end().min(range.end);
        (start < end).then(|| Piece {
            start,
            len: end - start,
            from: self.from + (start - self.start),
            ..self.clone()
        })
    }

    /// The piece at `by` bytes further on, one scope deeper.
    pub(super) fn moved(&self, by: u64, scope: &str) -> Piece {
        let scope = match (scope, &self.scope) {
            ("", inner) => inner.clone(),
            (outer, None) => Some(Arc::from(outer)),
            (outer, Some(inner)) => Some(Arc::from(format!("{outer}/{inner}"))),
        };
        Piece { start: self.start + by, scope, ..self.clone() }
    }

    /// The part of the list that is visible through `range` of the layout.
    pub(super) fn seen(&self, range: &Range<u64>) -> Range<u64> {
        let start = self.start.max(range.start) - self.start + self.from;
        let end = self.end().min(range.end) - self.start + self.from;
        start..end
    }

    /// The free ranges of the list that are visible, in the list's own address space.
    pub(super) fn free(&self) -> impl Iterator<Item = Range<u64>> {
        let window = self.from..self.from + self.len;
        let free = &self.list.free;
        let from = free.partition_point(|range| range.end <= window.start);
        let to = from + free[from..].partition_point(|range| range.start < window.end);
        free[from..to].iter().map(move |range| range.start.max(window.start)..range.end.min(window.end))
    }

    /// The piece with a list of its own in which `poison` fills what was free.
    pub(super) fn poisoned(&self, poison: &Made) -> Piece {
        let what = What::new(&"poison");
        // The argument is the position in the layout, so that it does not tell how the pieces are cut.
        let source = |start: u64| Source::Made(poison.clone(), start - self.from + self.start);
        let filled = self.free().map(|Range { start, end }| Extent {
            start,
            len: end - start,
            source: source(start),
            what,
        });
        let seen = self.list.extents_in(self.from..self.from + self.len);
        let mut extents = Extents::from(seen.chain(filled).collect::<Vec<_>>());
        extents.sort();
        Piece { list: Arc::new(List { extents, free: vec![] }), ..self.clone() }
    }

    pub(super) fn place(&self, extent: Extent, window: &Range<u64>) -> Placed<'_> {
        let start = extent.start.max(window.start);
        let end = extent.end().min(window.end);
        Placed {
            start: start - self.from + self.start,
            len: end - start,
            source: extent.source.skip(start - extent.start),
            what: extent.what,
            scope: self.scope.as_deref().unwrap_or(""),
        }
    }
}

fn check_free(len: u64, extents: &Extents, free: &[Range<u64>]) -> Result<(), LayoutError> {
    let mut end = 0;
    for range in free {
        let Range { start, end: stop } = *range;
        if stop > len {
            return Err(LayoutError::Outside { start, len: stop - start, within: len });
        }
        let extent = extents.within(start..stop).next();
        let again = extent.map(|extent| extent.start.max(start));
        if let Some(at) = again.or((start < end).then_some(start)) {
            return Err(LayoutError::Overlap { at, what: "free range".to_owned() });
        }
        end = stop;
    }
    Ok(())
}
