//! Writers on arbitrary trees and disks, and the whole way through our own readers.

use super::files::{Endless, Holds, assert_holds, holds, tree};
use super::seed;
use arbitrary::{Result, Unstructured};
use diskwright_formats::bytes::align_up;
use diskwright_formats::fault::RefusalKind;
use diskwright_formats::layout::{ContentId, Extent, Layout, OneFile, ReadAt, Reader, Source, What, Window};
use diskwright_formats::registry::{self, Disk};
use diskwright_formats::table::{gpt, mbr};
use diskwright_fstools::registry::{Filesystem, Geometry, Laid, ROWS, Row};
use diskwright_fstools::tree::Tree;

/// Longest image that is laid: layouts are sparse, but metadata grows with it.
const LONGEST: u64 = 1 << 36;

/// `lay_<file system>`: see `fuzz_targets/lay_ext.rs`.
pub fn filesystem(name: &'static str, data: &[u8]) {
    let _ = lay_filesystem(name, &mut Unstructured::new(data));
}

fn lay_filesystem(name: &'static str, u: &mut Unstructured) -> Result<()> {
    let row = diskwright_fstools::registry::find(name).expect("a row");
    let configured = seed::laid_as(name);
    let filesystem = &configured[u.choose_index(configured.len())?];
    let sector_size = if u.ratio(1, 4)? { 4096 } else { 512 };
    let free = if u.ratio(1, 2)? { 0 } else { u.int_in_range(0..=1 << 28)? };
    let more = if u.ratio(1, 2)? { 0 } else { u.int_in_range(0..=1 << 33)? };
    let hidden_sectors = u64::from(u.arbitrary::<u16>()?);
    let tree = tree(u, holds(name))?;
    let Ok(needed) = filesystem.measure(&tree, free, sector_size) else {
        // What cannot be measured cannot be laid.
        let geometry = Geometry { len: LONGEST, sector_size, hidden_sectors };
        let laid = filesystem.lay(&tree, &geometry, &seed::identity());
        assert!(free > 0 || laid.is_err(), "measured: refused, laid: accepted");
        return Ok(());
    };
    if needed > LONGEST {
        return Ok(());
    }
    if free == 0 {
        let geometry = Geometry { len: needed - 1, sector_size, hidden_sectors };
        let less = filesystem.lay(&tree, &geometry, &seed::identity());
        assert!(less.is_err(), "the smallest size is {needed}, yet one byte less is accepted");
    }
    let geometry = Geometry { len: needed, sector_size, hidden_sectors };
    let laid = filesystem.lay(&tree, &geometry, &seed::identity()).expect("the measured size is accepted");
    assert!(laid.usage.free >= free, "free: asked for {free}, promised {}", laid.usage.free);
    assert_laid(row, &tree, &geometry, &laid);
    if more > 0 {
        let geometry = Geometry { len: needed + more, ..geometry };
        if let Ok(laid) = filesystem.lay(&tree, &geometry, &seed::identity()) {
            assert_laid(row, &tree, &geometry, &laid);
        }
    }
    Ok(())
}

/// The image is as long as it should be, sound to its reader, and holds the tree, whatever its free bytes hold.
fn assert_laid(row: &Row, tree: &Tree, geometry: &Geometry, laid: &Laid) {
    assert_eq!(laid.layout.len(), geometry.len, "as long as the geometry says");
    for layout in [&laid.layout, &laid.layout.poisoned(0xa5)] {
        assert_filesystem(row, tree, &Reader::new(layout, &Endless), Some(laid));
    }
}

fn assert_filesystem(row: &Row, tree: &Tree, image: &dyn ReadAt, laid: Option<&Laid>) {
    // Of a family, which row recognises an image depends on its features.
    assert!(
        ROWS.iter().filter(|row| (row.recognise)(image)).count() == 1,
        "one row recognises what {} laid",
        row.name
    );
    let opened = (row.open)(image).unwrap_or_else(|damage| panic!("{damage}"));
    assert!(opened.damage.is_empty(), "{}", opened.damage[0]);
    assert_holds(image, &opened, tree, holds(row.name));
    if let Some(laid) = laid {
        assert_eq!((opened.usage.free, opened.usage.inodes), (laid.usage.free, laid.usage.inodes), "free");
    }
}

/// `lay_<container>`: see `fuzz_targets/lay_qcow2.rs`.
pub fn disk(name: &'static str, data: &[u8]) {
    let _ = lay_disk(name, &mut Unstructured::new(data));
}

