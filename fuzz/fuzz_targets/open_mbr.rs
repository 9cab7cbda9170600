//! Any bytes are read as a partition table, with both sector sizes, without a panic or an endless chain, and every
//! partition lies on the disk. Our own tables are sound. A table that is sound can be written again and says the same.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
