//! Any archive is surveyed or refused without panic, hang or memory that it does not justify. Every file of the tree has
//! the bytes that its size says; no time is after the epoch. As a stream it gives the same tree.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
