//! Reading the boot sector, its backup and FSInfo.

use super::disk::*;
use super::geometry::{FatType, Shape};
use crate::registry::MOST_DAMAGE;
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::layout::ReadAt;
use std::fmt::Display;
use std::io;
use zerocopy::FromBytes;

/// What contradicts the format, in the order of discovery.
#[derive(Default)]
pub(super) struct Findings(pub(super) Vec<Damage>);

impl Findings {
    pub(super) fn add(&mut self, damage: Damage) {
        if self.0.len() < MOST_DAMAGE {
            self.0.push(damage);
        }
    }

    pub(super) fn expect(&mut self, holds: bool, damage: impl FnOnce() -> Damage) {
        if !holds {
            self.add(damage());
        }
    }
}

/// A damage report of a FAT structure.
pub(super) fn damage(
    kind: DamageKind,
    object: impl Into<String>,
    offset: u64,
    expected: impl Display,
    found: impl Display,
) -> Damage {
    Damage::new(kind, Spot::new("vfat", object), offset, expected.to_string(), found.to_string())
}

/// Reads a structure, or says that the image ends before it does.
pub(super) fn read_exact(
    image: &dyn ReadAt,
    object: &str,
    offset: u64,
    buffer: &mut [u8],
) -> Result<(), Damage> {
    image.read_exact_at(offset, buffer).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => {
            let expected = format!("{} bytes", buffer.len());
            damage(
                DamageKind::Truncated,
                object,
                offset,
                expected,
                format!("the end at byte {}", image.len()),
            )
        }
        _ => damage(DamageKind::Io, object, offset, "bytes that can be read", error),
    })
}

fn read<T: FromBytes>(image: &dyn ReadAt, object: &str, offset: u64) -> Result<T, Damage> {
    let mut bytes = vec![0; size_of::<T>()];
    read_exact(image, object, offset, &mut bytes)?;
    Ok(T::read_from_bytes(&bytes).expect("as many bytes as it has"))
}

/// What the boot sector says.
#[derive(Clone, Debug)]
pub(super) struct Boot {
    pub(super) sector: BootSector,
    pub(super) fat_32: Option<Fat32>,
    /// Volume id and label, if there are any.
    pub(super) extended: Option<Extended>,
    pub(super) shape: Shape,
}

/// A boot sector that could be nothing but FAT.
pub(super) fn recognise(image: &dyn ReadAt) -> bool {
    read::<BootSector>(image, "", 0).is_ok_and(|sector| {
        let jumps = matches!(sector.jump, [0xeb, _, 0x90] | [0xe9, _, _]);
        jumps && check_fields(&sector).is_ok() && is_media(sector.media)
    })
}

/// A boot sector that says the name of its type, whatever else it says.
pub(super) fn resembles(image: &dyn ReadAt) -> bool {
    // Where `Extended` ends its fields, behind those of FAT32 or not.
    let names = |kind: &[u8]| matches!(kind, b"FAT12   " | b"FAT16   " | b"FAT32   ");
    read::<BootSector>(image, "", 0)
        .is_ok_and(|sector| names(&sector.rest[18..26]) || names(&sector.rest[46..54]))
}

fn is_media(media: u8) -> bool {
    media == 0xf0 || media >= MEDIA_FIXED
}

/// The fields of which everything else is computed.
fn check_fields(sector: &BootSector) -> Result<(), Damage> {
    let value = |name: &str, offset, holds: bool, expected: &str, found: String| match holds {
        true => Ok(()),
        false => Err(damage(DamageKind::Value, format!("boot sector/{name}"), offset, expected, found)),
    };
    let signature = sector.signature;
    value(
        "signature",
        510,
        signature == BOOT_SIGNATURE,
        "55 aa",
        format!("{:02x} {:02x}", signature[0], signature[1]),
    )?;
    let size = sector.bytes_per_sector.get();
    let valid = size.is_power_of_two() && (512..=4096).contains(&size);
    value("bytes per sector", 11, valid, "512, 1024, 2048 or 4096", size.to_string())?;
    let per_cluster = sector.sectors_per_cluster;
    value(
        "sectors per cluster",
        13,
        per_cluster.is_power_of_two(),
        "a power of two",
        per_cluster.to_string(),
    )?;
    value("reserved sectors", 14, sector.reserved.get() > 0, "at least 1", "0".to_owned())?;
    value("fats", 16, sector.fats > 0, "at least 1", "0".to_owned())?;
    let sectors = sector.sectors_16.get() > 0 || sector.sectors_32.get() > 0;
    value("sectors", 32, sectors, "at least 1", "0".to_owned())
}

