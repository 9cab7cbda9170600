//! The two copies of a table, each read whole or found invalid.

use super::disk::{Entry, Header, SIGNATURE};
use super::{ENTRY, MOST_ENTRIES, Partition};
use crate::fault::{Damage, DamageKind, Spot};
use crate::layout::ReadAt;
use std::mem::offset_of;
use uuid::Uuid;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// The disk in sectors.
#[derive(Clone, Copy)]
pub(super) struct Sectors<'a> {
    pub image: &'a dyn ReadAt,
    pub size: u32,
}

/// One copy of the table whose checksums hold.
pub(super) struct Copy {
    /// `primary` or `backup`.
    pub name: &'static str,
    /// Byte position of the header.
    pub at: u64,
    pub header: Header,
    /// Byte position of the entry array.
    pub array_at: u64,
    pub array: Vec<u8>,
}

pub(super) fn spot(object: impl Into<String>) -> Spot {
    Spot::new("gpt", object)
}

/// A structure at a byte position.
pub(super) fn read<T: FromBytes + FromZeros + IntoBytes>(
    image: &dyn ReadAt,
    at: u64,
    object: &str,
) -> Result<T, Damage> {
    let mut value = T::new_zeroed();
    read_bytes(image, at, value.as_mut_bytes(), object)?;
    Ok(value)
}

pub(super) fn read_bytes(image: &dyn ReadAt, at: u64, buffer: &mut [u8], object: &str) -> Result<(), Damage> {
    image.read_exact_at(at, buffer).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => DamageKind::Truncated,
            _ => DamageKind::Io,
        };
        Damage::new(kind, spot(object), at, format!("{} bytes", buffer.len()), error.to_string())
    })
}

