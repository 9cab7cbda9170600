//! Any bytes are read as qcow2 without panic, hang or memory that the image does not justify; every extent of the guest
//! disk lies in the image. Our own images are sound.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