fn lay_disk(name: &'static str, u: &mut Unstructured) -> Result<()> {
    let row = registry::find_disk(name).expect("a row");
    let options: Vec<String> =
        u.choose(seed::options(name))?.iter().map(|&option| option.to_owned()).collect();
    let guest = guest(u)?;
    let Ok(image) = (row.lay)(&guest, &seed::identity(), &options) else { return Ok(()) };
    assert_disk(row, &guest, &Reader::new(&image, &Endless));
    assert_disk(row, &guest, &Reader::new(&image.poisoned(0xa5), &Endless));
    Ok(())
}

/// Some extents, in any place of a disk of up to 64 TiB.
fn guest(u: &mut Unstructured) -> Result<Layout> {
    const WHAT: What = What::new(&"guest");
    let widest = u.int_in_range(9..=46)?;
    let (mut extents, mut free, mut end) = (Vec::new(), Vec::new(), 0u64);
    while !u.is_empty() && extents.len() < 500 {
        let gap = u.arbitrary::<u64>()? >> (64 - u.int_in_range(1..=widest)?);
        let start = end + gap;
        if u.ratio(1, 8)? {
            free.push(end..start);
        }
        let extent = if u.arbitrary()? {
            Extent::of_bytes(start, vec![u.arbitrary::<u8>()?; usize::from(u.arbitrary::<u16>()?) + 1], WHAT)
        } else {
            let source =
                Source::Content(ContentId(u32::from(u.arbitrary::<u8>()?)), u.int_in_range(0..=1 << 40)?);
            Extent { start, len: u.int_in_range(1..=1 << 24)?, source, what: WHAT }
        };
        end = extent.end();
        extents.push(extent);
    }
    let len = end + u.int_in_range(0..=1 << 20)?;
    Ok(Layout::new(len.div_ceil(512) * 512, extents, free).expect("sorted and disjoint"))
}

fn assert_disk(row: &Disk, guest: &Layout, image: &dyn ReadAt) {
    assert!((row.recognise)(image), "{} recognises what it laid", row.name);
    let opened = (row.open)(image).unwrap_or_else(|damage| panic!("{damage}"));
    assert!(opened.damage.is_empty(), "{}", opened.damage[0]);
    let contents = OneFile(image);
    assert_same_bytes(guest, &Reader::new(&opened.layout, &contents));
}

/// Compares both ends of every extent and of every gap; free bytes may be anything.
fn assert_same_bytes(expected: &Layout, found: &dyn ReadAt) {
    assert_eq!(expected.len(), found.len(), "the same length");
    let reader = Reader::new(expected, &Endless);
    let mut edges: Vec<u64> = expected.extents().flat_map(|extent| [extent.start, extent.end()]).collect();
    edges.extend([0, expected.len()]);
    let free: Vec<_> = expected.free().collect();
    for edge in edges {
        let (start, end) = (edge.saturating_sub(3000), (edge + 3000).min(expected.len()));
        let (mut a, mut b) = (vec![0; (end - start) as usize], vec![0; (end - start) as usize]);
        reader.read_exact_at(start, &mut a).expect("within the layout");
        found.read_exact_at(start, &mut b).expect("within the disk");
        for range in &free {
            let [from, to] = [range.start, range.end].map(|at| (at.clamp(start, end) - start) as usize);
            b[from..to].fill(0);
        }
        assert!(a == b, "the same bytes around {edge}");
    }
}

/// `lay_gpt`: see `fuzz_targets/lay_gpt.rs`.
pub fn gpt(data: &[u8]) {
    let _ = lay_gpt(&mut Unstructured::new(data));
}

