//! Where things lie, and which type and cluster size a length gets (fatgen103, section 3).
//!
//! The type depends on the length alone: FAT32 where the table's cluster size gives it enough clusters, else FAT16, else
//! FAT12. The cluster size is the table's; smaller ones follow as second choices for trees of many small files. Strict
//! readers tell the types apart by the number of clusters, and some of them are off by a few: [`MARGIN`] stays away.

use std::ops::RangeInclusive;

use super::disk::{ENTRY_LEN, FIRST_CLUSTER};

/// Number of clusters between what is written and the border to another type (fatgen103, section 3.5: 16).
pub(super) const MARGIN: u32 = 16;
/// Most sectors of a file system: a 32-bit field.
pub(super) const MOST_SECTORS: u64 = u32::MAX as u64;
/// Largest cluster in bytes that is chosen; 64 KiB is taken when asked for.
const LARGEST_CHOSEN: u32 = 32 << 10;
/// Largest cluster in bytes that is taken.
pub(super) const LARGEST_CLUSTER: u32 = 64 << 10;
/// Entries of the root directory of FAT12 and FAT16.
const ROOT_ENTRIES: u32 = 512;
/// Reserved sectors of FAT32: boot sector, FSInfo, and their backups in sectors 6 and 7.
const RESERVED_32: u32 = 32;
/// Fewest reserved sectors of FAT32, for the same reason.
pub(super) const LEAST_RESERVED_32: u32 = 8;

/// The three types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum FatType {
    Fat12,
    Fat16,
    Fat32,
}

impl FatType {
    pub(super) const ALL: [FatType; 3] = [FatType::Fat12, FatType::Fat16, FatType::Fat32];

    /// Bits of an entry.
    pub(super) fn bits(self) -> u32 {
        match self {
            FatType::Fat12 => 12,
            FatType::Fat16 => 16,
            FatType::Fat32 => 32,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            FatType::Fat12 => "fat12",
            FatType::Fat16 => "fat16",
            FatType::Fat32 => "fat32",
        }
    }

    /// The text in the boot sector.
    pub(super) fn kind(self) -> [u8; 8] {
        match self {
            FatType::Fat12 => *b"FAT12   ",
            FatType::Fat16 => *b"FAT16   ",
            FatType::Fat32 => *b"FAT32   ",
        }
    }

    /// Numbers of clusters that make the type.
    pub(super) fn clusters(self) -> RangeInclusive<u32> {
        match self {
            FatType::Fat12 => 1..=4_084,
            FatType::Fat16 => 4_085..=65_524,
            FatType::Fat32 => 65_525..=0x0fff_fff5,
        }
    }

    /// Numbers of clusters that are written.
    pub(super) fn written(self) -> RangeInclusive<u32> {
        let all = self.clusters();
        let first = if self == FatType::Fat12 { 1 } else { all.start() + MARGIN };
        first..=all.end() - MARGIN
    }

    /// All ones in an entry: the end of a chain. FAT32 leaves the upper 4 bits alone.
    pub(super) fn end_of_chain(self) -> u32 {
        match self {
            FatType::Fat12 => 0xfff,
            FatType::Fat16 => 0xffff,
            FatType::Fat32 => 0x0fff_ffff,
        }
    }

    /// Marks a cluster as bad.
    pub(super) fn bad(self) -> u32 {
        self.end_of_chain() - 8
    }

    /// Cluster sizes in bytes up to a length in bytes: the tables of fatgen103, section 3.5.
    fn table(self) -> &'static [(u64, u32)] {
        const MIB: u64 = 1 << 20;
        match self {
            FatType::Fat12 => &[(u64::MAX, 512)],
            FatType::Fat16 => &[
                (16 * MIB, 1 << 10),
                (128 * MIB, 2 << 10),
                (256 * MIB, 4 << 10),
                (512 * MIB, 8 << 10),
                (1024 * MIB, 16 << 10),
                (u64::MAX, LARGEST_CHOSEN),
            ],
            FatType::Fat32 => &[
                (260 * MIB, 512),
                (8 << 30, 4 << 10),
                (16 << 30, 8 << 10),
                (32 << 30, 16 << 10),
                (u64::MAX, LARGEST_CHOSEN),
            ],
        }
    }
}

/// Where things lie: everything that the boot sector says about places, checked or made to be consistent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) fat: FatType,
    pub(super) sector_size: u32,
    pub(super) sectors_per_cluster: u32,
    pub(super) reserved: u32,
    pub(super) fats: u32,
    pub(super) fat_sectors: u32,
    /// Entries of the fixed root directory; 0 with FAT32.
    pub(super) root_entries: u32,
    pub(super) sectors: u32,
    pub(super) clusters: u32,
}

impl Shape {
    pub(super) fn cluster_len(&self) -> u64 {
        u64::from(self.sectors_per_cluster) * u64::from(self.sector_size)
    }

