//! `diskwright create` and `diskwright build`.

use super::args::{Build, Changes, Create, Selection, Shape, Writing};
use super::fail::{Code, Failure};
use super::plan::{layout_text, warn};
use super::prepare::{self, Edit, Way, finished};
use super::sandbox::failure;
use super::say::{Voice, size};
use super::scripts::{RAW_FIRST, Scripts};
use super::setting::Setting;
use super::timing::Clock;
use super::tree::{dated, origin, read, surveying, system_of};
use crate::build::{self, BuildError, List, Report, Request, Stage, identity};
use crate::describe::Diagnostics;
use crate::describe::kiwi::{Description, load_with};
use crate::emit::{self, EmitError};
use crate::model::{Arch, Image, ImageSource, System};
use crate::plan::{PACKAGES, VERIFIED, plan as plan_of};
use crate::report::LayoutReport;
use crate::resolve::{Choice, Resolved, from_tree, resolve, select};
use crate::root::lists::{Lists, ListsError, file_name, lists};
use crate::root::store::Work;
use crate::root::{self, tree};
use crate::survey::{self, Origin, Survey, image_source, images};
use diskwright_formats::fault::Refusal;
use diskwright_formats::identity::Identity;
use serde::Serialize;
use std::ffi::OsStr;
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What was made.
pub(super) struct Outcome {
    pub(super) report: Report,
    pub(super) image: Image,
    /// The selected profiles of the description.
    pub(super) profiles: Vec<String>,
    /// `bundle_format` of the selected type.
    pub(super) bundle_format: Option<String>,
}

/// `diskwright create`; `None`: nothing was to be written. No image of more than `largest` bytes is made.
pub(super) fn create(
    args: Create,
    largest: Option<u64>,
    setting: &Setting,
    voice: Voice,
) -> Result<Option<Outcome>, Failure> {
    let mut clock = Clock::start(setting.timings);
    let Create { description, root, record, output, selection, changes, shape, writing, fetching, sandboxed } =
        args;
    let mut copy = None;
    let mut edit = None;
    let mut origin = origin(&root, record.as_deref());
    let setting = &dated(setting, &origin)?;
    let mut bundle_format = None;
    let (wanted, survey, place) = match description {
        Some(path) => {
            let (description, resolved) = described(&path, &selection, &changes, &shape, voice)?;
            refuse_lacks(&resolved, voice)?;
            bundle_format = self::bundle_format(&description, &selecting(&selection, &shape)?);
            clock.stage("describe");
            let choice = selecting(&selection, &shape)?;
            let scripts = Scripts::of(&description, &resolved, &choice, Some(&origin), setting, voice)?;
            refuse_existing(&description, &resolved, &choice, &output, &writing)?;
            if scripts.any() {
                let way =
                    Way { fetching: &fetching, sandboxed: &sandboxed, finish: Some(scripts.finishing()) };
                let place = prepared_at(&origin)?;
                if scripts.edits_disk() {
                    // Said before anything is done.
                    prepare::showing(&way, setting)?;
                }
                let work = finished(&description, &choice, &way, &place, setting, voice)?;
                let tree = work.tree();
                origin = Origin::Directory { path: tree.directory.clone(), record: Some(tree.record_path()) };
                if scripts.edits_disk() {
                    voice.note(RAW_FIRST);
                    let number = scripts.boot_number;
                    edit = Some(Edit::new(&description, &choice, &way, work, number, setting, voice)?);
                } else {
                    copy = Some(work);
                }
            }
            let survey = read(&origin, shape.owner, setting, Some(existing(&output)))?;
            taken_as_it_is(&description, &choice, &survey, voice);
            (
                Wanted::described(resolved),
                survey,
                Place { directory: output, file: None, largest, edit: None },
            )
        }
        None => {
            let place = Place::of_file(&output)?;
            let survey = read(&origin, shape.owner, setting, Some(existing(&place.directory)))?;
            let image = undescribed(&survey, &output, &shape)?;
            let several = matches!(&image.target, crate::model::Target::Disk(disk) if disk.formats.len() > 1);
            let file = place.file.filter(|_| !several);
            (Wanted { image, resolved: None }, survey, Place { file, ..place })
        }
    };
    let wanted = wanted.used_by(system_of(&survey, shape.target.as_deref())?);
    clock.stage("survey");
    let place = Place { largest, edit: edit.as_ref(), ..place };
    let made = make(wanted, survey, place, writing, setting, voice, clock);
    clear_after(&made, copy.as_ref().or(edit.as_ref().map(Edit::work)))?;
    Ok(made?.map(|made| Outcome { bundle_format, ..made }))
}

