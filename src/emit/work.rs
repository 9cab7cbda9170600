//! The workers: jobs to bytes in files.

use super::arena::{Arena, Place};
use super::jobs::{Chunk, Job, Part, parts};
use super::kernel;
use super::sources::Sources;
use super::target::Target;
use super::{Counters, EmitError, Output, Progress, count};
use diskwright_formats::layout::{Bytes, Content, ContentId, Made, Source};
use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

/// What all workers share.
pub(super) struct Work<'a, 's> {
    pub(super) outputs: &'a [Output],
    pub(super) targets: &'a [Target],
    pub(super) sources: &'a Sources<'s>,
    pub(super) counters: &'a Counters,
    pub(super) progress: &'a dyn Progress,
}

/// An error, and the number of the job that met it.
type Failed = (usize, EmitError);

/// Does all jobs. When one fails the others stop soon; of several errors the first in the order of the jobs is told.
pub(super) fn all(work: &Work<'_, '_>, jobs: &[Job], threads: usize) -> Result<(), EmitError> {
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let run = || {
        let _guard = StopOnPanic(&stop);
        let mut worker = Worker { work, stop: &stop, arena: Arena::new(), done: 0 };
        worker.all(jobs, &next).inspect_err(|_| stop.store(true, Ordering::Relaxed))
    };
    let others = threads.min(jobs.len()).saturating_sub(1);
    let results: Vec<Result<(), Failed>> = thread::scope(|scope| {
        let others: Vec<_> = (0..others).map(|_| scope.spawn(run)).collect();
        let mine = run();
        let others =
            others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
        std::iter::once(mine).chain(others).collect()
    });
    let failed = results.into_iter().filter_map(Result::err);
    // Whoever was told to stop says `Cancelled`: that is the reason only if there is no other.
    match failed.min_by_key(|(job, error)| (matches!(error, EmitError::Cancelled), *job)) {
        None => Ok(()),
        Some((_, error)) => Err(error),
    }
}

/// Stops the others when a worker panics.
struct StopOnPanic<'a>(&'a AtomicBool);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

struct Worker<'a, 's> {
    work: &'a Work<'a, 's>,
    stop: &'a AtomicBool,
    arena: Arena,
    /// Bytes in the arena that progress has not heard of.
    done: u64,
}

/// Parts that are worked on together: all of one chunk of a content, or one of computed bytes.
struct Unit {
    parts: Vec<(usize, Part)>,
}

impl Worker<'_, '_> {
    fn all(&mut self, jobs: &[Job], next: &AtomicUsize) -> Result<(), Failed> {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = jobs.get(number) else { return Ok(()) };
            self.job(job).map_err(|error| (number, error))?;
        }
    }

    fn job(&mut self, job: &Job) -> Result<(), EmitError> {
        for unit in units(self.work.outputs, job) {
            if self.stop.load(Ordering::Relaxed) || self.work.progress.cancelled() {
                return Err(EmitError::Cancelled);
            }
            self.unit(unit)?;
        }
        self.flush()
    }

    fn unit(&mut self, unit: Unit) -> Result<(), EmitError> {
        self.done += unit.parts.iter().map(|(_, part)| part.len).sum::<u64>();
        let (order, first) = &unit.parts[0];
        match &first.source {
            Source::Content(id, _) => self.content(*id, &unit),
            Source::Bytes(bytes, from) => self.bytes(first.place(*order), bytes, *from as usize),
            Source::Made(made, argument) => self.made(first.place(*order), made, *argument),
        }
    }

    fn bytes(&mut self, place: Place, bytes: &Bytes, from: usize) -> Result<(), EmitError> {
        let at = self.reserve(&place)?;
        self.arena.bytes(at, place.len).copy_from_slice(&bytes[from..from + place.len as usize]);
        self.arena.keep_without_zeros(place, at);
        Ok(())
    }

    fn made(&mut self, place: Place, made: &Made, argument: u64) -> Result<(), EmitError> {
        let at = self.reserve(&place)?;
        let buffer = self.arena.bytes(at, place.len);
        buffer.fill(0); // what was here before must never reach an image, even through a careless generator
        made.fill(argument, buffer);
        self.arena.keep_without_zeros(place, at);
        Ok(())
    }

    fn content(&mut self, id: ContentId, unit: &Unit) -> Result<(), EmitError> {
        let work = self.work;
        work.sources.visit(id, |content| {
            let left = |(order, part): &(usize, Part)| {
                let done = kernel::transfer(content, part, &work.targets[part.output], work.counters);
                part.after(done).map(|part| (*order, part))
            };
            let mut left: Vec<(usize, Part)> = unit.parts.iter().filter_map(left).collect();
            left.sort_by_key(|(_, part)| part.from());
            overlapping(&left).try_for_each(|parts| self.read(content, parts))
        })
    }

    /// Reads bytes that overlap or follow each other in the content once, for all their places.
    fn read(&mut self, content: &dyn Content, parts: &[(usize, Part)]) -> Result<(), EmitError> {
        let (order, first) = &parts[0];
        let from = first.from();
        let end = parts.iter().map(|(_, part)| part.from() + part.len).max().unwrap_or(from);
        let whole = Place { len: end - from, ..first.place(*order) };
        let at = self.reserve(&whole)?;
        content.read_exact_at(from, self.arena.bytes(at, whole.len))?;
        count(&self.work.counters.reads, 1);
        for (order, part) in parts {
            self.arena.keep(part.place(*order), at + (part.from() - from) as usize);
        }
        Ok(())
    }

    fn reserve(&mut self, place: &Place) -> Result<usize, EmitError> {
        if !self.arena.has_room(place.len) {
            self.flush()?;
        }
        Ok(self.arena.reserve(place))
    }

    fn flush(&mut self) -> Result<(), EmitError> {
        for run in self.arena.runs() {
            kernel::write(&self.arena, &run, &self.work.targets[run.output], self.work.counters)?;
        }
        self.arena.clear();
        self.work.progress.advance(std::mem::take(&mut self.done));
        Ok(())
    }
}

/// The units of a job, by the first place of each.
fn units(outputs: &[Output], job: &Job) -> Vec<Unit> {
    let mut units: Vec<Unit> = Vec::new();
    let mut chunks: BTreeMap<Chunk, usize> = BTreeMap::new();
    let mut order = 0;
    for segment in &job.segments {
        order += 1; // a step of two: the parts on both sides of it are not neighbours
        let extents = outputs[segment.output].layout.extents_in(segment.range.clone());
        for part in extents.flat_map(|extent| parts(segment.output, extent)) {
            order += 1;
            let unit = part.chunk().map_or(units.len(), |chunk| *chunks.entry(chunk).or_insert(units.len()));
            match units.get_mut(unit) {
                Some(unit) => unit.parts.push((order, part)),
                None => units.push(Unit { parts: vec![(order, part)] }),
            }
        }
    }
    units
}

/// Parts sorted by their position in one content, as groups that overlap or follow each other.
fn overlapping(mut parts: &[(usize, Part)]) -> impl Iterator<Item = &[(usize, Part)]> {
    std::iter::from_fn(move || {
        let mut end = parts.first()?.1.from();
        let near = |(_, part): &&(usize, Part)| {
            let near = part.from() <= end;
            end = end.max(part.from() + part.len);
            near
        };
        let (group, rest) = parts.split_at(parts.iter().take_while(near).count());
        parts = rest;
        Some(group)
    })
}
