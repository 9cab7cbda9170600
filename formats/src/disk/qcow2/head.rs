//! The header of an image, checked: whatever comes behind it can be found.

use super::disk::{
    BITMAPS, BITMAPS_VALID, COMPRESSION_TYPE, CORRUPT, DIRTY, EXTENDED_L2, EXTERNAL_DATA, Extension,
    FEATURES_AT, Features, HEADER_LENGTH, Header, MAGIC,
};
use super::{CLUSTER_BITS, LONGEST_L1, LONGEST_REFCOUNT_TABLE, MOST_SNAPSHOTS};
use crate::bytes::{align_up, escaped};
use crate::fault::{Damage, DamageKind, Spot};
use crate::layout::ReadAt;
use std::mem::offset_of;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A header that can be read past.
pub(super) struct Head {
    pub header: Header,
    /// Version 3's part; for version 2 what it means there.
    pub features: Features,
    /// Bytes of the header as far as it is known here.
    pub length: u64,
    /// Header extensions: byte position, type, length of the data.
    pub extensions: Vec<(u64, u32, u64)>,
}

/// A damage of this format.
pub(super) fn damage(
    kind: DamageKind,
    object: impl Into<String>,
    at: u64,
    expected: impl Into<String>,
    found: impl Into<String>,
) -> Damage {
    Damage::new(kind, Spot::new("qcow2", object), at, expected, found)
}

/// Bytes that must be there.
pub(super) fn read_bytes(image: &dyn ReadAt, at: u64, buffer: &mut [u8], object: &str) -> Result<(), Damage> {
    image.read_exact_at(at, buffer).map_err(|error| {
        let kind = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => DamageKind::Truncated,
            _ => DamageKind::Io,
        };
        damage(kind, object, at, format!("{} bytes", buffer.len()), error.to_string())
    })
}

/// A structure that must be there.
pub(super) fn read<T: FromBytes + FromZeros + IntoBytes>(
    image: &dyn ReadAt,
    at: u64,
    object: &str,
) -> Result<T, Damage> {
    let mut value = T::new_zeroed();
    read_bytes(image, at, value.as_mut_bytes(), object)?;
    Ok(value)
}

impl Head {
    /// Reads the header; what can be read past goes to `found`.
    pub(super) fn read(image: &dyn ReadAt, found: &mut Vec<Damage>) -> Result<Head, Damage> {
        let header: Header = read(image, 0, "header")?;
        let version = check_kind(&header)?;
        let features = match version {
            2 => FEATURES_2,
            _ => read(image, FEATURES_AT, "header")?,
        };
        check_features(&features, found)?;
        check_limits(&header, &features)?;
        check_self_contained(image, &header)?;
        let mut head = Head {
            header,
            features,
            length: header_length(version, &header, &features, found),
            extensions: vec![],
        };
        head.read_extensions(image, found)?;
        Ok(head)
    }

    pub(super) fn cluster_bits(&self) -> u32 {
        self.header.cluster_bits.get()
    }

    pub(super) fn cluster(&self) -> u64 {
        1 << self.cluster_bits()
    }

    pub(super) fn version(&self) -> u32 {
        self.header.version.get()
    }

    /// Position of the data of the bitmaps extension, if the image vouches for it.
    pub(super) fn bitmaps(&self) -> Option<u64> {
        let extension = self.extensions.iter().find(|&&(_, kind, len)| kind == BITMAPS && len >= 24);
        extension.filter(|_| self.features.autoclear.get() & BITMAPS_VALID != 0).map(|(at, ..)| at + 8)
    }

    /// Extensions lie between the header and the end of the first cluster; one of type 0 ends them early.
    fn read_extensions(&mut self, image: &dyn ReadAt, found: &mut Vec<Damage>) -> Result<(), Damage> {
        let mut at = self.length;
        let end = self.cluster().min(image.len());
        while at + size_of::<Extension>() as u64 <= end {
            let extension: Extension = read(image, at, "header extension")?;
            let (kind, len) = (extension.kind.get(), u64::from(extension.len.get()));
            let data = at + size_of::<Extension>() as u64;
            if data + len > end {
                let expected = format!("an extension that ends before byte {end}");
                let text = format!("{len} bytes");
                found.push(damage(DamageKind::Value, "header extension", at + 4, expected, text));
                return Ok(());
            }
            self.extensions.push((at, kind, len));
            if kind == 0 {
                return Ok(());
            }
            at = align_up(data + len, 8).unwrap_or(u64::MAX);
        }
        Ok(())
    }
}

/// What a version 2 header does not say.
const FEATURES_2: Features = Features {
    incompatible: zerocopy::big_endian::U64::ZERO,
    compatible: zerocopy::big_endian::U64::ZERO,
    autoclear: zerocopy::big_endian::U64::ZERO,
    refcount_order: zerocopy::big_endian::U32::new(4),
    header_length: zerocopy::big_endian::U32::new(FEATURES_AT as u32),
};

