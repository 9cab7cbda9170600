//! Partitions that are accepted are read back as they are, and both copies of the table are sound.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
