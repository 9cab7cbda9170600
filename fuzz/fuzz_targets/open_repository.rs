//! Any Release file, index, keyring, signature and version from a mirror is read or refused, in one line, without panic, hang
//! or memory that its limits do not justify. Nothing counts as signed but the text that the key of the seeds signed, and no
//! path leads out of the repository.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
