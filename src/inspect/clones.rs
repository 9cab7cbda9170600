//! Clones on a disk: are they their origins but for what tells copies apart?
//!
//! Both get the same new ids, as values: a file system's [`Row::reid`] changes everything that hangs on its ids and nothing else.
//! What then still differs is a fault, unless a system has mounted one of them since: then they are what was made and what
//! became of it. So it does not matter which ids they have, only that they are not the same.

use super::{Fault, Inspected, Partition, Volume};
use diskwright_formats::fault::{Damage, DamageKind, ReidError, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Layout, OneFile, Patch, ReadAt, Reader, differences};
use diskwright_fstools::registry::Row;
use std::ops::Range;

/// Bytes that are compared at a time.
const PART: u64 = 1 << 20;
/// Where ext's superblock has the time of the last mount for writing, and behind `s_wtime` how many there were (ext4's data
/// structures, "Super Block": `s_mtime`, `s_mnt_count`). A file system that was only made has 0 in both.
const EXT_MOUNTED: u64 = 1024 + 0x2C;

/// Partition numbers of a clone and its origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Twins {
    /// The clone's.
    pub clone: u32,
    /// The origin's.
    pub origin: u32,
}

/// A clone that was compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The clone: `partition 3 (p.lxbootclone1)`.
    pub clone: String,
    /// Its origin.
    pub origin: String,
    /// What differs beyond ids, or why it cannot be told.
    pub finding: Finding,
}

/// What is known of a clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Ids alone tell it from its origin.
    Clone,
    /// It is no clone; the damage lies in the clone.
    Differs(Damage),
    /// It differs, and was or its origin was mounted since they were made: this one.
    Used(String),
    /// It could not be compared.
    Unknown(String),
}

/// The clones that the names of a GPT tell: `p.lxNAMEcloneN` of `p.lxNAME` (those of `root` may be clones of a read-only
/// root, a RAID or LVM).
pub fn named(inspected: &Inspected) -> Vec<Twins> {
    let partitions: Vec<&Partition> = partitions(inspected).collect();
    let by_name = |name: &str| partitions.iter().find(|one| one.name.as_deref() == Some(name));
    let twins = |clone: &&Partition| {
        let base = base(clone.name.as_deref()?)?;
        let others = ["p.lxreadonly", "p.lxraid", "p.lxlvm"].into_iter().filter(|_| base == "root");
        let own = format!("p.lx{base}");
        let origin = others.chain([own.as_str()]).find_map(by_name)?;
        Some(Twins { clone: clone.number, origin: origin.number })
    };
    partitions.iter().filter_map(twins).collect()
}

/// `home` of `p.lxhomeclone2`.
fn base(name: &str) -> Option<&str> {
    let digits = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let base = digits.strip_prefix("p.lx")?.strip_suffix("clone")?;
    (digits.len() < name.len() && !base.is_empty()).then_some(base)
}

fn partitions(inspected: &Inspected) -> impl Iterator<Item = &Partition> {
    inspected.volumes.iter().filter_map(|volume| volume.partition.as_ref())
}

/// Compares clones with their origins.
pub fn compare(image: &dyn ReadAt, inspected: &Inspected, twins: &[Twins]) -> Vec<Verdict> {
    let volume = |number: u32| {
        let is_it = |volume: &&Volume| volume.partition.as_ref().is_some_and(|one| one.number == number);
        inspected.volumes.iter().find(is_it)
    };
    let title =
        |number| volume(number).map_or_else(|| format!("partition {number}"), |one| one.within.clone());
    let verdict = |Twins { clone, origin }: &Twins| {
        let finding = match (volume(*origin), volume(*clone)) {
            (Some(origin), Some(clone)) => finding(image, inspected, origin, clone),
            _ => Finding::Unknown("no such partition".to_owned()),
        };
        Verdict { clone: title(*clone), origin: title(*origin), finding }
    };
    twins.iter().map(verdict).collect()
}

impl Verdict {
    /// The fault that it is, if it is one.
    pub fn fault(&self) -> Option<Fault> {
        match &self.finding {
            Finding::Differs(damage) => Some(Fault { within: self.clone.clone(), damage: damage.clone() }),
            Finding::Clone | Finding::Used(_) | Finding::Unknown(_) => None,
        }
    }
}

