//! Names of features as `-O` and mke2fs.conf give them (ext4(5); `e2p_edit_feature2` of e2fsprogs).

use super::{invalid, unsupported};
use crate::ext::format::{Feature, Features};
use diskwright_formats::fault::Refusal;

/// A step of a list of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::ext) enum Edit {
    /// `none`
    Clear,
    /// `NAME`, `+NAME`; `^NAME`, `-NAME`
    Set(Feature, bool),
    /// A feature that is never on, switched off.
    Off,
}

/// Features that can be switched, and their numbers in the form `FEATURE_C5` (the bit of one of the sets C, I, R).
pub(in crate::ext) const FEATURES: &[(&str, Feature, &str)] = &[
    ("has_journal", Feature::HAS_JOURNAL, "C2"),
    ("ext_attr", Feature::EXT_ATTR, "C3"),
    ("resize_inode", Feature::RESIZE_INODE, "C4"),
    ("dir_index", Feature::DIR_INDEX, "C5"),
    ("sparse_super2", Feature::SPARSE_SUPER2, "C9"),
    ("orphan_file", Feature::ORPHAN_FILE, "C12"),
    ("filetype", Feature::FILETYPE, "I1"),
    ("extent", Feature::EXTENTS, "I6"),
    ("extents", Feature::EXTENTS, "I6"),
    ("64bit", Feature::BIT64, "I7"),
    ("flex_bg", Feature::FLEX_BG, "I9"),
    ("ea_inode", Feature::EA_INODE, "I10"),
    ("metadata_csum_seed", Feature::CSUM_SEED, "I13"),
    ("sparse_super", Feature::SPARSE_SUPER, "R0"),
    ("large_file", Feature::LARGE_FILE, "R1"),
    ("huge_file", Feature::HUGE_FILE, "R3"),
    ("uninit_bg", Feature::GDT_CSUM, "R4"),
    ("uninit_groups", Feature::GDT_CSUM, "R4"),
    ("dir_nlink", Feature::DIR_NLINK, "R5"),
    ("extra_isize", Feature::EXTRA_ISIZE, "R6"),
    ("metadata_csum", Feature::METADATA_CSUM, "R10"),
];

/// Features that mke2fs makes and we do not, and what to do without them. They can be switched off.
pub(in crate::ext) const NOT_MADE: &[(&str, &str)] = &[
    ("bigalloc", "leave it out: a file takes whole blocks of at most 4096 bytes"),
    ("casefold", "leave it out: tune2fs -O casefold adds it to a finished image"),
    ("fname_encoding", "leave it out: tune2fs -O casefold adds it to a finished image"),
    ("encrypt", "leave it out: tune2fs -O encrypt adds it to a finished image"),
    ("fast_commit", "leave it out: tune2fs -O fast_commit adds it to a finished image"),
    ("inline_data", "leave it out: small files take a block"),
    ("journal_dev", "an external journal is no file system with a tree"),
    ("large_dir", "leave it out: a directory holds some ten million entries without it"),
    ("meta_bg", "leave it out: resize_inode keeps the room to grow"),
    ("mmp", "leave it out: tune2fs -O mmp adds it to a finished image"),
    ("project", "leave it out: tune2fs -O project adds it to a finished image"),
    ("quota", "leave it out: tune2fs -O quota adds it to a finished image"),
    ("stable_inodes", "leave it out: tune2fs -O stable_inodes adds it to a finished image"),
    ("verity", "leave it out: tune2fs -O verity adds it to a finished image"),
];

/// Features that have names and that mke2fs does not take either.
pub(in crate::ext) const NEVER: &[&str] = &[
    "compression",
    "dir_prealloc",
    "dirdata",
    "imagic_inodes",
    "lazy_bg",
    "needs_recovery",
    "orphan_present",
    "read-only",
    "replica",
    "shared_blocks",
    "snapshot_bitmap",
];

/// The steps of a list: names behind commas or blanks, in any case of letters.
pub(in crate::ext) fn edits(list: &str) -> Result<Vec<Edit>, Refusal> {
    let words = list.split(|c: char| c == ',' || c.is_ascii_whitespace());
    words.filter(|word| !word.is_empty()).map(edit).collect()
}

fn edit(word: &str) -> Result<Edit, Refusal> {
    let lower = word.to_ascii_lowercase();
    if lower == "none" || lower == "clear" {
        return Ok(Edit::Clear);
    }
    let (name, on) = match lower.strip_prefix(['^', '-']) {
        Some(name) => (name, false),
        None => (lower.strip_prefix('+').unwrap_or(&lower), true),
    };
    let number = name.strip_prefix("feature_").map(str::to_ascii_uppercase);
    let is = |row: &&(&str, Feature, &str)| row.0 == name || Some(row.2) == number.as_deref();
    if let Some((_, feature, _)) = FEATURES.iter().find(is) {
        return Ok(Edit::Set(*feature, on));
    }
    match NOT_MADE.iter().find(|(known, _)| *known == name) {
        Some(_) if !on => Ok(Edit::Off),
        Some((_, hint)) => Err(unsupported(format!("-O {word}")).hint(*hint)),
        None if NEVER.contains(&name) => {
            Err(unsupported(format!("-O {word}")).hint("mke2fs does not take it either"))
        }
        None => {
            let names: Vec<&str> = FEATURES.iter().map(|row| row.0).collect();
            let refusal = invalid(format!("an unknown feature: {word}"));
            Err(refusal.hint(format!("known are: {}", names.join(", "))))
        }
    }
}

/// The set after the steps.
pub(in crate::ext) fn edited(features: Features, edits: &[Edit]) -> Features {
    edits.iter().fold(features, |features, edit| match edit {
        Edit::Clear => Features::default(),
        Edit::Set(feature, on) => features.with(*feature, *on),
        Edit::Off => features,
    })
}

/// The name of a feature.
pub(in crate::ext) fn name(feature: Feature) -> &'static str {
    FEATURES.iter().find(|row| row.1 == feature).map_or("?", |row| row.0)
}
