//! Readers on hostile bytes.

use super::files::{self, Holds};
use super::image::{Base, Mutant};
use super::seed;
use arbitrary::Unstructured;
use diskwright_formats::fault::{Damage, ReidError};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{ContentId, Layout, OneFile, Patch, ReadAt, Reader, Source};
use diskwright_formats::{registry, table};
use diskwright_fstools::registry::{MOST_DAMAGE, Opened, ROWS};
use diskwright_fstools::tree::{Data, Kind, NodeId, Tree, record};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

/// The bases of a target, made once.
fn bases(name: &'static str, make: fn(&str) -> Vec<Base>) -> &'static [Base] {
    static MADE: Mutex<BTreeMap<&str, &[Base]>> = Mutex::new(BTreeMap::new());
    let mut made = MADE.lock().unwrap_or_else(PoisonError::into_inner);
    made.entry(name).or_insert_with(|| Box::leak(make(name).into_boxed_slice()))
}

/// `open_<file system>`: see `fuzz_targets/open_ext.rs`.
pub fn filesystem(name: &'static str, data: &[u8]) {
    filesystem_within(name, data, |_| {});
}

/// The same; `allow` is told how long the image is before the reader sees it.
pub fn filesystem_within(name: &'static str, data: &[u8], allow: fn(u64)) {
    let row = diskwright_fstools::registry::find(name).expect("a row");
    let Some(image) = Mutant::new(bases(name, seed::filesystems), data) else { return };
    allow(image.len());
    let recognised = (row.recognise)(&image);
    let takers = ROWS.iter().filter(|row| (row.recognise)(&image)).count();
    assert!(takers <= 1, "{takers} rows recognise one image");
    let opened = (row.open)(&image);
    let dumped = (row.dump)(&image, &mut Counted::default());
    let patches = (row.reid)(&image, &seed::identity());
    if image.pristine {
        assert!(recognised, "{name} recognises its own image");
        dumped.as_ref().expect("a sound image is dumped");
        let damage = &opened.as_ref().map_err(Clone::clone).expect("a sound image is opened").damage;
        assert!(damage.is_empty(), "a sound image: {}", damage[0]);
    }
    assert_patches(&image, patches);
    match opened {
        Ok(opened) => assert_readable(&image, &opened),
        Err(damage) => assert_damage(&[damage]),
    }
}

/// A disk that can be made longer has the same partitions afterwards.
fn assert_grown(image: &dyn ReadAt) {
    let disk = Layout::of_content(ContentId(0), image.len());
    let contents = OneFile(image);
    let len = (image.len() / 4096 + 77) * 4096;
    let Ok(grown) = table::gpt::grown(&disk, &contents, len) else { return };
    let before = table::gpt::open(image).expect("it could be made longer");
    let after = table::gpt::open(&Reader::new(&grown, &contents)).expect("a table of our own");
    assert!(after.damage.is_empty(), "{}", after.damage[0]);
    assert_eq!(before.partitions, after.partitions, "the same partitions");
}

/// A new identity is patches within the image, apart from each other; or there is a reason in one line.
fn assert_patches(image: &dyn ReadAt, patches: Result<Vec<Patch>, ReidError>) {
    match patches {
        Ok(patches) => {
            assert!(patches.is_sorted_by_key(|patch| patch.start), "patches in order");
            let layout = Layout::of_content(ContentId(0), image.len());
            layout.patched(&patches).expect("patches apart from each other");
        }
        Err(error) => assert!(!error.to_string().contains(['\n', '\0']), "one line: {error}"),
    }
}

/// A tree that ends, files that are as long as it says and readable wherever the image is.
fn assert_readable(image: &dyn ReadAt, opened: &Opened) {
    assert_damage(&opened.damage);
    for node in (0..opened.tree.nodes()).map(|id| opened.tree.node(NodeId(id as u32))) {
        if let Kind::File(Data::Content { id, size, .. }) = &node.kind {
            let file = opened.files.get(id.0 as usize).expect("a file has its bytes");
            assert_eq!(file.len(), *size, "a file is as long as its layout");
            assert_extents(image, file, &opened.damage);
        }
        if let Kind::File(data) = &node.kind {
            let mut end = 0;
            for run in data.runs() {
                assert!(end <= run.start && run.start < run.end && run.end <= data.size(), "runs: {run:?}");
                end = run.end;
            }
        }
    }
    // Hard links count once in `nodes`, each time in a walk; a tree from an image may not grow without bound.
    assert!(opened.tree.walk().count() as u64 <= image.len() + 16, "names have bytes in the image");
}

/// Every extent of an opened object lies in the image, unless damage says that something is wrong, and none is a panic.
fn assert_extents(image: &dyn ReadAt, layout: &Layout, damage: &[Damage]) {
    let contents = OneFile(image);
    let reader = Reader::new(layout, &contents);
    let mut byte = [0];
    for extent in layout.extents() {
        if let Source::Content(_, offset) = extent.source {
            let inside = offset.checked_add(extent.len).is_some_and(|end| end <= image.len());
            assert!(inside || !damage.is_empty(), "{} bytes at byte {offset} of {}", extent.len, image.len());
            let read = reader.read_exact_at(extent.end() - 1, &mut byte);
            assert_eq!(read.is_ok(), inside, "the last byte of an extent is read where there is one");
        }
    }
}

fn assert_damage(damage: &[Damage]) {
    assert!(damage.len() <= MOST_DAMAGE, "{} damages", damage.len());
    for damage in damage {
        assert!(!damage.to_string().contains(['\n', '\0']), "one line: {damage}");
    }
}

/// `open_<container>`: see `fuzz_targets/open_qcow2.rs`.
pub fn disk(name: &'static str, data: &[u8]) {
    let row = registry::find_disk(name).expect("a row");
    let Some(image) = Mutant::new(bases(name, seed::disks), data) else { return };
    let recognised = (row.recognise)(&image);
    let opened = (row.open)(&image);
    let dumped = (row.dump)(&image, &mut Counted::default());
    if image.pristine {
        assert!(recognised, "{name} recognises its own image");
        dumped.as_ref().expect("a sound image is dumped");
        let damage = &opened.as_ref().map_err(Clone::clone).expect("a sound image is opened").damage;
        assert!(damage.is_empty(), "a sound image: {}", damage[0]);
    }
    match opened {
        Ok(opened) => {
            assert_damage(&opened.damage);
            assert_extents(&image, &opened.layout, &opened.damage);
        }
        Err(damage) => assert_damage(&[damage]),
    }
}

/// `open_gpt`: see `fuzz_targets/open_gpt.rs`.
pub fn gpt(data: &[u8]) {
    let Some(mut image) = Mutant::new(bases("gpt", seed::gpts), data) else { return };
    // Half of the images get checksums that match, or hardly one would be read further.
    if data.len().is_multiple_of(2) {
        [512, 4096].into_iter().for_each(|sector| mend_headers(&mut image, sector));
    }
    let recognised = table::gpt::recognise(&image);
    let dumped = table::gpt::dump(&image, &mut Counted::default());
    assert_patches(&image, table::gpt::reid(&image, &seed::identity()));
    assert_grown(&image);
    let opened = match table::gpt::open(&image) {
        Ok(opened) => opened,
        Err(damage) => {
            assert!(!image.pristine, "a sound image is opened: {damage}");
            return assert_damage(&[damage]);
        }
    };
    assert_damage(&opened.damage);
    if image.pristine {
        assert!(recognised, "gpt recognises its own image");
        dumped.expect("a sound image is dumped");
        assert!(opened.damage.is_empty(), "a sound image: {}", opened.damage[0]);
    }
    if opened.damage.is_empty() {
        // What is sound can be written again, and says the same.
        let partitions: Vec<_> =
            opened.partitions.iter().map(|part| (part.clone(), Layout::empty(part.len))).collect();
        let sector_size = opened.sector_size;
        let len = image.len() / u64::from(sector_size) * u64::from(sector_size);
        let options = table::gpt::Options {
            disk_guid: Some(opened.disk_guid),
            disk_signature: Some(opened.disk_signature),
            hybrid: opened.hybrid.clone(),
            ..table::gpt::Options::new(len, sector_size)
        };
        let Ok(again) = table::gpt::lay(&partitions, &options, &Identity::new(b"", 0)) else { return };
        let contents = OneFile(&image);
        let again = table::gpt::open(&Reader::new(&again, &contents)).expect("our own table");
        assert_eq!(again.partitions, opened.partitions);
        assert_eq!((again.disk_signature, again.hybrid), (opened.disk_signature, opened.hybrid));
    }
}

/// `open_mbr`: see `fuzz_targets/open_mbr.rs`.
pub fn mbr(data: &[u8]) {
    let Some(image) = Mutant::new(bases("mbr", seed::mbrs), data) else { return };
    let recognised = table::mbr::recognise(&image);
    let sizes = table::mbr::sector_sizes(&image);
    assert!(sizes.iter().all(|size| [512, 4096].contains(size)) && !sizes.is_empty(), "{sizes:?}");
    for sector_size in [512, 4096] {
        let dumped = table::mbr::dump_as(&image, sector_size, &mut Counted::default());
        let opened = match table::mbr::open_as(&image, sector_size) {
            Ok(opened) => opened,
            Err(damage) => {
                assert!(!image.pristine, "a sound image is opened: {damage}");
                assert_damage(&[damage]);
                continue;
            }
        };
        assert_damage(&opened.damage);
        if image.pristine && sizes.contains(&sector_size) {
            assert!(recognised, "mbr recognises its own image");
            dumped.expect("a sound image is dumped");
            assert!(opened.damage.is_empty(), "a sound image: {}", opened.damage[0]);
        }
        let places = opened.partitions.iter().map(|part| part.start.checked_add(part.len));
        assert!(places.into_iter().all(|end| end.is_some_and(|end| end <= image.len())), "on the disk");
        if opened.damage.is_empty() {
            assert_written_again(&image, &opened);
        }
    }
}

/// What is sound says the same when it is written again. Other writers keep less room for EBRs: that may be refused.
fn assert_written_again(image: &dyn ReadAt, opened: &table::mbr::Opened) {
    let partitions: Vec<_> =
        opened.partitions.iter().map(|part| (part.clone(), Layout::empty(part.len))).collect();
    let sector_size = opened.sector_size;
    let options = table::mbr::Options { len: image.len(), sector_size, disk_id: Some(opened.disk_id) };
    let Ok(again) = table::mbr::lay(&partitions, &options, &Identity::new(b"", 0)) else { return };
    let contents = OneFile(image);
    let again = table::mbr::open_as(&Reader::new(&again, &contents), sector_size).expect("our own table");
    assert!(again.damage.is_empty(), "{}", again.damage[0]);
    assert_eq!((again.disk_id, &again.partitions), (opened.disk_id, &opened.partitions));
}

/// UEFI 2.10, section 5.3.2: gives both headers of a disk with such sectors the checksums of what they hold.
fn mend_headers(image: &mut Mutant, sector: u64) {
    for header in [sector, image.len().saturating_sub(sector) / sector * sector] {
        let mut bytes = [0; 92];
        if image.read_exact_at(header, &mut bytes).is_err() || &bytes[..8] != b"EFI PART" {
            continue;
        }
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let (first, count, size) = (number(72), number(80), number(84));
        let array = u64::from(count) * u64::from(size);
        if array <= 1 << 20 {
            let mut entries = vec![0; array as usize];
            if image.read_exact_at(u64::from(first) * sector, &mut entries).is_ok() {
                bytes[88..92].copy_from_slice(&crc32(&entries).to_le_bytes());
            }
        }
        bytes[16..20].fill(0);
        let crc = crc32(&bytes);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
        image.patch(header, &bytes);
    }
}

/// CRC-32 of IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ ((crc & 1) * 0xedb8_8320))
    })
}

/// Takes text, and ends the run when there is more of it than any image here is worth.
#[derive(Default)]
struct Counted(usize);

impl fmt::Write for Counted {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0 += text.len();
        assert!(self.0 < 256 << 20, "a dump without end");
        Ok(())
    }
}

/// `open_record`: see `fuzz_targets/open_record.rs`.
pub fn record(data: &[u8]) {
    if let Ok(tree) = record::read(data) {
        let mut text = Vec::new();
        record::write(&tree, &mut text).expect("memory");
        assert_eq!(
            text.escape_ascii().to_string(),
            data.escape_ascii().to_string(),
            "each tree has one text"
        );
    }
    let Ok(tree) = files::tree(&mut Unstructured::new(data), Holds::All) else { return };
    assert_recorded(&tree);
}

/// The record of a tree is read back as a tree with the same record.
pub fn assert_recorded(tree: &Tree) -> Vec<u8> {
    let (mut text, mut again) = (Vec::new(), Vec::new());
    record::write(tree, &mut text).expect("memory");
    let read = record::read(&text).unwrap_or_else(|refusal| panic!("{refusal}"));
    record::write(&read, &mut again).expect("memory");
    assert_eq!(text.escape_ascii().to_string(), again.escape_ascii().to_string());
    text
}
