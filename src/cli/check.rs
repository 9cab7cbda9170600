//! `diskwright check`: is this image what its formats say?

use super::args::Check;
use super::fail::{Code, Failure};
use super::say::Voice;
use crate::inspect::{Fault, ImageFile, Inspected, inspect};
use diskwright_formats::fault::Damage;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

#[derive(Serialize)]
struct Verdicts {
    schema: u32,
    images: Vec<Verdict>,
}

#[derive(Serialize)]
struct Verdict {
    image: String,
    /// No damage, and nothing pending.
    clean: bool,
    layers: Vec<String>,
    /// What holds nothing that is known here, and so was not checked.
    unchecked: Vec<String>,
    /// What the next mount will do first: the image is not damaged, but it was not unmounted.
    pending: Vec<String>,
    damage: Vec<Line>,
}

#[derive(Serialize)]
struct Line {
    within: String,
    structure: String,
    offset: u64,
    expected: String,
    found: String,
}

/// Checks every image; fails when one is damaged, after all have been looked at.
pub(super) fn check(args: &Check, voice: Voice) -> Result<(), Failure> {
    let images = args.images.iter().map(|path| verdict(path)).collect::<Result<Vec<_>, _>>()?;
    let damaged = images.iter().filter(|image| !image.damage.is_empty()).count();
    let text = images.iter().map(describe).collect::<String>();
    voice.result(&Verdicts { schema: 1, images }, &text)?;
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Refused, "")),
    }
}

fn verdict(path: &Path) -> Result<Verdict, Failure> {
    let file = ImageFile::open(path)?;
    let image = path.display().to_string();
    let (layers, unchecked, pending, faults) = match inspect(&file) {
        Ok(inspected) => (layers(&inspected), unchecked(&inspected), pending(&inspected), inspected.faults),
        Err(damage) => (vec![], vec![], vec![], vec![Fault { within: "file".to_owned(), damage }]),
    };
    let damage: Vec<Line> = faults.into_iter().map(line).collect();
    let clean = damage.is_empty() && pending.is_empty();
    Ok(Verdict { image, clean, layers, unchecked, pending, damage })
}

fn layers(inspected: &Inspected) -> Vec<String> {
    let table = inspected.table.as_ref();
    let table = table.map(|table| format!("{} ({} partitions)", table.name(), table.partitions().len()));
    let volumes = inspected.volumes.iter().filter_map(|volume| {
        let (row, _) = volume.found.as_ref()?;
        Some(format!("{} in {}", row.name, volume.within))
    });
    [inspected.container.name.to_owned()].into_iter().chain(table).chain(volumes).collect()
}

fn unchecked(inspected: &Inspected) -> Vec<String> {
    let unknown = inspected.volumes.iter().filter(|volume| volume.found.is_none());
    unknown.map(|volume| volume.within.clone()).collect()
}

fn pending(inspected: &Inspected) -> Vec<String> {
    let volumes = inspected.volumes.iter().filter_map(|volume| Some((volume, volume.found.as_ref()?)));
    let lines = volumes.flat_map(|(volume, (row, opened))| {
        opened.pending.iter().map(move |line| format!("{}: {}: {line}", volume.within, row.name))
    });
    lines.collect()
}

fn line(fault: Fault) -> Line {
    let Fault { within, damage: Damage { spot, offset, expected, found, .. } } = fault;
    Line { within, structure: spot.to_string(), offset, expected, found }
}

fn describe(verdict: &Verdict) -> String {
    let Verdict { image, clean, layers, unchecked, pending, damage } = verdict;
    let mut text = match damage.is_empty() {
        true if *clean => format!("{image}: clean: {}\n", layers.join(", ")),
        true => format!("{image}: undamaged, but was not unmounted: {}\n", layers.join(", ")),
        false if damage.len() == 1 => format!("{image}: 1 fault\n"),
        false => format!("{image}: {} faults\n", damage.len()),
    };
    if !unchecked.is_empty() {
        let _ = writeln!(text, "  not checked, no known file system: {}", unchecked.join(", "));
    }
    for line in pending {
        let _ = writeln!(text, "  {line}");
    }
    for Line { within, structure, offset, expected, found } in damage {
        let _ =
            writeln!(text, "  {within}: {structure}: at byte {offset}: expected {expected}, found {found}");
    }
    text
}
