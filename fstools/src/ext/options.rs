//! Options in the spelling of mke2fs.

use super::disk::{DEFM_ACL, DEFM_XATTR_USER};
use super::format::{Feature, Format, Generation};
use super::refusal;
use diskwright_formats::fault::{Refusal, RefusalKind};
use uuid::Uuid;

/// How many inodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inodes {
    /// `-i`: one for so many bytes.
    Ratio(u32),
    /// `-N`: so many.
    Count(u32),
}

/// Everything that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) format: Format,
    pub(super) label: String,
    pub(super) uuid: Option<Uuid>,
    pub(super) hash_seed: Option<Uuid>,
    pub(super) last_mounted: String,
    pub(super) inodes: Inodes,
    /// `-J size=`: blocks of the journal, where the format has one; by the rule of mke2fs otherwise.
    pub(super) journal: Option<u32>,
    /// Reserved for root, in hundredths of a percent.
    pub(super) reserved: u32,
    /// `s_errors`.
    pub(super) errors: u16,
    /// Groups whose bitmaps and tables lie together; a power of two, 1 without flex_bg.
    pub(super) flex: u32,
    /// `-E resize=`: blocks to which the file system can grow online.
    pub(super) resize: Option<u64>,
    pub(super) stride: u16,
    pub(super) stripe_width: u32,
    /// `-E num_backup_sb=`: copies of the superblock with sparse_super2, at most 2.
    pub(super) backups: u8,
    /// `-E orphan_file_size=`: blocks of the orphan file, where the format has one; by the rule of mke2fs otherwise.
    pub(super) orphan_file: Option<u32>,
    /// `s_default_mount_opts`.
    pub(super) default_mount_options: u32,
    /// `-E mount_opts=`: `s_mount_opts`, at most 63 bytes.
    pub(super) mount_options: String,
    /// `-E root_owner=`: in place of the tree's.
    pub(super) root_owner: Option<(u32, u32)>,
    /// `-E root_perms=`: in place of the tree's.
    pub(super) root_mode: Option<u16>,
}

impl Options {
    /// What a generation gets unless somebody asks for something else.
    pub(super) fn of(generation: Generation) -> Options {
        Options {
            format: Format {
                generation,
                block_size: 4096,
                inode_size: 256,
                blocks_per_group: 8 * 4096,
                features: generation.features(),
            },
            label: String::new(),
            uuid: None,
            hash_seed: None,
            last_mounted: String::new(),
            inodes: Inodes::Ratio(16384),
            journal: None,
            reserved: 0,
            errors: 1,
            flex: if generation == Generation::Ext4 { 16 } else { 1 },
            resize: None,
            stride: 0,
            stripe_width: 0,
            backups: 2,
            orphan_file: None,
            default_mount_options: DEFM_XATTR_USER | DEFM_ACL,
            mount_options: String::new(),
            root_owner: None,
            root_mode: None,
        }
    }
}

/// The options for `--help`.
pub(super) const HELP: &[(&str, &str)] = &[
    ("-L LABEL", "volume label, at most 16 bytes"),
    ("-U UUID", "file system UUID; derived from the seed otherwise"),
    ("-m PERCENT", "blocks reserved for root; 0 by default (mke2fs: 5)"),
    ("-i BYTES", "one inode for so many bytes; 16384 by default, more inodes if the tree needs them"),
    ("-N COUNT", "number of inodes"),
    ("-T TYPE", "inode ratio by usage: default, news, big, huge, largefile, largefile4"),
    ("-b 4096", "block size: 4096 at any size of the file system"),
    ("-I 256", "inode size: 256"),
    ("-J size=MIB", "journal size; by mke2fs's rule otherwise, which gives none below 8 MiB"),
    ("-j", "a journal (the default)"),
    ("-G GROUPS", "groups whose metadata lies together; 16 by default"),
    ("-O [^]FEATURE,...", "has_journal, resize_inode, dir_index, dir_nlink, huge_file, metadata_csum_seed"),
    ("-E hash_seed=UUID", "seed of directory hashes; derived from the seed otherwise"),
    ("-E resize=BLOCKS", "size up to which the file system can grow online"),
    ("-E stride=N,stripe_width=N", "blocks of a RAID's chunk and stripe"),
    ("-M DIRECTORY", "last mount point"),
    ("-e BEHAVIOUR", "on errors: continue, remount-ro, panic"),
];

