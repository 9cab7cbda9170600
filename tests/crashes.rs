//! Replays what fuzzing found: every file `tests/crashes/TARGET/NAME`, and the seeds of every target's corpus, through the
//! function that the fuzzer calls. (`open_ext` runs here with checksums, in `fuzz/run` without.)
#![allow(clippy::disallowed_methods)] // reads its own fixtures

#[allow(unreachable_pub, dead_code)]
#[path = "../fuzz/src/lib.rs"]
mod fuzz;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Runs all inputs of a target and names those that break its invariant.
fn broken(target: &str, inputs: impl IntoIterator<Item = (String, Vec<u8>)>) -> Vec<String> {
    let breaks = |input: &[u8]| catch_unwind(AssertUnwindSafe(|| fuzz::run(target, input))).is_err();
    inputs
        .into_iter()
        .filter(|(_, input)| breaks(input))
        .map(|(name, _)| format!("{target}/{name}"))
        .collect()
}

#[test]
fn known_crashes_stay_fixed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crashes");
    let mut failed = Vec::new();
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    for target in entries.filter(|entry| entry.path().is_dir()) {
        let name = target.file_name().into_string().unwrap();
        assert!(
            fuzz::TARGETS.iter().any(|(target, _)| *target == name),
            "a folder is named after a target: {name}"
        );
        let files = std::fs::read_dir(target.path()).unwrap().map(|entry| entry.unwrap());
        let inputs =
            files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap()));
        failed.extend(broken(&name, inputs));
    }
    assert_eq!(failed, Vec::<String>::new());
}

#[test]
fn seeds_keep_the_invariants() {
    let seeds = |target| {
        let inputs = fuzz::seed::inputs(target).into_iter().enumerate();
        inputs.map(|(number, input)| (format!("seed-{number:02}"), input))
    };
    let failed: Vec<String> =
        fuzz::TARGETS.iter().flat_map(|(target, _)| broken(target, seeds(target))).collect();
    assert_eq!(failed, Vec::<String>::new());
}
