//! `diskwright inspect`: what is in this image?

use super::args::Inspect;
use super::fail::Failure;
use super::say::{self, Voice, size, table};
use crate::inspect::{ImageFile, Inspected, Volume, inspect as look};
use diskwright_formats::bytes::escaped;
use diskwright_formats::layout::{OneFile, ReadAt, Reader, Window};
use diskwright_formats::table::gpt;
use diskwright_fstools::tree::record;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    container: &'static str,
    file_bytes: u64,
    disk_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    table: Option<Table>,
    volumes: Vec<Found>,
    faults: usize,
}

#[derive(Serialize)]
struct Table {
    kind: &'static str,
    guid: String,
    sector_bytes: u32,
}

#[derive(Serialize)]
struct Found {
    within: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<Partition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filesystem: Option<Filesystem>,
}

#[derive(Serialize)]
struct Partition {
    number: u32,
    name: String,
    start: u64,
    bytes: u64,
    type_guid: String,
    guid: String,
}

#[derive(Serialize)]
struct Filesystem {
    kind: &'static str,
    id: String,
    label: String,
    bytes: u64,
    used: u64,
    free: u64,
    files: usize,
    /// What the next mount will do first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<String>,
}

/// Shows an image.
pub(super) fn inspect(args: &Inspect, voice: Voice) -> Result<(), Failure> {
    let file = ImageFile::open(&args.image)?;
    let inspected = look(&file)?;
    if args.map {
        return say::print(&map(&file, &inspected)?);
    }
    if args.files {
        return say::bytes(&files(&inspected)?);
    }
    let report = report(args.image.display().to_string(), &inspected);
    voice.result(&report, &text(&report))
}

fn report(image: String, inspected: &Inspected) -> Report {
    let table = inspected.table.as_ref().map(|table| Table {
        kind: "gpt",
        guid: table.disk_guid.to_string(),
        sector_bytes: table.sector_size,
    });
    Report {
        schema: 1,
        image,
        container: inspected.container.name,
        file_bytes: inspected.file_len,
        disk_bytes: inspected.disk.len(),
        table,
        volumes: inspected.volumes.iter().map(found).collect(),
        faults: inspected.faults.len(),
    }
}

fn found(volume: &Volume) -> Found {
    let partition = volume.partition.as_ref().map(|it| Partition {
        number: it.number,
        name: it.name.clone(),
        start: it.start,
        bytes: it.len,
        type_guid: it.type_guid.to_string(),
        guid: it.unique_guid.to_string(),
    });
    let filesystem = volume.found.as_ref().map(|(row, opened)| Filesystem {
        kind: row.name,
        id: opened.id.clone(),
        label: escaped(&opened.label),
        bytes: opened.len,
        used: opened.usage.used,
        free: opened.usage.free,
        files: opened.tree.nodes(),
        pending: opened.pending.clone(),
    });
    Found { within: volume.within.clone(), partition, filesystem }
}

fn text(report: &Report) -> String {
    let mut text = format!(
        "{}: {}, {} in the file, disk of {} ({} bytes)\n",
        report.image,
        report.container,
        size(report.file_bytes),
        size(report.disk_bytes),
        report.disk_bytes,
    );
    if let Some(Table { kind, guid, sector_bytes }) = &report.table {
        let _ = writeln!(text, "table: {kind} {guid}, sectors of {sector_bytes} bytes");
    }
    let head = [
        ("nr", true),
        ("name", false),
        ("start", true),
        ("size", true),
        ("type", false),
        ("file system", false),
        ("label", false),
        ("id", false),
        ("used", true),
        ("free", true),
        ("files", true),
    ];
    let rows: Vec<Vec<String>> = report.volumes.iter().map(row).collect();
    text += &table(&head, &rows);
    for volume in &report.volumes {
        for line in volume.filesystem.iter().flat_map(|it| &it.pending) {
            let _ = writeln!(text, "not unmounted: {}: {line}", volume.within);
        }
    }
    if report.faults > 0 {
        let _ = writeln!(text, "{} faults: see diskwright check {}", report.faults, report.image);
    }
    text
}

fn row(found: &Found) -> Vec<String> {
    let dash = || "-".to_owned();
    let partition = found.partition.as_ref();
    let fs = found.filesystem.as_ref();
    vec![
        partition.map_or_else(dash, |it| it.number.to_string()),
        partition.map_or_else(dash, |it| it.name.clone()),
        partition.map_or_else(dash, |it| it.start.to_string()),
        partition.map(|it| it.bytes).or(fs.map(|it| it.bytes)).map_or_else(dash, size),
        partition.map_or_else(dash, |it| type_name(&it.type_guid)),
        fs.map_or_else(dash, |it| it.kind.to_owned()),
        fs.map_or_else(dash, |it| it.label.clone()),
        fs.map_or_else(dash, |it| it.id.clone()),
        fs.map_or_else(dash, |it| size(it.used)),
        fs.map_or_else(dash, |it| size(it.free)),
        fs.map_or_else(dash, |it| it.files.to_string()),
    ]
}

fn type_name(guid: &str) -> String {
    let name = guid.parse().ok().and_then(|guid| gpt::types::name(&guid));
    name.map_or_else(|| guid.to_owned(), str::to_owned)
}

/// The annotated dumps of all layers: container in the file, table on the disk, file systems in their partitions.
fn map(file: &ImageFile, inspected: &Inspected) -> Result<String, Failure> {
    let contents = OneFile(file);
    let disk = Reader::new(&inspected.disk, &contents);
    let mut text = format!("# {} in the file\n", inspected.container.name);
    (inspected.container.dump)(file, &mut text)?;
    if inspected.table.is_some() {
        text += "# gpt on the disk\n";
        gpt::dump(&disk, &mut text)?;
    }
    for volume in &inspected.volumes {
        let Some((row, _)) = &volume.found else { continue };
        let range = volume.partition.as_ref().map_or(0..disk.len(), |it| it.start..it.start + it.len);
        let Some(window) = Window::new(&disk, range) else { continue };
        let _ = writeln!(text, "# {} in {}", row.name, volume.within);
        (row.dump)(&window, &mut text)?;
    }
    Ok(text)
}

fn files(inspected: &Inspected) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    for volume in &inspected.volumes {
        let Some((_, opened)) = &volume.found else { continue };
        text.extend_from_slice(format!("# {}\n", volume.within).as_bytes());
        record::write(&opened.tree, &mut text)?;
    }
    Ok(text)
}
