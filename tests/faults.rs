//! `diskwright check` names structure and place of each planted fault, and is silent on sound images of other programs.
//!
//! The images are made by the program; where a byte to spoil lies is found by reading the formats here, by hand, so that
//! what is asked of `check` does not come from its own readers.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use std::fs::{File, OpenOptions};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use support::*;

/// What is spoilt: a layer of one of the images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    /// The partition table of the raw disk.
    Table,
    /// Its ESP.
    Esp,
    /// Its root: ext4 in a partition.
    Root,
    /// A bare ext4 with a directory whose index has two levels.
    Ext,
    Fat16,
    Fat32,
    /// The container of the disk.
    Qcow2,
}

use On::*;

const ALL: [On; 7] = [Table, Esp, Root, Ext, Fat16, Fat32, Qcow2];

/// A layer of an image file, open to be spoilt and mended.
struct Image {
    path: PathBuf,
    file: File,
    /// What `check` calls the layer.
    within: &'static str,
    /// Where it starts in the file.
    base: u64,
    len: u64,
    /// What was there before.
    undo: Vec<(u64, Vec<u8>)>,
}

impl Image {
    fn open(path: PathBuf, on: On) -> Image {
        let file = OpenOptions::new().read(true).write(true).open(&path).unwrap();
        let len = file.metadata().unwrap().len();
        let mut image = Image { path, file, within: "disk", base: 0, len, undo: vec![] };
        let partition = |slot: u64| {
            let lba = |at| image.u64(1024 + (slot - 1) * 128 + at);
            (lba(32) * 512, (lba(40) + 1 - lba(32)) * 512)
        };
        (image.within, (image.base, image.len)) = match on {
            Esp => ("partition 1 (p.UEFI)", partition(1)),
            Root => ("partition 2 (p.lxroot)", partition(2)),
            Qcow2 => ("file", (0, len)),
            Table | Ext | Fat16 | Fat32 => ("disk", (0, len)),
        };
        image
    }

    fn get(&self, at: u64, len: u64) -> Vec<u8> {
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        self.file.read_exact_at(&mut bytes, self.base + at).unwrap();
        bytes
    }

    fn number(&self, at: u64, len: u64) -> u64 {
        self.get(at, len).iter().rev().fold(0, |sum, &byte| (sum << 8) | u64::from(byte))
    }

    fn u16(&self, at: u64) -> u64 {
        self.number(at, 2)
    }

    fn u32(&self, at: u64) -> u64 {
        self.number(at, 4)
    }

    fn u64(&self, at: u64) -> u64 {
        self.number(at, 8)
    }

    /// Big-endian, as in QCOW2.
    fn be64(&self, at: u64) -> u64 {
        self.u64(at).swap_bytes()
    }

    /// Writes; gives the place.
    fn set(&mut self, at: u64, bytes: &[u8]) -> Range<u64> {
        self.undo.push((self.base + at, self.get(at, bytes.len() as u64)));
        self.file.write_all_at(bytes, self.base + at).unwrap();
        at..at + bytes.len() as u64
    }

    fn set32(&mut self, at: u64, value: u64) -> Range<u64> {
        self.set(at, &(value as u32).to_le_bytes())
    }

    /// Inverts a bit.
    fn flip(&mut self, at: u64) -> Range<u64> {
        let byte = self.get(at, 1)[0];
        self.set(at, &[byte ^ 4])
    }

    /// Cuts the end of the file off.
    fn cut(&mut self, len: u64) {
        let end = self.file.metadata().unwrap().len();
        self.undo.push((len, self.get(len, end - len)));
        self.file.set_len(len).unwrap();
    }

    fn mend(&mut self) {
        for (at, bytes) in std::mem::take(&mut self.undo).into_iter().rev() {
            self.file.write_all_at(&bytes, at).unwrap();
        }
    }
}

/// GPT: UEFI 2.10, chapter 5.3; sectors of 512 bytes, 128 slots.
impl Image {
    fn last(&self) -> u64 {
        self.len - 512
    }

    /// Corrects both checksums of the copy whose header is at `header`.
    fn seal_table(&mut self, header: u64) {
        let entries = self.u64(header + 72) * 512;
        let crc = crc32(&self.get(entries, 128 * 128));
        self.set32(header + 88, crc.into());
        self.set32(header + 16, 0);
        let crc = crc32(&self.get(header, 92));
        self.set32(header + 16, crc.into());
    }

    /// A header's field, with a valid checksum around it.
    fn header(&mut self, header: u64, at: u64, bytes: &[u8]) -> Range<u64> {
        self.set(header + at, bytes);
        self.seal_table(header);
        header + at..header + at + 1
    }

    /// Changes a slot in both copies, with valid checksums; gives its place in the first.
    fn slot(&mut self, slot: u64, at: u64, bytes: &[u8]) -> Range<u64> {
        let at = (slot - 1) * 128 + at;
        let backup = self.last() - 128 * 128;
        self.set(backup + at, bytes);
        self.set(1024 + at, bytes);
        self.seal_table(512);
        self.seal_table(self.last());
        1024 + at..1024 + at + 1
    }
}

/// CRC-32 (IEEE), bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), |crc, _| step(crc)))
}

const SHORT: &[u8; 11] = b"SHORT   TXT";
const LONG: &[u8; 11] = b"AFILEW~1TXT";
const TWO: &[u8; 11] = b"TWO        ";
const DIR: &[u8; 11] = b"DIR        ";
const LEAF: &[u8; 11] = b"LEAF       ";
const LOADER: &[u8; 11] = b"BOOTX64 EFI";

/// FAT: Microsoft's specification of 2004, sections 3 to 7.
impl Image {
    fn is_32(&self) -> bool {
        self.u16(22) == 0
    }