/// Options that have a value of their own.
const WITH_VALUE: &str = "LUmiNTbIJGOEMetgCrodlz";
/// Options of mke2fs that change nothing here: a new file, laid at once.
const WITHOUT_EFFECT: &str = "FqvKDj";

/// Parses a command line.
pub(super) fn parse(generation: Generation, arguments: &[String]) -> Result<Options, Refusal> {
    let mut options = Options::of(generation);
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let mut letters = argument.strip_prefix('-').unwrap_or("").chars();
        let Some(letter) = letters.next() else {
            return Err(invalid(format!("an argument that is no option: {argument}")));
        };
        let rest = letters.as_str();
        if WITH_VALUE.contains(letter) {
            let mut next = || arguments.next().map(String::as_str);
            let value = if rest.is_empty() { next() } else { Some(rest) };
            let value = value.ok_or_else(|| invalid(format!("an option without its value: -{letter}")))?;
            options.set(letter, value)?;
        } else if !argument[1..].chars().all(|letter| WITHOUT_EFFECT.contains(letter)) {
            let known = HELP.iter().map(|(option, _)| *option).collect::<Vec<_>>().join("; ");
            return Err(invalid(format!("an unknown option: {argument}")).hint(format!("known are: {known}")));
        }
    }
    Ok(options)
}

impl Options {
    /// Blocks reserved for root.
    pub(super) fn reserved_blocks(&self, blocks: u32) -> u64 {
        u64::from(blocks) * u64::from(self.reserved) / 10_000
    }

    fn set(&mut self, letter: char, value: &str) -> Result<(), Refusal> {
        let option = format!("-{letter}");
        match letter {
            'L' => self.label = text(&option, value, 16)?,
            'M' => self.last_mounted = text(&option, value, 63)?,
            'U' => self.uuid = Some(uuid(&option, value)?),
            'm' => self.reserved = percent(&option, value)?,
            'i' => self.inodes = Inodes::Ratio(number(&option, value, 1024, 64 << 20)?),
            'N' => self.inodes = Inodes::Count(number(&option, value, 16, u32::MAX)?),
            'T' => self.inodes = Inodes::Ratio(ratio_of_type(value)?),
            'b' => {
                let block_size = power_of_two(&option, value, 1024, 4096)?;
                (self.format.block_size, self.format.blocks_per_group) = (block_size, 8 * block_size);
            }
            'I' => self.format.inode_size = power_of_two(&option, value, 128, 4096)? as u16,
            'g' => self.format.blocks_per_group = number(&option, value, 256, 8 * 4096)? & !7,
            'r' => same(&option, value, 1)?,
            'G' => self.flex = power_of_two(&option, value, 1, 1 << 16)?,
            'J' => return each(value, |key, value| self.journal_option(key, value)),
            'E' => return each(value, |key, value| self.extended_option(key, value)),
            'O' => return value.split(',').try_for_each(|feature| self.feature(feature)),
            't' if value == self.format.generation.name() => {}
            'e' => self.errors = errors(value)?,
            'o' if value.eq_ignore_ascii_case("linux") => {}
            _ => return Err(unsupported(format!("{option} {value}"))),
        }
        Ok(())
    }

    fn journal_option(&mut self, key: &str, value: Option<&str>) -> Result<(), Refusal> {
        match (key, value) {
            ("size", Some(mebibytes)) => {
                let blocks_per_mib = (1 << 20) / self.format.block_size;
                self.journal = Some(number("-J size", mebibytes, 1, 40_000)? * blocks_per_mib);
                Ok(())
            }
            _ => Err(unsupported(format!("-J {key}"))),
        }
    }

