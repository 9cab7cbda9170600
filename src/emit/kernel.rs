//! Moving bytes: ranges that the kernel clones or copies, runs that are written from memory.

use super::arena::{Arena, Run};
use super::jobs::Part;
use super::target::Target;
use super::{Counters, EmitError, count};
use crate::sys;
use diskwright_formats::layout::{Content, Source};
use rustix::io::Errno;
use std::io::IoSlice;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Content ranges from this length on are given to the kernel: a call costs about as much as copying this much.
const SHORTEST: u64 = 128 << 10;

/// Runs from this length on are sent to the disk at once; what is shorter waits until the file is synced.
const SHORTEST_SENT: u64 = 256 << 10;

/// Slices of one writing call (`UIO_MAXIOV`).
const SLICES: usize = 1024;

/// What the file system of an output was found to be unable to do.
#[derive(Default)]
pub(super) struct Lacks {
    clone: AtomicBool,
    copy: AtomicBool,
}

/// Lets the kernel move bytes from a part's source into its output. Gives how many of its first bytes are done; what is
/// left, all of it where the kernel or the source cannot, must be read. Never fails: whoever reads the rest meets the
/// error, if it was one.
pub(super) fn transfer(content: &dyn Content, part: &Part, target: &Target, counters: &Counters) -> u64 {
    let Source::Content(_, from) = part.source else { return 0 };
    if part.len < SHORTEST {
        return 0;
    }
    let Some((file, at)) = content.file_range(from, part.len) else { return 0 };
    let cloned = clone(file, at, part, target);
    count(&counters.bytes_cloned, cloned);
    if cloned > 0 {
        return cloned; // less than a block is left
    }
    let copied = copy(file, at, part, target);
    count(&counters.bytes_copied, copied);
    send(target, part.start, copied);
    copied
}

/// Lets the disk begin with a run that will be synced, so that it works while the rest is still being read.
fn send(target: &Target, start: u64, len: u64) {
    if target.will_sync() && len >= SHORTEST_SENT {
        sys::begin_write(target.file().as_fd(), start, len);
    }
}

/// Clones the whole blocks of a part, if they are blocks in both files.
fn clone(file: BorrowedFd<'_>, at: u64, part: &Part, target: &Target) -> u64 {
    let block = target.block();
    let len = part.len - part.len % block;
    let aligned = at.is_multiple_of(block) && part.start.is_multiple_of(block);
    if !aligned || len == 0 || target.lacks().clone.load(Ordering::Relaxed) {
        return 0;
    }
    match sys::clone_range(file, at, len, target.file().as_fd(), part.start) {
        Ok(()) => len,
        Err(error) => {
            let error = Errno::from_io_error(&error);
            target.lacks().clone.fetch_or(error.is_some_and(is_permanent), Ordering::Relaxed);
            0
        }
    }
}

fn copy(file: BorrowedFd<'_>, at: u64, part: &Part, target: &Target) -> u64 {
    let (mut from, mut to) = (at, part.start);
    let end = part.start + part.len;
    while to < end && !target.lacks().copy.load(Ordering::Relaxed) {
        let left = (end - to) as usize;
        match rustix::fs::copy_file_range(file, Some(&mut from), target.file(), Some(&mut to), left) {
            Ok(0) => break, // the source ends, or this kernel cannot: reading tells
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => {
                target.lacks().copy.fetch_or(is_permanent(error), Ordering::Relaxed);
                break;
            }
        }
    }
    to - part.start
}

/// Whether no later call on the same output can succeed: it is the output's file system, or a filter of system calls, that
/// refuses, and neither the pair of files nor the numbers.
fn is_permanent(error: Errno) -> bool {
    [Errno::OPNOTSUPP, Errno::NOSYS, Errno::NOTTY, Errno::PERM].contains(&error)
}

/// Writes a run of an arena.
pub(super) fn write(arena: &Arena, run: &Run, target: &Target, counters: &Counters) -> Result<(), EmitError> {
    let mut slices: Vec<IoSlice<'_>> = arena.slices(run).map(IoSlice::new).collect();
    let mut slices = slices.as_mut_slice();
    let mut start = run.start;
    while !slices.is_empty() {
        let batch = &slices[..slices.len().min(SLICES)];
        let written = match rustix::io::pwritev(target.file(), batch, start) {
            Ok(0) => return Err(target.error(std::io::ErrorKind::WriteZero)),
            Ok(written) => written,
            Err(Errno::INTR) => continue,
            Err(error) => return Err(target.error(error)),
        };
        count(&counters.writes, 1);
        count(&counters.bytes_written, written as u64);
        start += written as u64;
        IoSlice::advance_slices(&mut slices, written);
    }
    send(target, run.start, start - run.start);
    Ok(())
}