    fn fat(&self, copy: u64) -> u64 {
        let sectors = if self.is_32() { self.u32(36) } else { self.u16(22) };
        (self.u16(14) + copy * sectors) * self.u16(11)
    }

    fn entry(&self, cluster: u64) -> u64 {
        self.fat(0) + cluster * if self.is_32() { 4 } else { 2 }
    }

    fn next(&self, cluster: u64) -> u64 {
        self.number(self.entry(cluster), if self.is_32() { 4 } else { 2 })
    }

    /// Sets a FAT entry in both copies; gives its place in the first.
    fn link(&mut self, cluster: u64, value: u64) -> Range<u64> {
        let (at, copy, len) =
            (self.entry(cluster), self.fat(1) - self.fat(0), if self.is_32() { 4 } else { 2 });
        self.set(at + copy, &value.to_le_bytes()[..len]);
        self.set(at, &value.to_le_bytes()[..len])
    }

    /// Where the entry with this short name is.
    fn find(&self, name: &[u8; 11]) -> u64 {
        let start = self.fat(2);
        let area = self.get(start, (4 << 20).min(self.len - start));
        let found = area.chunks(32).position(|entry| entry.starts_with(name));
        start + found.unwrap_or_else(|| panic!("{:?}", String::from_utf8_lossy(name))) as u64 * 32
    }

    fn chain(&self, name: &[u8; 11]) -> Vec<u64> {
        let at = self.find(name);
        let first = self.u16(at + 26) | (self.u16(at + 20) << 16);
        let inside = |cluster: &u64| *cluster < 0xfff0;
        std::iter::successors(Some(first), |&cluster| Some(self.next(cluster)).filter(inside)).collect()
    }

    /// A cluster that no file has.
    fn unused(&self) -> u64 {
        (self.chain(LONG).last().unwrap() + 1..).find(|&cluster| self.next(cluster) == 0).unwrap()
    }
}

/// ext4: Documentation/filesystems/ext4 of Linux; metadata_csum and 64bit are on, metadata_csum_seed is off.
impl Image {
    fn block_size(&self) -> u64 {
        1024 << self.u32(1024 + 0x18)
    }

    fn inodes_per_group(&self) -> u64 {
        self.u32(1024 + 0x28)
    }

    /// Where the superblock's copy of group 1 is.
    fn backup(&self) -> u64 {
        (self.u32(1024 + 0x14) + self.u32(1024 + 0x20)) * self.block_size()
    }

    fn descriptor(&self, group: u64) -> u64 {
        (self.u32(1024 + 0x14) + 1) * self.block_size() + group * 64
    }

    /// A block number in the descriptor of group 0: 0 the block bitmap, 4 the inode bitmap, 8 the inode table.
    fn pointed(&self, at: u64) -> u64 {
        let descriptor = self.descriptor(0);
        (self.u32(descriptor + at) | (self.u32(descriptor + 32 + at) << 32)) * self.block_size()
    }

    fn bitmap(&self, at: u64) -> Range<u64> {
        self.pointed(at)..self.pointed(at) + self.block_size()
    }

    /// Where an inode of group 0 is.
    fn inode(&self, ino: u64) -> u64 {
        assert!(ino <= self.inodes_per_group(), "{ino} is in group 0");
        self.pointed(8) + (ino - 1) * 256
    }

    /// The blocks of an inode in the order of its extents, by their places.
    fn blocks(&self, ino: u64) -> Vec<u64> {
        self.extents(self.inode(ino) + 40)
    }

    fn extents(&self, node: u64) -> Vec<u64> {
        let size = self.block_size();
        let entries = (0..self.u16(node + 2)).map(|entry| node + 12 + entry * 12);
        let leaf = self.u16(node + 6) == 0;
        let children = entries.map(|at| match leaf {
            true => {
                let first = self.u32(at + 8) | (self.u16(at + 6) << 32);
                (first..first + self.u16(at + 4)).map(|block| block * size).collect()
            }
            false => self.extents((self.u32(at + 4) | (self.u16(at + 8) << 32)) * size),
        });
        children.collect::<Vec<Vec<u64>>>().concat()
    }

    /// Where the entry of a path is: its directory's inode, number and place of the block, place of the entry.
    fn dirent(&self, path: &str) -> (u64, usize, u64, u64) {
        let (parent, name) = path.rsplit_once('/').unwrap();
        let parent = if parent.is_empty() { 2 } else { self.ino(parent) };
        for (number, block) in self.blocks(parent).into_iter().enumerate() {
            let (mut at, end) = (block, block + self.block_size());
            while at + 8 < end && self.u16(at + 4) >= 8 {
                if self.u32(at) != 0 && self.get(at + 8, self.number(at + 6, 1)) == name.as_bytes() {
                    return (parent, number, block, at);
                }
                at += self.u16(at + 4);
            }
        }
        panic!("no {path}");
    }

    fn ino(&self, path: &str) -> u64 {
        self.u32(self.dirent(path).3)
    }

    /// CRC-32C as ext4 has it: seeded with the UUID, not inverted at the end.
    fn checksum(&self, parts: &[&[u8]]) -> u32 {
        let uuid = self.get(1024 + 0x68, 16);
        !parts.iter().fold(crc32c::crc32c(&uuid), |crc, part| crc32c::crc32c_append(crc, part))
    }

    /// A field of the superblock, with a valid checksum.
    fn superblock(&mut self, at: u64, bytes: &[u8]) -> Range<u64> {
        self.set(1024 + at, bytes);
        let crc = !crc32c::crc32c(&self.get(1024, 1020));
        self.set32(1024 + 1020, crc.into());
        1024..2048
    }

    /// A field of a descriptor, with a valid checksum.
    fn group(&mut self, group: u64, at: u64, bytes: &[u8]) -> Range<u64> {
        let start = self.descriptor(group);
        self.set(start + at, bytes);
        self.set(start + 0x1E, &[0, 0]);
        let crc = self.checksum(&[&(group as u32).to_le_bytes(), &self.get(start, 64)]);
        self.set(start + 0x1E, &(crc as u16).to_le_bytes());
        start..start + 64
    }

