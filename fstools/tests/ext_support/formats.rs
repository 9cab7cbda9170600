//! What a line of options asks for, as far as a test must know it to expect the right thing; and the lines that matter.

use super::filesystem;
use diskwright_fstools::ext::disk::LATEST_SAFE_TIME;
use diskwright_fstools::registry::Filesystem;
use diskwright_fstools::tree::Time;
use std::collections::BTreeSet;

/// Features of ext2 in mke2fs's configuration; the others add to them.
const EXT2: &[&str] = &["ext_attr", "resize_inode", "dir_index", "filetype", "sparse_super", "large_file"];
/// What ext4 has beyond ext3, as of Debian 12.
const EXT4: &[&str] =
    &["extent", "64bit", "flex_bg", "huge_file", "dir_nlink", "extra_isize", "metadata_csum"];

/// A format as its line describes it.
#[derive(Clone, Debug)]
pub struct Format {
    pub line: String,
    /// Bytes of a block.
    pub block: u64,
    /// Bytes of an inode.
    pub inode: u64,
    features: BTreeSet<String>,
}

impl Format {
    pub fn of(line: &str) -> Format {
        let words: Vec<&str> = line.split_whitespace().collect();
        let value =
            |option: &str| words.windows(2).filter(|pair| pair[0] == option).map(|pair| pair[1]).next_back();
        let generation = value("-t").unwrap_or("ext4");
        let mut features: BTreeSet<String> = EXT2.iter().map(|&name| name.to_owned()).collect();
        if generation != "ext2" {
            features.insert("has_journal".to_owned());
        }
        if generation == "ext4" {
            features.extend(EXT4.iter().map(|&name| name.to_owned()));
        }
        let lists = words.windows(2).filter(|pair| pair[0] == "-O").flat_map(|pair| pair[1].split(','));
        for feature in lists {
            match feature.strip_prefix('^') {
                Some(off) => features.remove(off),
                None => features.insert(feature.to_owned()),
            };
        }
        // Inode 7 counts as a file of all that its blocks could list, and mke2fs allows for it.
        if features.contains("resize_inode") && value("-b").is_none_or(|block| block == "4096") {
            features.insert("large_file".to_owned());
        }
        let number = |option, default| value(option).map_or(default, |text| text.parse().expect("a number"));
        Format { line: line.to_owned(), block: number("-b", 4096), inode: number("-I", 256), features }
    }

    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }

    /// As dumpe2fs names them.
    pub fn features(&self) -> impl Iterator<Item = &str> {
        self.features.iter().map(String::as_str)
    }

    pub fn filesystem(&self) -> Box<dyn Filesystem> {
        filesystem(&self.line)
    }

    /// The longest file in bytes: of the kernel's `ext4_max_size` and `ext4_max_bitmap_size`.
    pub fn longest(&self) -> u64 {
        let counted = if self.has("huge_file") { u64::MAX } else { u64::from(u32::MAX) / (self.block / 512) };
        let extents = ((1 << 32) - 1).min(counted) * self.block;
        let by_map = if self.has("extent") { extents } else { self.longest_by_map() };
        if self.has("large_file") { by_map } else { by_map.min((1 << 31) - 1) }
    }

    fn longest_by_map(&self) -> u64 {
        let pointers = self.block / 4;
        let all = 12 + pointers + pointers.pow(2) + pointers.pow(3);
        let most =
            if self.has("huge_file") { (1 << 48) - 1 } else { u64::from(u32::MAX) / (self.block / 512) };
        let meta = 3 + 2 * pointers + pointers.pow(2);
        if all + meta <= most {
            return all * self.block;
        }
        // Blocks of pointers count, too: those of a file that ends in the triple indirect block.
        let triple = most - 12 - pointers - pointers.pow(2);
        let meta = 1 + 1 + pointers + 1 + triple.div_ceil(pointers) + triple.div_ceil(pointers.pow(2));
        (most - meta) * self.block
    }

    /// The time that an inode keeps for one of a tree.
    pub fn time(&self, time: Time) -> Time {
        let earliest = i64::from(i32::MIN);
        let latest = if self.inode > 128 { LATEST_SAFE_TIME } else { i64::from(i32::MAX) };
        match time.sec.clamp(earliest, latest) {
            sec if sec != time.sec => Time::seconds(sec),
            sec if self.inode == 128 => Time::seconds(sec),
            _ => time,
        }
    }

    /// The subdirectories that a directory counts; beyond, its count is 1 or it is refused.
    pub fn most_subdirectories(&self) -> u64 {
        64_998
    }
}