fn lay_gpt(u: &mut Unstructured) -> Result<()> {
    let sector_size = *u.choose(&[512, 512, 4096, 0, 520])?;
    let unit = if u.ratio(7, 8)? { u64::from(sector_size) } else { 1 };
    let mut options = gpt::Options::new(u.int_in_range(0..=1 << 40)? / 512 * unit, sector_size);
    options.disk_signature = u.arbitrary()?;
    for _ in 0..u.int_in_range(0..=4)? {
        let number = u.int_in_range(0..=5)?;
        options.hybrid.push(gpt::HybridEntry { number, kind: u.arbitrary()?, active: u.ratio(1, 8)? });
    }
    let mut partitions = Vec::new();
    let mut end = gpt::first_usable(sector_size);
    while !u.is_empty() && partitions.len() < 140 {
        let start = end.saturating_add(u64::from(u.arbitrary::<u32>()?) >> u.int_in_range(0..=31)?)
            / unit.max(1)
            * unit;
        let len = (u64::from(u.arbitrary::<u32>()?) >> u.int_in_range(0..=31)?) * unit;
        end = if u.ratio(15, 16)? { start.saturating_add(len) } else { u.arbitrary()? };
        let number = if u.ratio(7, 8)? { partitions.len() as u32 + 1 } else { u.int_in_range(0..=200)? };
        let id = seed::identity().role(&partitions.len().to_string()).uuid("guid");
        let name = u.arbitrary::<String>()?.chars().take(40).collect();
        let attributes = u.arbitrary()?;
        let partition =
            gpt::Partition { number, type_guid: id, unique_guid: id, name, attributes, start, len };
        partitions.push((partition, Layout::empty(len)));
    }
    let Ok(disk) = gpt::lay(&partitions, &options, &seed::identity()) else { return Ok(()) };
    assert_eq!(disk.len(), options.len);
    for disk in [&disk, &disk.poisoned(0xa5)] {
        let opened = gpt::open(&Reader::new(disk, &Endless)).unwrap_or_else(|damage| panic!("{damage}"));
        assert!(opened.damage.is_empty(), "{}", opened.damage[0]);
        assert_eq!(opened.sector_size, sector_size);
        partitions.sort_by_key(|(partition, _)| partition.number);
        let expected: Vec<_> = partitions.iter().map(|(partition, _)| format!("{partition:?}")).collect();
        let found: Vec<_> = opened.partitions.iter().map(|partition| format!("{partition:?}")).collect();
        assert_eq!(expected, found);
        let signature = options.disk_signature.unwrap_or(0);
        assert_eq!((opened.disk_signature, &opened.hybrid), (signature, &options.hybrid));
    }
    Ok(())
}

/// `lay_mbr`: see `fuzz_targets/lay_mbr.rs`.
pub fn mbr(data: &[u8]) {
    let _ = lay_mbr(&mut Unstructured::new(data));
}

fn lay_mbr(u: &mut Unstructured) -> Result<()> {
    let sector_size = *u.choose(&[512, 512, 4096, 0, 520])?;
    let unit = if u.ratio(7, 8)? { u64::from(sector_size) } else { 1 };
    let len = (u.arbitrary::<u64>()? >> u.int_in_range(24..=60)?).saturating_mul(unit);
    let options = mbr::Options { len, sector_size, disk_id: Some(u.arbitrary()?) };
    let mut partitions = Vec::new();
    let (mut end, mut next) = (u64::from(sector_size), u.int_in_range(1..=5)?);
    while !u.is_empty() && partitions.len() < 70 {
        let room = if next > mbr::PRIMARIES { mbr::EBR_ROOM } else { 0 };
        let gap = u64::from(u.arbitrary::<u32>()?) >> u.int_in_range(0..=31)?;
        let start = end.saturating_add(room).saturating_add(gap) / unit.max(1) * unit;
        let len = (u64::from(u.arbitrary::<u32>()?) >> u.int_in_range(0..=31)?) * unit;
        end = if u.ratio(15, 16)? { start.saturating_add(len) } else { u.arbitrary()? };
        let number = if u.ratio(7, 8)? { next } else { u.int_in_range(0..=70)? };
        next = if u.ratio(1, 4)? { next.max(mbr::PRIMARIES) + 1 } else { next + 1 };
        let (kind, active) = (u.arbitrary()?, u.ratio(1, 16)?);
        partitions.push((mbr::Partition { number, kind, active, start, len }, Layout::empty(len)));
    }
    let Ok(disk) = mbr::lay(&partitions, &options, &seed::identity()) else { return Ok(()) };
    assert_eq!(disk.len(), options.len);
    assert!(disk.extents_in(0..440).next().is_none(), "the boot code is somebody else's");
    partitions.sort_by_key(|(partition, _)| partition.number);
    let expected: Vec<_> = partitions.into_iter().map(|(partition, _)| partition).collect();
    for disk in [&disk, &disk.poisoned(0xa5)] {
        let image = Reader::new(disk, &Endless);
        let opened = mbr::open_as(&image, sector_size).unwrap_or_else(|damage| panic!("{damage}"));
        assert!(opened.damage.is_empty(), "{}", opened.damage[0]);
        assert_eq!((Some(opened.disk_id), &opened.partitions), (options.disk_id, &expected));
        assert!(mbr::sector_sizes(&image).contains(&sector_size), "the sector size is among the likely");
        assert!(mbr::recognise(&image) || expected.is_empty() && opened.disk_id == 0);
    }
    Ok(())
}