    fn bytes(&self, sectors: u32) -> u64 {
        u64::from(sectors) * u64::from(self.sector_size)
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes(self.sectors)
    }

    pub(super) fn fat_len(&self) -> u64 {
        self.bytes(self.fat_sectors)
    }

    pub(super) fn fat_start(&self, copy: u32) -> u64 {
        self.bytes(self.reserved) + u64::from(copy) * self.fat_len()
    }

    /// The fixed root directory.
    pub(super) fn root_start(&self) -> u64 {
        self.fat_start(self.fats)
    }

    pub(super) fn root_len(&self) -> u64 {
        self.bytes((self.root_entries * ENTRY_LEN as u32).div_ceil(self.sector_size))
    }

    pub(super) fn data_start(&self) -> u64 {
        self.root_start() + self.root_len()
    }

    /// The first number that is no cluster.
    pub(super) fn clusters_end(&self) -> u32 {
        FIRST_CLUSTER + self.clusters
    }

    /// Where a cluster starts; `clusters_end()` gives the end of the last one.
    pub(super) fn cluster_start(&self, cluster: u32) -> u64 {
        self.data_start() + u64::from(cluster - FIRST_CLUSTER) * self.cluster_len()
    }

    /// Sectors up to the end of the last cluster.
    fn end(&self) -> u64 {
        self.cluster_start(self.clusters_end()) / u64::from(self.sector_size)
    }

    /// Where the entry of a cluster starts in the first FAT; FAT12 entries may start in the middle of that byte.
    pub(super) fn entry_start(&self, cluster: u32) -> u64 {
        self.fat_start(0) + u64::from(cluster) * u64::from(self.fat.bits()) / 8
    }

    /// Clusters for so many bytes.
    pub(super) fn clusters_for(&self, bytes: u64) -> u64 {
        bytes.div_ceil(self.cluster_len())
    }
}

/// What the user may fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wishes {
    pub(super) fat: Option<FatType>,
    pub(super) sectors_per_cluster: Option<u32>,
    pub(super) reserved: Option<u32>,
    pub(super) fats: u32,
    pub(super) root_entries: Option<u32>,
    /// Start the first cluster at a multiple of the cluster size.
    pub(super) align: bool,
}

impl Wishes {
    /// The shapes for a length, the preferred one first; all of one type. None: the length is too small or too large.
    pub(super) fn shapes(&self, sectors: u64, sector_size: u32) -> Vec<Shape> {
        if sectors > MOST_SECTORS {
            return Vec::new();
        }
        let types = FatType::ALL.into_iter().rev().filter(|&fat| self.fat.is_none_or(|wish| wish == fat));
        types
            .map(|fat| self.shapes_of(fat, sectors, sector_size))
            .find(|shapes| !shapes.is_empty())
            .unwrap_or_default()
    }

    /// The table's cluster size or the next larger one that gives a valid number of clusters, then the smaller ones.
    /// Unless the type is asked for, it needs one of the former.
    fn shapes_of(&self, fat: FatType, sectors: u64, sector_size: u32) -> Vec<Shape> {
        let len = sectors * u64::from(sector_size);
        let listed =
            fat.table().iter().find(|(most, _)| len <= *most).map_or(LARGEST_CHOSEN, |(_, size)| *size);
        let (small, large): (Vec<u32>, Vec<u32>) = self
            .cluster_sizes(sector_size)
            .partition(|spc| self.sectors_per_cluster.is_none() && spc * sector_size < listed);
        let valid = |spc: u32| self.valid_shape(fat, spc, sectors, sector_size);
        let first = large.into_iter().find_map(valid);
        if first.is_none() && self.fat.is_none() {
            return Vec::new();
        }
        first.into_iter().chain(small.into_iter().rev().filter_map(valid)).collect()
    }

    /// Sectors per cluster to choose from, ascending.
    fn cluster_sizes(&self, sector_size: u32) -> impl Iterator<Item = u32> + use<> {
        let fixed = self.sectors_per_cluster;
        let free = (0..=7).map(|log| 1 << log).filter(move |spc| spc * sector_size <= LARGEST_CHOSEN);
        fixed.into_iter().chain(free.filter(move |_| fixed.is_none()))
    }

    /// The shape, if its number of clusters makes the type. Within the margin around a border there are clusters that
    /// are not used: the file system ends before them.
    fn valid_shape(&self, fat: FatType, spc: u32, sectors: u64, sector_size: u32) -> Option<Shape> {
        let shape = self.shape(fat, spc, sectors, sector_size)?;
        let written = fat.written();
        match shape.clusters {
            clusters if written.contains(&clusters) => Some(shape),
            clusters if clusters > *written.end() && clusters < written.end() + 1 + 2 * MARGIN => {
                let clusters = *written.end();
                let shape = Shape { clusters, ..shape };
                Some(Shape { sectors: shape.end() as u32, ..shape })
            }
            _ => None,
        }
    }

