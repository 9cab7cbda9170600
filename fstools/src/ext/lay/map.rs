//! How many blocks a file takes: its data, and what says where that lies.

use super::{extents, indirect};
use crate::ext::disk::EXTENT_MAX_LEN;
use crate::ext::format::{Feature, Format};
use std::ops::Range;

/// Blocks of data in these runs (blocks of the file, sorted), and of the block map or at most of the extent tree over them,
/// wherever they are placed in one go.
pub(super) fn blocks_with_map(format: &Format, runs: impl Iterator<Item = Range<u32>>) -> u64 {
    if !format.has(Feature::EXTENTS) {
        return indirect::blocks_with_map(format.pointers_per_block(), runs);
    }
    let (mut blocks, mut extents) = (0, 0);
    for run in runs {
        let len = u64::from(run.end - run.start);
        blocks += len;
        extents += len.div_ceil(u64::from(EXTENT_MAX_LEN));
    }
    blocks + extents::node_blocks(format, extents + most_cuts(format, blocks))
}

/// How often metadata can cut so many blocks.
///
/// Metadata interrupts the data area only at the starts of groups. Tables and copies take a quarter of a group each at
/// most, so of any two intervals of the data area in a row one has half a group: from the second cut on, two more cuts
/// need half a group more. With flex_bg and sparse_super most groups have no metadata at all.
fn most_cuts(format: &Format, blocks: u64) -> u64 {
    let inside = blocks.saturating_sub(2);
    let nearby = 2 + 2 * (inside / u64::from(format.blocks_per_group / 2));
    let sparse = format.has(Feature::SPARSE_SUPER) || format.has(Feature::SPARSE_SUPER2);
    let far = match format.has(Feature::FLEX_BG) && sparse {
        // Sets have two groups at least; less than 64 powers of 3, 5 and 7 are below 2^32 groups.
        true => inside / u64::from(format.blocks_per_group) + 2 + 64,
        false => u64::MAX,
    };
    nearby.min(far).min(blocks.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ext::format::Generation;
    use crate::ext::options::Options;

    #[test]
    fn small_files_need_no_map() {
        let format = Options::of(Generation::Ext4).format;
        for blocks in [0, 1, 2, 16_384] {
            assert_eq!(blocks_with_map(&format, std::iter::once(0..blocks)), blocks.into());
        }
    }
}
