//! Tree to layout: reserved sectors, FATs, root directory, then the clusters of all files in the order of the tree.

use super::disk::{self, *};
use super::geometry::{FatType, Shape, first};
use super::items::{Demand, Item, items, refusal};
use super::names::Name;
use super::options::Fat;
use super::time::Stamp;
use crate::registry::{Filesystem, Geometry, Laid, Usage};
use crate::tree::{Data, Kind, Time, Tree};
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Bytes, Extent, Layout, Source, What};
use std::ops::Range;
use zerocopy::little_endian::{U16, U32};
use zerocopy::{FromZeros, IntoBytes};

impl Filesystem for Fat {
    fn name(&self) -> &'static str {
        "vfat"
    }

    fn id(&self, identity: &Identity) -> String {
        let id = self.volume_id(identity);
        format!("{:04X}-{:04X}", id >> 16, id & 0xffff)
    }

    fn label(&self) -> Option<&str> {
        self.label.as_ref().map(|label| label.0.as_str())
    }

    /// The smallest length from which on every length holds the tree. Some shorter ones may hold it, too: below the
    /// length at which the type or the cluster size changes, the same files may take less room.
    fn measure(&self, tree: &Tree, free: u64, sector_size: u32) -> Result<u64, Refusal> {
        self.check_sector_size(sector_size)?;
        let items = items(tree, self.label.is_some())?;
        self.smallest(&Demand::new(&items, free), sector_size)
    }

    fn lay(&self, tree: &Tree, geometry: &Geometry, identity: &Identity) -> Result<Laid, Refusal> {
        let &Geometry { len, sector_size, hidden_sectors } = geometry;
        self.check_sector_size(sector_size)?;
        let hidden = self.hidden.map_or(hidden_sectors, u64::from);
        let hidden = u32::try_from(hidden).map_err(|_| {
            let reason = format!("{hidden} sectors in front of it: at most {}", u32::MAX);
            refusal(RefusalKind::Limit, "", reason).hint("put it further to the front of the disk, or -h 0")
        })?;
        let items = items(tree, self.label.is_some())?;
        let demand = Demand::new(&items, 0);
        let shapes = self.wishes.shapes(len / u64::from(sector_size), sector_size);
        let Some(shape) = shapes.iter().find(|shape| demand.holds(shape)) else {
            return Err(self.does_not_fit(shapes.last(), &demand, len, sector_size));
        };
        let volume = Volume { options: self, identity, shape, hidden };
        Ok(volume.lay(&items, len))
    }
}

impl Fat {
    fn volume_id(&self, identity: &Identity) -> u32 {
        self.volume_id.unwrap_or_else(|| identity.number("volume-id"))
    }

    /// One sector more than the largest length that is too small.
    fn smallest(&self, demand: &Demand, sector_size: u32) -> Result<u64, Refusal> {
        let shapes = |sectors| self.wishes.shapes(sectors, sector_size);
        let steps = self.wishes.steps(sector_size);
        // From the longest to the shortest piece between two steps, until one holds a length that is too small.
        let pieces = steps.windows(2).map(|pair| pair[0]..pair[1]).rev();
        let mut least = None;
        for piece in pieces.skip_while(|piece| shapes(piece.start).is_empty()) {
            let fitting = self.smallest_of(piece.clone(), demand, sector_size);
            least = if fitting < piece.end { Some(fitting) } else { least };
            if fitting > piece.start {
                break;
            }
        }
        let largest = steps.iter().rev().find_map(|step| shapes(step - 1).pop());
        match (least, largest) {
            (Some(sectors), _) => Ok(sectors * u64::from(sector_size)),
            (None, Some(shape)) => Err(self.never_fits(&shape, demand)),
            (None, None) => Err(refusal(RefusalKind::Invalid, "", "no length goes with these options")),
        }
    }

    /// The number of sectors from which on all to the end of `piece` hold the tree; the end if none does. Everywhere in
    /// the piece there are the same shapes to choose from, and the tree gets the first that it fits.
    fn smallest_of(&self, piece: Range<u64>, demand: &Demand, sector_size: u32) -> u64 {
        let mut end = piece.end;
        for choice in 0..self.wishes.shapes(piece.start, sector_size).len() {
            let shape = |sectors| self.wishes.shapes(sectors, sector_size).into_iter().nth(choice);
            let chosen =
                first(piece.start..end, |sectors| shape(sectors).is_some_and(|shape| demand.holds(&shape)));
            let fits = first(chosen..end, |sectors| shape(sectors).is_some_and(|shape| demand.fits(&shape)));
            end = fits;
            if fits > chosen {
                break; // with one sector less this shape is chosen, and leaves too little free
            }
        }
        end
    }

