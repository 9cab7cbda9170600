//! `image resize`: the disk of a build becomes longer, in every format that it has (`tasks/image_resize.py` of KIWI NG
//! 10.3.9, which grows the raw file, runs `sgdisk --resize-table 128` and converts it again).
//!
//! What KIWI reads from the tree of the build, the results say here: `--root` is not needed. A disk that there is in a
//! container alone is as good as a raw one.

use super::super::fail::{Code, Failure};
use super::super::say::size;
use super::{Task, results, text};
use crate::emit::{self, Output};
use crate::inspect::ImageFile;
use crate::report::kiwi::Results;
use diskwright_formats::fault::{Damage, DamageKind, Spot};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Layout, OneFile, Reader};
use diskwright_formats::registry::{DISKS, Disk};
use diskwright_formats::table::{gpt, mbr};
use serde::Serialize;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[derive(Serialize)]
struct Resized {
    schema: u32,
    /// Bytes of the disk before and now; the same where nothing was done.
    old: u64,
    new: u64,
    files: Vec<PathBuf>,
}

/// A file with the disk in it.
struct Found {
    path: PathBuf,
    row: &'static Disk,
    file: ImageFile,
}

/// `image resize`
pub(super) fn resize(task: &Task<'_>) -> Result<(), Failure> {
    let new = bytes(&text(task.call.value("size").expect("what a command needs is there"), "size")?)?;
    let target = results::target(task)?;
    let found = disks(task, &target, &results::load(&target)?)?;
    let source = &found[0];
    let old = disk_in(source, source)?.len();
    let files = found.iter().map(|found| found.path.clone()).collect();
    let report = Resized { schema: 1, old, new, files };
    if new < old {
        let message =
            format!("{}: a disk of {old} bytes would lose its end: {new} bytes", source.path.display());
        let hint = format!("more than {} ({old} bytes)", size(old));
        return Err(Failure::new(Code::Refused, message).hint(hint));
    }
    if new == old {
        return task.voice.result(&report, &format!("the disk has {old} bytes already\n"));
    }
    let outputs = found.iter().map(|found| {
        let grown = grown(&disk_in(source, found)?, source, new)?;
        let layout = (found.row.lay)(&grown, &container(task, found.row), &[])?;
        Ok(Output { layout, path: found.path.clone() })
    });
    let outputs: Vec<Output> = outputs.collect::<Result<_, Failure>>()?;
    let mut said = String::new();
    for found in &found {
        if found.row.name != "raw" {
            let name = found.row.name;
            task.voice.note(&format!("note: the {name} container is laid again with its default options"));
        }
        let _ = writeln!(said, "{}: {} of disk, {} before", found.path.display(), size(new), size(old));
    }
    let bar = task.voice.bar("writing")?;
    emit::replace(&outputs, &source.file, &super::super::emitting(task.setting), &bar)?;
    drop(bar);
    task.voice.result(&report, &said)
}

/// Containers have no ids of their own so far; those that get some have them from their name.
fn container(task: &Task<'_>, row: &Disk) -> Identity {
    let seed = task.setting.seed.clone().unwrap_or_else(|| "image resize".to_owned());
    Identity::new(seed.as_bytes(), task.setting.epoch_or_default()).role("container").role(row.name)
}

/// KIWI's sizes: a number, with `m` for MiB, `g` for GiB, in capitals or not.
fn bytes(text: &str) -> Result<u64, Failure> {
    let shift = match text.chars().last() {
        Some('m' | 'M') => 20,
        Some('g' | 'G') => 30,
        _ => 0,
    };
    let digits = if shift > 0 { &text[..text.len() - 1] } else { text };
    let number = digits.parse::<u64>().ok().filter(|_| digits.bytes().all(|digit| digit.is_ascii_digit()));
    let bytes = number.and_then(|number| number.checked_mul(1 << shift)).filter(|&bytes| bytes < 1 << 62);
    bytes.ok_or_else(|| {
        let failure = Failure::new(Code::Usage, format!("--size is no size of a disk: {text}"));
        failure.hint("bytes, or a number with m (MiB) or g (GiB): 20g")
    })
}

/// The results with a disk, the raw one first.
fn disks(task: &Task<'_>, target: &Path, results: &Results) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for (_, file) in results.files.iter().filter(|(key, _)| key.starts_with("disk_")) {
        let path = results::found(task, target, &file.filename)?;
        let file = ImageFile::open(&path)?;
        let row =
            DISKS.iter().find(|row| (row.recognise)(&file)).expect("raw, the last row, takes everything");
        found.push(Found { path, row, file });
    }
    found.sort_by_key(|found| found.row.name != "raw");
    match found.is_empty() {
        false => Ok(found),
        true => {
            let message = format!("{}: no disk among the results", target.display());
            Err(Failure::new(Code::Refused, message).hint("type image=\"oem\" makes one"))
        }
    }
}

/// The disk in the first file, over that file, for another: a raw one keeps the holes that it has, what is in a container
/// depends on bytes alone.
fn disk_in(source: &Found, output: &Found) -> Result<Layout, Failure> {
    match (source.row.name, output.row.name) {
        ("raw", "raw") => Ok(source.file.kept()?),
        ("raw", _) => Ok(source.file.data()?),
        _ => {
            let opened = (source.row.open)(&source.file)?;
            match opened.damage.into_iter().next() {
                Some(damage) => Err(damage.into()),
                None => Ok(opened.layout),
            }
        }
    }
}

/// The disk with more room at its end. A GPT ends there; an MBR says nothing of the end.
fn grown(disk: &Layout, source: &Found, len: u64) -> Result<Layout, Failure> {
    let contents = OneFile(&source.file);
    let image = Reader::new(disk, &contents);
    if gpt::recognise(&image) {
        let sector = u64::from(gpt::open(&image)?.sector_size);
        if !len.is_multiple_of(sector) {
            let message = format!("--size {len}: no whole number of sectors of {sector} bytes");
            return Err(Failure::new(Code::Usage, message).hint("a number with m (MiB) or g (GiB)"));
        }
        return Ok(gpt::grown(disk, &contents, len)?);
    }
    if mbr::recognise(&image) {
        return Ok(disk.resized(len));
    }
    let spot = Spot::new(source.row.name, source.path.display().to_string());
    let expected = "a partition table to make room behind";
    Err(Damage::new(DamageKind::Unsupported, spot, 0, expected, "none").into())
}
