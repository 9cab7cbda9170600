//! mke2fs.conf(5): defaults for file systems, by type and by usage.
//!
//! ```text
//! [defaults]                    for all
//!     base_features = NAME,...
//! [fs_types]
//!     ext4 = {                  for a type
//!         features = NAME,...
//!     }
//!     news = {                  for a usage (-T)
//!         inode_ratio = 4096
//!     }
//! ```
//!
//! Of a relation that a stanza has twice the first counts; of several stanzas the last that has it.

use crate::ext::options::features::{Edit, edits};
use crate::ext::options::values;
use diskwright_formats::bytes::escaped;

/// What a stanza says, where we act on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ext) struct Stanza {
    /// `base_features`
    pub(in crate::ext) base_features: Option<Vec<Edit>>,
    /// `features`, on top of the others.
    pub(in crate::ext) features: Option<Vec<Edit>>,
    /// `default_features`, where nobody gives `-O`.
    pub(in crate::ext) default_features: Option<Vec<Edit>>,
    /// `default_mntopts`: `s_default_mount_opts`.
    pub(in crate::ext) mount_options: Option<u32>,
    /// `blocksize` in bytes; `None` for those that mean the page size, too.
    pub(in crate::ext) block_size: Option<u32>,
    /// `inode_size` in bytes.
    pub(in crate::ext) inode_size: Option<u16>,
    /// `inode_ratio` in bytes.
    pub(in crate::ext) inode_ratio: Option<u32>,
    /// `reserved_ratio` in hundredths of a percent.
    pub(in crate::ext) reserved: Option<u32>,
    /// `flex_bg_size` in groups.
    pub(in crate::ext) flex: Option<u32>,
    /// `errors`: `s_errors`.
    pub(in crate::ext) errors: Option<u16>,
    /// `num_backup_sb`
    pub(in crate::ext) backups: Option<u8>,
}

/// A mke2fs.conf.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::ext) struct Conf {
    /// `[defaults]`
    pub(in crate::ext) defaults: Stanza,
    /// `[fs_types]`
    pub(in crate::ext) types: Vec<(String, Stanza)>,
    /// What it asks for and we do not do, a line each.
    pub(in crate::ext) left_out: Vec<String>,
}

/// Relations that say how mke2fs works, or that hold for devices: nothing in an image depends on them.
const WITHOUT_EFFECT: &[&str] = &[
    "auto_64-bit_support",
    "cluster_size",
    "creator_os",
    "discard",
    "enable_periodic_fsck",
    "force_undo",
    "fs_type",
    "lazy_itable_init",
    "lazy_journal_init",
    "set_raid_stride",
    "set_raid_stripe",
    "undo_dir",
    "warn_y2038_dates",
];

/// `s_default_mount_opts` (`e2p_edit_mntopts` of e2fsprogs).
const MOUNT_OPTIONS: &[(&str, u32)] = &[
    ("debug", 0x1),
    ("bsdgroups", 0x2),
    ("user_xattr", 0x4),
    ("acl", 0x8),
    ("uid16", 0x10),
    ("journal_data", 0x20),
    ("journal_data_ordered", 0x40),
    ("journal_data_writeback", 0x60),
    ("nobarrier", 0x100),
    ("block_validity", 0x200),
    ("discard", 0x400),
    ("nodelalloc", 0x800),
];

