//! Reading directories: slots, long names put together, names that agree.

use super::DIRECTORY_SLOTS;
use super::boot::{Findings, damage, read_exact};
use super::disk::{self, Entry, LongEntry};
use super::geometry::Shape;
use super::names::{is_short_name, legal, short_text};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::DamageKind;
use diskwright_formats::layout::ReadAt;
use std::ops::Range;
use zerocopy::FromBytes;

/// 32 bytes of a directory and where they lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) at: u64,
    pub(super) bytes: [u8; 32],
}

impl Slot {
    pub(super) fn entry(&self) -> Entry {
        Entry::read_from_bytes(&self.bytes).expect("as long as an entry")
    }

    pub(super) fn long(&self) -> LongEntry {
        LongEntry::read_from_bytes(&self.bytes).expect("as long as an entry")
    }

    pub(super) fn is_deleted(&self) -> bool {
        self.bytes[0] == Entry::DELETED
    }

    pub(super) fn is_long(&self) -> bool {
        self.entry().attributes & Entry::LONG_MASK == Entry::LONG
    }
}

/// The slots of a directory up to its end mark or to the end of its clusters; damage where it is too long or cannot be
/// read.
pub(super) fn slots(
    image: &dyn ReadAt,
    path: &str,
    places: &[Range<u64>],
    findings: &mut Findings,
) -> Vec<Slot> {
    const STEP: usize = 4096;
    let mut slots = Vec::new();
    for place in places {
        for start in place.clone().step_by(STEP) {
            let mut bytes = vec![0; STEP.min((place.end - start) as usize)];
            if let Err(damage) = read_exact(image, path, start, &mut bytes) {
                findings.add(damage);
                return slots;
            }
            for (at, bytes) in (start..).step_by(32).zip(bytes.chunks_exact(32)) {
                if bytes[0] == 0 {
                    return slots;
                }
                if slots.len() > DIRECTORY_SLOTS {
                    let expected =
                        format!("the end of the directory: at most {} entries", DIRECTORY_SLOTS + 1);
                    findings.add(damage(DamageKind::Value, path, at, expected, "one more"));
                    return slots;
                }
                slots.push(Slot { at, bytes: bytes.try_into().expect("32 bytes") });
            }
        }
    }
    slots
}

/// A file or directory in its directory.
#[derive(Clone, Debug)]
pub(super) struct Child {
    pub(super) name: Vec<u8>,
    pub(super) entry: Entry,
    /// Where its short entry lies.
    pub(super) at: u64,
}

/// What a directory holds.
#[derive(Default)]
pub(super) struct Listing {
    /// Without `.` and `..`.
    pub(super) children: Vec<Child>,
    /// `.` and `..`, by slot number.
    pub(super) dots: Vec<(usize, Child)>,
    /// Volume labels and where they lie.
    pub(super) labels: Vec<([u8; 11], u64)>,
}

/// Reads the slots of one directory, whose path is `path`.
pub(super) fn list(slots: &[Slot], path: &str, findings: &mut Findings) -> Listing {
    let mut listing = Listing::default();
    let mut reader = Reader { path, findings, long: None };
    for (number, slot) in slots.iter().enumerate() {
        if slot.is_deleted() {
            reader.orphan();
        } else if slot.is_long() {
            reader.add_part(slot);
        } else {
            reader.short(number, slot, &mut listing);
        }
    }
    reader.orphan();
    listing
}

/// Parts of a long name that wait for the rest.
struct Long {
    /// Where the first part lies.
    at: u64,
    checksum: u8,
    /// Number of the last part that was read; they count down to 1.
    order: u8,
    /// The name's parts, last first.
    parts: Vec<LongEntry>,
    /// Something was wrong and was reported.
    is_broken: bool,
}

struct Reader<'a> {
    path: &'a str,
    findings: &'a mut Findings,
    long: Option<Long>,
}