/// Reads and checks the boot sector. Fails where its fields make no file system that can be read.
pub(super) fn boot(image: &dyn ReadAt, findings: &mut Findings) -> Result<Boot, Damage> {
    let sector: BootSector = read(image, "boot sector", 0)?;
    check_fields(&sector)?;
    let is_32 = sector.fat_sectors_16.get() == 0;
    let (fat_32, rest) = match Fat32::read_from_prefix(&sector.rest) {
        Ok((fat_32, rest)) if is_32 => (Some(fat_32), rest),
        _ => (None, &sector.rest[..]),
    };
    let extended = Extended::read_from_prefix(rest).ok().map(|(extended, _)| extended);
    let extended = extended.filter(|extended| extended.signature == EXTENDED_SIGNATURE);
    let shape = shape(&sector, fat_32.as_ref(), findings)?;
    let boot = Boot { sector, fat_32, extended, shape };
    boot.check(image, findings);
    Ok(boot)
}

/// Where everything lies. Fails when there is no room for it.
fn shape(sector: &BootSector, fat_32: Option<&Fat32>, findings: &mut Findings) -> Result<Shape, Damage> {
    let fat_sectors = fat_32.map_or(sector.fat_sectors_16.get().into(), |fat_32| fat_32.fat_sectors.get());
    let sectors = match sector.sectors_16.get() {
        0 => sector.sectors_32.get(),
        sectors => sectors.into(),
    };
    let shape = Shape {
        fat: FatType::Fat32,
        sector_size: sector.bytes_per_sector.get().into(),
        sectors_per_cluster: sector.sectors_per_cluster.into(),
        reserved: sector.reserved.get().into(),
        fats: sector.fats.into(),
        fat_sectors,
        root_entries: sector.root_entries.get().into(),
        sectors,
        clusters: 0,
    };
    let object = "boot sector/sectors";
    let data = shape.len().checked_sub(shape.data_start()).ok_or_else(|| {
        let found = format!(
            "{sectors} sectors in all, the data starts in sector {}",
            shape.data_start() / u64::from(shape.sector_size)
        );
        damage(
            DamageKind::Value,
            object,
            32,
            "reserved sectors, FATs and root directory within the file system",
            found,
        )
    })?;
    let count = (data / shape.cluster_len()) as u32; // fewer than sectors
    let fat = match (fat_32, count) {
        (Some(_), _) => FatType::Fat32,
        (None, 0..=4_084) => FatType::Fat12,
        (None, 4_085..=65_524) => FatType::Fat16,
        (None, _) => return Err(damage(DamageKind::Value, object, 32, "at most 65524 clusters", count)),
    };
    let room = (shape.fat_len() * 8 / u64::from(fat.bits())).saturating_sub(FIRST_CLUSTER.into());
    findings.expect(u64::from(count) <= room, || {
        let offset = if fat == FatType::Fat32 { 36 } else { 22 };
        let expected = format!("a FAT for {count} clusters");
        damage(
            DamageKind::Mismatch,
            "boot sector/sectors per fat",
            offset,
            expected,
            format!("a FAT for {room}"),
        )
    });
    let clusters = u64::from(count.min(*fat.clusters().end())).min(room) as u32;
    if clusters == 0 {
        return Err(damage(DamageKind::Value, object, 32, "at least one cluster", "none"));
    }
    Ok(Shape { fat, clusters, ..shape })
}

impl Boot {
    fn check(&self, image: &dyn ReadAt, findings: &mut Findings) {
        let Boot { sector, shape, .. } = self;
        let jumps = matches!(sector.jump, [0xeb, _, 0x90] | [0xe9, _, _]);
        findings.expect(jumps, || {
            damage(
                DamageKind::Value,
                "boot sector/jump",
                0,
                "eb xx 90 or e9 xx xx",
                format!("{:02x?}", sector.jump),
            )
        });
        findings.expect(is_media(sector.media), || {
            damage(
                DamageKind::Value,
                "boot sector/media",
                21,
                "f0 or f8 to ff",
                format!("{:02x}", sector.media),
            )
        });
        findings.expect(shape.len() <= image.len(), || {
            let expected = format!("an image of {} bytes", shape.len());
            damage(
                DamageKind::Truncated,
                "boot sector/sectors",
                image.len(),
                expected,
                format!("{} bytes", image.len()),
            )
        });
        let state = self.extended.map_or(0, |extended| extended.state);
        findings.expect(state & 3 == 0, || {
            let offset = if self.fat_32.is_some() { 65 } else { 37 };
            damage(DamageKind::Value, "boot sector/state", offset, "0: unmounted, no errors", state & 3)
        });
        let root_entries = shape.root_entries;
        findings.expect((root_entries == 0) == self.fat_32.is_some(), || {
            let expected = if self.fat_32.is_some() { "0 on fat32" } else { "at least 1" };
            damage(DamageKind::Value, "boot sector/root entries", 17, expected, root_entries)
        });
        if let Some(fat_32) = &self.fat_32 {
            findings.expect(fat_32.version.get() == 0, || {
                damage(DamageKind::Unsupported, "boot sector/version", 42, "0", fat_32.version.get())
            });
            self.check_backup(fat_32, image, findings);
        }
    }

