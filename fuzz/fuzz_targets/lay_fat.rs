//! A tree that can be measured fits into exactly that size and not into less; the image, whatever its free bytes hold, is
//! sound to our reader and holds the same names and data.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