impl Reader<'_> {
    fn report(
        &mut self,
        object: &str,
        kind: DamageKind,
        at: u64,
        expected: &str,
        found: impl std::fmt::Display,
    ) {
        let object = format!("{}: {object}", self.path);
        self.findings.add(damage(kind, object, at, expected, found));
    }

    /// A long name without its short entry.
    fn orphan(&mut self) {
        if let Some(long) = self.long.take().filter(|long| !long.is_broken) {
            let found = format!("part {} of a long name, then none", long.order);
            self.report(
                "long name",
                DamageKind::Mismatch,
                long.at,
                "all parts and a short entry behind them",
                found,
            );
        }
    }

    fn add_part(&mut self, slot: &Slot) {
        let part = slot.long();
        if part.kind != 0 || part.cluster.get() != 0 {
            let found = format!("{}, {}", part.kind, part.cluster);
            self.report("long name", DamageKind::Value, slot.at + 12, "type 0 and cluster 0", found);
        }
        let order = part.order & !LongEntry::LAST;
        if part.order & LongEntry::LAST != 0 {
            self.orphan();
            let is_broken = !(1..=20).contains(&order);
            if is_broken {
                self.report("long name", DamageKind::Value, slot.at, "1 to 20 parts", order);
            }
            self.long =
                Some(Long { at: slot.at, checksum: part.checksum, order, parts: vec![part], is_broken });
            return;
        }
        let (expected, found) = match &mut self.long {
            Some(long) if long.is_broken => return,
            Some(long) if long.order > 1 && order == long.order - 1 && part.checksum == long.checksum => {
                long.order = order;
                long.parts.push(part);
                return;
            }
            Some(long) if order + 1 == long.order && order > 0 => (
                format!("checksum {:#04x} as in the part before", long.checksum),
                format!("{:#04x}", part.checksum),
            ),
            Some(Long { order: 1, .. }) => {
                ("the short entry behind part 1".to_owned(), format!("part {order}"))
            }
            Some(long) => (format!("part {}", long.order - 1), format!("part {order}")),
            None => ("the last part of a long name first".to_owned(), format!("part {order}")),
        };
        self.report("long name", DamageKind::Mismatch, slot.at, &expected, found);
        let broken = Long { at: slot.at, checksum: 0, order, parts: Vec::new(), is_broken: true };
        self.long = Some(broken);
    }

    fn short(&mut self, number: usize, slot: &Slot, listing: &mut Listing) {
        let (entry, at) = (slot.entry(), slot.at);
        if entry.attributes & Entry::RESERVED != 0 {
            let found = format!("{:#04x}", entry.attributes);
            self.report(
                &escaped(short_text(&entry).as_bytes()),
                DamageKind::Value,
                at + 11,
                "attributes without bits 6 and 7",
                found,
            );
        }
        if entry.attributes & Entry::VOLUME_ID != 0 {
            self.orphan();
            if entry.attributes & Entry::DIRECTORY != 0 {
                let found = format!("{:#04x}", entry.attributes);
                return self.report(
                    "label",
                    DamageKind::Value,
                    at + 11,
                    "a label or a directory, not both",
                    found,
                );
            }
            return listing.labels.push((entry.name, at));
        }
        if [*b".          ", *b"..         "].contains(&entry.name) {
            self.orphan();
            return listing.dots.push((number, Child { name: Vec::new(), entry, at }));
        }
        let short = short_text(&entry);
        if !is_short_name(&entry.name) {
            let found = entry.name.escape_ascii();
            self.report(
                "short name",
                DamageKind::Value,
                at,
                "upper-case letters, digits and what FAT allows",
                found,
            );
        }
        let name = self.long_name(&entry, at).unwrap_or(short);
        listing.children.push(Child { name: name.into_bytes(), entry, at });
    }

    /// The long name in front of a short entry, if there is one that can be used.
    fn long_name(&mut self, entry: &Entry, at: u64) -> Option<String> {
        let long = self.long.take().filter(|long| !long.is_broken)?;
        if long.order != 1 {
            self.report(
                "long name",
                DamageKind::Mismatch,
                at,
                &format!("part {}", long.order - 1),
                "a short entry",
            );
            return None;
        }
        let checksum = disk::checksum(&entry.name);
        if long.checksum != checksum {
            let expected = format!("checksum {checksum:#04x} of the short name");
            let found = format!("{:#04x}", long.checksum);
            self.report("long name", DamageKind::Checksum, long.at + 13, &expected, found);
            return None;
        }
        let units: Vec<u16> = long.parts.iter().rev().flat_map(LongEntry::units).collect();
        let len = units.iter().position(|&unit| unit == 0).unwrap_or(units.len());
        let is_padded = units[len..].iter().skip(1).all(|&unit| unit == 0xffff);
        if len == 0 || len.div_ceil(LongEntry::UNITS) != long.parts.len() || !is_padded {
            let expected = format!("a name of {} parts, NUL, then ones", long.parts.len());
            let found = format!("{len} units, then {:04x?}", &units[len..units.len().min(len + 4)]);
            self.report("long name", DamageKind::Value, long.at, &expected, found);
        }
        match String::from_utf16(&units[..len]) {
            Ok(name) => {
                if let Err((_, reason)) = legal(name.as_bytes()) {
                    self.report("long name", DamageKind::Value, long.at, "a name that FAT allows", reason);
                }
                Some(name).filter(|name| !name.is_empty())
            }
            Err(_) => {
                self.report("long name", DamageKind::Value, long.at, "UTF-16", "half of a surrogate pair");
                Some(String::from_utf16_lossy(&units[..len]))
            }
        }
    }
}

/// Where the fixed root directory lies.
pub(super) fn root_place(shape: &Shape) -> Range<u64> {
    shape.root_start()..shape.root_start() + u64::from(shape.root_entries) * disk::ENTRY_LEN
}
