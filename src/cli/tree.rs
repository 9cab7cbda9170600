//! `diskwright tree`: a tree as text.

use super::args::Tree;
use super::fail::Failure;
use super::say::{self, Voice};
use super::setting::{DEFAULT_EPOCH, Setting};
use crate::emit::EmitError;
use crate::inspect::{ImageFile, inspect};
use crate::model::System;
use crate::survey::{self, Origin, Survey, survey};
use diskwright_fstools::tree::record;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// Prints a record.
pub(super) fn tree(args: &Tree, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let origin = origin(&args.source, args.record.as_deref());
    if let Origin::Tar(path) = &origin
        && let Some(tree) = of_image(path)?
    {
        return text(&tree);
    }
    let setting = dated(setting, &origin)?;
    let Survey { tree, notes, .. } = read(&origin, args.owner, &setting, None)?;
    notes.iter().for_each(|note| voice.note(note));
    text(&tree)
}

/// The tree of a bare file system image; `None` for what is no such image.
fn of_image(path: &Path) -> Result<Option<diskwright_fstools::tree::Tree>, Failure> {
    let file = ImageFile::open(path)?;
    let Ok(inspected) = inspect(&file) else { return Ok(None) };
    let bare = inspected.volumes.into_iter().find(|volume| volume.partition.is_none());
    Ok(bare.and_then(|volume| volume.found).map(|(_, opened)| opened.tree))
}

fn text(tree: &diskwright_fstools::tree::Tree) -> Result<(), Failure> {
    let mut text = Vec::new();
    record::write(tree, &mut text)?;
    say::bytes(&text)
}

/// What a source on the command line means.
pub(super) fn origin(source: &OsStr, record: Option<&Path>) -> Origin {
    match survey::origin_of(source) {
        Origin::Directory { path, record: beside } => {
            Origin::Directory { path, record: record.map(PathBuf::from).or(beside) }
        }
        other => other,
    }
}

/// The same settings with the epoch of a tree's record, where none was given: the newest time in it. All times of a prepared tree
/// end at the epoch that it was made with, and what the last step made has that one.
pub(super) fn dated(setting: &Setting, origin: &Origin) -> Result<Setting, Failure> {
    match origin {
        Origin::Directory { record: Some(record), .. } if setting.epoch.is_none() => {
            let newest = survey::newest(record)?.max(DEFAULT_EPOCH);
            Ok(setting.of_epoch(Some(newest)))
        }
        _ => Ok(setting.clone()),
    }
}

/// Surveys a source; spools go beside the output.
pub(super) fn read(
    origin: &Origin,
    owner: Option<(u32, u32)>,
    setting: &Setting,
    output: Option<&Path>,
) -> Result<Survey, Failure> {
    Ok(survey(origin, &surveying(owner, setting, output))?)
}

/// What the tree of a survey says of the system in it; `named` is a release in the place of that.
pub(super) fn system_of(survey: &Survey, named: Option<&str>) -> Result<System, Failure> {
    let unread = |error| Failure::from(EmitError::Content(error));
    survey::system(&survey.tree, &survey.contents, named).map_err(unread)
}

/// How sources are surveyed.
pub(super) fn surveying(
    owner: Option<(u32, u32)>,
    setting: &Setting,
    output: Option<&Path>,
) -> survey::Options {
    survey::Options {
        epoch: setting.epoch_or_default(),
        owner,
        work_dir: setting.work_dir(output),
        threads: setting.threads,
    }
}
