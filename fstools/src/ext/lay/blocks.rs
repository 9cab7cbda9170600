//! What all generators of blocks share.

use sha2::{Digest, Sha256};

/// The largest block, in bytes.
const LARGEST: usize = 4096;

/// Fills `buffer` with the bytes at `argument` and on of blocks of `size` bytes that `make` writes over zeros, by number.
pub(super) fn fill_blocks(size: u32, argument: u64, buffer: &mut [u8], make: impl Fn(u64, &mut [u8])) {
    let mut scratch = [0; LARGEST];
    let (size, scratch) = (u64::from(size), &mut scratch[..size as usize]);
    let (mut position, mut rest) = (argument, buffer);
    while !rest.is_empty() {
        let skip = (position % size) as usize;
        let len = rest.len().min(scratch.len() - skip);
        let (part, next) = rest.split_at_mut(len);
        if len == scratch.len() {
            part.fill(0);
            make(position / size, part);
        } else {
            scratch.fill(0);
            make(position / size, scratch);
            part.copy_from_slice(&scratch[skip..skip + len]);
        }
        (position, rest) = (position + len as u64, next);
    }
}

/// The digest of all that a generator makes: its most honest name.
pub(super) fn digest_of(len: u64, fill: impl Fn(u64, &mut [u8])) -> [u8; 32] {
    const STEP: u64 = 1 << 16;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; STEP as usize];
    for start in (0..len).step_by(STEP as usize) {
        let part = &mut buffer[..STEP.min(len - start) as usize];
        fill(start, part);
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_part_is_the_same_part_of_the_whole() {
        let make = |at: u64, block: &mut [u8]| {
            block.iter_mut().enumerate().for_each(|(index, byte)| *byte = (at as usize * 7 + index) as u8)
        };
        for size in [1024, 4096] {
            let mut whole = vec![0; 3 * 4096];
            fill_blocks(size, 0, &mut whole, make);
            for (start, len) in [(0, 4096), (1, 4096), (4095, 2), (4096, 8192), (100, 12_000)] {
                let mut part = vec![0; len];
                fill_blocks(size, start as u64, &mut part, make);
                assert_eq!(part, whole[start..start + len], "{start} {len}");
            }
        }
    }
}
