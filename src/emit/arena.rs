//! The memory of one worker: bytes from many sources, gathered into few runs per output.

use super::{CHUNK, PAGE};
use std::ops::Range;

/// The first page stays zero: it fills the gaps between pieces that are not neighbours in memory.
const ZEROS: usize = PAGE as usize;
const SIZE: usize = ZEROS + 2 * CHUNK as usize;

/// Bytes in memory, and where they go. Reused from batch to batch.
pub(super) struct Arena {
    memory: Vec<u8>,
    used: usize,
    pieces: Vec<Piece>,
    last: Option<Room>,
}

/// What was reserved last.
#[derive(Clone, Copy)]
struct Room {
    place: Place,
    /// Where the zeros in front of it begin that part it from the room before; `at` where there are none.
    zeros: usize,
    at: usize,
    end: usize,
}

/// Where bytes go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) output: usize,
    pub(super) start: u64,
    pub(super) len: u64,
    /// Numbers the parts of a job; where two numbers follow each other, nothing but zeros stands between the two parts.
    pub(super) order: usize,
}

#[derive(Clone, Copy)]
struct Piece {
    place: Place,
    at: usize,
    /// From here to `at` all bytes of the arena are zero.
    zeros: usize,
}

/// Bytes that are written by one call: neighbours in one output.
pub(super) struct Run {
    pub(super) output: usize,
    pub(super) start: u64,
    /// Where they lie in the arena.
    pub(super) slices: Vec<Range<usize>>,
    order: usize,
    end: u64,
}

impl Place {
    fn end(&self) -> u64 {
        self.start + self.len
    }
}

impl Arena {
    pub(super) fn new() -> Arena {
        Arena { memory: vec![0; SIZE], used: ZEROS, pieces: Vec::new(), last: None }
    }

    /// Whether [`Arena::reserve`] can be asked for this many bytes.
    pub(super) fn has_room(&self, len: u64) -> bool {
        (SIZE - self.used) as u64 >= len + PAGE
    }

    /// Room for the bytes of a place. If the place follows the last one by less than a page, so does the room, with zeros
    /// between: the two are then one slice.
    pub(super) fn reserve(&mut self, place: &Place) -> usize {
        let last = self.last.filter(|room| room.end == self.used).map(|room| room.place);
        let gap = last.and_then(|last| gap(last.output, last.end(), last.order, place));
        let zeros = self.used;
        let at = zeros + gap.unwrap_or(0) as usize;
        self.memory[zeros..at].fill(0);
        self.used = at + place.len as usize;
        self.last = Some(Room { place: *place, zeros, at, end: self.used });
        at
    }

    /// The bytes at `at`, to be filled.
    pub(super) fn bytes(&mut self, at: usize, len: u64) -> &mut [u8] {
        &mut self.memory[at..at + len as usize]
    }

    /// Says where the bytes at `at` go; they may go to many places.
    pub(super) fn keep(&mut self, place: Place, at: usize) {
        let zeros = self.last.filter(|room| room.at == at).map_or(at, |room| room.zeros);
        self.pieces.push(Piece { place, at, zeros });
    }

    /// Like [`Arena::keep`] without the whole pages (of the output) that are zero.
    pub(super) fn keep_without_zeros(&mut self, place: Place, at: usize) {
        let bytes = &self.memory[at..at + place.len as usize];
        let kept: Vec<Range<usize>> = not_zero(place.start, bytes).collect();
        for Range { start, end } in kept {
            let part = Place { start: place.start + start as u64, len: (end - start) as u64, ..place };
            self.keep(part, at + start);
        }
        if self.pieces.last().is_none_or(|last| last.at < at) {
            self.used = at; // nothing of it was kept: the room is free again
        }
    }

    /// What is to be written, sorted by output and start.
    pub(super) fn runs(&mut self) -> Vec<Run> {
        self.pieces.sort_by_key(|piece| (piece.place.output, piece.place.start));
        let mut runs: Vec<Run> = Vec::new();
        for piece in &self.pieces {
            let run = runs.last_mut();
            match run.and_then(|run| Some((gap(run.output, run.end, run.order, &piece.place)?, run))) {
                Some((gap, run)) => run.append(gap as usize, piece),
                None => runs.push(Run::of(piece)),
            }
        }
        runs
    }

    /// The bytes of a run's slices.
    pub(super) fn slices<'a>(&'a self, run: &'a Run) -> impl Iterator<Item = &'a [u8]> {
        run.slices.iter().map(|slice| &self.memory[slice.clone()])
    }

    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.pieces.clear();
        self.used = ZEROS;
        self.last = None;
    }
}

/// How many zeros part what ends at `end` from `next`, if both can be one run.
fn gap(output: usize, end: u64, order: usize, next: &Place) -> Option<u64> {
    let gap = next.start.checked_sub(end).filter(|&gap| gap < PAGE)?;
    let near = gap == 0 || (order..=order + 1).contains(&next.order);
    (output == next.output && near).then_some(gap)
}

impl Run {
    fn of(piece: &Piece) -> Run {
        let Piece { place, at, .. } = *piece;
        let slices = std::iter::once(at..at + place.len as usize).collect();
        Run { output: place.output, start: place.start, slices, order: place.order, end: place.end() }
    }