    fn extended_option(&mut self, key: &str, value: Option<&str>) -> Result<(), Refusal> {
        let option = format!("-E {key}");
        match (key, value) {
            ("hash_seed", Some(seed)) => self.hash_seed = Some(uuid(&option, seed)?),
            ("resize", Some(blocks)) => self.resize = Some(number(&option, blocks, 1, u32::MAX)?.into()),
            ("stride", Some(blocks)) => self.stride = number(&option, blocks, 1, 0xFFFF)? as u16,
            ("stripe_width" | "stripe-width", Some(blocks)) => {
                self.stripe_width = number(&option, blocks, 1, u32::MAX)?;
            }
            ("num_backup_sb", Some(count)) => self.backups = number(&option, count, 0, 2)? as u8,
            ("revision", Some(revision)) => same(&option, revision, 1)?,
            // All tables are zero from the start, and nothing is discarded in a new file.
            ("discard" | "nodiscard", None) => {}
            (
                "lazy_itable_init" | "lazy_journal_init" | "assume_storage_prezeroed",
                None | Some("0" | "1"),
            ) => {}
            _ => return Err(unsupported(option)),
        }
        Ok(())
    }

    fn feature(&mut self, feature: &str) -> Result<(), Refusal> {
        let (name, on) = match feature.strip_prefix(['^', '-']) {
            Some(name) => (name, false),
            None => (feature.strip_prefix('+').unwrap_or(feature), true),
        };
        let row = FEATURES.iter().find(|row| row.0 == name);
        let feature = row.ok_or_else(|| invalid(format!("an unknown feature: {feature}")))?.1;
        let features = &mut self.format.features;
        *features = features.with(feature, on);
        match feature {
            Feature::FLEX_BG => self.flex = if on { 16 } else { 1 },
            Feature::GDT_CSUM if on => *features = features.with(Feature::METADATA_CSUM, false),
            Feature::METADATA_CSUM if on => *features = features.with(Feature::GDT_CSUM, false),
            _ => {}
        }
        Ok(())
    }
}

/// Features that can be switched.
const FEATURES: &[(&str, Feature)] = &[
    ("has_journal", Feature::HAS_JOURNAL),
    ("ext_attr", Feature::EXT_ATTR),
    ("resize_inode", Feature::RESIZE_INODE),
    ("dir_index", Feature::DIR_INDEX),
    ("sparse_super2", Feature::SPARSE_SUPER2),
    ("orphan_file", Feature::ORPHAN_FILE),
    ("filetype", Feature::FILETYPE),
    ("extent", Feature::EXTENTS),
    ("extents", Feature::EXTENTS),
    ("64bit", Feature::BIT64),
    ("flex_bg", Feature::FLEX_BG),
    ("ea_inode", Feature::EA_INODE),
    ("metadata_csum_seed", Feature::CSUM_SEED),
    ("sparse_super", Feature::SPARSE_SUPER),
    ("large_file", Feature::LARGE_FILE),
    ("huge_file", Feature::HUGE_FILE),
    ("uninit_bg", Feature::GDT_CSUM),
    ("uninit_groups", Feature::GDT_CSUM),
    ("dir_nlink", Feature::DIR_NLINK),
    ("extra_isize", Feature::EXTRA_ISIZE),
    ("metadata_csum", Feature::METADATA_CSUM),
];

fn each(list: &str, mut set: impl FnMut(&str, Option<&str>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    list.split(',').filter(|item| !item.is_empty()).try_for_each(|item| match item.split_once('=') {
        Some((key, value)) => set(key, Some(value)),
        None => set(item, None),
    })
}

fn text(option: &str, value: &str, most: usize) -> Result<String, Refusal> {
    match value.len() {
        len if len > most || value.contains('\0') => {
            Err(invalid(format!("{option} of {len} bytes: at most {most}")))
        }
        _ => Ok(value.to_owned()),
    }
}

fn uuid(option: &str, value: &str) -> Result<Uuid, Refusal> {
    match value {
        "random" | "time" => Err(invalid(format!("{option} {value}: an image is the same every time"))
            .hint("leave it out: ids are derived from the seed")),
        "clear" | "null" => Ok(Uuid::nil()),
        _ => Uuid::try_parse(value).map_err(|_| invalid(format!("{option}: no UUID: {value}"))),
    }
}

fn number(option: &str, value: &str, least: u32, most: u32) -> Result<u32, Refusal> {
    let number: Option<u32> = value.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| invalid(format!("{option}: not a number from {least} to {most}: {value}")))
}

