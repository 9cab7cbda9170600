//! Options in the spelling of mke2fs (mke2fs(8), mke2fs.conf(5) and ext4(5) of e2fsprogs 1.47).
//!
//! A command line becomes a [`Request`]; a request and the defaults of a [`Profile`] become [`Options`], in which nothing
//! is open any more. Every option of mke2fs is mapped, or known to change nothing in a new image, or refused by name.
//! Where options contradict each other the outcome is that of mke2fs: its refusal or its silent resolution.
//!
//! Defaults differ from mke2fs in two things: blocks of 4 KiB at any size (it takes 1 KiB below 512 MiB), and none of
//! them reserved for root (it reserves 5 %).

mod arguments;
pub(super) mod features;
pub(super) mod values;

use super::format::{Feature, Features, Format, Generation};
use super::profile::Profile;
use super::profile::conf::Stanza;
use super::refusal;
use arguments::split;
use diskwright_formats::fault::{Refusal, RefusalKind};
use features::{Edit, edited, edits};
use uuid::Uuid;
use values::{Amount, number, power_of_two, text};

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

/// The options for `--help`.
pub(super) const HELP: &[(&str, &str)] = &[
    ("-L LABEL", "volume label, at most 16 bytes"),
    ("-U UUID", "file system UUID; derived from the seed otherwise"),
    ("-m PERCENT", "blocks reserved for root; 0 by default (mke2fs: 5)"),
    ("-i BYTES", "one inode for so many bytes; 16384 by default, more inodes if the tree needs them"),
    ("-N COUNT", "number of inodes"),
    (
        "-T TYPE,...",
        "defaults by usage: small, floppy, news, big, huge, largefile, largefile4, hurd, default",
    ),
    ("-b BYTES", "block size: 1024, 2048 or 4096; 4096 by default at any size of the file system"),
    ("-I BYTES", "inode size: a power of two from 128 to the block size"),
    ("-g BLOCKS", "blocks of a group: a multiple of 8 from 256 to eight times the block size"),
    ("-G GROUPS", "groups whose metadata lies together: a power of two"),
    ("-j", "a journal"),
    ("-J size=MIB", "journal size; by mke2fs's rule otherwise, which gives none below 2048 blocks"),
    (
        "-O [^]FEATURE,...",
        "features on or off: 64bit, dir_index, dir_nlink, ea_inode, ext_attr, extent, extra_isize, filetype, flex_bg, \
         has_journal, huge_file, large_file, metadata_csum, metadata_csum_seed, orphan_file, resize_inode, sparse_super, \
         sparse_super2, uninit_bg; none",
    ),
    ("-E hash_seed=UUID", "seed of directory hashes; derived from the seed otherwise"),
    ("-E resize=BLOCKS", "size up to which the file system can grow online; K, M, G, T: in bytes"),
    ("-E orphan_file_size=BLOCKS", "size of the orphan file"),
    ("-E num_backup_sb=N", "copies of the superblock with sparse_super2: 0, 1 or 2"),
    ("-E stride=N,stripe_width=N", "blocks of a RAID's chunk and stripe"),
    (
        "-E root_owner=UID:GID,root_perms=OCTAL",
        "owner and permissions of the root directory, in place of the tree's",
    ),
    ("-E mount_opts=TEXT", "default mount options, as text, as tune2fs takes them"),
    ("-M DIRECTORY", "last mount point"),
    ("-e BEHAVIOUR", "on errors: continue, remount-ro, panic"),
    (
        "-c -D -F -K -q -v, -o linux, -r 1, -E lazy_itable_init, discard, ...",
        "taken, without effect in a new image",
    ),
];

