//! Which bytes are worked on together: outputs to jobs. Pure.
//!
//! Extents are cut into *parts* at multiples of [`CHUNK`]: of the content for contents, of the output for computed bytes.
//! All parts of one chunk of a content, wherever they stand, belong to one job, so that the chunk is read once. Other parts
//! follow their neighbours. A job is kept as runs of its outputs, not as a list of parts: a few words for megabytes.

use super::arena::Place;
use super::{CHUNK, Output, PAGE};
use diskwright_formats::layout::{ContentId, Placed, Source};
use std::collections::BTreeMap;
use std::ops::Range;

/// All jobs, in the order in which they are best done.
pub(super) struct Plan {
    pub(super) jobs: Vec<Job>,
    /// The contents that are worked on in several chunks, and in how many.
    pub(super) shared: BTreeMap<ContentId, usize>,
}

/// What one worker does in one go.
#[derive(Default)]
pub(super) struct Job {
    /// Parts that belong to the job and nothing else, sorted by output and start.
    pub(super) segments: Vec<Segment>,
    cost: u64,
}

/// A run of an output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) output: usize,
    pub(super) range: Range<u64>,
}

/// Some bytes of one output, at most [`CHUNK`].
#[derive(Clone, Debug)]
pub(super) struct Part {
    pub(super) output: usize,
    pub(super) start: u64,
    pub(super) len: u64,
    pub(super) source: Source,
}

/// A chunk of a content.
pub(super) type Chunk = (ContentId, u64);

impl Part {
    pub(super) fn chunk(&self) -> Option<Chunk> {
        match self.source {
            Source::Content(id, from) => Some((id, from / CHUNK)),
            _ => None,
        }
    }

    /// Position in the content (or in whatever it comes from).
    pub(super) fn from(&self) -> u64 {
        match self.source {
            Source::Content(_, from) | Source::Bytes(_, from) | Source::Made(_, from) => from,
        }
    }

    /// Its place, as the `order`th of a job.
    pub(super) fn place(&self, order: usize) -> Place {
        Place { output: self.output, start: self.start, len: self.len, order }
    }

    /// What is left when its first `done` bytes are.
    pub(super) fn after(&self, done: u64) -> Option<Part> {
        let (start, source) = (self.start + done, self.source.skip(done));
        (done < self.len).then(|| Part { start, len: self.len - done, source, ..*self })
    }

    /// What holding it costs: many tiny parts cost more than their bytes.
    fn cost(&self) -> u64 {
        self.len.next_multiple_of(PAGE)
    }
}

/// Cuts an extent into parts.
pub(super) fn parts(output: usize, extent: Placed<'_>) -> impl Iterator<Item = Part> + use<> {
    let Placed { start, len, source, .. } = extent;
    let origin = match source {
        Source::Content(_, from) => from,
        _ => start,
    };
    let mut done = 0;
    std::iter::from_fn(move || {
        let left = Some(len - done).filter(|&left| left > 0)?;
        let len = left.min(CHUNK - (origin + done) % CHUNK);
        let part = Part { output, start: start + done, len, source: source.skip(done) };
        done += len;
        Some(part)
    })
}

/// Plans the work on all outputs.
pub(super) fn plan(outputs: &[Output]) -> Plan {
    let mut jobs: Vec<Job> = Vec::new();
    let mut owners = Owners::of(outputs);
    for (output, Output { layout, .. }) in outputs.iter().enumerate() {
        let mut neighbour: Option<usize> = None;
        for part in layout.extents().flat_map(|extent| parts(output, extent)) {
            let job = match part.chunk() {
                Some(chunk) => owners.of_chunk(chunk, || newest_with_room(&mut jobs, part.cost())),
                None => match neighbour {
                    Some(job) if jobs[job].takes(part.cost(), 2 * CHUNK) => job,
                    _ => newest_with_room(&mut jobs, part.cost()),
                },
            };
            jobs[job].add(&part, neighbour == Some(job));
            neighbour = Some(job);
        }
    }
    Plan { jobs, shared: owners.shared() }
}

fn newest_with_room(jobs: &mut Vec<Job>, cost: u64) -> usize {
    if !jobs.last_mut().is_some_and(|job| job.takes(cost, CHUNK)) {
        jobs.push(Job { segments: Vec::new(), cost });
    }
    jobs.len() - 1
}

/// The job of each chunk. Most contents are one chunk: those cost four bytes each.
struct Owners {
    /// The job of the first chunk of the contents with the smallest ids, or [`NONE`].
    first: Vec<u32>,
    others: BTreeMap<Chunk, u32>,
}

const NONE: u32 = u32::MAX;

impl Owners {
    fn of(outputs: &[Output]) -> Owners {
        let (mut count, mut most) = (0, 0);
        let sources = outputs.iter().flat_map(|output| output.layout.extents().map(|extent| extent.source));
        for id in sources.filter_map(|source| match source {
            Source::Content(id, _) => Some(id.0 as usize),
            _ => None,
        }) {
            count += 1;
            most = most.max(id + 1);
        }
        // Ids of a survey are dense; where they are not, the table need not hold them all.
        Owners { first: vec![NONE; most.min(4 * count)], others: BTreeMap::new() }
    }

    fn of_chunk(&mut self, chunk: Chunk, new: impl FnOnce() -> usize) -> usize {
        let new = || u32::try_from(new()).expect("less than 2^32 jobs of a MiB");
        let owner = match (chunk, self.first.get_mut(chunk.0.0 as usize)) {
            ((_, 0), Some(owner)) => {
                if *owner == NONE {
                    *owner = new();
                }
                *owner
            }
            _ => *self.others.entry(chunk).or_insert_with(new),
        };
        owner as usize
    }