/// `diskwright build`; the same.
pub(super) fn build(
    args: Build,
    largest: Option<u64>,
    setting: &Setting,
    voice: Voice,
) -> Result<Option<Outcome>, Failure> {
    let mut clock = Clock::start(setting.timings);
    let Build { description, output, selection, changes, shape, writing, fetching, sandboxed } = args;
    let (description, resolved) = described(&description, &selection, &changes, &shape, voice)?;
    refuse_lacks(&resolved, voice)?;
    let chosen = selecting(&selection, &shape)?;
    let options = surveying(shape.owner, setting, Some(existing(&output)));
    let mut epoch = None;
    let scripts = Scripts::of(&description, &resolved, &chosen, None, setting, voice)?;
    refuse_existing(&description, &resolved, &chosen, &output, &writing)?;
    let mut edit = None;
    let survey = if select(&description.model, &chosen).is_ok_and(|it| it.is_installed_by_apt()) {
        let way = Way { fetching: &fetching, sandboxed: &sandboxed, finish: Some(scripts.finishing()) };
        if scripts.edits_disk() {
            voice.note(RAW_FIRST);
            prepare::showing(&way, setting)?;
        }
        let ready = prepare::tree(&description, &chosen, &way, None, setting, voice)?;
        clock.stage("prepare");
        epoch = Some(ready.epoch);
        let (path, record) = (ready.place.directory.clone(), Some(ready.place.record_path()));
        let options = survey::Options { epoch: ready.epoch, ..options };
        if scripts.edits_disk() {
            let setting = &setting.of_epoch(epoch);
            let sandbox = prepare::showing(&way, setting)?;
            let work = prepare::copied(&description.model.name, &ready.place, &sandbox, setting)?;
            let number = scripts.boot_number;
            edit = Some(Edit::new(&description, &chosen, &way, work, number, setting, voice)?);
        }
        survey::survey(&Origin::Directory { path, record }, &options)?
    } else {
        scripts.refuse_without_programs()?;
        let prepared = root::prepare(&description, &resolved).map_err(|error| voice.unprepared(error))?;
        clock.stage("describe");
        root::survey(&prepared, &options)?
    };
    let setting = &setting.of_epoch(epoch);
    let wanted = Wanted::described(resolved).used_by(system_of(&survey, shape.target.as_deref())?);
    clock.stage("survey");
    let place = Place { directory: output, file: None, largest, edit: edit.as_ref() };
    let made = make(wanted, survey, place, writing, setting, voice, clock);
    clear_after(&made, edit.as_ref().map(Edit::work))?;
    let made = made?;
    let bundle_format = bundle_format(&description, &selecting(&selection, &shape)?);
    Ok(made.map(|made| Outcome { bundle_format, ..made }))
}

/// Says what of a description is taken to be in the tree already. A tree that was prepared has its description, as in KIWI.
fn taken_as_it_is(description: &Description, choice: &Choice, survey: &Survey, voice: Voice) {
    if survey.tree.lookup(b"/image").is_some() {
        return;
    }
    let Ok(selection) = select(&description.model, choice) else { return };
    let beside = |name: &str| description.directory.join(name).exists();
    let asked = [
        (selection.is_installed_by_apt(), "packages"),
        (!selection.users().is_empty(), "users"),
        (beside("root"), "the overlay root"),
        (beside("config.sh"), "config.sh"),
    ];
    let asked: Vec<&str> = asked.into_iter().filter(|(is, _)| *is).map(|(_, what)| what).collect();
    if !asked.is_empty() {
        let asked = asked.join(", ");
        voice.note(&format!(
            "note: the tree is taken as it is: {asked} of the description are its preparation's work"
        ));
    }
}

/// Refuses what is in the way of the outputs before the work for them begins.
fn refuse_existing(
    description: &Description,
    resolved: &Resolved,
    choice: &Choice,
    output: &Path,
    writing: &Writing,
) -> Result<(), Failure> {
    // What cannot be planned is refused for that.
    let plan = plan_of(&resolved.image, &identity(&resolved.image, None, 0)).ok();
    let Some(plan) = plan.filter(|_| !writing.force && !writing.dry_run) else { return Ok(()) };
    let packages = select(&description.model, choice).is_ok_and(|it| it.is_installed_by_apt());
    let lists =
        [PACKAGES, VERIFIED].into_iter().filter(|_| packages).map(|kind| list_name(&resolved.image, kind));
    let images = plan.outputs.into_iter().map(|output| output.file).chain(plan.clones_file);
    let paths: Vec<PathBuf> = images.chain(lists).map(|name| output.join(name)).collect();
    Ok(emit::refuse_existing(paths.iter().map(PathBuf::as_path))?)
}

