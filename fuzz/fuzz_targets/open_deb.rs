//! Any package is opened or refused without panic, hang or memory that it does not justify. What is opened has a name
//! and an architecture that can be parts of file names, control files that are named simply, and paths that stay in the
//! tree.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