    /// How many chunks contents of more than one have.
    fn shared(&self) -> BTreeMap<ContentId, usize> {
        let has_first = |id: ContentId| self.first.get(id.0 as usize).is_some_and(|&owner| owner != NONE);
        let mut counts = BTreeMap::new();
        for &(id, _) in self.others.keys() {
            *counts.entry(id).or_insert(usize::from(has_first(id))) += 1;
        }
        counts.retain(|_, count| *count > 1);
        counts
    }
}

impl Job {
    /// Whether something of this cost fits; if so it is taken.
    fn takes(&mut self, cost: u64, limit: u64) -> bool {
        let fits = self.cost + cost <= limit;
        self.cost += if fits { cost } else { 0 };
        fits
    }

    /// Adds a part. `joined`: no part of another job stands between it and the last one in the same output.
    fn add(&mut self, part: &Part, joined: bool) {
        let Part { output, start, len, .. } = *part;
        match self.segments.last_mut() {
            Some(last) if joined && last.output == output => last.range.end = start + len,
            _ => self.segments.push(Segment { output, range: start..start + len }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use diskwright_formats::layout::{Extent, Layout, What};

    const FILES: u64 = 20_000;

    fn content(start: u64, len: u64, id: u32, from: u64) -> Extent {
        Extent { start, len, source: Source::Content(ContentId(id), from), what: What::new(&"test") }
    }

    fn plan_of(layouts: &[Layout]) -> Plan {
        let output = |layout: &Layout| Output { layout: layout.clone(), path: "out".into() };
        plan(&layouts.iter().map(output).collect::<Vec<_>>())
    }

    /// Small files in order, one page each.
    fn tree() -> Layout {
        let extents = (0..FILES).map(|at| content(at * PAGE, 100, at as u32, 0)).collect();
        Layout::new(FILES * PAGE, extents, vec![]).unwrap()
    }

    /// Bytes of segments and of layouts, by output.
    fn assert_all_planned(plan: &Plan, layouts: &[Layout]) {
        for (output, layout) in layouts.iter().enumerate() {
            let segments = plan.jobs.iter().flat_map(|job| &job.segments);
            let mut ranges: Vec<_> = segments
                .filter(|segment| segment.output == output)
                .map(|segment| segment.range.clone())
                .collect();
            ranges.sort_by_key(|range| range.start);
            assert!(ranges.windows(2).all(|pair| pair[0].end <= pair[1].start), "disjoint");
            let seen = ranges.into_iter().flat_map(|range| layout.extents_in(range).map(|extent| extent.len));
            assert_eq!(seen.sum::<u64>(), layout.extents().map(|extent| extent.len).sum::<u64>());
        }
    }

    #[test]
    fn a_job_is_one_run_of_each_place_of_its_contents() {
        let tree = tree();
        let mut clones = Layout::empty(2 * tree.len() + PAGE);
        clones.splice(PAGE, &tree, "").unwrap();
        clones.splice(PAGE + tree.len(), &tree, "").unwrap();
        let layouts = [tree, clones];
        let plan = plan_of(&layouts);
        assert_all_planned(&plan, &layouts);
        assert_eq!(plan.jobs.len() as u64, (FILES * PAGE).div_ceil(CHUNK));
        assert!(plan.jobs.iter().all(|job| job.segments.len() == 3));
        assert!(plan.shared.is_empty());
    }

    #[test]
    fn chunks_of_a_large_content_are_jobs_that_share_it() {
        let large = content(PAGE, 5 * CHUNK, 7, 100); // begins inside a chunk and so touches six
        let again = content(9 * CHUNK, CHUNK, 7, 100 + CHUNK);
        let layouts = [Layout::new(10 * CHUNK, vec![large, again], vec![]).unwrap()];
        let plan = plan_of(&layouts);
        assert_all_planned(&plan, &layouts);
        assert_eq!(plan.shared, BTreeMap::from([(ContentId(7), 6)]));
        assert!((5..=6).contains(&plan.jobs.len()), "{}", plan.jobs.len());
    }

    #[test]
    fn contents_of_any_number_are_planned() {
        let large = |start, id| content(start, 3 * CHUNK, id, 0);
        let layouts = [Layout::new(
            20 * CHUNK,
            vec![large(0, 0), large(3 * CHUNK, u32::MAX), content(6 * CHUNK, 1, u32::MAX - 1, 2 * CHUNK)],
            vec![],
        )
        .unwrap()];
        let plan = plan_of(&layouts);
        assert_all_planned(&plan, &layouts);
        assert_eq!(plan.shared, BTreeMap::from([(ContentId(0), 3), (ContentId(u32::MAX), 3)]));
    }

    #[test]
    fn computed_bytes_are_cut_into_bounded_jobs() {
        let bytes = vec![1; 40 * CHUNK as usize];
        let layouts = [Layout::new(
            41 * CHUNK,
            vec![content(0, 9, 0, 0), Extent::of_bytes(CHUNK, bytes, What::new(&"table"))],
            vec![],
        )
        .unwrap()];
        let plan = plan_of(&layouts);
        assert_all_planned(&plan, &layouts);
        assert!(plan.jobs.iter().all(|job| job.cost <= 2 * CHUNK));
        assert!(plan.jobs.len() >= 20);
    }
}