fn list_name(image: &Image, kind: &str) -> String {
    file_name(&image.name, &image.arch.to_string(), image.version.as_deref(), kind)
}

/// Takes the copy of a tree away; after a script that failed its user may look into it.
fn clear_after<T>(made: &Result<T, Failure>, work: Option<&Work>) -> Result<(), Failure> {
    let kept = made.as_ref().is_err_and(|failure| failure.code == Code::Program);
    work.filter(|_| !kept).map_or(Ok(()), Work::clear).map_err(|error| failure(error, None))
}

/// What selects a type: no image is looked at.
pub(super) fn selecting(selection: &Selection, shape: &Shape) -> Result<Choice, Failure> {
    choice(selection, &Shape { partition: Vec::new(), ..shape.clone() }, OsStr::new(""))
}

/// `bundle_format` of the type that is selected.
fn bundle_format(description: &Description, choice: &Choice) -> Option<String> {
    let kind = select(&description.model, choice).ok()?.kind?;
    kind.said.bundle_format.as_ref().map(|pattern| pattern.value.clone())
}

/// An image, and the description that it is of.
pub(super) struct Wanted {
    pub(super) image: Image,
    pub(super) resolved: Option<Resolved>,
}

impl Wanted {
    pub(super) fn described(resolved: Resolved) -> Wanted {
        Wanted { image: resolved.image.clone(), resolved: Some(resolved) }
    }

    /// The same for the system that is in its tree.
    pub(super) fn used_by(mut self, system: System) -> Wanted {
        self.image.system = Some(system);
        self
    }

    /// A refusal, shown in the description where it says what is refused.
    pub(super) fn refused(&self, refusal: Refusal, identity: &Identity, voice: Voice) -> Failure {
        let place = self.resolved.as_ref().and_then(|resolved| {
            let plan = plan_of(&self.image, identity).ok()?;
            resolved.locate(&plan, &refusal)
        });
        match place {
            Some(diagnostics) => voice.refused(&diagnostics),
            None => refusal.into(),
        }
    }
}

/// Where results go.
struct Place<'a> {
    directory: PathBuf,
    file: Option<String>,
    /// In bytes.
    largest: Option<u64>,
    /// What changes the disk before it goes there.
    edit: Option<&'a Edit>,
}

impl Place<'_> {
    fn of_file(output: &Path) -> Result<Place<'static>, Failure> {
        let wrong = || {
            let message = format!("{}: is a directory", output.display());
            Failure::new(Code::Usage, message)
                .hint("without a description, -o names the image file: -o disk.qcow2")
        };
        let file = output.file_name().filter(|_| !output.is_dir()).ok_or_else(wrong)?;
        let file =
            file.to_str().ok_or_else(|| Failure::new(Code::Usage, "the output's name is not UTF-8"))?;
        let directory = match output.parent() {
            None => PathBuf::from("."),
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.to_owned(),
        };
        Ok(Place { directory, file: Some(file.to_owned()), largest: None, edit: None })
    }
}

/// The nearest directory on the way to `path` that is there.
fn existing(path: &Path) -> &Path {
    path.ancestors()
        .map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it })
        .find(|it| it.is_dir())
        .unwrap_or(Path::new("."))
}

/// What can be planned and not made.
fn refuse_lacks(resolved: &Resolved, voice: Voice) -> Result<(), Failure> {
    match resolved.lacks.as_slice() {
        [] => Ok(()),
        lacks => Err(voice.refused(&Diagnostics::new(lacks.to_vec()))),
    }
}

/// A description, read and resolved; its warnings are said.
pub(super) fn described(
    path: &Path,
    selection: &Selection,
    changes: &Changes,
    shape: &Shape,
    voice: Voice,
) -> Result<(Description, Resolved), Failure> {
    let choice = choice(selection, shape, OsStr::new(""))?;
    let loaded = load_with(path, selection.kiwi_file.as_deref(), &choice, &changes.overrides());
    let description = loaded.map_err(|error| voice.load_error(error))?;
    let resolved = resolve(&description.model, &choice).map_err(|error| voice.resolve_error(error))?;
    voice.warnings(&resolved.warnings);
    Ok((description, resolved))
}