/// Magic, version, cluster size.
fn check_kind(header: &Header) -> Result<u32, Damage> {
    if header.magic != MAGIC {
        let (expected, found) = (escaped(&MAGIC), escaped(&header.magic));
        return Err(damage(DamageKind::Value, "header", 0, expected, found));
    }
    let version = header.version.get();
    if ![2, 3].contains(&version) {
        return Err(damage(DamageKind::Unsupported, "header", 4, "version 2 or 3", version.to_string()));
    }
    let bits = header.cluster_bits.get();
    if !CLUSTER_BITS.contains(&bits) {
        let at = offset_of!(Header, cluster_bits) as u64;
        let expected = format!("cluster bits of {} to {}", CLUSTER_BITS.start(), CLUSTER_BITS.end());
        return Err(damage(DamageKind::Value, "header", at, expected, bits.to_string()));
    }
    Ok(version)
}

fn check_features(features: &Features, found: &mut Vec<Damage>) -> Result<(), Damage> {
    let at = FEATURES_AT + offset_of!(Features, incompatible) as u64;
    let incompatible = features.incompatible.get();
    let unsupported =
        |text: &str| Err(damage(DamageKind::Unsupported, "header", at, "an image that holds its data", text));
    let known = DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2;
    if incompatible & EXTERNAL_DATA != 0 {
        return unsupported("external data file");
    }
    if incompatible & EXTENDED_L2 != 0 {
        return unsupported("extended l2 entries");
    }
    if incompatible & !known != 0 {
        return unsupported(&format!("unknown incompatible features: {:#x}", incompatible & !known));
    }
    for (bit, text) in [(DIRTY, "dirty: refcounts may be wrong"), (CORRUPT, "corrupt: a writer found damage")]
    {
        if incompatible & bit != 0 {
            found.push(damage(DamageKind::Value, "header", at, "an image that was closed in order", text));
        }
    }
    Ok(())
}

/// Sizes that QEMU refuses, too, so that hostile ones cost nothing.
fn check_limits(header: &Header, features: &Features) -> Result<(), Damage> {
    let order = features.refcount_order.get();
    let table = u64::from(header.refcount_table_clusters.get()) << header.cluster_bits.get();
    let limits = [
        (FEATURES_AT + offset_of!(Features, refcount_order) as u64, "refcount order", u64::from(order), 6),
        (offset_of!(Header, l1_size) as u64, "l1 size", u64::from(header.l1_size.get()), LONGEST_L1 / 8),
        (
            offset_of!(Header, refcount_table_clusters) as u64,
            "refcount table bytes",
            table,
            LONGEST_REFCOUNT_TABLE,
        ),
        (
            offset_of!(Header, nb_snapshots) as u64,
            "snapshots",
            header.nb_snapshots.get().into(),
            MOST_SNAPSHOTS.into(),
        ),
    ];
    match limits.into_iter().find(|(_, _, value, most)| value > most) {
        None => Ok(()),
        Some((at, name, value, most)) => Err(damage(
            DamageKind::Value,
            "header",
            at,
            format!("{name} of at most {most}"),
            value.to_string(),
        )),
    }
}

/// All data lies in this file, as it is. A backing file is named, never opened.
fn check_self_contained(image: &dyn ReadAt, header: &Header) -> Result<(), Damage> {
    let expected = "an image that holds its data";
    let (at, len) = (header.backing_file_offset.get(), header.backing_file_size.get());
    if at != 0 {
        let mut name = vec![0; len.min(1023) as usize];
        let name = match image.read_exact_at(at, &mut name) {
            Ok(()) => escaped(&name),
            Err(_) => "of unreadable name".to_owned(),
        };
        let at = offset_of!(Header, backing_file_offset) as u64;
        return Err(damage(DamageKind::Unsupported, "header", at, expected, format!("backing file {name}")));
    }
    let method = header.crypt_method.get();
    if method != 0 {
        let name = match method {
            1 => "aes",
            2 => "luks",
            _ => "unknown",
        };
        let at = offset_of!(Header, crypt_method) as u64;
        return Err(damage(DamageKind::Unsupported, "header", at, expected, format!("encryption: {name}")));
    }
    Ok(())
}

/// Where the header ends and extensions begin.
fn header_length(version: u32, header: &Header, features: &Features, found: &mut Vec<Damage>) -> u64 {
    let length = u64::from(features.header_length.get());
    let cluster = 1 << header.cluster_bits.get();
    if version == 2 || (HEADER_LENGTH..=cluster).contains(&length) && length.is_multiple_of(8) {
        return length;
    }
    let at = FEATURES_AT + offset_of!(Features, header_length) as u64;
    let expected = format!("a header length of {HEADER_LENGTH} to {cluster}, a multiple of 8");
    found.push(damage(DamageKind::Value, "header", at, expected, length.to_string()));
    HEADER_LENGTH
}