/// Feature sets that somebody has on disk: the defaults of distributions, and of former times.
pub const SETS: &[(&str, &str)] = &[
    ("Debian 10 to 12, RHEL 8 and 9, SLE 15", "-t ext4"),
    ("Debian 13, e2fsprogs 1.47", "-t ext4 -O metadata_csum_seed,orphan_file"),
    ("RHEL 7, SLE 12", "-t ext4 -O ^metadata_csum,uninit_bg"),
    ("RHEL 6", "-t ext4 -O ^metadata_csum,uninit_bg,^64bit"),
    ("ext3", "-t ext3"),
    ("ext3 of 2005", "-t ext3 -I 128"),
    ("ext2", "-t ext2"),
    ("ext2 of 2000", "-t ext2 -I 128 -O ^resize_inode,^dir_index"),
    ("ext2 of 1996", "-t ext2 -I 128 -O ^resize_inode,^dir_index,^filetype,^sparse_super,^ext_attr"),
    ("everything", "-t ext4 -O metadata_csum_seed,orphan_file,ea_inode -I 512"),
    ("compact", "-t ext4 -O sparse_super2,^resize_inode,^has_journal -G 512"),
    ("plain ext4", "-t ext4 -O ^metadata_csum,^flex_bg,^64bit,^has_journal,^resize_inode"),
    ("all on ext3's maps", "-t ext4 -O ^extent,^64bit,metadata_csum_seed,orphan_file,ea_inode"),
];

/// Each feature and size alone.
pub const SINGLES: &[&str] = &[
    "-t ext4 -O ^has_journal",
    "-t ext4 -O ^resize_inode",
    "-t ext4 -O ^dir_index",
    "-t ext4 -O ^filetype",
    "-t ext4 -O ^sparse_super,^resize_inode",
    "-t ext4 -O ^large_file",
    "-t ext4 -O ^extent,^64bit",
    "-t ext4 -O ^64bit",
    "-t ext4 -O ^flex_bg",
    "-t ext4 -O ^huge_file",
    "-t ext4 -O ^dir_nlink",
    "-t ext4 -O ^extra_isize",
    "-t ext4 -O ^metadata_csum",
    "-t ext4 -O ^metadata_csum,uninit_bg,^flex_bg",
    "-t ext4 -O ^metadata_csum,uninit_bg,^extent,^64bit",
    "-t ext4 -O metadata_csum_seed",
    "-t ext4 -O orphan_file",
    "-t ext4 -O ea_inode",
    "-t ext4 -O ea_inode,^metadata_csum",
    "-t ext4 -O sparse_super2",
    "-t ext4 -O sparse_super2 -E num_backup_sb=1",
    "-t ext4 -O sparse_super2 -E num_backup_sb=0",
    "-t ext4 -O sparse_super2,^flex_bg,^resize_inode",
    "-t ext4 -I 128 -O ^extra_isize",
    "-t ext4 -I 512",
    "-t ext4 -I 1024",
    "-t ext4 -G 1",
    "-t ext4 -G 4",
    "-t ext4 -g 2048 -I 512",
    "-t ext4 -i 4096 -m 5",
    "-t ext4 -N 9000",
    "-t ext4 -J size=8",
    "-t ext4 -E resize=4000000",
    "-t ext3 -O ^resize_inode,^dir_index",
    "-t ext2 -O has_journal,ea_inode",
    "-t ext2 -I 1024 -g 4096",
];

/// Every line at every size of block.
pub fn every() -> Vec<Format> {
    let lines: Vec<&str> = SETS.iter().map(|row| row.1).chain(SINGLES.iter().copied()).collect();
    let blocks = ["1024", "2048", "4096"];
    lines.iter().flat_map(|line| blocks.map(|block| Format::of(&format!("{line} -b {block}")))).collect()
}