/// A tree in which scripts can run: a directory with its record.
fn prepared_at(origin: &Origin) -> Result<tree::Place, Failure> {
    let place = match origin {
        Origin::Directory { path, record: Some(record) } => {
            let place = fs_err::canonicalize(path).ok().and_then(|path| tree::Place::of(&path));
            place.filter(|place| fs_err::canonicalize(record).ok() == Some(place.record_path()))
        }
        _ => None,
    };
    place.ok_or_else(|| {
        let message = "there are scripts that run in the tree, which must be a prepared one for that";
        Failure::new(Code::Refused, message)
            .hint("`diskwright prepare` makes a directory with its record beside it")
    })
}

/// The image of a tree alone.
pub(super) fn undescribed(survey: &Survey, output: &Path, shape: &Shape) -> Result<Image, Failure> {
    let ending = output.extension().unwrap_or_default();
    let choice = choice(&Selection::default(), shape, ending)?;
    let name = output.file_stem().unwrap_or(OsStr::new("disk")).to_string_lossy();
    Ok(from_tree(&survey.tree, &name, &choice)?)
}

/// What the command line chooses; `ending` is that of the output's name.
pub(super) fn choice(selection: &Selection, shape: &Shape, ending: &OsStr) -> Result<Choice, Failure> {
    let size = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => text.parse().map(Some).map_err(|error| Failure::new(Code::Usage, format!("{error}"))),
    };
    let arch = match &shape.arch {
        None => Arch::X86_64,
        Some(name) => Arch::from_name(name).ok_or_else(|| {
            let hint = "x86_64, ix86, aarch64 or riscv64";
            Failure::new(Code::Usage, format!("not a machine: {name}")).hint(hint)
        })?,
    };
    Ok(Choice {
        profiles: selection.profile.clone(),
        image_type: selection.image_type.clone(),
        size: size(&shape.size)?,
        esp_size: size(&shape.esp_size)?,
        filesystem: shape.fs.clone(),
        formats: formats(&shape.format, ending)?,
        label: shape.label.clone(),
        command_line: shape.cmdline.clone(),
        no_boot: shape.no_boot,
        kiwi_sizes: shape.kiwi_sizes,
        partitions: shape.partition.iter().map(|one| partition(one)).collect::<Result<_, _>>()?,
        ..Choice::new(arch)
    })
}

/// `NAME=FILE`
fn partition(text: &OsStr) -> Result<(String, ImageSource), Failure> {
    let bytes = text.as_encoded_bytes();
    let parts = bytes.iter().position(|&byte| byte == b'=').map(|at| (&bytes[..at], &bytes[at + 1..]));
    let named = parts.and_then(|(name, path)| Some((std::str::from_utf8(name).ok()?, path)));
    match named {
        Some((name, path)) if !name.is_empty() && !path.is_empty() => {
            Ok((name.to_owned(), image_source(Path::new(OsStr::from_bytes(path)))?))
        }
        _ => {
            let message = format!("--partition {}: not NAME=FILE", text.to_string_lossy().escape_debug());
            Err(Failure::new(Code::Usage, message).hint("--partition home=home.img"))
        }
    }
}

/// Formats that were asked for, else the one that the output's ending names.
fn formats(asked: &[String], ending: &OsStr) -> Result<Vec<String>, Failure> {
    if !asked.is_empty() {
        return Ok(asked.to_vec());
    }
    let rows = diskwright_formats::registry::DISKS;
    match ending.to_str() {
        Some("") => Ok(vec![]),
        Some("img") => Ok(vec!["raw".to_owned()]),
        Some(ending) if rows.iter().any(|row| row.extension == ending) => Ok(vec![ending.to_owned()]),
        _ => {
            let known: Vec<&str> = rows.iter().map(|row| row.extension).collect();
            let message = format!("no format has the ending: {}", ending.to_string_lossy());
            let hint = format!("end the output's name with one of: {}; or say --format", known.join(", "));
            Err(Failure::new(Code::Usage, message).hint(hint))
        }
    }
}

/// Several refusals, one failure.
pub(super) fn refusals(refusals: Vec<Refusal>) -> Failure {
    let lines: Vec<String> = refusals.iter().map(Refusal::to_string).collect();
    let hint = refusals.into_iter().find_map(|refusal| refusal.hint);
    Failure { code: Code::Refused, message: lines.join("\nerror: "), hint }
}

#[derive(Serialize)]
struct Made<'a> {
    schema: u32,
    #[serde(flatten)]
    report: &'a Report,
    notes: &'a [String],
}

