//! Whatever fails, there is one clear error and no file.

use super::support::*;
use diskwright::emit::{EmitError, Output, Progress, emit, total};
use diskwright_formats::layout::{Bytes, ContentId, Contents, Extent, Layout, Memory, What};
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tempfile::tempdir;

/// Small contents, one for the kernel, one of several chunks, computed bytes; all in two outputs.
fn contents() -> Vec<Bytes> {
    [10, 5000, 200_000, 2_500_000].iter().zip(1..).map(|(&len, seed)| noise(len, seed)).collect()
}

fn image() -> Layout {
    let extents = vec![
        content(0, 10, 0, 0),
        content(4096, 5000, 1, 0),
        Extent::of_bytes(12_288, vec![7; 100], What::new(&"table")),
        content(16_384, 200_000, 2, 0),
        content(1 << 20, 2_500_000, 3, 0),
        made(4 << 20, 300_000, Pattern(1)),
    ];
    layout(5 << 20, extents)
}

fn outputs(dir: &Path) -> [Output; 2] {
    let mut shifted = Layout::empty(6 << 20);
    shifted.splice(8192, &image(), "").unwrap();
    [output(dir, "a.raw", &image()), output(dir, "b.raw", &shifted)]
}

/// Lets the `nth` of all calls fail, for every n until there are fewer calls than that.
fn fail_every_call(contents: &dyn Contents, threads: usize, panic: bool) {
    for nth in 0.. {
        let dir = tempdir().unwrap();
        let calls = AtomicUsize::new(0);
        let hook = |_: ContentId, call: Call| {
            let hit = calls.fetch_add(1, Ordering::Relaxed) == nth && call != Call::Range;
            assert!(!(hit && panic), "planned");
            if hit { Err(io::Error::other("planned")) } else { Ok(()) }
        };
        let options = diskwright::emit::Options { threads, ..QUICK };
        let hooked = Hooked { inner: contents, hook };
        let result = catch_unwind(AssertUnwindSafe(|| run(&outputs(dir.path()), &hooked, &options)));
        match result {
            Ok(Ok(_)) if calls.into_inner() <= nth => {
                assert_eq!(names(dir.path()), ["a.raw", "b.raw"]);
                assert!(nth > 10, "only {nth} calls");
                return;
            }
            Ok(Ok(_)) => assert_eq!(names(dir.path()), ["a.raw", "b.raw"]), // it was a question for a range
            Ok(Err(EmitError::Content(error))) => {
                assert!(!panic && error.to_string().starts_with("source "), "{error}");
                assert!(error.to_string().ends_with(": planned"), "{error}");
                assert_eq!(names(dir.path()), [""; 0], "call {nth}");
            }
            Ok(Err(error)) => panic!("call {nth}: {error}"),
            Err(payload) => {
                assert!(panic && payload.downcast_ref::<&str>() == Some(&"planned"), "call {nth}");
                assert_eq!(names(dir.path()), [""; 0], "call {nth}");
            }
        }
    }
}

#[test]
fn every_call_may_fail() {
    let bytes = contents();
    let sources = tempdir().unwrap();
    let files = Files::write(sources.path(), &bytes);
    for threads in [1, 3] {
        fail_every_call(&Memory(bytes.clone()), threads, false);
        fail_every_call(&files, threads, false);
    }
}

#[test]
fn every_call_may_panic() {
    for threads in [1, 3] {
        fail_every_call(&Memory(contents()), threads, true);
    }
}

#[test]
fn every_moment_may_be_the_last() {
    let contents = Memory(contents());
    for polls in 0.. {
        let dir = tempdir().unwrap();
        match emit(&outputs(dir.path()), &contents, &QUICK, &Watch::new(polls)) {
            Ok(_) => {
                assert_eq!(names(dir.path()), ["a.raw", "b.raw"]);
                assert!(polls > 5, "only {polls} polls");
                return;
            }
            Err(error) => assert!(matches!(error, EmitError::Cancelled), "{error}"),
        }
        assert_eq!(names(dir.path()), [""; 0]);
    }
}

/// Forcing data to the disk takes long: whether to go on is asked before each file and once more before the first name.
#[test]
fn also_while_data_goes_to_the_disk() {
    struct Late {
        total: u64,
        done: AtomicU64,
        polls: AtomicUsize,
    }
    impl Progress for Late {
        fn advance(&self, bytes: u64) {
            self.done.fetch_add(bytes, Ordering::Relaxed);
        }
        fn cancelled(&self) -> bool {
            let late = self.done.load(Ordering::Relaxed) == self.total;
            late && self.polls.fetch_add(1, Ordering::Relaxed) == 2
        }
    }
    let dir = tempdir().unwrap();
    let outputs = outputs(dir.path());
    let late = Late { total: total(&outputs), done: AtomicU64::new(0), polls: AtomicUsize::new(0) };
    let options = diskwright::emit::Options { sync: true, ..QUICK };
    let error = emit(&outputs, &Memory(contents()), &options, &late).unwrap_err();
    assert!(matches!(error, EmitError::Cancelled), "{error}");
    assert_eq!(names(dir.path()), [""; 0]);
}

/// What happens to a source at the moment of a call, and what the error says.
struct Change {
    at: Call,
    change: fn(&Path),
    says: &'static str,
}

#[test]
fn sources_that_change() {
    let cut = |path: &Path| fs::File::options().write(true).open(path).unwrap().set_len(9).unwrap();
    let grow = |path: &Path| {
        use std::io::Write;
        fs::File::options().append(true).open(path).unwrap().write_all(b"more").unwrap();
    };
    let remove = |path: &Path| fs::remove_file(path).unwrap();
    let changes = [
        Change { at: Call::Open, change: remove, says: "No such file" },
        Change { at: Call::Open, change: cut, says: "failed to fill whole buffer" },
        Change { at: Call::Read, change: cut, says: "failed to fill whole buffer" },
        Change { at: Call::Range, change: cut, says: "failed to fill whole buffer" },
        Change { at: Call::Range, change: grow, says: "changed while it was read" },
        Change { at: Call::Close, change: grow, says: "changed while it was read" },
    ];
    for (number, Change { at, change, says }) in changes.iter().enumerate() {
        for victim in [1, 2, 3] {
            let (dir, sources) = (tempdir().unwrap(), tempdir().unwrap());
            let files = Files::write(sources.path(), &contents());
            let met = AtomicUsize::new(0);
            let hook = |id: ContentId, call: Call| {
                if id.0 == victim && call == *at && met.fetch_add(1, Ordering::Relaxed) == 0 {
                    change(files.path(victim));
                }
                Ok(())
            };
            let result = run(&outputs(dir.path()), &Hooked { inner: &files, hook }, &QUICK);
            if met.load(Ordering::Relaxed) == 0 {
                continue; // small contents are not asked for ranges, large ones are not read
            }
            let error = result.unwrap_err().to_string();
            let path = files.path(victim).display().to_string();
            assert!(error.starts_with(&path) && error.contains(says), "change {number} of {victim}: {error}");
            assert_eq!(names(dir.path()), [""; 0], "change {number} of {victim}");
        }
    }
}