/// What a command line asks for; what is `None` the profile decides.
#[derive(Clone, Debug)]
pub(super) struct Request {
    generation: Generation,
    /// `-T`
    usages: Vec<String>,
    /// `-O`, all of them in order; `None`: not given, which is not the same as nothing.
    features: Option<Vec<Edit>>,
    block_size: Option<u32>,
    inode_size: Option<u16>,
    blocks_per_group: Option<u32>,
    flex: Option<u32>,
    inodes: Option<Inodes>,
    /// `-j`, `-J`
    journal: bool,
    journal_mib: Option<u32>,
    reserved: Option<u32>,
    errors: Option<u16>,
    descriptor_size: Option<u64>,
    resize: Option<Amount>,
    orphan_file: Option<Amount>,
    backups: Option<u8>,
    /// Options that no default touches.
    plain: Options,
}

/// Reads a command line.
pub(super) fn request(generation: Generation, arguments: &[String]) -> Result<Request, Refusal> {
    let mut request = Request {
        generation,
        usages: Vec::new(),
        features: None,
        block_size: None,
        inode_size: None,
        blocks_per_group: None,
        flex: None,
        inodes: None,
        journal: false,
        journal_mib: None,
        reserved: None,
        errors: None,
        descriptor_size: None,
        resize: None,
        orphan_file: None,
        backups: None,
        plain: Options::of(generation),
    };
    let mut types = 0;
    for (letter, value) in split(arguments)? {
        types += u32::from(letter == 't');
        if types > 1 {
            return Err(invalid("-t may be given once".to_owned()));
        }
        match value {
            Some(value) => request.set(letter, &value)?,
            None => request.flag(letter)?,
        }
    }
    Ok(request)
}

impl Request {
    fn flag(&mut self, letter: char) -> Result<(), Refusal> {
        match letter {
            // A new file has no bad blocks, nothing to overwrite and nothing to discard.
            'c' | 'D' | 'F' | 'K' | 'q' | 'v' => {}
            'j' => self.journal = true,
            'n' => {
                return Err(unsupported("-n".to_owned()).hint("--dry-run of diskwright does all but write"));
            }
            'S' => return Err(unsupported("-S".to_owned()).hint("a file system is written whole")),
            _ => return Err(unsupported(format!("-{letter}"))),
        }
        Ok(())
    }

    fn set(&mut self, letter: char, value: &str) -> Result<(), Refusal> {
        let option = format!("-{letter}");
        let named = || unsupported(format!("{option} {value}"));
        match letter {
            'L' => self.plain.label = text(&option, value, 16)?,
            'M' => self.plain.last_mounted = text(&option, value, 63)?,
            'U' => self.plain.uuid = Some(values::uuid(&option, value)?),
            'm' => self.reserved = Some(values::percent(&option, value)?),
            'i' => self.inodes = Some(Inodes::Ratio(values::bytes(&option, value, 1024, 64 << 20)? as u32)),
            // Those that are reserved and one more, as with mke2fs.
            'N' => {
                let count = number(&option, value, 1, u32::MAX.into())?.max(12) as u32;
                self.inodes = Some(Inodes::Count(count));
            }
            'T' => self.usages = value.split(',').filter(|it| !it.is_empty()).map(str::to_owned).collect(),
            'b' => self.block_size = block_size(value)?.or(self.block_size),
            'I' => self.inode_size = Some(power_of_two(&option, value, 128, 4096)? as u16),
            'g' => self.blocks_per_group = Some(group_size(value)?),
            'G' => self.flex = Some(power_of_two(&option, value, 1, 1 << 31)? as u32),
            'J' => return each(value, |key, value| self.journal_option(key, value)),
            // -R is what -E was called once.
            'E' | 'R' => return each(value, |key, value| self.extended_option(key, value)),
            'O' => self.features.get_or_insert_default().extend(edits(value)?),
            'e' => self.errors = Some(values::errors(&option, value)?),
            't' if value == self.generation.name() => {}
            't' => return Err(named().hint(format!("this is {}: mkfs {value}", self.generation.name()))),
            'o' if value.eq_ignore_ascii_case("linux") || values::unsigned(value) == Some(0) => {}
            'o' => return Err(named().hint("the one value is: linux")),
            'r' => only(&option, value, 1)?,
            'C' => return Err(named().hint("clusters need bigalloc, which is not supported")),
            'd' => return Err(named().hint("the tree is an argument of diskwright")),
            'l' => return Err(named().hint("a new file has no bad blocks")),
            's' => return Err(named().hint("-O sparse_super or -O ^sparse_super")),
            'z' => return Err(named().hint("a new file has nothing to undo")),
            _ => return Err(named()),
        }
        Ok(())
    }

