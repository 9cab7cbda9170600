//! Hashes of names in indexed directories (kernel documentation, "Directory Entries: Hash Tree Directories").

use super::super::disk::{FLAGS_UNSIGNED_HASH, HASH_HALF_MD4, Superblock};

/// How one directory hashes its names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hasher {
    version: u8,
    unsigned: bool,
    seed: [u32; 4],
}

const LEGACY: u8 = 0;
const TEA: u8 = 2;
/// The largest hash; the kernel keeps it (without its low bit) as the end of a directory.
const END: u32 = 0xFFFF_FFFE;

impl Hasher {
    /// The hash that `dx_root_info.hash_version` names; `None` if it names none that is stored on disk.
    pub(super) fn new(version: u8, superblock: &Superblock) -> Option<Hasher> {
        let stored = superblock.s_hash_seed.map(|word| word.get());
        let seed = if stored == [0; 4] { MD4 } else { stored };
        let unsigned = superblock.s_flags.get() & FLAGS_UNSIGNED_HASH != 0;
        (version <= TEA).then_some(Hasher { version, unsigned, seed })
    }

    /// The hash of a name; its low bit is 0.
    pub(super) fn hash(&self, name: &[u8]) -> u32 {
        let hash = match self.version {
            LEGACY => self.legacy(name),
            HASH_HALF_MD4 => self.over_chunks::<8>(name, half_md4)[1],
            _ => self.over_chunks::<4>(name, tea)[0],
        };
        match hash & !1 {
            END => END - 2,
            hash => hash,
        }
    }

    fn over_chunks<const WORDS: usize>(
        &self,
        name: &[u8],
        mix: fn(&mut [u32; 4], &[u32; WORDS]),
    ) -> [u32; 4] {
        let mut state = self.seed;
        let mut rest = name;
        while !rest.is_empty() {
            mix(&mut state, &self.words(rest));
            rest = rest.get(WORDS * 4..).unwrap_or_default();
        }
        state
    }

    /// The next words of a name: characters shifted in from the right, the length for what is missing.
    fn words<const WORDS: usize>(&self, name: &[u8]) -> [u32; WORDS] {
        let len = name.len() as u32;
        let pad = (len | len << 8) | (len | len << 8) << 16;
        std::array::from_fn(|word| {
            let start = (word * 4).min(name.len());
            let end = (start + 4).min(name.len());
            name[start..end].iter().fold(pad, |value, &byte| self.char(byte).wrapping_add(value << 8))
        })
    }

    fn char(&self, byte: u8) -> u32 {
        match self.unsigned {
            true => byte.into(),
            false => byte as i8 as u32,
        }
    }

    fn legacy(&self, name: &[u8]) -> u32 {
        let (mut hash, mut before) = (0x12A3_FE2Du32, 0x37AB_E8F9u32);
        for &byte in name {
            let next = before.wrapping_add(hash ^ self.char(byte).wrapping_mul(7_152_373));
            let next = if next & 0x8000_0000 != 0 { next.wrapping_sub(0x7FFF_FFFF) } else { next };
            (before, hash) = (hash, next);
        }
        hash << 1
    }
}

const MD4: [u32; 4] = [0x6745_2301, 0xEFCD_AB89, 0x98BA_DCFE, 0x1032_5476];

/// Three rounds of eight steps: MD4 over half of its words.
fn half_md4(state: &mut [u32; 4], words: &[u32; 8]) {
    type Mix = fn(u32, u32, u32) -> u32;
    const ROUNDS: [(Mix, u32, [usize; 8], [u32; 4]); 3] = [
        (|x, y, z| z ^ (x & (y ^ z)), 0, [0, 1, 2, 3, 4, 5, 6, 7], [3, 7, 11, 19]),
        (|x, y, z| (x & y).wrapping_add((x ^ y) & z), 0x5A82_7999, [1, 3, 5, 7, 0, 2, 4, 6], [3, 5, 9, 13]),
        (|x, y, z| x ^ y ^ z, 0x6ED9_EBA1, [3, 7, 2, 6, 1, 5, 0, 4], [3, 9, 11, 15]),
    ];
    let [mut a, mut b, mut c, mut d] = *state;
    for (mix, constant, order, shifts) in ROUNDS {
        for (step, &word) in order.iter().enumerate() {
            let sum = a.wrapping_add(mix(b, c, d)).wrapping_add(words[word]).wrapping_add(constant);
            (a, b, c, d) = (d, sum.rotate_left(shifts[step % 4]), b, c);
        }
    }
    for (word, by) in state.iter_mut().zip([a, b, c, d]) {
        *word = word.wrapping_add(by);
    }
}

/// Sixteen rounds of the Tiny Encryption Algorithm with the name as the key.
fn tea(state: &mut [u32; 4], words: &[u32; 4]) {
    let [a, b, c, d] = *words;
    let (mut x, mut y) = (state[0], state[1]);
    let mut sum = 0u32;
    for _ in 0..16 {
        sum = sum.wrapping_add(0x9E37_79B9);
        let mix = |of: u32, left: u32, right: u32| {
            (of << 4).wrapping_add(left) ^ of.wrapping_add(sum) ^ (of >> 5).wrapping_add(right)
        };
        x = x.wrapping_add(mix(y, a, b));
        y = y.wrapping_add(mix(x, c, d));
    }
    state[0] = state[0].wrapping_add(x);
    state[1] = state[1].wrapping_add(y);
}
