//! The children of a directory: a sorted list in chunks, so that names may come in any order. (One vector would move
//! half of it for each name: a million names in reverse order would take hours.)

use super::{NameAt, NodeId};
use std::cmp::Ordering;
use std::iter::Flatten;
use std::slice;

/// Most children of a chunk; a full one is split, or followed by a new one where names come in order.
const CHUNK: usize = 512;

/// An entry of a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Child {
    pub(super) name: NameAt,
    pub(super) node: NodeId,
}

/// The children of a directory, sorted by name.
#[derive(Clone, Debug, Default)]
pub struct Children {
    /// None is empty.
    chunks: Vec<Vec<Child>>,
}

/// A place in the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    chunk: usize,
    at: usize,
}

impl Children {
    pub(super) const fn new() -> Children {
        Children { chunks: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    pub(super) fn iter(&self) -> Iter<'_> {
        let left = self.chunks.iter().map(Vec::len).sum();
        Iter { children: self.chunks.iter().flatten(), left }
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Child> {
        self.chunks.iter_mut().flatten()
    }

    /// The child at a position, and the position behind it.
    pub(super) fn at(&self, position: Position) -> Option<(Child, Position)> {
        let Position { chunk, at } = position;
        let children = self.chunks.get(chunk)?;
        let next = match at + 1 < children.len() {
            true => Position { chunk, at: at + 1 },
            false => Position { chunk: chunk + 1, at: 0 },
        };
        Some((*children.get(at)?, next))
    }

    /// Where the child is for which `order` says equal, or where it would have to be.
    pub(super) fn find(&self, order: impl Fn(&Child) -> Ordering) -> Result<Position, Position> {
        let before = |chunk: &Vec<Child>| chunk.last().is_some_and(|last| order(last) == Ordering::Less);
        let Some(last) = self.chunks.last() else { return Err(Position::default()) };
        // Names mostly come in order.
        if before(last) {
            return Err(Position { chunk: self.chunks.len() - 1, at: last.len() });
        }
        let chunk = self.chunks.partition_point(before);
        let found = self.chunks[chunk].binary_search_by(order);
        found.map(|at| Position { chunk, at }).map_err(|at| Position { chunk, at })
    }

    /// Inserts a child where [`Children::find`] says that it would have to be.
    pub(super) fn insert(&mut self, position: Position, child: Child) {
        let Position { chunk, at } = position;
        let chunks = self.chunks.len();
        match self.chunks.get_mut(chunk) {
            None => self.chunks.push(vec![child]),
            Some(children) if children.len() < CHUNK => children.insert(at, child),
            Some(children) if at == children.len() && chunk + 1 == chunks => self.chunks.push(vec![child]),
            Some(children) => {
                let mut rest = children.split_off(CHUNK / 2);
                match at.checked_sub(CHUNK / 2) {
                    None => children.insert(at, child),
                    Some(at) => rest.insert(at, child),
                }
                self.chunks.insert(chunk + 1, rest);
            }
        }
    }

    /// Takes a child away that [`Children::find`] found.
    pub(super) fn remove(&mut self, position: Position) {
        let children = &mut self.chunks[position.chunk];
        children.remove(position.at);
        if children.is_empty() {
            self.chunks.remove(position.chunk);
        }
    }
}

impl PartialEq for Children {
    fn eq(&self, other: &Children) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Children {}

/// All children in order.
#[derive(Clone)]
pub(super) struct Iter<'a> {
    children: Flatten<slice::Iter<'a, Vec<Child>>>,
    left: usize,
}

impl<'a> Iterator for Iter<'a> {
    type Item = &'a Child;

    fn next(&mut self) -> Option<&'a Child> {
        let child = self.children.next()?;
        self.left -= 1;
        Some(child)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