    fn journal_option(&mut self, key: &str, value: Option<&str>) -> Result<(), Refusal> {
        let option = format!("-J {key}");
        match (key, value) {
            ("size", Some(value)) => {
                let mib = number(&option, value, 0, 40_000)? as u32;
                (self.journal, self.journal_mib) =
                    (self.journal || mib > 0, Some(mib).filter(|&mib| mib > 0));
            }
            // It is part of a journal for fast commits alone.
            ("fast_commit_size", Some(value)) => drop(number(&option, value, 0, u32::MAX.into())?),
            ("size" | "fast_commit_size", None) => return Err(without_value(&option)),
            ("location", _) => {
                return Err(unsupported(option)
                    .hint("leave it out: the journal lies in one piece before the file data"));
            }
            ("device", _) => {
                return Err(unsupported(option).hint("leave it out: the journal is part of the image"));
            }
            ("v1_superblock", _) => {
                return Err(unsupported(option).hint("leave it out: every kernel reads the second form"));
            }
            _ => return Err(invalid(format!("an unknown option: {option}")).hint("known are: size")),
        }
        Ok(())
    }

    fn extended_option(&mut self, key: &str, value: Option<&str>) -> Result<(), Refusal> {
        let option = format!("-E {key}");
        let needed = || value.ok_or_else(|| without_value(&option));
        let most = u64::from(u32::MAX);
        match key {
            "hash_seed" => self.plain.hash_seed = Some(values::uuid(&option, needed()?)?),
            "resize" => self.resize = Some(values::amount(&option, needed()?)?),
            "orphan_file_size" => self.orphan_file = Some(values::amount(&option, needed()?)?),
            "stride" => self.plain.stride = number(&option, needed()?, 0, 0xFFFF)? as u16,
            "stripe_width" | "stripe-width" => {
                self.plain.stripe_width = number(&option, needed()?, 0, most)? as u32;
            }
            "num_backup_sb" => self.backups = Some(number(&option, needed()?, 0, 2)? as u8),
            "desc_size" | "desc-size" => {
                self.descriptor_size = Some(power_of_two(&option, needed()?, 64, 1024)?)
            }
            "root_owner" => self.plain.root_owner = Some(values::owner(&option, value)?),
            "root_perms" => self.plain.root_mode = Some(values::mode(&option, needed()?)?),
            "mount_opts" => self.plain.mount_options = text(&option, needed()?, 63)?,
            "revision" => only(&option, needed()?, 1)?,
            // All tables are zero from the start, and nothing is discarded in a new file.
            "discard" | "nodiscard" => {}
            "lazy_itable_init" | "lazy_journal_init" | "assume_storage_prezeroed" => {
                number(&option, value.unwrap_or("1"), 0, most)?;
            }
            "packed_meta_blocks" if value == Some("0") => {}
            _ => return Err(not_extended(key, &option)),
        }
        Ok(())
    }

