//! `diskwright check`: is this image what its formats say?

use super::args::Check;
use super::fail::{Code, Failure};
use super::say::Voice;
use crate::inspect::clones::{self, Finding, Twins};
use crate::inspect::{Fault, ImageFile, Inspected, inspect};
use diskwright_formats::fault::Damage;
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io::Read;
use std::path::Path;

/// No `clones.json` is longer, in bytes.
const LONGEST_CLONES: u64 = 256 << 20;

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
    /// Clones that were compared with their origins.
    clones: Vec<CloneLine>,
    damage: Vec<Line>,
}

#[derive(Serialize)]
struct CloneLine {
    clone: String,
    origin: String,
    /// Whether ids alone tell them apart; none where it cannot be told.
    same: Option<bool>,
    /// Why it cannot be told, or why it is no fault that they are not the same.
    why: Option<String>,
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
    let twins = args.clones.as_deref().map(twins).transpose()?;
    let images =
        args.images.iter().map(|path| verdict(path, twins.as_deref())).collect::<Result<Vec<_>, _>>()?;
    let damaged = images.iter().filter(|image| !image.damage.is_empty()).count();
    let text = images.iter().map(describe).collect::<String>();
    voice.result(&Verdicts { schema: 1, images }, &text)?;
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::new(Code::Refused, "")),
    }
}

#[derive(Deserialize)]
struct ClonesFile {
    clones: Vec<ClonePair>,
}

#[derive(Deserialize)]
struct ClonePair {
    origin: CloneSide,
    clone: CloneSide,
}

#[derive(Deserialize)]
struct CloneSide {
    number: u32,
}

/// The clones that a `clones.json` names.
fn twins(path: &Path) -> Result<Vec<Twins>, Failure> {
    let wrong = |error: &dyn std::fmt::Display| {
        let hint = "NAME.clones.json, which lies beside the images";
        Failure::new(Code::Usage, format!("{}: no list of clones: {error}", path.display())).hint(hint)
    };
    let mut text = Vec::new();
    fs_err::File::open(path)?.take(LONGEST_CLONES).read_to_end(&mut text)?;
    let file: ClonesFile = serde_json::from_slice(&text).map_err(|error| wrong(&error))?;
    let twins = file.clones.into_iter();
    Ok(twins.map(|pair| Twins { clone: pair.clone.number, origin: pair.origin.number }).collect())
}

fn verdict(path: &Path, twins: Option<&[Twins]>) -> Result<Verdict, Failure> {
    let file = ImageFile::open(path)?;
    let image = path.display().to_string();
    let inspected = match inspect(&file) {
        Ok(inspected) => inspected,
        Err(damage) => {
            let damage = vec![line(Fault { within: "file".to_owned(), damage })];
            let (layers, unchecked, pending, clones) = Default::default();
            return Ok(Verdict { image, clean: false, layers, unchecked, pending, clones, damage });
        }
    };
    let named = clones::named(&inspected);
    let compared = clones::compare(&file, &inspected, twins.unwrap_or(&named));
    let (layers, unchecked, pending) = (layers(&inspected), unchecked(&inspected), pending(&inspected));
    let faults = inspected.faults.into_iter().chain(compared.iter().filter_map(clones::Verdict::fault));
    let damage: Vec<Line> = faults.map(line).collect();
    let clones = compared.into_iter().map(clone_line).collect();
    let clean = damage.is_empty() && pending.is_empty();
    Ok(Verdict { image, clean, layers, unchecked, pending, clones, damage })
}

fn clone_line(verdict: clones::Verdict) -> CloneLine {
    let clones::Verdict { clone, origin, finding } = verdict;
    let (same, why) = match finding {
        Finding::Clone => (Some(true), None),
        Finding::Differs(_) => (Some(false), None),
        Finding::Used(which) => (Some(false), Some(format!("{which} was mounted since it was made"))),
        Finding::Unknown(why) => (None, Some(why)),
    };
    CloneLine { clone, origin, same, why }
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
    let Verdict { image, clean, layers, unchecked, pending, clones, damage } = verdict;
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
    for CloneLine { clone, origin, same, why } in clones {
        let _ = match (same, why) {
            (Some(true), _) => writeln!(text, "  {clone}: {origin} with ids of its own"),
            (Some(false), None) => continue,
            (Some(false), Some(why)) => writeln!(text, "  {clone}: no longer {origin}: {why}"),
            (None, why) => writeln!(
                text,
                "  {clone}: not compared with {origin}: {}",
                why.as_deref().unwrap_or("unknown")
            ),
        };
    }
    for Line { within, structure, offset, expected, found } in damage {
        let _ =
            writeln!(text, "  {within}: {structure}: at byte {offset}: expected {expected}, found {found}");
    }
    text
}
