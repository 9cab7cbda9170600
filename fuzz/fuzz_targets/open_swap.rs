//! Any bytes are read as swap without panic, hang or memory that the image does not justify. No other row takes an image
//! that this one takes. Our own images are sound.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