    /// What comes out with the defaults of a profile.
    pub(super) fn options(&self, profile: &Profile) -> Result<Options, Refusal> {
        if let Some(unknown) =
            self.usages.iter().find(|usage| *usage != "default" && profile.conf.stanza(usage).is_none())
        {
            let known: Vec<&str> = profile.conf.types.iter().map(|(name, _)| name.as_str()).collect();
            let refusal = unsupported(format!("-T {unknown}"));
            return Err(refusal.hint(format!("known are: default, {}", known.join(", "))));
        }
        // The stanza of ext2 is that of no features beyond the base.
        let stanzas = profile.stanzas(self.generation.name(), &self.usages);
        let usage =
            &stanzas[..self.usages.iter().filter(|usage| profile.conf.stanza(usage).is_some()).count()];
        let block_size =
            self.block_size.or(usage.iter().find_map(|stanza| stanza.block_size)).unwrap_or(4096);
        let inode_size =
            self.inode_size.or(stanzas.iter().find_map(|stanza| stanza.inode_size)).unwrap_or(256);
        if u32::from(inode_size) > block_size {
            let reason =
                format!("-I {inode_size}: an inode is at most as large as a block of {block_size} bytes");
            return Err(invalid(reason));
        }
        let ratio = stanzas.iter().find_map(|stanza| stanza.inode_ratio).unwrap_or(16384).max(block_size);
        let features = with_large_file(self.final_features(profile, &stanzas)?, block_size);
        let flex = self.flex.or(stanzas.iter().find_map(|stanza| stanza.flex)).unwrap_or(16);
        let format = Format {
            generation: self.generation,
            block_size,
            inode_size,
            blocks_per_group: self.group_blocks(block_size, inode_size)?,
            features,
            first_blocks: profile.grub && features.has(Feature::EXTENTS),
        };
        Ok(Options {
            format,
            inodes: self.inodes.unwrap_or(Inodes::Ratio(ratio)),
            journal: self.journal_blocks(&format)?,
            reserved: self.reserved.or(stanzas.iter().find_map(|stanza| stanza.reserved)).unwrap_or(0),
            errors: self.errors.or(stanzas.iter().find_map(|stanza| stanza.errors)).unwrap_or(1),
            flex: if features.has(Feature::FLEX_BG) { flex } else { 1 },
            resize: self.resize.map(|amount| amount.blocks(block_size)),
            backups: self.backups.or(stanzas.iter().find_map(|stanza| stanza.backups)).unwrap_or(2),
            orphan_file: self.orphan_blocks(&format)?,
            default_mount_options: stanzas.iter().find_map(|stanza| stanza.mount_options).unwrap_or(0),
            ..self.plain.clone()
        })
    }

    /// Features in the order of mke2fs (`PRS`): defaults, then `-O`, then what follows from the other options.
    fn final_features(&self, profile: &Profile, stanzas: &[&Stanza]) -> Result<Features, Refusal> {
        let first = |list: fn(&Stanza) -> &Option<Vec<Edit>>| {
            stanzas.iter().find_map(|stanza| list(stanza).as_deref()).unwrap_or(&[])
        };
        let mut features = edited(Features::default(), first(|stanza| &stanza.base_features));
        for stanza in stanzas.iter().rev() {
            features = edited(features, stanza.features.as_deref().unwrap_or(&[]));
        }
        if self.features.is_none() {
            features = edited(features, first(|stanza| &stanza.default_features));
        }
        let defaults = features.without(profile.withheld());
        let mut features = edited(defaults, self.features.as_deref().unwrap_or(&[]));
        // What nobody asked for gives way in silence.
        for (feature, needed) in
            [(Feature::ORPHAN_FILE, Feature::HAS_JOURNAL), (Feature::CSUM_SEED, Feature::METADATA_CSUM)]
        {
            if defaults.has(feature) && !features.has(needed) {
                features = features.with(feature, false);
            }
        }
        if self.journal {
            features = features.with(Feature::HAS_JOURNAL, true);
        }
        if self.resize.is_some() {
            features = features.with(Feature::RESIZE_INODE, true);
        }
        if features.has(Feature::METADATA_CSUM) {
            features = features.with(Feature::GDT_CSUM, false);
        }
        self.contradictions(features).map(|()| features)
    }