    /// Why the tree fits no length: `shape` is the largest.
    fn never_fits(&self, shape: &Shape, demand: &Demand) -> Refusal {
        let fat = shape.fat.name();
        if !demand.root_fits(shape) {
            let Demand { root_slots, .. } = demand;
            let reason = format!(
                "{root_slots} entries, counting those of long names: {fat} has room for {}",
                shape.root_entries
            );
            return refusal(RefusalKind::Limit, "/", reason)
                .hint(format!("-r {root_slots}, -F 32, or use a subdirectory"));
        }
        let reason = format!(
            "the tree needs {} clusters of {} bytes: {fat} has at most {}",
            demand.clusters(shape),
            shape.cluster_len(),
            shape.clusters
        );
        refusal(RefusalKind::Limit, "", reason).hint("another type (-F) or larger clusters (-s)")
    }

    /// Why the tree does not fit into `len` bytes; `shape` is what came closest.
    fn does_not_fit(&self, shape: Option<&Shape>, demand: &Demand, len: u64, sector_size: u32) -> Refusal {
        let needed = match self.smallest(demand, sector_size) {
            Ok(needed) => needed,
            Err(refusal) => return refusal,
        };
        let name = self.wishes.fat.map_or("fat", FatType::name);
        if needed <= len {
            let reason = format!("{len} bytes are too many for {name} with these options");
            return refusal(RefusalKind::Limit, "", reason)
                .hint("another type (-F), larger clusters (-s) or a smaller size");
        }
        let reason = match shape {
            None => match self.wishes.fat {
                Some(fat) => {
                    let least = *fat.written().start();
                    format!("{len} bytes make too few clusters for {name}: at least {least}")
                }
                None => format!("{len} bytes are too few for {name}"),
            },
            Some(shape) if !demand.root_fits(shape) => format!(
                "the root directory needs {} entries, counting those of long names: {} has room for {}",
                demand.root_slots,
                shape.fat.name(),
                shape.root_entries
            ),
            Some(shape) => format!(
                "the tree needs {} clusters of {} bytes: {len} bytes have {} as {}",
                demand.clusters(shape),
                shape.cluster_len(),
                shape.clusters,
                shape.fat.name()
            ),
        };
        let kind = RefusalKind::TooSmall { needed: Some(needed) };
        refusal(kind, "", reason).hint(format!("at least {needed} bytes would do"))
    }
}

/// A run of clusters; empty runs start at cluster 0.
#[derive(Clone, Copy)]
struct Run {
    first: u32,
    count: u32,
}

/// A shape that the tree fits, and everything else that the boot sector says.
struct Volume<'a> {
    options: &'a Fat,
    identity: &'a Identity,
    shape: &'a Shape,
    hidden: u32,
}