    /// The shape with as many clusters as fit, whatever their number; `None` when not even one fits.
    fn shape(&self, fat: FatType, sectors_per_cluster: u32, sectors: u64, sector_size: u32) -> Option<Shape> {
        let with = |clusters: u32| self.with_clusters(fat, sectors_per_cluster, clusters, sector_size);
        let fits = |clusters: u32| with(clusters).end() <= sectors;
        // Fewer sectors than clusters never do; FAT16 and FAT12 count one border further, to know that they are over it.
        let most = sectors / u64::from(sectors_per_cluster);
        let most = most.min(u64::from(fat.clusters().end() + 2 * MARGIN)) as u32;
        let shape = with(last(most, fits).filter(|&clusters| clusters > 0)?);
        // Where one more cluster needs one more FAT sector, there may be room for a cluster that has no entry: the file
        // system ends before it, so that readers do not count it.
        let sectors = sectors.min(shape.end() + u64::from(sectors_per_cluster) - 1);
        Some(Shape { sectors: sectors as u32, ..shape })
    }

    /// The shape of so many clusters; its number of sectors is not set.
    fn with_clusters(
        &self,
        fat: FatType,
        sectors_per_cluster: u32,
        clusters: u32,
        sector_size: u32,
    ) -> Shape {
        let entries = u64::from(FIRST_CLUSTER + clusters) * u64::from(fat.bits());
        let fat_sectors = entries.div_ceil(8 * u64::from(sector_size)) as u32;
        let is_32 = fat == FatType::Fat32;
        let root_entries = if is_32 { 0 } else { self.root_entries.unwrap_or(ROOT_ENTRIES) };
        let per_sector = sector_size / ENTRY_LEN as u32;
        let shape = Shape {
            fat,
            sector_size,
            sectors_per_cluster,
            reserved: self.reserved.unwrap_or(if is_32 { RESERVED_32 } else { 1 }),
            fats: self.fats,
            fat_sectors,
            root_entries: root_entries.next_multiple_of(per_sector),
            sectors: 0,
            clusters,
        };
        // The data starts at a multiple of the cluster size: reserved sectors fill up to it.
        let start = shape.data_start();
        let rest = match self.align && self.reserved.is_none() {
            true => start.next_multiple_of(shape.cluster_len()) - start,
            false => 0,
        };
        Shape { reserved: shape.reserved + (rest / u64::from(sector_size)) as u32, ..shape }
    }

    /// Numbers of sectors at which [`Wishes::shapes`] may start to choose otherwise, ascending. Between two of them the
    /// choice is the same, and more sectors never make fewer clusters.
    pub(super) fn steps(&self, sector_size: u32) -> Vec<u64> {
        let lengths = FatType::ALL
            .into_iter()
            .flat_map(FatType::table)
            .map(|(most, _)| most / u64::from(sector_size) + 1);
        let mut steps: Vec<u64> = [1, MOST_SECTORS + 1].into_iter().chain(lengths).collect();
        for fat in FatType::ALL {
            for spc in self.cluster_sizes(sector_size) {
                let written = fat.written();
                let borders = [*written.start(), written.end() + 1 + 2 * MARGIN];
                steps.extend(
                    borders.map(|clusters| self.with_clusters(fat, spc, clusters, sector_size).end()),
                );
            }
        }
        steps.retain(|&step| step <= MOST_SECTORS + 1);
        steps.sort_unstable();
        steps.dedup();
        steps
    }
}