    /// Features that need another one, and options that need a feature.
    fn contradictions(&self, features: Features) -> Result<(), Refusal> {
        let needs = [
            (Feature::BIT64, Feature::EXTENTS),
            (Feature::RESIZE_INODE, Feature::SPARSE_SUPER),
            (Feature::CSUM_SEED, Feature::METADATA_CSUM),
            (Feature::ORPHAN_FILE, Feature::HAS_JOURNAL),
        ];
        let missing = needs.iter().find(|(feature, needed)| features.has(*feature) && !features.has(*needed));
        if let Some((feature, needed)) = missing {
            let (feature, needed) = (features::name(*feature), features::name(*needed));
            let refusal = invalid(format!("{feature} needs {needed}"));
            return Err(refusal.hint(format!("-O {needed}, or -O ^{feature}")));
        }
        if self.flex.is_some() && !features.has(Feature::FLEX_BG) {
            return Err(invalid("-G without flex_bg".to_owned()).hint("leave -G out, or -O flex_bg"));
        }
        match self.descriptor_size {
            Some(_) if !features.has(Feature::BIT64) => {
                Err(invalid("-E desc_size without 64bit".to_owned()).hint("leave it out, or -O 64bit"))
            }
            Some(size) => only("-E desc_size", &size.to_string(), 64),
            None => Ok(()),
        }
    }

    /// Blocks of a group: the bits of a block, unless `-g` says so, or `-i` asks for more inodes than one bitmap counts.
    fn group_blocks(&self, block_size: u32, inode_size: u16) -> Result<u32, Refusal> {
        let most = 8 * block_size;
        if let Some(Inodes::Ratio(ratio)) = self.inodes
            && ratio < 4 * u32::from(inode_size)
        {
            let reason =
                format!("-i {ratio}: inodes of {inode_size} bytes would take more than a quarter of all");
            return Err(invalid(reason).hint(format!("-i {} or more", 4 * u32::from(inode_size))));
        }
        match (self.blocks_per_group, self.inodes) {
            (Some(blocks), _) if blocks > most => {
                let reason =
                    format!("-g {blocks}: a block of {block_size} bytes counts at most {most} blocks");
                Err(invalid(reason))
            }
            (Some(blocks), _) => Ok(blocks),
            (None, Some(Inodes::Ratio(ratio))) => Ok(most.min(8 * ratio)),
            (None, _) => Ok(most),
        }
    }

    fn journal_blocks(&self, format: &Format) -> Result<Option<u32>, Refusal> {
        let Some(mib) = self.journal_mib else { return Ok(None) };
        let blocks = u64::from(mib) * (1 << 20) / format.block();
        if !(1024..=10_240_000).contains(&blocks) {
            let (least, most) =
                ((1024 * format.block()).div_ceil(1 << 20), (10_240_000 * format.block()) >> 20);
            let reason = format!("-J size={mib}: a journal has 1024 to 10240000 blocks, not {blocks}");
            let hint = format!("with blocks of {} bytes, from size={least} to size={most}", format.block());
            return Err(invalid(reason).hint(hint));
        }
        Ok(Some(blocks as u32))
    }

    fn orphan_blocks(&self, format: &Format) -> Result<Option<u32>, Refusal> {
        let Some(amount) = self.orphan_file else { return Ok(None) };
        let (blocks, most) = (amount.blocks(format.block_size), ORPHAN_FILE_MOST / format.block());
        match blocks {
            blocks if (1..=most).contains(&blocks) => Ok(Some(blocks as u32)),
            _ => Err(invalid(format!("-E orphan_file_size: not from 1 to {most} blocks: {blocks}"))),
        }
    }
}

/// Most bytes of an orphan file (`EXT4_MAX_ORPHAN_FILE_SIZE` of Linux).
const ORPHAN_FILE_MOST: u64 = 8 << 20;

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
                first_blocks: false,
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
            default_mount_options: super::disk::DEFM_XATTR_USER | super::disk::DEFM_ACL,
            mount_options: String::new(),
            root_owner: None,
            root_mode: None,
        }
    }

    /// Blocks reserved for root.
    pub(super) fn reserved_blocks(&self, blocks: u32) -> u64 {
        u64::from(blocks) * u64::from(self.reserved) / 10_000
    }
}

