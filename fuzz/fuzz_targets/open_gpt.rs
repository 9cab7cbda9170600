//! Any bytes are read as a partition table without a panic, and every damage lies in the image. Our own tables are sound.
//! A table that is sound can be written again and says the same. Half of the inputs get checksums that match.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