/// `pipeline`: see `fuzz_targets/pipeline.rs`.
pub fn pipeline(data: &[u8]) {
    let _ = whole_disk(&mut Unstructured::new(data));
}

/// A partition on the way to its disk.
struct Part {
    row: &'static Row,
    tree: Tree,
    laid: Laid,
    start: u64,
}

fn whole_disk(u: &mut Unstructured) -> Result<()> {
    const MIB: u64 = 1 << 20;
    let sector_size = if u.ratio(1, 4)? { 4096 } else { 512 };
    let (mut parts, mut end) = (Vec::new(), MIB);
    for _ in 0..u.int_in_range(1..=3)? {
        let row = u.choose(diskwright_fstools::registry::ROWS)?;
        let Ok(filesystem) = (row.configure)(&[]) else { continue };
        let Some(part) = part(u, row, &*filesystem, sector_size, end)? else { continue };
        end = align_up(end + part.laid.layout.len(), MIB).expect("small numbers");
        parts.push(part);
    }
    let gpt_parts: Vec<_> = (1..).zip(&parts).map(|(number, part)| gpt_part(number, part)).collect();
    let options = gpt::Options::new(end + MIB, sector_size);
    let disk = gpt::lay(&gpt_parts, &options, &seed::identity()).expect("partitions in order");
    let row = u.choose(registry::DISKS)?;
    let image = (row.lay)(&disk, &seed::identity(), &[]).expect("a disk in a container");

    let image = Reader::new(&image, &Endless);
    let guest = (row.open)(&image).unwrap_or_else(|damage| panic!("{damage}"));
    assert!(guest.damage.is_empty(), "{}", guest.damage[0]);
    let contents = OneFile(&image);
    let guest = Reader::new(&guest.layout, &contents);
    let table = gpt::open(&guest).unwrap_or_else(|damage| panic!("{damage}"));
    assert!(table.damage.is_empty(), "{}", table.damage[0]);
    assert_eq!(table.partitions.len(), parts.len(), "all partitions");
    for (found, part) in table.partitions.iter().zip(&parts) {
        assert_eq!((found.start, found.len), (part.start, part.laid.layout.len()));
        let window = Window::new(&guest, found.start..found.start + found.len).expect("within the disk");
        assert_filesystem(part.row, &part.tree, &window, Some(&part.laid));
    }
    Ok(())
}

/// A tree in a file system of a size that holds it; `None` for a tree that it cannot hold.
fn part(
    u: &mut Unstructured,
    row: &'static Row,
    filesystem: &dyn Filesystem,
    sector_size: u32,
    start: u64,
) -> Result<Option<Part>> {
    let bytes = u.int_in_range(0..=u.len())?;
    let mut own = Unstructured::new(u.bytes(bytes)?);
    // What every file system holds, so that hardly a tree is refused.
    let names_and_data = own.ratio(1, 4)?;
    let tree = tree(&mut own, if names_and_data { Holds::NamesAndData } else { holds(row.name) })?;
    let Ok(len) = filesystem.measure(&tree, u64::from(own.arbitrary::<u16>()?), sector_size) else {
        return Ok(None);
    };
    let len = align_up(len, u64::from(sector_size)).expect("a size far from overflow");
    if len > LONGEST {
        return Ok(None);
    }
    let geometry = Geometry { len, sector_size, hidden_sectors: start / u64::from(sector_size) };
    match filesystem.lay(&tree, &geometry, &seed::identity().role(row.name)) {
        Ok(laid) => Ok(Some(Part { row, tree, laid, start })),
        // Only a length between two units may be refused.
        Err(refusal) => {
            assert!(matches!(refusal.kind, RefusalKind::TooSmall { .. }), "{refusal}");
            Ok(None)
        }
    }
}

fn gpt_part(number: u32, part: &Part) -> (gpt::Partition, Layout) {
    let id = seed::identity().role(&number.to_string()).uuid("guid");
    let partition = gpt::Partition {
        number,
        type_guid: id,
        unique_guid: id,
        name: format!("part {number}"),
        attributes: 0,
        start: part.start,
        len: part.laid.layout.len(),
    };
    (partition, part.laid.layout.clone())
}