/// The smallest number of the range for which `holds`, which holds for all larger ones; the end of the range if none.
pub(super) fn first(range: std::ops::Range<u64>, holds: impl Fn(u64) -> bool) -> u64 {
    let (mut low, mut high) = (range.start, range.end);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// The largest number up to `most` for which `holds`, which holds for all smaller ones.
fn last(most: u32, holds: impl Fn(u32) -> bool) -> Option<u32> {
    let end = first(0..u64::from(most) + 1, |number| !holds(number as u32));
    end.checked_sub(1).map(|number| number as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn auto() -> Wishes {
        Wishes {
            fat: None,
            sectors_per_cluster: None,
            reserved: None,
            fats: 2,
            root_entries: None,
            align: true,
        }
    }

    fn chosen(wishes: &Wishes, len: u64, sector_size: u32) -> Option<(FatType, u64)> {
        let shapes = wishes.shapes(len / u64::from(sector_size), sector_size);
        shapes.first().map(|shape| (shape.fat, shape.cluster_len()))
    }

    #[test]
    fn type_and_cluster_size_follow_from_the_length() {
        use FatType::*;
        for (len, sector_size, expected) in [
            (16 << 10, 512, None),
            (64 << 10, 512, Some((Fat12, 512))),
            (MIB, 512, Some((Fat12, 512))),
            (4 * MIB, 512, Some((Fat12, 1024))),
            (5 * MIB, 512, Some((Fat16, 1024))),
            (20 * MIB, 512, Some((Fat16, 2048))),
            (32 * MIB, 512, Some((Fat16, 2048))),
            (33 * MIB, 512, Some((Fat32, 512))),
            (260 * MIB, 512, Some((Fat32, 512))),
            (300 * MIB, 512, Some((Fat32, 4096))),
            (9 << 30, 512, Some((Fat32, 8192))),
            (20 << 30, 512, Some((Fat32, 16384))),
            (2 << 40, 512, None),
            ((2 << 40) - 512, 512, Some((Fat32, 32768))),
            (MIB, 4096, Some((Fat12, 4096))),
            (20 * MIB, 4096, Some((Fat16, 4096))),
            (255 * MIB, 4096, Some((Fat16, 4096))),
            (300 * MIB, 4096, Some((Fat32, 4096))),
            (1 << 40, 4096, Some((Fat32, 32768))),
        ] {
            assert_eq!(chosen(&auto(), len, sector_size), expected, "{len} bytes, sectors of {sector_size}");
        }
    }

    #[test]
    fn a_type_asked_for_is_had_or_refused() {
        let want = |fat| Wishes { fat: Some(fat), ..auto() };
        assert_eq!(chosen(&want(FatType::Fat32), 20 * MIB, 512), None);
        assert_eq!(chosen(&want(FatType::Fat32), 200 * MIB, 4096), None);
        assert_eq!(chosen(&want(FatType::Fat16), 3 * MIB, 512), Some((FatType::Fat16, 512)));
        assert_eq!(chosen(&want(FatType::Fat12), 100 * MIB, 512), Some((FatType::Fat12, 32768)));
        assert_eq!(chosen(&want(FatType::Fat12), 200 * MIB, 512), None);
    }

    /// Every shape is sound, and whatever the length, the number of clusters stays away from the borders.
    #[test]
    fn shapes_are_sound_at_every_step() {
        let wishes = [
            auto(),
            Wishes { fats: 1, ..auto() },
            Wishes { fat: Some(FatType::Fat16), ..auto() },
            Wishes { sectors_per_cluster: Some(8), ..auto() },
            Wishes { align: false, root_entries: Some(20), ..auto() },
            Wishes { reserved: Some(9), ..auto() },
        ];
        for (wishes, sector_size) in wishes.iter().flat_map(|wishes| [(wishes, 512), (wishes, 4096)]) {
            for step in wishes.steps(sector_size) {
                for sectors in step.saturating_sub(40).max(1)..(step + 40).min(MOST_SECTORS + 1) {
                    let shapes = wishes.shapes(sectors, sector_size);
                    shapes.iter().for_each(|shape| check(shape, wishes, sectors));
                }
            }
        }
    }

    fn check(shape: &Shape, wishes: &Wishes, sectors: u64) {
        assert!(shape.fat.written().contains(&shape.clusters), "{shape:?}");
        assert!(u64::from(shape.sectors) <= sectors, "{shape:?}");
        let end = shape.cluster_start(shape.clusters_end());
        assert!(end <= shape.len(), "{shape:?}");
        // A reader computes the number of clusters from the boot sector.
        assert_eq!(
            (shape.len() - shape.data_start()) / shape.cluster_len(),
            u64::from(shape.clusters),
            "{shape:?}"
        );
        let bits = u64::from(shape.clusters_end()) * u64::from(shape.fat.bits());
        assert!(shape.fat_len() * 8 >= bits, "{shape:?}");
        assert!(u16::try_from(shape.reserved).is_ok() && u8::try_from(shape.sectors_per_cluster).is_ok());
        if wishes.align && wishes.reserved.is_none() {
            assert_eq!(shape.data_start() % shape.cluster_len(), 0, "{shape:?}");
        }
    }

    #[test]
    fn between_steps_the_choice_is_the_same() {
        for (wishes, sector_size) in
            [(auto(), 512), (auto(), 4096), (Wishes { fat: Some(FatType::Fat16), ..auto() }, 512)]
        {
            let key = |sectors| -> Vec<(FatType, u32)> {
                let shapes = wishes.shapes(sectors, sector_size);
                shapes.iter().map(|shape| (shape.fat, shape.sectors_per_cluster)).collect()
            };
            for piece in wishes.steps(sector_size).windows(2) {
                let first = key(piece[0]);
                for part in 1..8 {
                    let at = piece[0] + (piece[1] - 1 - piece[0]) * part / 7;
                    assert_eq!(key(at), first, "{at} sectors in {piece:?}");
                }
            }
        }
    }
}