    fn append(&mut self, gap: usize, piece: &Piece) {
        let slice = piece.at..piece.at + piece.place.len as usize;
        let last = self.slices.last_mut().expect("a run starts with a slice");
        if last.end >= piece.zeros && piece.at.checked_sub(last.end) == Some(gap) {
            last.end = slice.end;
        } else {
            self.slices.extend((gap > 0).then_some(0..gap));
            self.slices.push(slice);
        }
        self.order = piece.place.order;
        self.end = piece.place.end();
    }
}

/// The runs of bytes without the whole pages that are zero; `start` is where the first byte stands in the output.
fn not_zero(start: u64, bytes: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let head = ((PAGE - start % PAGE) % PAGE) as usize;
    let head = head.min(bytes.len());
    let pages =
        (head..bytes.len()).step_by(PAGE as usize).map(|at| at..(at + PAGE as usize).min(bytes.len()));
    let is_zero = |range: &Range<usize>| {
        range.len() == PAGE as usize && bytes[range.clone()].iter().all(|&byte| byte == 0)
    };
    let mut kept = std::iter::once(0..head)
        .chain(pages)
        .filter(move |range| !range.is_empty() && !is_zero(range))
        .peekable();
    std::iter::from_fn(move || {
        let mut run = kept.next()?;
        while let Some(next) = kept.next_if(|next| next.start == run.end) {
            run.end = next.end;
        }
        Some(run)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(output: usize, start: u64, len: u64, order: usize) -> Place {
        Place { output, start, len, order }
    }

    fn put(arena: &mut Arena, place: Place, byte: u8) -> usize {
        let at = arena.reserve(&place);
        arena.bytes(at, place.len).fill(byte);
        arena.keep(place, at);
        at
    }

    /// Output, start and bytes of every run, and its number of slices.
    fn runs(arena: &mut Arena) -> Vec<(usize, u64, usize, Vec<u8>)> {
        let runs = arena.runs();
        runs.iter()
            .map(|run| {
                (run.output, run.start, run.slices.len(), arena.slices(run).flatten().copied().collect())
            })
            .collect()
    }

    #[test]
    fn neighbours_become_one_slice_with_zeros_between() {
        let mut arena = Arena::new();
        put(&mut arena, place(0, 10, 2, 1), 1);
        put(&mut arena, place(0, 15, 1, 2), 2);
        assert_eq!(runs(&mut arena), [(0, 10, 1, vec![1, 1, 0, 0, 0, 2])]);
    }

    #[test]
    fn what_is_not_ours_between_two_places_is_not_written() {
        let mut arena = Arena::new();
        put(&mut arena, place(0, 10, 1, 1), 1);
        put(&mut arena, place(0, 12, 1, 3), 2);
        put(&mut arena, place(0, 12 + PAGE + 1, 1, 4), 3);
        assert_eq!(
            runs(&mut arena),
            [(0, 10, 1, vec![1]), (0, 12, 1, vec![2]), (0, 12 + PAGE + 1, 1, vec![3])]
        );
    }

    #[test]
    fn one_reading_serves_two_outputs_in_different_order() {
        let mut arena = Arena::new();
        let a = put(&mut arena, place(0, 0, 2, 1), 1);
        let b = put(&mut arena, place(0, 3, 2, 2), 2);
        arena.keep(place(1, 7, 2, 5), a);
        arena.keep(place(1, 3, 2, 4), b);
        assert_eq!(runs(&mut arena), [(0, 0, 1, vec![1, 1, 0, 2, 2]), (1, 3, 3, vec![2, 2, 0, 0, 1, 1])]);
    }

    #[test]
    fn stale_bytes_of_the_last_batch_are_not_gaps() {
        let mut arena = Arena::new();
        put(&mut arena, place(0, 0, 100, 1), 0xf5);
        arena.clear();
        put(&mut arena, place(0, 0, 1, 1), 1);
        put(&mut arena, place(0, 9, 1, 2), 2);
        assert_eq!(runs(&mut arena), [(0, 0, 1, vec![1, 0, 0, 0, 0, 0, 0, 0, 0, 2])]);
    }

    #[test]
    fn whole_zero_pages_are_dropped_and_their_room_is_free_again() {
        let page = PAGE as usize;
        let mut bytes = vec![0; 5 * page];
        let check = |start, bytes: &[u8], expected: &[Range<usize>]| {
            assert_eq!(not_zero(start, bytes).collect::<Vec<_>>(), expected);
        };
        check(0, &bytes, &[]);
        check(1, &bytes, &[0..page - 1, 5 * page - 1..5 * page]);
        bytes[2 * page] = 1;
        check(0, &bytes, std::slice::from_ref(&(2 * page..3 * page)));
        check(3 * PAGE, &bytes[..2 * page + 1], std::slice::from_ref(&(2 * page..2 * page + 1)));
        check(5, &bytes[..9], std::slice::from_ref(&(0..9)));
        let mut arena = Arena::new();
        let zeros = place(0, 0, 2 * PAGE, 1);
        let at = arena.reserve(&zeros);
        arena.keep_without_zeros(zeros, at);
        assert_eq!(arena.used, at);
        assert!(arena.runs().is_empty());
    }
}