fn make(
    wanted: Wanted,
    survey: Survey,
    place: Place<'_>,
    writing: Writing,
    setting: &Setting,
    voice: Voice,
    mut clock: Clock,
) -> Result<Option<Outcome>, Failure> {
    let image = &wanted.image;
    let notes = survey.notes.clone();
    notes.iter().for_each(|note| voice.note(note));
    let identity = identity(image, setting.seed.as_deref().map(str::as_bytes), setting.epoch_or_default());
    if writing.dry_run {
        let Survey { tree, mut contents, .. } = survey;
        let images = images(image, &mut contents)?;
        let laid = build::lay(image, &identity, tree, &contents, &images, &mut |_| {});
        let (fit, _) = laid.map_err(|refusal| wanted.refused(refusal, &identity, voice))?;
        warn(&fit, voice);
        return voice.result(&LayoutReport::of_fit(&fit), &layout_text(&fit)).map(|()| None);
    }
    let lists = match &wanted.resolved {
        Some(_) => lists_of(image, &survey, voice)?,
        None => Vec::new(),
    };
    clock.stage("lists");
    let emit = emit::Options { sync: !writing.no_sync, overwrite: writing.force, ..super::emitting(setting) };
    let Place { directory, file, largest, edit } = place;
    let new = !directory.exists();
    fs_err::create_dir_all(&directory)?;
    let request =
        Request { image, identity: &identity, directory: directory.clone(), file, largest, lists, emit };
    let mut last: Option<Stage> = None;
    let mut stage = |stage| {
        if let Some(last) = last.replace(stage) {
            clock.stage(name(last));
        }
    };
    let failed = |error| match error {
        BuildError::Refused(refusal) => wanted.refused(refusal, &identity, voice),
        error => error.into(),
    };
    let result = match edit {
        None => written(voice, |bar| build::run(&request, survey, bar, &mut stage))?.map_err(failed),
        Some(edit) => edited(&request, survey, edit, voice, &mut stage, &failed),
    };
    let report = result.inspect_err(|_| {
        if new {
            // Only an empty directory goes: a file that somebody else put there meanwhile keeps it.
            let _ = fs_err::remove_dir(&directory);
        }
    })?;
    warn(&report.fit, voice);
    clock.emitted(report.outputs.iter().map(|output| output.len).sum(), &report.calls);
    clock.report();
    voice.result(&Made { schema: 1, report: &report, notes: &notes }, &text(&report))?;
    let profiles = wanted.resolved.map(|resolved| resolved.profiles).unwrap_or_default();
    Ok(Some(Outcome { report, image: wanted.image, profiles, bundle_format: None }))
}

/// What KIWI tells of the packages in an image. A tree that is told nothing of is none of Debian's.
fn lists_of(image: &Image, survey: &Survey, voice: Voice) -> Result<Vec<List>, Failure> {
    let found = match lists(&survey.tree, &survey.contents) {
        Ok(found) => found,
        Err(ListsError::Content(error)) => return Err(EmitError::Content(error).into()),
        Err(ListsError::Database(reason)) => {
            voice.note(&format!("note: no lists of packages: {reason}"));
            None
        }
    };
    let Some(Lists { packages, verified }) = found else { return Ok(Vec::new()) };
    let list = |kind, text| List { kind, file: list_name(image, kind), text };
    Ok(vec![list(PACKAGES, packages.into_bytes()), list(VERIFIED, verified)])
}

/// With a bar.
fn written<T>(
    voice: Voice,
    write: impl FnOnce(&dyn emit::Progress) -> Result<T, BuildError>,
) -> Result<Result<T, BuildError>, Failure> {
    let bar = voice.bar("writing")?;
    Ok(write(&bar))
}

/// The raw disk, a script's changes, the outputs.
fn edited(
    request: &Request<'_>,
    survey: Survey,
    edit: &Edit,
    voice: Voice,
    stage: &mut dyn FnMut(Stage),
    failed: &dyn Fn(BuildError) -> Failure,
) -> Result<Report, Failure> {
    let raw = written(voice, |bar| build::write_raw(request, survey, bar, stage))?.map_err(failed)?;
    edit.run(&raw, voice)?;
    written(voice, |bar| build::finish_raw(request, &raw, bar, stage))?.map_err(failed)
}

fn name(stage: Stage) -> &'static str {
    match stage {
        Stage::Fit => "fit",
        Stage::Compose => "compose",
        Stage::Emit => "emit",
    }
}

fn text(report: &Report) -> String {
    let mut text = layout_text(&report.fit);
    for output in &report.outputs {
        let (len, allocated) = (size(output.len), size(output.allocated));
        let _ = writeln!(text, "{}: {len}, {allocated} on the host", output.path.display());
    }
    text
}
