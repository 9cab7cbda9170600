//! The hash of names in directory indexes: half MD4 over signed characters (`fs/ext4/hash.c` describes it).

/// Seed, when the superblock's is all zero: the constants of MD4 (RFC 1320, section 3.3).
const DEFAULT_SEED: [u32; 4] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];
/// The end of a directory for readdir; no name may have this hash.
const END: u32 = 0xFFFF_FFFE;

/// Major hash (even) and minor hash of a name.
pub(super) fn half_md4(name: &[u8], seed: [u32; 4]) -> (u32, u32) {
    let seed = if seed == [0; 4] { DEFAULT_SEED } else { seed };
    let mut state = seed;
    let mut rest = name;
    while !rest.is_empty() {
        transform(&mut state, &words(rest));
        rest = rest.get(32..).unwrap_or(&[]);
    }
    let major = state[1] & !1;
    (if major == END { END - 2 } else { major }, state[2])
}

/// The first 32 bytes of `rest`, four to a word, as signed characters over a padding made of the length.
fn words(rest: &[u8]) -> [u32; 8] {
    let pad = rest.len() as u32 * 0x0101_0101;
    let mut words = [pad; 8];
    for (word, bytes) in words.iter_mut().zip(rest.chunks(4)) {
        *word = bytes.iter().fold(pad, |word, &byte| (word << 8).wrapping_add(byte as i8 as u32));
    }
    words
}

/// Three rounds of eight steps instead of MD4's sixteen.
fn transform(state: &mut [u32; 4], input: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [u32; 4], [usize; 8]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [3, 7, 11, 19], [0, 1, 2, 3, 4, 5, 6, 7]),
        (|x, y, z| (x & y).wrapping_add((x ^ y) & z), 0x5A82_7999, [3, 5, 9, 13], [1, 3, 5, 7, 0, 2, 4, 6]),
        (|x, y, z| x ^ y ^ z, 0x6ED9_EBA1, [3, 9, 11, 15], [3, 7, 2, 6, 1, 5, 0, 4]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, shifts, order) in ROUNDS {
        for (step, &at) in order.iter().enumerate() {
            let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(input[at]).wrapping_add(constant);
            // Each step renames the words instead of moving to the next one.
            (a, d, c, b) = (d, c, b, sum.rotate_left(shifts[step % 4]));
        }
    }
    for (word, add) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(add);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of `debugfs -R "dx_hash -h half_md4 -s SEED NAME"`.
    #[test]
    fn hashes_as_e2fsprogs_does() {
        let seed = [0x04030201, 0x08070605, 0x0c0b0a09, 0x100f0e0d];
        let long = [b'x'; 255];
        let cases: &[(&[u8], [u32; 4], u32, u32)] = &[
            (b"a", [0; 4], 0xd5fa_7d7a, 0xacb4_8187),
            (b"hello.txt", [0; 4], 0xa26e_1d86, 0x133b_3f98),
            (b"hello.txt", seed, 0xac15_d19c, 0x0021_f363),
            (b"12345678901234567890123456789012", seed, 0x6342_22ce, 0xaf09_bdfb),
            (b"\xc3\xa4\xff\x80", seed, 0x350f_718c, 0x9180_821a),
            (&long, seed, 0xac45_f49a, 0x874d_addc),
        ];
        for &(name, seed, major, minor) in cases {
            assert_eq!(half_md4(name, seed), (major, minor), "{}", name.escape_ascii());
        }
    }
}