impl<'a> Sectors<'a> {
    /// Finds the sector size: the one for which a primary copy is sound, else a backup, else 512 or 4096 by the
    /// signature alone.
    pub(super) fn of(image: &'a dyn ReadAt) -> Result<Sectors<'a>, Damage> {
        let both = [512, 4096].map(|size| Sectors { image, size });
        let sound = |primary: bool| {
            both.into_iter().find(|sectors| match primary {
                true => sectors.copy("primary", 1).is_ok(),
                false => sectors.copy("backup", sectors.last()).is_ok(),
            })
        };
        let signed = || both.into_iter().find(|s| read(image, s.size.into(), "") == Ok(SIGNATURE));
        sound(true).or_else(|| sound(false)).or_else(signed).ok_or_else(|| {
            let found = read::<[u8; 8]>(image, 512, "primary header");
            match found {
                Ok(found) => wrong_signature("primary header", 512, &found),
                Err(damage) => damage,
            }
        })
    }

    /// How many there are.
    pub(super) fn count(self) -> u64 {
        self.image.len() / u64::from(self.size)
    }

    pub(super) fn last(self) -> u64 {
        self.count().saturating_sub(1)
    }

    /// Both copies. The primary says where the backup is; if it cannot, it should be in the last sector.
    pub(super) fn copies(self) -> (Result<Copy, Damage>, Result<Copy, Damage>) {
        let primary = self.copy("primary", 1);
        let named = primary.as_ref().ok().map(|copy| copy.header.alternate_lba.get());
        let lba = named.filter(|&lba| lba > 1 && lba < self.count()).unwrap_or(self.last());
        (primary, self.copy("backup", lba))
    }

    /// Reads one copy; fails where the specification (5.3.2) calls it invalid.
    fn copy(self, name: &'static str, lba: u64) -> Result<Copy, Damage> {
        let object = format!("{name} header");
        let at = lba * u64::from(self.size);
        let header: Header = read(self.image, at, &object)?;
        let field = |offset: usize| at + offset as u64;
        if header.signature != SIGNATURE {
            return Err(wrong_signature(&object, at, &header.signature));
        }
        let size = header.header_size.get();
        if !(92..=self.size).contains(&size) {
            let expected = format!("a header size of 92 to {}", self.size);
            let at = field(offset_of!(Header, header_size));
            return Err(Damage::new(DamageKind::Value, spot(object), at, expected, size.to_string()));
        }
        let found = header.header_crc32.get();
        let expected = self.header_crc32(at, size, &object)?;
        if found != expected {
            let at = field(offset_of!(Header, header_crc32));
            return Err(wrong_crc(&object, at, expected, found));
        }
        let found = header.my_lba.get();
        if found != lba {
            let at = field(offset_of!(Header, my_lba));
            let expected = format!("my lba {lba}");
            return Err(Damage::new(DamageKind::Value, spot(object), at, expected, found.to_string()));
        }
        let (array_at, array) = self.array(name, at, &header)?;
        Ok(Copy { name, at, header, array_at, array })
    }

    /// The checksum of a header of `size` bytes, with its own field taken as zero.
    fn header_crc32(self, at: u64, size: u32, object: &str) -> Result<u32, Damage> {
        let mut bytes = vec![0; size as usize];
        read_bytes(self.image, at, &mut bytes, object)?;
        let field = offset_of!(Header, header_crc32);
        bytes[field..field + 4].fill(0);
        Ok(crc32fast::hash(&bytes))
    }

    /// Where the entries are, and their bytes.
    fn array(self, name: &str, at: u64, header: &Header) -> Result<(u64, Vec<u8>), Damage> {
        let object = format!("{name} header");
        let (count, size) = (header.number_of_partition_entries.get(), header.size_of_partition_entry.get());
        let field = at + offset_of!(Header, number_of_partition_entries) as u64;
        if size < ENTRY as u32 || !size.is_power_of_two() {
            let expected = "an entry size of 128 times a power of two";
            let found = size.to_string();
            return Err(Damage::new(DamageKind::Value, spot(object), field + 4, expected, found));
        }
        let len = u64::from(count) * u64::from(size);
        let most = u64::from(MOST_ENTRIES) * ENTRY;
        if len > most {
            let (expected, found) =
                (format!("entries of at most {most} bytes"), format!("{count} of {size}"));
            return Err(Damage::new(DamageKind::Value, spot(object), field, expected, found));
        }
        let lba = header.partition_entry_lba.get();
        let start = lba.checked_mul(self.size.into());
        let start = start.filter(|start| start.checked_add(len).is_some_and(|end| end <= self.image.len()));
        let Some(start) = start else {
            let field = at + offset_of!(Header, partition_entry_lba) as u64;
            let (expected, found) = ("entries on the disk", format!("{len} bytes at lba {lba}"));
            return Err(Damage::new(DamageKind::Value, spot(object), field, expected, found));
        };
        let mut array = vec![0; len as usize];
        let object = format!("{name} entries");
        read_bytes(self.image, start, &mut array, &object)?;
        let (expected, found) = (header.partition_entry_array_crc32.get(), crc32fast::hash(&array));
        if expected != found {
            return Err(wrong_crc(&object, start, expected, found));
        }
        Ok((start, array))
    }
}

fn wrong_signature(object: &str, at: u64, found: &[u8]) -> Damage {
    let found = crate::bytes::escaped(found);
    Damage::new(DamageKind::Value, spot(object), at, "EFI PART", found)
}

fn wrong_crc(object: &str, at: u64, expected: u32, found: u32) -> Damage {
    let text = |crc: u32| format!("crc32 {crc:08x}");
    Damage::new(DamageKind::Checksum, spot(object), at, text(expected), text(found))
}

impl Copy {
    /// Entries in use: slot, byte position, entry.
    pub(super) fn entries(&self) -> impl Iterator<Item = (u32, u64, Entry)> {
        let size = self.header.size_of_partition_entry.get() as usize;
        self.array.chunks_exact(size).zip(0u32..).filter_map(move |(bytes, index)| {
            let (entry, _) = Entry::read_from_prefix(bytes).ok()?;
            let at = self.array_at + u64::from(index) * size as u64;
            (!Uuid::from(entry.type_guid).is_nil()).then_some((index + 1, at, entry))
        })
    }
}

/// The entry's name up to its first zero; halves of characters become the replacement character.
pub(super) fn name_of(entry: &Entry) -> String {
    let units = entry.name.iter().map(|unit| unit.get()).take_while(|&unit| unit != 0);
    char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// The entry as a partition, if it lies on the disk.
pub(super) fn partition(sectors: Sectors<'_>, slot: u32, entry: &Entry) -> Option<Partition> {
    let (first, last) = (entry.starting_lba.get(), entry.ending_lba.get());
    let size = u64::from(sectors.size);
    (first <= last && last < sectors.count()).then(|| Partition {
        number: slot,
        type_guid: entry.type_guid.into(),
        unique_guid: entry.unique_guid.into(),
        name: name_of(entry),
        attributes: entry.attributes.get(),
        start: first * size,
        len: (last - first + 1) * size,
    })
}