fn finding(image: &dyn ReadAt, inspected: &Inspected, origin: &Volume, clone: &Volume) -> Finding {
    let (Some(origin_at), Some(clone_at)) = (&origin.partition, &clone.partition) else {
        return Finding::Unknown("no partition".to_owned());
    };
    let differs = |offset: u64, expected: String, found: String| {
        let spot = Spot::new("clone", format!("of {}", origin.within));
        Finding::Differs(Damage::new(DamageKind::Mismatch, spot, offset, expected, found))
    };
    if origin_at.len != clone_at.len {
        return differs(0, format!("{} bytes", origin_at.len), format!("{} bytes", clone_at.len));
    }
    let row = match (&origin.found, &clone.found) {
        (Some((one, _)), Some((other, _))) if one.name == other.name => Some(*one),
        (None, None) => None,
        _ => return differs(0, name(origin).to_owned(), name(clone).to_owned()),
    };
    if let (Some((_, one)), Some((_, other))) = (&origin.found, &clone.found)
        && one.id == other.id
    {
        return differs(0, format!("another id than {}", one.id), other.id.clone());
    }
    let contents = OneFile(image);
    let side = |at: &Partition| alike(&inspected.disk, &contents, at.start..at.start + at.len, row);
    match (side(origin_at), side(clone_at)) {
        (Ok(one), Ok(other)) => match first_difference(&one, &other, &contents) {
            Ok(None) => Finding::Clone,
            // Nobody here knows which of these bytes are ids.
            Ok(Some((at, ..))) if row.is_none() => {
                Finding::Unknown(format!("no known file system, and other bytes from byte {at} on"))
            }
            Ok(Some((at, one, other))) => {
                let used = [origin, clone].into_iter().find(|side| is_used(image, inspected, side, row));
                match used {
                    Some(side) => Finding::Used(side.within.clone()),
                    None => differs(at, format!("{one:#04x}"), format!("{other:#04x}")),
                }
            }
            Err(error) => Finding::Unknown(error.to_string()),
        },
        (Err(error), _) => Finding::Unknown(format!("{}: {error}", origin.within)),
        (_, Err(error)) => Finding::Unknown(format!("{}: {error}", clone.within)),
    }
}

/// Whether a system has mounted it for writing; only ext says so.
fn is_used(image: &dyn ReadAt, inspected: &Inspected, volume: &Volume, row: Option<&'static Row>) -> bool {
    let (Some(at), Some("ext2" | "ext3" | "ext4")) = (&volume.partition, row.map(|row| row.name)) else {
        return false;
    };
    let part = inspected.disk.window(at.start..at.start + at.len);
    let mut fields = [0; 10];
    let read = Reader::new(&part, &OneFile(image)).read_exact_at(EXT_MOUNTED, &mut fields);
    let [time, count] = [&fields[..4], &fields[8..]].map(|field| field.iter().any(|byte| *byte != 0));
    read.is_ok() && (time || count)
}

fn name(volume: &Volume) -> &'static str {
    volume.found.as_ref().map_or("no known file system", |(row, _)| row.name)
}

/// A partition with ids that are the same for all.
fn alike(
    disk: &Layout,
    contents: &OneFile<'_>,
    range: Range<u64>,
    row: Option<&'static Row>,
) -> Result<Layout, ReidError> {
    let identity = Identity::new(b"alike", 0);
    let part = disk.window(range);
    let patches: Vec<Patch> = match row {
        None => Vec::new(),
        Some(row) => (row.reid)(&Reader::new(&part, contents), &identity)?,
    };
    Ok(part.patched(&patches).expect("patches lie in what they were made for, apart from each other"))
}

/// The first byte that differs, with what the two have there.
fn first_difference(
    one: &Layout,
    other: &Layout,
    contents: &OneFile<'_>,
) -> std::io::Result<Option<(u64, u8, u8)>> {
    let (ones, others) = (Reader::new(one, contents), Reader::new(other, contents));
    let [mut a, mut b] = [vec![0; PART as usize], vec![0; PART as usize]];
    for range in differences(one, other) {
        let mut at = range.start;
        while at < range.end {
            let len = PART.min(range.end - at) as usize;
            ones.read_exact_at(at, &mut a[..len])?;
            others.read_exact_at(at, &mut b[..len])?;
            if a[..len] != b[..len]
                && let Some(by) = (0..len).find(|&by| a[by] != b[by])
            {
                return Ok(Some((at + by as u64, a[by], b[by])));
            }
            at += len as u64;
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::base;

    #[test]
    fn names_of_clones() {
        assert_eq!(base("p.lxhomeclone2"), Some("home"));
        assert_eq!(base("p.lxrootclone10"), Some("root"));
        for name in ["p.lxroot", "p.lxclone1", "p.lxhomeclone", "homeclone1", "p.lxhomeclone2b", ""] {
            assert_eq!(base(name), None, "{name}");
        }
    }
}
