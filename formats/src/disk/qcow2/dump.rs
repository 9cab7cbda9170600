//! What every byte of an image is.

use super::claim::{Claim, Owner};
use super::disk::{EXTENSIONS, FEATURES_AT, Features, HEADER_LENGTH, Header};
use super::head::Head;
use super::walk::Walk;
use crate::dump::Tiles;
use crate::fault::Damage;
use crate::layout::ReadAt;
use std::fmt;
use std::mem::offset_of;

/// A line for every run of bytes: fields of the header, runs of entries, tables and data.
pub(super) fn dump(image: &dyn ReadAt, out: &mut dyn fmt::Write) -> Result<(), Damage> {
    let mut walk = Walk::new(image)?;
    walk.all()?;
    let mut tiles = Tiles::default();
    header(&walk.head, &mut tiles);
    extensions(&walk.head, &mut tiles);
    for claim in &walk.claims {
        entries(claim, &mut tiles);
        clusters(claim, walk.cluster(), &mut tiles);
    }
    tiles.write(image, out)
}

fn header(head: &Head, tiles: &mut Tiles) {
    let mut field = |at: u64, len: u64, text: String| tiles.add(at, len, format!("header: {text}"));
    let Header { version, backing_file_offset, backing_file_size, cluster_bits, size, .. } = head.header;
    field(0, 4, "magic".to_owned());
    field(4, 4, format!("version {version}"));
    field(8, 12, format!("backing file at {backing_file_offset}, {backing_file_size} bytes"));
    field(20, 4, format!("cluster bits {cluster_bits}"));
    field(24, 8, format!("size {size}"));
    let Header { crypt_method, l1_size, l1_table_offset, refcount_table_offset, .. } = head.header;
    field(32, 4, format!("crypt method {crypt_method}"));
    field(36, 4, format!("l1 size {l1_size}"));
    field(40, 8, format!("l1 table at {l1_table_offset}"));
    let Header { refcount_table_clusters, nb_snapshots, snapshots_offset, .. } = head.header;
    field(48, 12, format!("refcount table at {refcount_table_offset}, {refcount_table_clusters} clusters"));
    field(60, 12, format!("{nb_snapshots} snapshots at {snapshots_offset}"));
    if head.version() == 2 {
        return;
    }
    let Features { incompatible, compatible, autoclear, refcount_order, header_length } = head.features;
    let mut field = |offset: usize, len: u64, text: String| field(FEATURES_AT + offset as u64, len, text);
    field(offset_of!(Features, incompatible), 8, format!("incompatible features {incompatible:#x}"));
    field(offset_of!(Features, compatible), 8, format!("compatible features {compatible:#x}"));
    field(offset_of!(Features, autoclear), 8, format!("autoclear features {autoclear:#x}"));
    field(offset_of!(Features, refcount_order), 4, format!("refcount order {refcount_order}"));
    field(offset_of!(Features, header_length), 4, format!("header length {header_length}"));
    tiles.around(HEADER_LENGTH, head.length - HEADER_LENGTH, "header: later fields");
}

fn extensions(head: &Head, tiles: &mut Tiles) {
    for &(at, kind, len) in &head.extensions {
        let name = EXTENSIONS.iter().find(|(known, _)| *known == kind).map_or("unknown", |(_, name)| name);
        tiles.add(at, 8 + len, format!("header extension {kind:#010x}: {name}, {len} bytes"));
    }
}

/// The entries that name these clusters.
fn entries(claim: &Claim, tiles: &mut Tiles) {
    let &Claim { first, count, owner, number, entry, copied, .. } = claim;
    let table = match owner {
        Owner::RefcountBlock => "refcount table",
        Owner::L2 => "l1 table",
        Owner::Data | Owner::Compressed => "l2 table",
        Owner::Bitmap => "bitmap table",
        Owner::Header | Owner::RefcountTable | Owner::Snapshots | Owner::Bitmaps | Owner::L1 => return,
    };
    let copied = if copied == Some(true) { ", copied" } else { "" };
    let (entries, last) = match owner {
        Owner::Compressed => (1, number),
        _ => (count, number + count - 1),
    };
    let text = format!("{table}: {} {number} to {last} at cluster {first}{copied}", owner.name());
    tiles.add(entry, entries * 8, text);
}

/// The clusters themselves; snapshots share some, which then have one line.
fn clusters(claim: &Claim, cluster: u64, tiles: &mut Tiles) {
    let &Claim { first, count, owner, number, .. } = claim;
    let (start, len) = (first * cluster, count * cluster);
    let text = match owner {
        Owner::Header => "header: rest of the cluster".to_owned(),
        Owner::RefcountTable | Owner::L1 => format!("{}: nothing in use", owner.name()),
        Owner::Snapshots | Owner::Bitmaps | Owner::Bitmap => owner.name().to_owned(),
        Owner::L2 => {
            return (0..count).for_each(|n| {
                let text = format!("l2 table {}: nothing in use", number + n);
                tiles.around(start + n * cluster, cluster, text);
            });
        }
        Owner::RefcountBlock => format!("refcount blocks from {number}"),
        Owner::Data => format!("data: guest bytes {} to {}", number * cluster, (number + count) * cluster),
        Owner::Compressed => "compressed data".to_owned(),
    };
    tiles.around(start, len, text);
}