impl Volume<'_> {
    fn lay(&self, items: &[Item], len: u64) -> Laid {
        let shape = self.shape;
        let runs = self.runs(items);
        let used: u32 = runs.iter().map(|run| run.count).sum();
        let mut extents = self.boot_area(used);
        let table = Bytes::from(table(shape.fat, &runs));
        let what = |copy| What::numbered(&"fat", copy);
        extents.extend(
            (0..shape.fats).map(|copy| Extent::of_bytes(shape.fat_start(copy), table.clone(), what(copy))),
        );
        let directories = self.directories(items, &runs);
        for ((item, run), entries) in items.iter().zip(&runs).zip(directories) {
            let start = match run.count {
                0 => shape.root_start(), // the fixed root directory, or nothing at all
                _ => shape.cluster_start(run.first),
            };
            match &item.node.kind {
                Kind::File(data) => extents.extend(file(start, data)),
                _ if entries.is_empty() => {}
                _ => extents.push(Extent::of_bytes(start, entries, What::new(&"directory"))),
            }
        }
        let free = shape.cluster_start(FIRST_CLUSTER + used)..shape.len();
        let usage = Usage {
            free: u64::from(shape.clusters - used) * shape.cluster_len(),
            used: shape.len() - u64::from(shape.clusters - used) * shape.cluster_len(),
            inodes: None,
        };
        let layout = Layout::new(len, extents, vec![free]);
        Laid { layout: layout.expect("areas and clusters do not overlap"), usage }
    }

    /// The clusters of each item, one after the other.
    fn runs(&self, items: &[Item]) -> Vec<Run> {
        let mut next = FIRST_CLUSTER;
        let run = |(index, item): (usize, &Item)| {
            let count = match index {
                0 if self.shape.fat == FatType::Fat32 => self.shape.clusters_for(item.len).max(1),
                0 => 0,
                _ => self.shape.clusters_for(item.len),
            } as u32;
            let run = Run { first: if count == 0 { 0 } else { next }, count };
            next += count;
            run
        };
        items.iter().enumerate().map(run).collect()
    }

    /// Boot sector, and with FAT32 its backup and FSInfo.
    fn boot_area(&self, used: u32) -> Vec<Extent> {
        let sector = |number: u32| u64::from(number) * u64::from(self.shape.sector_size);
        let boot = Bytes::from(self.boot_sector().as_bytes());
        let mut extents = vec![Extent::of_bytes(0, boot.clone(), What::new(&"boot sector"))];
        if self.shape.fat == FatType::Fat32 {
            let info = FsInfo {
                lead: FsInfo::LEAD,
                signature: FsInfo::SIGNATURE,
                free: U32::new(self.shape.clusters - used),
                next: U32::new(next_free(self.shape, used)),
                trail: FsInfo::TRAIL,
                ..FsInfo::new_zeroed()
            };
            let info = Bytes::from(info.as_bytes());
            let backup = u32::from(BACKUP_SECTOR);
            extents.push(Extent::of_bytes(sector(INFO_SECTOR.into()), info.clone(), What::new(&"fsinfo")));
            extents.push(Extent::of_bytes(sector(backup), boot, What::new(&"boot sector backup")));
            extents.push(Extent::of_bytes(sector(backup + 1), info, What::new(&"fsinfo backup")));
        }
        extents
    }

    fn boot_sector(&self) -> BootSector {
        let shape = self.shape;
        let is_32 = shape.fat == FatType::Fat32;
        let small = |number: u32| U16::new(if is_32 { 0 } else { u16::try_from(number).unwrap_or(0) });
        let sectors_16 = small(shape.sectors);
        // mtools want whole tracks. No one else has looked at this since disks have no cylinders any more.
        let track = (1..=63).rev().find(|track| shape.sectors.is_multiple_of(*track)).unwrap_or(1);
        let fat_32 = Fat32 {
            fat_sectors: U32::new(shape.fat_sectors),
            root_cluster: U32::new(FIRST_CLUSTER),
            info_sector: U16::new(INFO_SECTOR),
            backup_sector: U16::new(BACKUP_SECTOR),
            ..Fat32::new_zeroed()
        };
        let extended = Extended {
            drive: DRIVE_FIXED,
            state: 0,
            signature: EXTENDED_SIGNATURE,
            volume_id: U32::new(self.options.volume_id(self.identity)),
            label: self.options.label.as_ref().map_or(NO_LABEL, |label| label.padded()),
            kind: shape.fat.kind(),
        };
        let head = if is_32 { fat_32.as_bytes() } else { &[] };
        let parts = [head, extended.as_bytes(), &NOT_BOOTABLE].concat();
        let mut rest = [0; 474];
        rest[..parts.len()].copy_from_slice(&parts);
        BootSector {
            jump: [0xeb, (36 + head.len() + extended.as_bytes().len() - 2) as u8, 0x90],
            oem: *b"MSWIN4.1", // what fatgen103 recommends: there are drivers that look at it
            bytes_per_sector: U16::new(shape.sector_size as u16),
            sectors_per_cluster: shape.sectors_per_cluster as u8,
            reserved: U16::new(shape.reserved as u16),
            fats: shape.fats as u8,
            root_entries: U16::new(shape.root_entries as u16),
            sectors_16,
            media: MEDIA_FIXED,
            fat_sectors_16: small(shape.fat_sectors),
            sectors_per_track: U16::new(track as u16),
            heads: U16::new(255),
            hidden: U32::new(self.hidden),
            sectors_32: U32::new(if sectors_16.get() == 0 { shape.sectors } else { 0 }),
            rest,
            signature: BOOT_SIGNATURE,
        }
    }

    /// The entries of every item that is a directory; nothing for files.
    fn directories(&self, items: &[Item], runs: &[Run]) -> Vec<Vec<u8>> {
        let mut entries = vec![Vec::new(); items.len()];
        if let Some(label) = &self.options.label {
            let time = Time::seconds(self.identity.epoch());
            let entry = stamped(label.padded(), Entry::VOLUME_ID, time);
            entries[0].extend_from_slice(entry.as_bytes());
        }
        for (index, (item, run)) in items.iter().zip(runs).enumerate().skip(1) {
            if item.is_directory() {
                let parent = &items[item.parent];
                let up = if item.parent == 0 { 0 } else { runs[item.parent].first };
                let dot = stamped(*b".          ", Entry::DIRECTORY, item.node.meta.mtime);
                let dots = stamped(*b"..         ", Entry::DIRECTORY, parent.node.meta.mtime);
                entries[index].extend_from_slice(dot.with_cluster(run.first).as_bytes());
                entries[index].extend_from_slice(dots.with_cluster(up).as_bytes());
            }
            add_entries(&mut entries[item.parent], item, run);
        }
        entries
    }
}

