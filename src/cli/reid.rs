//! `diskwright reid`: a copy of an image gets ids of its own.

use super::args::Reid;
use super::fail::{Code, Failure};
use super::say::{Voice, table};
use super::setting::Setting;
use super::timing::Clock;
use crate::emit::{self, Output};
use crate::inspect::{self, Change, Changed, ImageFile, Inspected, Mention, Unchangeable};
use crate::plan::Run;
use diskwright_formats::fault::ReidError;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::Layout;
use serde::Serialize;
use std::fmt::Write;

#[derive(Serialize)]
struct Report {
    schema: u32,
    image: String,
    /// The file with the new ids; none where nothing was written.
    output: Option<String>,
    changes: Vec<Change>,
    /// Partitions whose file system is not known and keeps its ids.
    unknown: Vec<String>,
    /// Files in the image that name an id that is no longer there.
    mentions: Vec<Mention>,
}

/// Changes the ids of an image.
pub(super) fn reid(args: Reid, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let mut clock = Clock::start(setting.timings);
    let file = ImageFile::open(&args.image)?;
    let inspected = inspect::inspect(&file)?;
    refuse_damaged(&inspected, &args)?;
    clock.stage("inspect");
    // What tells this image apart is the default seed: done again, there are other ids.
    let seed = setting.seed.clone().unwrap_or_else(|| format!("reid {}", inspect::ids(&inspected).join(" ")));
    let identity = Identity::new(seed.as_bytes(), setting.epoch_or_default());
    let changed = inspect::reid(&file, &inspected, &identity, args.filesystems).map_err(failure)?;
    let changes: Vec<&Change> = changed.changes.iter().filter(|change| change.old != change.new).collect();
    let gone: Vec<String> = changes.iter().map(|change| change.old.clone()).collect();
    let mentions = inspect::mentions(&file, &inspected, &gone);
    warn(&inspected, &changed, &mentions, &args, voice);
    clock.stage("reid");
    let output = args.output.clone().unwrap_or_else(|| args.image.clone());
    let written = !args.writing.dry_run && (!changed.patches.is_empty() || args.output.is_some());
    let report = Report {
        schema: 1,
        image: args.image.display().to_string(),
        output: written.then(|| output.display().to_string()),
        changes: changed.changes.clone(),
        unknown: changed.unknown.clone(),
        mentions,
    };
    if written {
        let layout = laid(&file, &inspected, &changed, &identity)?;
        let options = emit::Options {
            sync: !args.writing.no_sync,
            overwrite: args.writing.force,
            ..super::emitting(setting)
        };
        let (len, bar) = (layout.len(), voice.bar("writing")?);
        let out = Output { layout, path: output };
        let (_, calls) = match args.output {
            Some(_) => emit::emit(&[out], &file, &options, &bar)?,
            None => emit::replace(&[out], &file, &options, &bar)?,
        };
        drop(bar);
        clock.emitted(len, &calls);
        clock.report();
    }
    voice.result(&report, &text(&report))
}

/// The image with new ids, in the container that it had.
fn laid(
    file: &ImageFile,
    inspected: &Inspected,
    changed: &Changed,
    identity: &Identity,
) -> Result<Layout, Failure> {
    let row = inspected.container;
    let disk = if row.name == "raw" { file.kept()? } else { inspected.disk.clone() };
    let disk = disk.patched(&changed.patches).map_err(|error| {
        Failure::new(Code::Bug, format!("this is a bug of diskwright: patches that cannot be made: {error}"))
    })?;
    Ok((row.lay)(&disk, &identity.role("container").role(row.name), &[])?)
}

/// What is wrong with a container is not carried on into another. Table and file systems say themselves what is wrong.
fn refuse_damaged(inspected: &Inspected, args: &Reid) -> Result<(), Failure> {
    match inspected.faults.iter().find(|fault| fault.within == "file") {
        None => Ok(()),
        Some(fault) => Err(damaged(format!("{}: {}", args.image.display(), fault.damage))),
    }
}

fn damaged(message: String) -> Failure {
    Failure::new(Code::Refused, message).hint("diskwright check says everything that is wrong")
}

fn failure(error: Unchangeable) -> Failure {
    let message = error.to_string();
    match *error.error {
        ReidError::Refusal(refusal) => Failure { code: Code::Refused, message, hint: refusal.hint },
        ReidError::Damage(_) => damaged(message),
    }
}

fn warn(inspected: &Inspected, changed: &Changed, mentions: &[Mention], args: &Reid, voice: Voice) {
    if inspected.container.name != "raw" {
        voice.note(&format!(
            "note: the {} container is laid again with its default options",
            inspected.container.name
        ));
    }
    for within in &changed.unknown {
        voice.note(&format!("note: {within}: no known file system: it keeps its ids"));
    }
    for Mention { within, path, id } in mentions {
        voice.note(&format!(
            "warning: {within}: {path} names {id}, which is then no longer there: change it by hand"
        ));
    }
    let has_volumes = inspected.volumes.iter().any(|volume| volume.found.is_some());
    match inspected.table {
        Some(_) if args.filesystems => voice.note(
            "warning: what names file systems by UUID and partitions by PARTUUID (fstab, boot entries, kernel command lines) is not changed",
        ),
        Some(_) if has_volumes => {
            voice.note("note: file systems keep their ids, so that fstab and boot entries hold: --filesystems changes them, too");
        }
        _ => {}
    }
}

fn text(report: &Report) -> String {
    let head = [("level", false), ("object", false), ("old", false), ("new", false), ("bytes", false)];
    let rows: Vec<Vec<String>> = report.changes.iter().map(row).collect();
    let mut text = table(&head, &rows);
    let _ = match &report.output {
        Some(output) => writeln!(text, "{output}: {} ids changed", report.changes.len()),
        None => writeln!(text, "{}: nothing was written", report.image),
    };
    text
}

/// The first ranges, and how many more there are.
fn row(change: &Change) -> Vec<String> {
    const SHOWN: usize = 4;
    let Change { level, object, old, new, ranges } = change;
    let shown = ranges.iter().take(SHOWN).map(|Run { start, len }| format!("{start}+{len}"));
    let mut bytes = shown.collect::<Vec<_>>().join(" ");
    if ranges.len() > SHOWN {
        let _ = write!(bytes, " and {} more", ranges.len() - SHOWN);
    }
    vec![(*level).to_owned(), object.clone(), old.clone(), new.clone(), bytes]
}