/// Inode 7 is longer than 2 GiB where the list of a block is long: mke2fs turns large_file on then, whatever was asked for.
fn with_large_file(features: Features, block_size: u32) -> Features {
    let on = features.has(Feature::RESIZE_INODE) && block_size >= 4096;
    features.with(Feature::LARGE_FILE, on || features.has(Feature::LARGE_FILE))
}

/// `-b`: a size, or the least size where it is negative, which the default is.
fn block_size(value: &str) -> Result<Option<u32>, Refusal> {
    let (least, digits) = value.strip_prefix('-').map_or((false, value), |digits| (true, digits));
    let bytes = values::bytes("-b", digits, 1024, 64 << 10)?;
    match bytes {
        bytes if !bytes.is_power_of_two() => Err(invalid(format!("-b: not a power of two: {value}"))),
        bytes if bytes > 4096 => {
            let refusal = unsupported(format!("-b {value}: blocks larger than a page of most machines"));
            Err(refusal.hint("1024, 2048 or 4096"))
        }
        _ if least => Ok(None),
        bytes => Ok(Some(bytes as u32)),
    }
}

fn group_size(value: &str) -> Result<u32, Refusal> {
    let blocks = number("-g", value, 256, 8 * 4096)?;
    if blocks % 8 != 0 {
        return Err(invalid(format!("-g: not a multiple of 8: {value}")));
    }
    Ok(blocks as u32)
}

/// Options of `-E` that mke2fs knows and we do not make.
fn not_extended(key: &str, option: &str) -> Refusal {
    let hint = match key {
        "offset" => "the partition of the description says where it lies",
        "mmp_update_interval" => "mmp is not supported: tune2fs adds it to a finished image",
        "no_copy_xattrs" => "extended attributes are those of the tree: leave them out there",
        "packed_meta_blocks" => "-G 1024 packs the metadata of 1024 groups",
        "test_fs" => "it is for development of the kernel's driver",
        "root_selinux" => "the label is that of the tree: its record or archive gives security.selinux",
        "quotatype" => "quota is not supported: tune2fs -O quota adds it to a finished image",
        "android_sparse" => "the output's format says how it is written",
        "encoding" | "encoding_flags" => {
            "casefold is not supported: tune2fs -O casefold adds it to a finished image"
        }
        _ => {
            let known = HELP.iter().filter_map(|(name, _)| name.strip_prefix("-E "));
            let known: Vec<&str> = known.collect();
            return invalid(format!("an unknown option: {option}"))
                .hint(format!("known are: {}", known.join(", ")));
        }
    };
    unsupported(option.to_owned()).hint(hint)
}

fn each(list: &str, mut set: impl FnMut(&str, Option<&str>) -> Result<(), Refusal>) -> Result<(), Refusal> {
    list.split(',').filter(|item| !item.is_empty()).try_for_each(|item| match item.split_once('=') {
        Some((key, value)) => set(key, Some(value)),
        None => set(item, None),
    })
}

fn only(option: &str, value: &str, only: u64) -> Result<(), Refusal> {
    match values::unsigned(value) {
        Some(number) if only == number => Ok(()),
        Some(_) => Err(unsupported(format!("{option} {value}")).hint(format!("the one value is: {only}"))),
        None => Err(invalid(format!("{option}: not a number: {value}"))),
    }
}

fn without_value(option: &str) -> Refusal {
    invalid(format!("an option without its value: {option}"))
}

fn invalid(reason: String) -> Refusal {
    refusal(RefusalKind::Invalid, "options", reason)
}

fn unsupported(what: String) -> Refusal {
    refusal(RefusalKind::Unsupported, "options", format!("not supported: {what}"))
}

#[cfg(test)]
mod tests;