/// FSInfo's hint: the first free cluster, or that there is none.
fn next_free(shape: &Shape, used: u32) -> u32 {
    if used == shape.clusters { u32::MAX } else { FIRST_CLUSTER + used }
}

/// The long entries, then the short one.
fn add_entries(directory: &mut Vec<u8>, item: &Item, run: &Run) {
    let Name { short, long } = &item.name;
    let checksum = disk::checksum(short);
    let parts = long.chunks(LongEntry::UNITS);
    let last = parts.len();
    for (order, units) in parts.enumerate().map(|(at, units)| (at + 1, units)).rev() {
        let mark = if order == last { LongEntry::LAST } else { 0 };
        directory.extend_from_slice(LongEntry::new(order as u8 | mark, checksum, units).as_bytes());
    }
    let (attributes, size) = match item.is_directory() {
        true => (Entry::DIRECTORY, 0),
        false => (Entry::ARCHIVE, item.len as u32),
    };
    let entry = stamped(*short, attributes, item.node.meta.mtime).with_cluster(run.first);
    directory.extend_from_slice(Entry { size: U32::new(size), ..entry }.as_bytes());
}

/// An entry with all its times set to one.
fn stamped(name: [u8; 11], attributes: u8, time: Time) -> Entry {
    let Stamp { date, time, rest } = Stamp::new(time);
    Entry {
        name,
        attributes,
        created_10ms: rest,
        created_time: time,
        created_date: date,
        accessed_date: date,
        written_time: time,
        written_date: date,
        ..Entry::new_zeroed()
    }
}

fn file(start: u64, data: &Data) -> impl Iterator<Item = Extent> {
    data.runs().map(move |run| Extent {
        start: start + run.start,
        len: run.end - run.start,
        source: match data {
            Data::Content { id, .. } => Source::Content(*id, run.start),
            Data::Bytes(bytes) => Source::Bytes(bytes.clone(), run.start),
        },
        what: What::new(&"file"),
    })
}

/// The part of a FAT that is not zero: media byte, clean state, then a chain for each run.
fn table(fat: FatType, runs: &[Run]) -> Vec<u8> {
    let end = fat.end_of_chain();
    let media = end & !0xff | u32::from(MEDIA_FIXED);
    let chains = runs.iter().filter(|run| run.count > 0).flat_map(|run| {
        let next = run.first + 1..run.first + run.count;
        next.chain([end])
    });
    let entries = [media, end].into_iter().chain(chains);
    match fat {
        FatType::Fat12 => packed(entries),
        FatType::Fat16 => entries.flat_map(|entry| (entry as u16).to_le_bytes()).collect(),
        FatType::Fat32 => entries.flat_map(u32::to_le_bytes).collect(),
    }
}

/// Two entries of 12 bits in three bytes, the first in the lower half.
fn packed(entries: impl Iterator<Item = u32>) -> Vec<u8> {
    let entries: Vec<u32> = entries.collect();
    let pair = |pair: &[u32]| {
        let [low, mid, high, _] = (pair[0] | pair.get(1).unwrap_or(&0) << 12).to_le_bytes();
        if pair.len() == 2 { vec![low, mid, high] } else { vec![low, mid] }
    };
    entries.chunks(2).flat_map(pair).collect()
}

/// FSInfo and the backup of the boot sector, where everybody has them.
const INFO_SECTOR: u16 = 1;
const BACKUP_SECTOR: u16 = 6;
/// `int 18h` (no bootable disk: try the next), then halt for ever.
const NOT_BOOTABLE: [u8; 5] = [0xcd, 0x18, 0xf4, 0xeb, 0xfd];
