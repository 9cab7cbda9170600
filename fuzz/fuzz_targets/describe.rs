//! Any description is read or refused with a message. What resolves, plans and fits over a small tree is laid, and the disk
//! is sound to our readers from the container to the file systems.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