    /// The backup equals the boot sector in all but the state, which a mount changes in one place only.
    fn check_backup(&self, fat_32: &Fat32, image: &dyn ReadAt, findings: &mut Findings) {
        let Some(start) = self.backup_start() else { return };
        let number = fat_32.backup_sector.get();
        findings.expect(u32::from(number) < self.shape.reserved, || {
            damage(DamageKind::Value, "boot sector/backup", 50, "a reserved sector", number)
        });
        let (mut sector, mut backup) = ([0; BOOT_LEN as usize], [0; BOOT_LEN as usize]);
        let read = read_exact(image, "boot sector", 0, &mut sector)
            .and_then(|()| read_exact(image, "boot sector backup", start, &mut backup));
        if let Err(damage) = read {
            return findings.add(damage);
        }
        const STATE: usize = 65;
        backup[STATE] = sector[STATE];
        if let Some(at) = (0..sector.len()).find(|&at| sector[at] != backup[at]) {
            let (expected, found) =
                (format!("{:02x} as in the boot sector", sector[at]), format!("{:02x}", backup[at]));
            findings.add(damage(
                DamageKind::Mismatch,
                "boot sector backup",
                start + at as u64,
                expected,
                found,
            ));
        }
    }

    /// Where the backup of the boot sector lies; `None` when there is none.
    pub(super) fn backup_start(&self) -> Option<u64> {
        let number = self.fat_32?.backup_sector.get();
        let start = u64::from(number) * u64::from(self.shape.sector_size);
        (![0, u16::MAX].contains(&number)).then_some(start)
    }

    /// Where FSInfo lies; `None` when there is none.
    pub(super) fn info_start(&self) -> Option<u64> {
        let number = self.fat_32?.info_sector.get();
        let start = u64::from(number) * u64::from(self.shape.sector_size);
        (![0, u16::MAX].contains(&number)).then_some(start)
    }

    /// FSInfo says how many clusters are free, or that it does not know.
    pub(super) fn check_info(&self, image: &dyn ReadAt, free: u32, findings: &mut Findings) {
        let Some(start) = self.info_start() else { return };
        let info: FsInfo = match read(image, "fsinfo", start) {
            Ok(info) => info,
            Err(damage) => return findings.add(damage),
        };
        let signatures = [
            (0, info.lead, FsInfo::LEAD),
            (484, info.signature, FsInfo::SIGNATURE),
            (508, info.trail, FsInfo::TRAIL),
        ];
        for (offset, found, expected) in signatures {
            findings.expect(found == expected, || {
                let (expected, found) = (format!("{expected:02x?}"), format!("{found:02x?}"));
                damage(DamageKind::Value, "fsinfo/signature", start + offset, expected, found)
            });
        }
        findings.expect([free, u32::MAX].contains(&info.free.get()), || {
            damage(DamageKind::Mismatch, "fsinfo/free clusters", start + 488, free, info.free.get())
        });
        // A driver that filled the last cluster leaves the number behind it.
        let next = FIRST_CLUSTER..=self.shape.clusters_end();
        findings.expect(next.contains(&info.next.get()) || info.next.get() == u32::MAX, || {
            let expected = format!("{} to {}", next.start(), next.end());
            damage(DamageKind::Value, "fsinfo/next free cluster", start + 492, expected, info.next.get())
        });
    }

    /// The label of the boot sector, if it has one.
    pub(super) fn label(&self) -> Option<[u8; 11]> {
        self.extended
            .map(|extended| extended.label)
            .filter(|label| ![NO_LABEL, [b' '; 11], [0; 11]].contains(label))
    }

    /// Where that label lies.
    pub(super) fn label_start(&self) -> u64 {
        if self.fat_32.is_some() { 71 } else { 43 }
    }

    /// The FAT that counts, and whether the others are copies of it.
    pub(super) fn active_fat(&self) -> (u32, bool) {
        match self.fat_32.map(|fat_32| fat_32.flags.get()) {
            Some(flags) if flags & 0x80 != 0 => (u32::from(flags & 15).min(self.shape.fats - 1), false),
            _ => (0, true),
        }
    }
}
