//! `diskwright inspect`: what is in this image?

use super::args::Inspect;
use super::fail::Failure;
use super::say::{self, Voice, size, table};
use crate::inspect::{self, ImageFile, Inspected, Kind, Volume, inspect as look};
use diskwright_formats::bytes::escaped;
use diskwright_formats::layout::{OneFile, ReadAt, Reader, Window};
use diskwright_formats::table::{gpt, mbr};
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

/// A GPT has a `guid`, an MBR a `disk_id`; what a table does not have is left out.
#[derive(Serialize, Default)]
struct Table {
    /// `gpt` or `mbr`.
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    guid: Option<String>,
    /// NT disk signature, `0x` and eight digits; in a GPT where it is not 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    disk_id: Option<String>,
    sector_bytes: u32,
    /// Partitions of a GPT that its MBR repeats.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hybrid: Vec<Repeated>,
    /// The partition of an MBR around the logical ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    extended: Option<Extended>,
}

#[derive(Serialize)]
struct Repeated {
    number: u32,
    r#type: String,
    active: bool,
}

#[derive(Serialize)]
struct Extended {
    number: u32,
    r#type: String,
    start: u64,
    bytes: u64,
}

#[derive(Serialize)]
struct Found {
    within: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    partition: Option<Partition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filesystem: Option<Filesystem>,
}

/// In a GPT `name`, `type_guid` and `guid`, in an MBR `type`, `active` and `partuuid`.
#[derive(Serialize, Default)]
struct Partition {
    number: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    start: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    type_guid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    guid: Option<String>,
    /// Two hexadecimal digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    active: Option<bool>,
    /// Disk id and number, as Linux and blkid write it.
    #[serde(skip_serializing_if = "Option::is_none")]
    partuuid: Option<String>,
    /// The type in words.
    #[serde(skip)]
    purpose: String,
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
    Report {
        schema: 1,
        image,
        container: inspected.container.name,
        file_bytes: inspected.file_len,
        disk_bytes: inspected.disk.len(),
        table: inspected.table.as_ref().map(table_of),
        volumes: inspected.volumes.iter().map(found).collect(),
        faults: inspected.faults.len(),
    }
}

fn table_of(table: &inspect::Table) -> Table {
    let id = |id: u32| format!("{id:#010x}");
    let common = Table { kind: table.name(), sector_bytes: table.sector_size(), ..Table::default() };
    match table {
        inspect::Table::Gpt(gpt) => Table {
            guid: Some(gpt.disk_guid.to_string()),
            disk_id: Some(gpt.disk_signature).filter(|&number| number != 0).map(id),
            hybrid: gpt.hybrid.iter().map(repeated).collect(),
            ..common
        },
        inspect::Table::Mbr(mbr) => {
            Table { disk_id: Some(id(mbr.disk_id)), extended: mbr.extended.map(extended), ..common }
        }
    }
}

fn repeated(entry: &gpt::HybridEntry) -> Repeated {
    Repeated { number: entry.number, r#type: format!("{:02x}", entry.kind), active: entry.active }
}

fn extended(it: mbr::Extended) -> Extended {
    Extended { number: it.number, r#type: format!("{:02x}", it.kind), start: it.start, bytes: it.len }
}

fn partition(it: &inspect::Partition) -> Partition {
    let (name, code) = (it.kind.name(), it.kind.code());
    let common = Partition {
        number: it.number,
        name: it.name.clone(),
        start: it.start,
        bytes: it.len,
        purpose: name.map_or_else(|| code.clone(), str::to_owned),
        ..Partition::default()
    };
    match it.kind {
        Kind::Gpt { guid, .. } => Partition { type_guid: Some(code), guid: Some(guid.to_string()), ..common },
        Kind::Mbr { active, .. } => {
            Partition { r#type: Some(code), active: Some(active), partuuid: Some(it.id()), ..common }
        }
    }
}

fn found(volume: &Volume) -> Found {
    let partition = volume.partition.as_ref().map(partition);
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
    if let Some(table) = &report.table {
        text += &table_line(table);
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

fn table_line(table: &Table) -> String {
    let Table { kind, guid, disk_id, sector_bytes, hybrid, extended } = table;
    let id = guid.as_ref().or(disk_id.as_ref()).map_or("", String::as_str);
    let mut line = format!("table: {kind} {id}, sectors of {sector_bytes} bytes");
    if !hybrid.is_empty() {
        let numbers: Vec<String> = hybrid.iter().map(|it| it.number.to_string()).collect();
        let _ = write!(line, ", hybrid mbr with {}", numbers.join(", "));
    }
    if let Some(Extended { number, start, bytes, .. }) = extended {
        let _ = write!(line, ", extended partition {number} of {} at {start}", size(*bytes));
    }
    line + "\n"
}

fn row(found: &Found) -> Vec<String> {
    let dash = || "-".to_owned();
    let partition = found.partition.as_ref();
    let fs = found.filesystem.as_ref();
    vec![
        partition.map_or_else(dash, |it| it.number.to_string()),
        partition.and_then(|it| it.name.clone()).unwrap_or_else(dash),
        partition.map_or_else(dash, |it| it.start.to_string()),
        partition.map(|it| it.bytes).or(fs.map(|it| it.bytes)).map_or_else(dash, size),
        partition.map_or_else(dash, |it| match it.active {
            Some(true) => format!("{} (active)", it.purpose),
            _ => it.purpose.clone(),
        }),
        fs.map_or_else(dash, |it| it.kind.to_owned()),
        fs.map_or_else(dash, |it| it.label.clone()),
        fs.map_or_else(dash, |it| it.id.clone()),
        fs.map_or_else(dash, |it| size(it.used)),
        fs.map_or_else(dash, |it| size(it.free)),
        fs.map_or_else(dash, |it| it.files.to_string()),
    ]
}

/// The annotated dumps of all layers: container in the file, table on the disk, file systems in their partitions.
fn map(file: &ImageFile, inspected: &Inspected) -> Result<String, Failure> {
    let contents = OneFile(file);
    let disk = Reader::new(&inspected.disk, &contents);
    let mut text = format!("# {} in the file\n", inspected.container.name);
    (inspected.container.dump)(file, &mut text)?;
    if let Some(table) = &inspected.table {
        let _ = writeln!(text, "# {} on the disk", table.name());
        table.dump(&disk, &mut text)?;
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
