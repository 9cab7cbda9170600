//! What the content ids of a survey stand for.

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::{Bytes, Content, ContentError, ContentId, Contents, Memory};

/// The contents of a surveyed tree: one or more parts, each with ids of its own, one behind the other.
#[derive(Default)]
pub struct Surveyed {
    /// The first id of each part, and the part.
    parts: Vec<(u32, Box<dyn Part>)>,
    len: u32,
}

/// Contents from one source: the files of a directory, ranges of an archive or spool, bytes in memory.
pub(super) trait Part: Send + Sync {
    /// How many there are.
    fn len(&self) -> u32;

    /// Opens one; `index` is less than `len`.
    fn open(&self, index: u32) -> Result<Box<dyn Content + '_>, ContentError>;
}

impl Surveyed {
    pub(super) fn of(part: impl Part + 'static) -> Surveyed {
        Surveyed { len: part.len(), parts: vec![(0, Box::new(part))] }
    }

    /// Contents in memory, numbered in order.
    pub fn memory(contents: Vec<Bytes>) -> Surveyed {
        Surveyed::of(Memory(contents))
    }

    /// How many contents there are; ids are smaller.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds all contents of another survey. Returns what to add to their ids.
    pub fn append(&mut self, other: Surveyed) -> Result<u32, Refusal> {
        let by = self.len;
        let too_many =
            || Refusal::new(RefusalKind::Limit, Spot::new("tree", ""), "a tree holds at most 2^32 files");
        self.len = by.checked_add(other.len).ok_or_else(too_many)?;
        self.parts.extend(other.parts.into_iter().map(|(first, part)| (first + by, part)));
        Ok(by)
    }
}

impl Contents for Surveyed {
    fn open(&self, id: ContentId) -> Result<Box<dyn Content + '_>, ContentError> {
        let behind = self.parts.partition_point(|(first, _)| *first <= id.0);
        let part = self.parts[..behind].iter().rev().find(|(first, part)| id.0 - first < part.len());
        match part {
            Some((first, part)) => part.open(id.0 - first),
            None => Err(ContentError {
                path: format!("content {}", id.0),
                error: std::io::ErrorKind::NotFound.into(),
            }),
        }
    }
}

impl Part for Memory {
    fn len(&self) -> u32 {
        self.0.len() as u32
    }

    fn open(&self, index: u32) -> Result<Box<dyn Content + '_>, ContentError> {
        Contents::open(self, ContentId(index))
    }
}
