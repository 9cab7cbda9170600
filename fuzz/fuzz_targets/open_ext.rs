//! Any bytes are read as ext2, ext3 or ext4 without panic or hang, in memory that the length of the image bounds. What was
//! opened is a tree that ends, each file as long as its bytes and those within the image. Our own images are sound.
//! Checksums are switched off, so that what they protect is read, too.
#![no_main]

use std::alloc::System;

/// Fails every request beyond its limit, which ends the run as a finding.
#[global_allocator]
static ALLOCATOR: cap::Cap<System> = cap::Cap::new(System, usize::MAX);

/// Bytes that reading may take for each byte of the image, and for any image.
const TIMES: usize = 48;
const ALWAYS: usize = 16 << 20;

fn allow(len: u64) {
    let _ = ALLOCATOR.set_limit(ALLOCATOR.allocated() + TIMES * len as usize + ALWAYS);
}

libfuzzer_sys::fuzz_target!(
    init: {
        crc32c::blind();
        diskwright_fuzz::start(env!("CARGO_BIN_NAME"));
    },
    |data: &[u8]| {
        diskwright_fuzz::open::filesystem_within("ext4", data, allow);
        let _ = ALLOCATOR.set_limit(usize::MAX);
    }
);