fn same(option: &str, value: &str, only: u64) -> Result<(), Refusal> {
    match value.parse() {
        Ok(number) if only == number => Ok(()),
        Ok::<u64, _>(_) => {
            Err(unsupported(format!("{option} {value}")).hint(format!("the one value is: {only}")))
        }
        Err(_) => Err(invalid(format!("{option}: not a number: {value}"))),
    }
}

fn power_of_two(option: &str, value: &str, least: u32, most: u32) -> Result<u32, Refusal> {
    match number(option, value, least, most)? {
        number if number.is_power_of_two() => Ok(number),
        _ => Err(invalid(format!("{option}: not a power of two: {value}"))),
    }
}

/// Hundredths of a percent.
fn percent(option: &str, value: &str) -> Result<u32, Refusal> {
    let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
    let digits =
        |text: &str| !text.is_empty() && text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit());
    let parsed = (digits(whole) && digits(part)).then(|| {
        let hundredths: u32 = format!("{part:0<2}")[..2].parse().expect("two digits");
        whole.parse::<u32>().expect("fewer than ten digits").saturating_mul(100).saturating_add(hundredths)
    });
    parsed
        .filter(|&hundredths| hundredths <= 5000)
        .ok_or_else(|| invalid(format!("{option}: not a percentage from 0 to 50: {value}")))
}

fn ratio_of_type(value: &str) -> Result<u32, Refusal> {
    Ok(match value {
        "default" => 16384,
        "news" => 4096,
        "big" => 32768,
        "huge" => 65536,
        "largefile" => 1 << 20,
        "largefile4" => 4 << 20,
        _ => return Err(unsupported(format!("-T {value}"))),
    })
}

fn errors(value: &str) -> Result<u16, Refusal> {
    Ok(match value {
        "continue" => 1,
        "remount-ro" => 2,
        "panic" => 3,
        _ => return Err(invalid(format!("-e: not continue, remount-ro or panic: {value}"))),
    })
}

fn invalid(reason: String) -> Refusal {
    refusal(RefusalKind::Invalid, "options", reason)
}

fn unsupported(what: String) -> Refusal {
    refusal(RefusalKind::Unsupported, "options", format!("not supported: {what}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_line(line: &str) -> Result<Options, Refusal> {
        parse(Generation::Ext4, &line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    #[test]
    fn options_of_mke2fs_are_taken() {
        let options =
            parse_line("-F -q -t ext4 -Lroot -m 2.5 -N 5000 -b4096 -I 256 -J size=16 -E stride=4,nodiscard");
        let options = options.expect("all known");
        assert_eq!((options.label.as_str(), options.reserved), ("root", 250));
        assert_eq!(options.inodes, Inodes::Count(5000));
        assert_eq!((options.journal, options.stride), (Some(4096), 4));
        let options = parse_line("-O ^has_journal,^resize_inode,metadata_csum -m 1").expect("all known");
        assert!(!options.format.has(Feature::HAS_JOURNAL) && !options.format.has(Feature::RESIZE_INODE));
        assert_eq!(options.reserved, 100);
    }

    #[test]
    fn the_rest_is_refused_by_name() {
        for (line, named) in [
            ("-b 65536", "65536"),
            ("-I 100", "100"),
            ("-t ext2", "-t ext2"),
            ("-O bigalloc", "bigalloc"),
            ("-O nonsense", "nonsense"),
            ("-E nonsense=1", "-E nonsense"),
            ("-E hash_seed=random", "random"),
            ("-J device=/dev/sda", "-J device"),
            ("-Z", "-Z"),
            ("-L", "-L"),
            ("-L seventeen-bytes-x", "-L"),
            ("-m 51", "51"),
            ("-m 5x", "5x"),
            ("-m .", "."),
            ("-G 24", "24"),
            ("-T small", "small"),
            ("image", "image"),
        ] {
            let refusal = parse_line(line).expect_err(line);
            assert!(refusal.reason.contains(named), "{line}: {refusal}");
        }
    }
}
