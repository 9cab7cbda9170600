//! What tells that a file is still the one that was surveyed.

use rustix::fs::Stat;
use std::io;

/// Size and a digest of inode and times. Not against malice: whoever can change a file can also change its times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Length of the file in bytes.
    pub(super) size: u64,
    rest: u64,
}

impl Stamp {
    pub(super) fn new(size: u64, rest: u64) -> Stamp {
        Stamp { size, rest }
    }

    #[allow(clippy::unnecessary_cast)] // the types of `Stat` differ between architectures
    pub(crate) fn of(stat: &Stat) -> Stamp {
        let words = [
            stat.st_ino as u64,
            stat.st_mtime as u64,
            stat.st_mtime_nsec as u64,
            stat.st_ctime as u64,
            stat.st_ctime_nsec as u64,
        ];
        // Each word goes through the finaliser of SplitMix64, so that each of its bits reaches all bits.
        let rest = words.into_iter().fold(0, |hash: u64, word| {
            let mut mixed = (hash ^ word).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Stamp { size: stat.st_size as u64, rest }
    }

    /// All but the size.
    pub(super) fn rest(self) -> u64 {
        self.rest
    }

    /// Fails when `now` is not the same.
    pub(crate) fn still(self, now: Stamp) -> io::Result<()> {
        let (was, is) = (self.size, now.size);
        // A kind that no failing device gives: the source is at fault, not the host.
        let changed = |how: String| {
            let text = format!("changed since it was surveyed: {how}");
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        };
        match now == self {
            true => Ok(()),
            false if was != is => changed(format!("it had {was} bytes and has {is}")),
            false => changed("another file, or other times".to_owned()),
        }
    }
}