    /// Changes a byte of a bitmap of group 0, with valid checksums.
    fn bits(&mut self, of: u64, at: u64, byte: u8) -> Range<u64> {
        let bitmap = self.bitmap(of);
        self.set(bitmap.start + at, &[byte]);
        let used = if of == 0 { self.u32(1024 + 0x20) } else { self.inodes_per_group() };
        let crc = self.checksum(&[&self.get(bitmap.start, used / 8)]);
        let (low, high) = if of == 0 { (0x18, 0x38) } else { (0x1A, 0x3A) };
        self.group(0, low, &(crc as u16).to_le_bytes());
        self.group(0, high, &((crc >> 16) as u16).to_le_bytes());
        bitmap
    }

    /// A field of an inode, with a valid checksum.
    fn field(&mut self, ino: u64, at: u64, bytes: &[u8]) -> Range<u64> {
        let start = self.inode(ino);
        self.set(start + at, bytes);
        self.set(start + 0x7C, &[0, 0]);
        self.set(start + 0x82, &[0, 0]);
        let crc =
            self.checksum(&[&(ino as u32).to_le_bytes(), &self.get(start + 0x64, 4), &self.get(start, 256)]);
        self.set(start + 0x7C, &(crc as u16).to_le_bytes());
        self.set(start + 0x82, &((crc >> 16) as u16).to_le_bytes());
        start..start + 256
    }

    /// Changes an entry of a directory, with a valid checksum of its block; gives the block.
    fn entry_of(&mut self, path: &str, at: u64, bytes: &[u8]) -> Range<u64> {
        let (parent, _, block, dirent) = self.dirent(path);
        self.set(dirent + at, bytes);
        let size = self.block_size();
        let generation = self.get(self.inode(parent) + 0x64, 4);
        let crc = self.checksum(&[&(parent as u32).to_le_bytes(), &generation, &self.get(block, size - 12)]);
        self.set32(block + size - 4, crc.into());
        block..block + size
    }

    fn block(&self, at: u64) -> Range<u64> {
        at..at + self.block_size()
    }
}

const COPIED: u64 = 1 << 63;

/// QCOW2: docs/interop/qcow2 of QEMU; clusters of 64 KiB, refcounts of 16 bits.
impl Image {
    fn refcount_table(&self) -> u64 {
        self.be64(48)
    }

    fn refcounts(&self) -> u64 {
        self.be64(self.refcount_table())
    }

    fn l1(&self) -> u64 {
        self.be64(40)
    }

    fn l2(&self) -> u64 {
        self.be64(self.l1()) & !COPIED
    }

    /// Places of the entries of the first clusters with data.
    fn data(&self) -> Vec<u64> {
        let l2 = self.l2();
        (0..8192).map(|entry| l2 + entry * 8).filter(|&at| self.be64(at) != 0).take(4).collect()
    }

    /// Where the refcount of the cluster at `place` is.
    fn refcount_of(&self, place: u64) -> u64 {
        self.refcounts() + place / 65536 * 2
    }

    fn setbe(&mut self, at: u64, value: u64) -> Range<u64> {
        self.set(at, &value.to_be_bytes())
    }
}