impl Conf {
    /// Reads a configuration. An error is the number of the line that is none of its forms.
    pub(in crate::ext) fn parse(text: &str) -> Result<Conf, usize> {
        let mut conf = Conf::default();
        let (mut section, mut open) = ("", None);
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            let broken = Err(number + 1);
            if line.is_empty() || line.starts_with(['#', ';']) {
                continue;
            }
            if let Some(name) = line.strip_prefix('[') {
                let Some(name) = name.strip_suffix(']').filter(|_| open.is_none()) else { return broken };
                section = name.trim();
                continue;
            }
            if line == "}" {
                if open.take().is_none() {
                    return broken;
                }
                continue;
            }
            let Some((name, value)) = line.split_once('=') else { return broken };
            let (name, value) = (name.trim(), value.trim());
            match (value, section) {
                ("{", _) if open.is_some() => return broken,
                ("{", "fs_types") => open = Some(conf.index_of(name)),
                ("{", _) => open = Some(usize::MAX),
                (_, "defaults") if open.is_none() => conf.relate(None, name, value),
                (_, "fs_types") => match open {
                    Some(at) => conf.relate(Some(at), name, value),
                    None => return broken,
                },
                _ => {}
            }
        }
        if open.is_some() { Err(text.lines().count()) } else { Ok(conf) }
    }

    /// The stanza of a type or usage.
    pub(in crate::ext) fn stanza(&self, name: &str) -> Option<&Stanza> {
        self.types.iter().find(|(known, _)| known == name).map(|(_, stanza)| stanza)
    }

    fn index_of(&mut self, name: &str) -> usize {
        self.types.iter().position(|(known, _)| known == name).unwrap_or_else(|| {
            self.types.push((name.to_owned(), Stanza::default()));
            self.types.len() - 1
        })
    }

    fn relate(&mut self, at: Option<usize>, name: &str, value: &str) {
        let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let stanza = match at {
            None => Some(&mut self.defaults),
            Some(at) => self.types.get_mut(at).map(|(_, stanza)| stanza),
        };
        let Some(stanza) = stanza else { return };
        let mut left_out = Vec::new();
        if !stanza.set(name, value, &mut left_out) {
            let place = at.map_or("defaults", |at| &self.types[at].0);
            left_out.push(format!("{place}: {name} = {value}"));
        }
        self.left_out.extend(left_out.iter().map(|line| escaped(line.as_bytes())));
    }
}

impl Stanza {
    /// Takes over a relation; `false` for what is not acted on.
    fn set(&mut self, name: &str, value: &str, left_out: &mut Vec<String>) -> bool {
        let mut features = |value: &str| Some(known_features(value, left_out));
        match name {
            "base_features" => first(&mut self.base_features, features(value)),
            "features" => first(&mut self.features, features(value)),
            "default_features" => first(&mut self.default_features, features(value)),
            "default_mntopts" => first(&mut self.mount_options, mount_options(value)),
            // -1 is the page size, a smaller number the least size.
            "blocksize" if value.starts_with('-') => true,
            "blocksize" => first(&mut self.block_size, power(value, 1024, 4096)),
            "inode_size" => first(&mut self.inode_size, power(value, 128, 4096).map(|size| size as u16)),
            "inode_ratio" => {
                let ratio = values::unsigned(value).filter(|ratio| (1024..=64 << 20).contains(ratio));
                first(&mut self.inode_ratio, ratio.map(|ratio| ratio as u32))
            }
            "reserved_ratio" => first(&mut self.reserved, values::percent(name, value).ok()),
            "flex_bg_size" => first(&mut self.flex, power(value, 1, 1 << 31)),
            "errors" => first(&mut self.errors, values::errors(name, value).ok()),
            "num_backup_sb" => {
                let backups = values::unsigned(value).filter(|backups| *backups <= 2);
                first(&mut self.backups, backups.map(|backups| backups as u8))
            }
            "hash_alg" => value == "half_md4",
            "packed_meta_blocks" => matches!(value, "0" | "no" | "false"),
            name => WITHOUT_EFFECT.contains(&name),
        }
    }
}

/// Takes a value where there is none yet.
fn first<T>(slot: &mut Option<T>, value: Option<T>) -> bool {
    let good = value.is_some();
    if slot.is_none() {
        *slot = value;
    }
    good
}

fn power(value: &str, least: u64, most: u64) -> Option<u32> {
    let number = values::unsigned(value).filter(|number| (least..=most).contains(number));
    number.filter(|number| number.is_power_of_two()).map(|number| number as u32)
}

/// The steps that can be taken; the others are named.
fn known_features(list: &str, left_out: &mut Vec<String>) -> Vec<Edit> {
    let words = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
    let steps = words.flat_map(|word| {
        edits(word).unwrap_or_else(|_| {
            left_out.push(format!("feature {word}"));
            Vec::new()
        })
    });
    steps.collect()
}

fn mount_options(list: &str) -> Option<u32> {
    let words = list.split(|c: char| c == ',' || c.is_ascii_whitespace()).filter(|word| !word.is_empty());
    words.into_iter().try_fold(0, |bits, word| {
        let (name, on) = word.strip_prefix('^').map_or((word, true), |name| (name, false));
        let (_, bit) = MOUNT_OPTIONS.iter().find(|(known, _)| *known == name)?;
        Some(if on { bits | bit } else { bits & !bit })
    })
}
