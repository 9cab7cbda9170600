//! A size can be measured, is accepted, and one byte less is not; the image is sound to our reader, whatever its pages
//! hold. A tree with files is refused.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