/// A fault: what is wrong, where; what plants it and gives the bytes in the layer that the report must name; the structure
/// that it must name, with `*` for a number that depends on the image.
type Fault = (&'static str, &'static [On], fn(&mut Image) -> Range<u64>, &'static str);

const FAULTS: &[Fault] = &[
    // The partition table.
    ("mbr signature", &[Table], |i| i.flip(511).start - 1..512, "gpt: protective mbr"),
    ("mbr type", &[Table], |i| i.set(450, &[0x83]).start - 4..462, "gpt: protective mbr"),
    ("mbr size", &[Table], |i| i.flip(458), "gpt: protective mbr"),
    ("mbr second record", &[Table], |i| i.set(466, &[0x83]).start - 4..478, "gpt: protective mbr"),
    ("primary signature", &[Table], |i| i.flip(512), "gpt: primary header"),
    ("primary header crc", &[Table], |i| i.flip(529).start - 1..532, "gpt: primary header"),
    (
        "primary header field",
        &[Table],
        |i| {
            i.flip(568);
            528..532
        },
        "gpt: primary header",
    ),
    ("primary header size", &[Table], |i| i.set(524, &[91]), "gpt: primary header"),
    ("primary my lba", &[Table], |i| i.header(512, 24, &[2]), "gpt: primary header"),
    ("primary alternate lba", &[Table], |i| i.header(512, 32, &[9, 9]), "gpt: primary header"),
    ("primary last usable lba", &[Table], |i| i.header(512, 48, &[255; 8]), "gpt: primary header"),
    (
        "primary entries",
        &[Table],
        |i| {
            i.flip(1024 + 60);
            1024..1024 + 128 * 128
        },
        "gpt: primary entries",
    ),
    ("primary entry count", &[Table], |i| i.header(512, 80, &[255; 4]), "gpt: primary header"),
    ("primary entry size", &[Table], |i| i.header(512, 84, &[129]), "gpt: primary header"),
    ("behind the primary header", &[Table], |i| i.set(700, &[1]), "gpt: primary header"),
    ("backup signature", &[Table], |i| i.flip(i.last()), "gpt: backup header"),
    (
        "backup header field",
        &[Table],
        |i| {
            i.flip(i.last() + 40);
            i.last() + 16..i.last() + 20
        },
        "gpt: backup header",
    ),
    ("backup disk guid", &[Table], |i| i.header(i.last(), 56, &[1, 2]), "gpt: backup header"),
    (
        "backup entries",
        &[Table],
        |i| {
            let entries = i.last() - 128 * 128;
            i.flip(entries + 200);
            entries..i.last()
        },
        "gpt: backup entries",
    ),
    (
        "backup entries of another disk",
        &[Table],
        |i| {
            let entries = i.last() - 128 * 128;
            i.set(entries + 56, b"x");
            i.seal_table(i.last());
            entries..entries + 128
        },
        "gpt: backup entries",
    ),
    (
        "the last sector is missing",
        &[Table],
        |i| {
            i.cut(i.last());
            544..552
        },
        "gpt: primary header",
    ),
    (
        "both headers",
        &[Table],
        |i| {
            i.flip(i.last() + 40);
            i.flip(568);
            528..532
        },
        "gpt: primary header",
    ),
    ("overlap", &[Table], |i| i.slot(2, 32, &[0, 16]), "gpt: partition 2 (p.lxroot)"),
    ("a partition in the table", &[Table], |i| i.slot(1, 32, &[3, 0]), "gpt: partition 1 (p.UEFI)"),
    (
        "a partition behind the end",
        &[Table],
        |i| i.slot(2, 40, &[255; 6]).start - 8..1152 + 48,
        "gpt: partition 2 (p.lxroot)",
    ),
    (
        "a guid twice",
        &[Table],
        |i| {
            let guid = i.get(1024 + 16, 16);
            i.slot(2, 16, &guid)
        },
        "gpt: partition 2 (p.lxroot)",
    ),
    // FAT.
    ("jump", &[Fat16, Fat32, Esp], |i| i.set(0, &[0x91]), "vfat: boot sector/jump"),
    ("boot signature", &[Fat16, Fat32, Esp], |i| i.flip(511).start - 1..512, "vfat: boot sector/signature"),
    ("sector size", &[Fat16, Fat32, Esp], |i| i.set(11, &[0, 3]), "vfat: boot sector/bytes per sector"),
    ("cluster size", &[Fat16, Fat32], |i| i.set(13, &[3]), "vfat: boot sector/sectors per cluster"),
    ("no reserved sector", &[Fat16, Fat32], |i| i.set(14, &[0, 0]), "vfat: boot sector/reserved sectors"),
    ("media", &[Fat16, Fat32], |i| i.set(21, &[0x11]), "vfat: boot sector/media"),
    ("fat copies differ", &[Fat16, Fat32, Esp], |i| i.flip(i.fat(1) + 17), "vfat: fat copy 1"),
    ("media in the fat", &[Fat16, Fat32], |i| i.link(0, 0xffff_fff0), "vfat: fat entry 0"),
    (
        "cycle",
        &[Fat16, Fat32],
        |i| {
            let chain = i.chain(TWO);
            i.link(*chain.last().unwrap(), chain[0])
        },
        "vfat: /TWO: chain",
    ),
    (
        "cycle in the loader",
        &[Esp],
        |i| {
            let chain = i.chain(LOADER);
            i.link(*chain.last().unwrap(), chain[1])
        },
        "vfat: /EFI/BOOT/BOOTX64.EFI: chain",
    ),
    (
        "cross link",
        &[Fat16, Fat32],
        |i| {
            let to = i.chain(LONG)[1];
            i.link(i.chain(TWO)[0], to);
            // The second of the two to come along runs into the first.
            let at = i.entry(i.chain(LONG)[0]);
            at..at + 1
        },
        "vfat: /a file with a long name.txt: chain",
    ),
    ("lost chain", &[Fat16, Fat32], |i| i.link(i.unused(), 0x0fff_ffff), "vfat: fat"),
    ("link outside", &[Fat16, Fat32], |i| i.link(i.chain(TWO)[1], 0x0fff_fff0), "vfat: /TWO: chain"),
    ("link to a free cluster", &[Fat16, Fat32], |i| i.link(i.chain(TWO)[1], i.unused()), "vfat: /TWO: chain"),
    (
        "chain too short",
        &[Fat16, Fat32],
        |i| {
            i.link(i.chain(TWO)[0], 0x0fff_ffff);
            i.find(TWO) + 28..i.find(TWO) + 32
        },
        "vfat: /TWO",
    ),
    ("file too large", &[Fat16, Fat32], |i| i.set(i.find(SHORT) + 28, &[0, 0, 9]), "vfat: /SHORT.TXT"),
    (
        "file starts outside",
        &[Fat16, Fat32],
        |i| i.set(i.find(SHORT) + 26, &[1, 0]),
        "vfat: /SHORT.TXT: chain",
    ),
    (
        "long name checksum",
        &[Fat16, Fat32],
        |i| {
            let at = i.find(LONG);
            let first = [96, 64, 32].map(|before| i.flip(at - before + 13));
            first[0].start - 13..at
        },
        "vfat: *long name*",
    ),
    ("long name order", &[Fat16, Fat32], |i| i.set(i.find(LONG) - 64, &[7]), "vfat: *long name*"),
    ("illegal short name", &[Fat16, Fat32], |i| i.set(i.find(SHORT), b"s"), "vfat: *short name*"),
    ("name twice", &[Fat16, Fat32], |i| i.set(i.find(TWO), SHORT), "vfat: /: name*"),
    ("dot", &[Fat16, Fat32], |i| i.set(i.find(LEAF) - 64 + 26, &[9]), "vfat: /DIR: ."),
    ("dot dot", &[Fat16, Fat32], |i| i.set(i.find(LEAF) - 32 + 26, &[9]), "vfat: /DIR: .."),
    ("directory of a size", &[Fat16, Fat32], |i| i.set(i.find(DIR) + 28, &[1]), "vfat: /DIR"),
    ("dirty", &[Fat16], |i| i.link(1, 0x7fff), "vfat: fat entry 1"),
    ("dirty", &[Fat32], |i| i.link(1, 0x07ff_ffff), "vfat: fat entry 1"),
    ("backup boot sector", &[Fat32], |i| i.flip(6 * 512 + 68), "vfat: boot sector backup"),
    ("fsinfo signature", &[Fat32], |i| i.flip(512).start..513, "vfat: fsinfo/signature"),
    ("fsinfo free clusters", &[Fat32], |i| i.flip(512 + 488), "vfat: fsinfo/free clusters"),
    ("fsinfo next cluster", &[Fat32], |i| i.set(512 + 492, &[0, 0, 0, 1]), "vfat: fsinfo/next free cluster"),
    ("root cluster", &[Fat32], |i| i.set(44, &[0xff, 0xff, 0xff, 0]), "vfat: /: chain"),
    // ext4. First what its checksums see.
    ("superblock magic", &[Root, Ext], |i| i.flip(1024 + 0x38), "ext4: superblock"),
    (
        "superblock checksum",
        &[Root, Ext],
        |i| {
            i.flip(1024 + 0x78);
            1024..2048
        },
        "ext4: superblock",
    ),
    (
        "backup superblock",
        &[Root, Ext],
        |i| {
            let at = i.backup();
            i.flip(at + 0x78);
            at..at + 1024
        },
        "ext4: group 1/superblock backup",
    ),
    (
        "descriptor checksum",
        &[Root, Ext],
        |i| {
            let at = i.descriptor(0);
            i.flip(at + 0x0E);
            at..at + 64
        },
        "ext4: group 0/descriptor",
    ),
    (
        "backup descriptor",
        &[Root, Ext],
        |i| {
            let at = i.backup() + i.block_size();
            i.flip(at + 0x0E);
            at..at + 64
        },
        "ext4: group 1/descriptor backup of group 0",
    ),
    (
        "block bitmap checksum",
        &[Root, Ext],
        |i| {
            i.flip(i.bitmap(0).start + 5);
            i.bitmap(0)
        },
        "ext4: group 0/block bitmap",
    ),
    (
        "inode bitmap checksum",
        &[Root, Ext],
        |i| {
            i.flip(i.bitmap(4).start + 1);
            i.bitmap(4)
        },
        "ext4: group 0/inode bitmap",
    ),
    (
        "inode checksum",
        &[Root],
        |i| {
            let at = i.inode(i.ino("/etc/labelled"));
            i.flip(at + 0x10);
            at..at + 256
        },
        "ext4: inode * of /etc/labelled",
    ),
    (
        "directory block checksum",
        &[Root],
        |i| {
            let (_, _, block, at) = i.dirent("/etc/labelled");
            i.flip(at + 9);
            i.block(block)
        },
        "ext4: inode */directory block 0 of /etc",
    ),
    (
        "directory leaf checksum",
        &[Root, Ext],
        |i| {
            let (_, _, block, at) = i.dirent(&many(300));
            i.flip(at + 9);
            i.block(block)
        },
        "ext4: inode */directory block * of /many",
    ),
    (
        "htree root checksum",
        &[Root, Ext],
        |i| {
            let root = i.blocks(i.ino("/many"))[0];
            i.flip(root + 0x28);
            i.block(root)
        },
        "ext4: inode */htree root of /many",
    ),
    (
        "htree node checksum",
        &[Ext],
        |i| {
            let blocks = i.blocks(i.ino("/many"));
            let node = blocks[usize::try_from(i.u32(blocks[0] + 0x24)).unwrap()];
            i.flip(node + 16 + 8);
            i.block(node)
        },
        "ext4: inode */htree node * of /many",
    ),
    (
        "extent node checksum",
        &[Root],
        |i| {
            let inode = i.inode(i.ino("/var/holes"));
            let node = i.u32(inode + 40 + 12 + 4) * i.block_size();
            i.flip(node + 12 + 8);
            i.block(node)
        },
        "ext4: inode */extent node of /var/holes",
    ),
    (
        "xattr block checksum",
        &[Root],
        |i| {
            let block = i.u32(i.inode(i.ino("/etc/labelled")) + 0x68) * i.block_size();
            i.flip(block + 40);
            i.block(block)
        },
        "ext4: inode */xattr block of /etc/labelled",
    ),
    (
        "journal superblock",
        &[Root, Ext],
        |i| {
            let at = i.blocks(8)[0];
            i.flip(at);
            i.block(at)
        },
        "ext4: journal block 0",
    ),
    (
        "journal length",
        &[Root, Ext],
        |i| {
            let at = i.blocks(8)[0];
            i.set(at + 16, &[0, 9, 9, 9]);
            i.block(at)
        },
        "ext4: journal block 0",
    ),
    (
        "reserved descriptors",
        &[Root, Ext],
        |i| {
            // The double indirect block of the resize inode.
            let at = i.u32(i.inode(7) + 40 + 13 * 4) * i.block_size();
            i.flip(at + 1);
            i.block(at)
        },
        "ext4: inode 7/indirect block",
    ),
    // Then what only contradicts something else, below valid checksums.
    (
        "free blocks of all",
        &[Root, Ext],
        |i| i.superblock(0x0C, &(i.u32(1024 + 0x0C) as u32 - 1).to_le_bytes()),
        "ext4: superblock",
    ),
    (
        "free inodes of all",
        &[Root, Ext],
        |i| i.superblock(0x10, &(i.u32(1024 + 0x10) as u32 + 1).to_le_bytes()),
        "ext4: superblock",
    ),
    ("errors were found", &[Root, Ext], |i| i.superblock(0x3A, &[3]), "ext4: superblock"),
    ("free blocks of a group", &[Root, Ext], |i| i.group(0, 0x0C, &[9, 9]), "ext4: group 0/descriptor"),
    ("free inodes of a group", &[Root, Ext], |i| i.group(0, 0x0E, &[9, 9]), "ext4: group 0/descriptor"),
    ("directories of a group", &[Root, Ext], |i| i.group(0, 0x10, &[99]), "ext4: group 0/descriptor"),
    ("inode table elsewhere", &[Root], |i| i.group(1, 0x08, &[255, 255, 255]), "ext4: group 1/descriptor"),
    ("block bitmap elsewhere", &[Root], |i| i.group(1, 0, &[255, 255, 255]), "ext4: group 1/descriptor"),
    ("a used block that is free", &[Root, Ext], |i| i.bits(0, 0, 0xfe), "ext4: group 0/block bitmap"),
    ("a used inode that is free", &[Root, Ext], |i| i.bits(4, 1, 0x7f), "ext4: group 0/inode bitmap"),
    (
        "link count",
        &[Root],
        |i| i.field(i.ino("/etc/labelled"), 0x1A, &[5]),
        "ext4: inode * of /etc/labelled",
    ),
    ("link count of a directory", &[Root], |i| i.field(i.ino("/etc"), 0x1A, &[77]), "ext4: inode * of /etc"),
    ("mode", &[Root], |i| i.field(i.ino("/etc/labelled"), 0, &[0, 0]), "ext4: inode *"),
    ("size", &[Root], |i| i.field(i.ino("/etc/labelled"), 4, &[9, 0, 0]), "ext4: inode * of /etc/labelled"),
    (
        "block count",
        &[Root],
        |i| i.field(i.ino("/etc/labelled"), 0x1C, &[99]),
        "ext4: inode * of /etc/labelled",
    ),
    (
        "extent header",
        &[Root],
        |i| i.field(i.ino("/etc/labelled"), 40, &[0]),
        "ext4: inode * of /etc/labelled",
    ),
    (
        "extent behind the end",
        &[Root],
        |i| i.field(i.ino("/etc/labelled"), 40 + 12 + 8, &[0, 0, 0, 9]),
        "ext4: inode * of /etc/labelled",
    ),
    (
        "a block of two files",
        &[Root],
        |i| {
            let block = i.blocks(i.ino("/etc/os-release"))[0] / i.block_size();
            i.field(i.ino("/etc/labelled"), 40 + 12 + 8, &(block as u32).to_le_bytes());
            block * i.block_size()..(block + 1) * i.block_size()
        },
        "ext4: inode */data block 0 of /etc/*",
    ),
    (
        "an entry of nobody",
        &[Root],
        |i| i.entry_of("/etc/labelled", 0, &900u32.to_le_bytes()),
        "ext4: inode */directory block 0 of /etc",
    ),
    (
        "an entry of the wrong type",
        &[Root],
        |i| i.entry_of("/etc/labelled", 7, &[2]),
        "ext4: inode */directory block 0 of /etc",
    ),
    (
        "an entry of the wrong length",
        &[Root],
        |i| i.entry_of("/etc/labelled", 4, &[6, 0]),
        "ext4: inode */directory block 0 of /etc",
    ),
    // QCOW2.
    ("dirty", &[Qcow2], |i| i.set(79, &[1]).start - 7..80, "qcow2: header"),
    ("corrupt", &[Qcow2], |i| i.set(79, &[2]).start - 7..80, "qcow2: header"),
    ("version", &[Qcow2], |i| i.set(4, &[0, 0, 0, 9]), "qcow2: header"),
    ("cluster bits", &[Qcow2], |i| i.set(20, &[0, 0, 0, 8]), "qcow2: header"),
    ("header length", &[Qcow2], |i| i.set(100, &[0, 0, 0, 7]), "qcow2: header"),
    ("unknown feature", &[Qcow2], |i| i.set(79, &[64]).start - 7..80, "qcow2: header"),
    ("l1 too small", &[Qcow2], |i| i.set(36, &[0, 0, 0, 0]), "qcow2: header"),
    ("l1 not aligned", &[Qcow2], |i| i.set(47, &[8]).start - 7..48, "qcow2: l1 table"),
    ("l1 outside of the file", &[Qcow2], |i| i.set(44, &[9]).start - 4..48, "qcow2: l1 table"),
    ("refcount table not aligned", &[Qcow2], |i| i.set(55, &[1]).start - 7..56, "qcow2: refcount table"),
    ("refcount table outside", &[Qcow2], |i| i.set(52, &[9]).start - 4..56, "qcow2: refcount table"),
    ("refcount block missing", &[Qcow2], |i| i.setbe(i.refcount_table(), 0), "qcow2: refcount table"),
    (
        "refcount block not aligned",
        &[Qcow2],
        |i| i.setbe(i.refcount_table(), i.refcounts() + 512),
        "qcow2: refcount block 0",
    ),
    ("refcount block outside", &[Qcow2], |i| i.setbe(i.refcount_table(), 1 << 40), "qcow2: refcount block 0"),
    (
        "refcount of data too low",
        &[Qcow2],
        |i| {
            let data = i.be64(i.data()[1]) & !COPIED;
            i.set(i.refcount_of(data), &[0, 0])
        },
        "qcow2: refcount block 0",
    ),
    (
        "refcount of l1 too high",
        &[Qcow2],
        |i| i.set(i.refcount_of(i.l1()), &[0, 2]),
        "qcow2: refcount block 0",
    ),
    (
        "leak",
        &[Qcow2],
        |i| {
            // The cluster that no table leads to any more.
            let at = i.data()[2];
            let data = i.be64(at) & !COPIED;
            i.setbe(at, 0);
            let refcount = i.refcount_of(data);
            refcount..refcount + 2
        },
        "qcow2: refcount block 0",
    ),
    ("l1 reserved bits", &[Qcow2], |i| i.setbe(i.l1(), i.l2() | COPIED | 2), "qcow2: l1 entry 0"),
    ("l2 outside", &[Qcow2], |i| i.setbe(i.l1(), (1 << 40) | COPIED), "qcow2: l1 entry 0"),
    ("l2 not aligned", &[Qcow2], |i| i.setbe(i.l1(), (i.l2() + 512) | COPIED), "qcow2: l1 entry 0"),
    ("l2 without its copied bit", &[Qcow2], |i| i.setbe(i.l1(), i.l2()), "qcow2: entry of l2 table 0"),
    ("l2 on the refcounts", &[Qcow2], |i| i.setbe(i.l1(), i.refcounts() | COPIED), "qcow2: l2 table 0"),
    (
        "data without its copied bit",
        &[Qcow2],
        |i| {
            let at = i.data()[1];
            i.setbe(at, i.be64(at) & !COPIED)
        },
        "qcow2: entry of data cluster *",
    ),
    (
        "data reserved bits",
        &[Qcow2],
        |i| {
            let at = i.data()[1];
            i.setbe(at, i.be64(at) | 4)
        },
        "qcow2: l2 entry of guest cluster *",
    ),
    (
        "data outside",
        &[Qcow2],
        |i| i.setbe(i.data()[1], (1 << 40) | COPIED),
        "qcow2: l2 entry of guest cluster *",
    ),
    (
        "data not aligned",
        &[Qcow2],
        |i| {
            let at = i.data()[1];
            i.setbe(at, i.be64(at) + 512)
        },
        "qcow2: l2 entry of guest cluster *",
    ),
    (
        "a cluster twice",
        &[Qcow2],
        |i| {
            let data = i.data();
            i.setbe(data[2], i.be64(data[1]))
        },
        "qcow2: data cluster *",
    ),
    ("data on the l2 table", &[Qcow2], |i| i.setbe(i.data()[1], i.l2() | COPIED), "qcow2: data cluster *"),
    (
        "the file is cut",
        &[Qcow2],
        |i| {
            i.cut(i.len - 65536);
            let l2 = i.l2();
            l2..l2 + 65536 * 2
        },
        "qcow2: l2 entry of guest cluster *",
    ),
];

/// A name in the large directory, of 249 bytes: they fill blocks soon.
fn many(number: usize) -> String {
    format!("/many/{number:04}{}", "n".repeat(245))
}

/// A tree with what the formats have structures for: an indexed directory, attributes in a block, an extent node.
fn members(on: On) -> Vec<Member> {
    let mut holes = vec![0; 24 << 16];
    holes.chunks_mut(1 << 16).step_by(2).for_each(|window| window.fill(7));
    let mut members = boot_members();
    members.extend([
        Member::file("etc/labelled", noise(4, 5000)).xattr("user.long", [b'a'; 300]),
        Member::directory("var"),
        Member::file("var/holes", holes),
        Member::directory("many"),
    ]);
    // One leaf has 15 such names, the root of the index leads to 507 leaves.
    let (files, names) = if on == Ext { (1, 9000) } else { (700, 700) };
    members.extend((0..files).map(|number| Member::file(&many(number)[1..], number.to_string())));
    let first = What::Hard(many(0).as_bytes()[1..].to_vec());
    members.extend((files..names).map(|number| Member::new(&many(number)[1..], first.clone())));
    members
}

/// Makes the image that `on` is a layer of.
fn make(at: &Path, on: On) -> PathBuf {
    write(at.join("tree.tar"), tar(&members(on)));
    for (name, len) in
        [("SHORT.TXT", 100), ("a file with a long name.txt", 6000), ("DIR/LEAF", 3000), ("TWO", 9000)]
    {
        write(at.join("fat").join(name), noise(len as u64, len));
    }
    let disk = |name: &str| {
        let sizes = ["--size", "240M", "--esp-size", "40M"];
        run(command(["create", "--root", "tree.tar", "-o", name].into_iter().chain(sizes)).current_dir(at))
            .ends(0);
        at.join(name)
    };
    let mkfs = |size: &str, words: &[&str]| {
        let (kind, options) = words.split_first().unwrap();
        let tree = if *kind == "ext4" { "tree.tar" } else { "fat" };
        let arguments = ["mkfs", "--size", size, kind, tree, "image"];
        run(command(arguments.iter().chain(options)).current_dir(at)).ends(0);
        at.join("image")
    };
    match on {
        Table | Esp | Root => disk("disk.raw"),
        Qcow2 => disk("disk.qcow2"),
        Ext => mkfs("140M", &["ext4"]),
        Fat16 => mkfs("20M", &["vfat", "-F", "16"]),
        Fat32 => mkfs("40M", &["vfat", "-F", "32"]),
    }
}

/// Whether `text` is `pattern`, in which a star stands for anything.
fn is_like(text: &str, pattern: &str) -> bool {
    match pattern.split_once('*') {
        None => text == pattern,
        Some((start, rest)) => text.strip_prefix(start).is_some_and(|text| {
            (0..=text.len()).filter(|&at| text.is_char_boundary(at)).any(|at| is_like(&text[at..], rest))
        }),
    }
}

/// Whether a line of `check` says that `structure` of the layer is damaged within `place`.
fn names(line: &str, within: &str, structure: &str, place: &Range<u64>) -> bool {
    let said = line.trim_start().strip_prefix(within).and_then(|rest| rest.strip_prefix(": "));
    let said = said.and_then(|said| said.split_once(": at byte "));
    said.is_some_and(|(named, rest)| {
        let offset: u64 = rest.split(':').next().unwrap().parse().unwrap();
        // What belongs to a file may be followed by its path.
        let like = is_like(named, structure) || is_like(named, &format!("{structure} of *"));
        like && place.contains(&offset)
    })
}

/// What is wrong with how `check` takes the faults of a layer.
fn missed(on: On) -> Vec<String> {
    let at = tempfile::tempdir().unwrap();
    let mut image = Image::open(make(at.path(), on), on);
    let check = |image: &Image| diskwright(["check".as_ref(), image.path.as_os_str()]);
    let sound = |image: &Image| {
        let checked = check(image).ends(0);
        assert!(checked.stdout.contains(": clean: "), "{}", checked.stdout);
        assert!(!checked.stdout.contains("not checked"), "{}", checked.stdout);
    };
    sound(&image);
    let mut missed = Vec::new();
    for (fault, _, plant, structure) in FAULTS.iter().filter(|(_, layers, ..)| layers.contains(&on)) {
        let place = plant(&mut image);
        let checked = check(&image);
        let named = checked.stdout.lines().any(|line| names(line, image.within, structure, &place));
        if checked.code != Some(1) || !named {
            let said: Vec<&str> = checked.stdout.lines().chain(checked.stderr.lines()).take(8).collect();
            let code = checked.code;
            missed.push(format!(
                "{on:?}: {fault}: {structure} in {place:?} is not named; exit code {code:?}\n  {}",
                said.join("\n  ")
            ));
        }
        image.mend();
    }
    sound(&image);
    missed
}

#[test]
fn each_planted_fault_is_named_with_its_place() {
    assert!(FAULTS.len() >= 40, "{}", FAULTS.len());
    let missed = std::thread::scope(|scope| {
        let layers = ALL.map(|on| scope.spawn(move || missed(on)));
        layers.map(|layer| layer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).concat()
    });
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What the next mount will do first is said, and is no damage.
#[test]
fn a_disk_that_was_not_unmounted_is_undamaged() {
    let at = tempfile::tempdir().unwrap();
    let mut image = Image::open(make(at.path(), Root), Root);
    image.superblock(0x3A, &[0]);
    let checked = diskwright(["check".as_ref(), image.path.as_os_str()]).ends(0);
    let said = "partition 2 (p.lxroot): ext4: s_state 0: the file system was not unmounted";
    assert!(checked.stdout.contains(": undamaged, but was not unmounted: raw, gpt"), "{}", checked.stdout);
    assert!(checked.stdout.contains(said) && !checked.stdout.contains("clean"), "{}", checked.stdout);
    let shown = diskwright(["inspect".as_ref(), image.path.as_os_str()]).ends(0);
    assert!(shown.stdout.contains("not unmounted: partition 2 (p.lxroot): s_state 0"), "{}", shown.stdout);
}

/// Disks of other programs: mke2fs's words, mkfs.fat's words, qemu-img's words.
const OTHERS: &[(&str, &str, &str)] = &[
    ("-t ext4", "-F 32", "-O qcow2"),
    ("-t ext4 -b 1024 -O ^64bit,^flex_bg", "-F 16", "-O qcow2 -o compat=0.10,cluster_size=4k"),
    ("-t ext3 -b 4096", "-F 32 -s 1", "-O qcow2 -o preallocation=metadata"),
    ("-t ext2 -b 2048", "-F 16 -n LABEL", "-O raw"),
];

#[test]
fn silent_on_images_of_sgdisk_mke2fs_mkfs_fat_mtools_and_qemu_img() {
    let test = "silent_on_others";
    let programs = ["sgdisk", "mke2fs", "mkfs.fat", "mcopy", "qemu-img"].map(|name| oracle(test, name));
    let [Some(sgdisk), Some(mke2fs), Some(mkfs_fat), Some(mcopy), Some(qemu_img)] = programs else { return };
    for (ext, fat, container) in OTHERS {
        let at = tempfile::tempdir().unwrap();
        let path = |name: &str| at.path().join(name).to_str().unwrap().to_owned();
        small_tree(&at.path().join("tree"));
        let (disk, esp, root, image) = (path("disk.raw"), path("esp"), path("root"), path("image"));
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        File::create(&disk).unwrap().set_len(260 << 20).unwrap();
        let table = "-n 1:2048:+40M -t 1:ef00 -c 1:ESP -n 2:0:0 -t 2:8300 -c 2:root";
        tool(&sgdisk, words(table).into_iter().chain([disk.clone()]));
        let partition = |slot: u64| {
            let file = File::open(&disk).unwrap();
            let lba = |at| {
                let mut bytes = [0; 8];
                file.read_exact_at(&mut bytes, 1024 + (slot - 1) * 128 + at).unwrap();
                u64::from_le_bytes(bytes)
            };
            (lba(32) * 512, (lba(40) + 1 - lba(32)) * 512)
        };
        for (name, slot) in [(&esp, 1), (&root, 2)] {
            File::create(name).unwrap().set_len(partition(slot).1).unwrap();
        }
        tool(&mkfs_fat, words(fat).into_iter().chain([esp.clone()]));
        let tree = ["etc", "usr"].map(|name| path(&format!("tree/{name}")));
        // What FAT has not (links) stays behind.
        std::fs::remove_file(path("tree/etc/long-link")).unwrap();
        tool(
            &mcopy,
            words("-s -Q -i").into_iter().chain([esp.clone()]).chain(tree).chain(["::/".to_owned()]),
        );
        tool(
            &mke2fs,
            words("-q -F").into_iter().chain(words(ext)).chain(["-d".to_owned(), path("tree"), root.clone()]),
        );
        for (name, slot) in [(&esp, 1), (&root, 2)] {
            let bytes = std::fs::read(name).unwrap();
            let file = OpenOptions::new().write(true).open(&disk).unwrap();
            file.write_all_at(&bytes, partition(slot).0).unwrap();
        }
        let convert = words("convert -f raw").into_iter().chain(words(container));
        tool(&qemu_img, convert.chain([disk.clone(), image.clone()]));
        for file in [&esp, &root, &disk, &image] {
            let checked = diskwright(["check", file]).ends(0);
            assert!(checked.stdout.contains(": clean: "), "{ext}, {fat}: {}", checked.stdout);
            assert!(!checked.stdout.contains("not checked"), "{ext}, {fat}: {}", checked.stdout);
        }
    }
}
