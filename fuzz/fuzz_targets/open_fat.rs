//! Any bytes are read as FAT without panic, hang or memory that the image does not justify. What was opened is a tree
//! that ends, each file as long as its bytes and those within the image. Our own images are sound.
#![no_main]

libfuzzer_sys::fuzz_target!(
    init: diskwright_fuzz::start(env!("CARGO_BIN_NAME")),
    |data: &[u8]| diskwright_fuzz::run(env!("CARGO_BIN_NAME"), data)
);
