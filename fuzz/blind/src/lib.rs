//! CRC-32C with a switch: after [`blind`] every checksum is 0, in writers and readers alike, so that a mutated structure
//! is read on and not merely reported as a checksum that does not match.
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

static BLIND: AtomicBool = AtomicBool::new(false);

/// From now on every checksum is 0. Call it before anything is checksummed.
pub fn blind() {
    BLIND.store(true, Ordering::Relaxed);
}

/// The checksum of `data`.
pub fn crc32c(data: &[u8]) -> u32 {
    crc32c_append(0, data)
}

/// The checksum of what `crc` is the checksum of, followed by `data`.
pub fn crc32c_append(crc: u32, data: &[u8]) -> u32 {
    if BLIND.load(Ordering::Relaxed) {
        return 0;
    }
    let mut words = data.chunks_exact(8);
    let crc = words.by_ref().fold(!crc, |crc, word| {
        let word = u64::from_le_bytes(word.try_into().expect("eight bytes")) ^ u64::from(crc);
        (0..8).fold(0, |sum, at| sum ^ TABLES[7 - at][(word >> (8 * at)) as usize & 0xff])
    });
    !words.remainder().iter().fold(crc, |crc, byte| crc >> 8 ^ TABLES[0][usize::from(crc as u8 ^ byte)])
}

/// `TABLES[n][byte]`: what `byte` becomes after `n` more bytes of zeros.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let mut tables = [[0; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut more = 1;
    while more < 8 {
        let mut byte = 0;
        while byte < 256 {
            let crc: u32 = tables[more - 1][byte];
            tables[more][byte] = crc >> 8 ^ tables[0][(crc & 0xff) as usize];
            byte += 1;
        }
        more += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn check_values() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
        // RFC 3720, B.4.
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c_append(crc32c(b"12345"), b"6789"), 0xe306_9283);
        assert_eq!(crc32c(b"1234567"), crc32c_append(crc32c(b"123"), b"4567"));
    }
}
