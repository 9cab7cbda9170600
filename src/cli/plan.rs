//! `diskwright plan`: what would be made, and why.

use super::args;
use super::create::{Wanted, described, selecting, undescribed};
use super::fail::Failure;
use super::prepare::{self, Fetching, Way};
use super::sandbox::Sandboxed;
use super::say::{Voice, size, table};
use super::scripts::Scripts;
use super::setting::Setting;
use super::tree::{dated, origin, read, system_of};
use crate::build::{self, identity};
use crate::model::{Loader, System, Table};
use crate::plan::{DiskPlan, Fit, Part, Place, Plan, Slot, plan as plan_of};
use crate::report::{Ink, LayoutReport, Stretch, picture};
use crate::root::prepare::{Planned, Stage};
use crate::survey::{Survey, images};
use diskwright_formats::identity::Identity;
use diskwright_formats::table::gpt;
use diskwright_fstools::registry;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// Columns of the picture of a disk.
const COLUMNS: usize = 80;

#[derive(Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    layout: LayoutReport<'a>,
    /// What is done to the tree before it is laid.
    tree: &'a [Stage],
}

/// Prints a plan: with a tree numbers, without one rules.
pub(super) fn plan(args: args::Plan, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let origin = args.root.as_ref().map(|root| origin(root, args.record.as_deref()));
    let setting = &match &origin {
        None => setting.clone(),
        Some(origin) => dated(setting, origin)?,
    };
    let survey = match &origin {
        None => None,
        Some(origin) => Some(read(origin, args.shape.owner, setting, None)?),
    };
    survey.iter().flat_map(|survey| &survey.notes).for_each(|note| voice.note(note));
    let mut stages = Vec::new();
    let wanted = match (&args.description, &survey) {
        (Some(path), _) => {
            let (description, resolved) =
                described(path, &args.selection, &args.changes, &args.shape, voice)?;
            let choice = selecting(&args.selection, &args.shape)?;
            let scripts = Scripts::of(&description, &resolved, &choice, origin.as_ref(), setting, voice)?;
            scripts.told().iter().for_each(|line| voice.note(&format!("note: {line}")));
            let finish = (scripts.any() || survey.is_none()).then(|| scripts.finishing());
            let way = Way { fetching: &Fetching::default(), sandboxed: &Sandboxed::default(), finish };
            match prepare::planned(&description, &choice, &way, survey.is_some(), setting, voice) {
                Ok(planned) => stages = planned,
                // The disk is planned all the same.
                Err(Failure { message, hint, .. }) => {
                    let hint = hint.map(|hint| format!("; {hint}")).unwrap_or_default();
                    voice.note(&format!("planned, and build will refuse it: {}{hint}", message.trim_end()));
                }
            }
            if !stages.is_empty() && survey.is_none() && setting.epoch.is_none() {
                let epoch = setting.epoch_or_default();
                voice.note(&format!(
                    "note: the newest date of the repositories takes the place of the time {epoch}"
                ));
            }
            let mut wanted = Wanted::described(resolved);
            // It will run, and is no obstacle.
            wanted.image.hooks.retain(|hook| !scripts.changes_fstab() || hook != "etc/fstab.script");
            wanted
        }
        (None, Some(survey)) => {
            let image = undescribed(survey, Path::new("disk.raw"), &args.shape)?;
            Wanted { image, resolved: None }
        }
        (None, None) => unreachable!("the command line asks for one of the two"),
    };
    let wanted = match &survey {
        Some(survey) => wanted.used_by(system_of(survey, args.shape.target.as_deref())?),
        None => match args.shape.target {
            Some(named) => {
                let target = registry::Target { named: Some(named), ..registry::Target::default() };
                wanted.used_by(System { target, grub: true, ..System::default() })
            }
            None => wanted,
        },
    };
    for lack in wanted.resolved.iter().flat_map(|resolved| &resolved.lacks) {
        voice.note(&format!("planned, and not made yet: {lack}"));
    }
    let image = &wanted.image;
    let identity = identity(image, setting.seed.as_deref().map(str::as_bytes), setting.epoch_or_default());
    match survey {
        Some(survey) => fitted(&wanted, &identity, survey, &stages, setting.ink, voice),
        None => {
            let plan = plan_of(image, &identity)?;
            let report = Report { layout: LayoutReport::of_plan(&plan), tree: &stages };
            voice.result(&report, &format!("{}{}", rules_text(&plan), stages_text(&stages)))
        }
    }
}

fn fitted(
    wanted: &Wanted,
    identity: &Identity,
    survey: Survey,
    stages: &[Stage],
    ink: Ink,
    voice: Voice,
) -> Result<(), Failure> {
    let Survey { tree, mut contents, .. } = survey;
    let images = images(&wanted.image, &mut contents)?;
    let fit = build::numbers(&wanted.image, identity, tree, &contents, &images);
    let fit = fit.map_err(|refusal| wanted.refused(refusal, identity, voice))?;
    warn(&fit, voice);
    for refusal in &fit.obstacles {
        let hint = refusal.hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
        voice.note(&format!("planned, and create will refuse it: {refusal}{hint}"));
    }
    let report = Report { layout: LayoutReport::of_fit(&fit), tree: stages };
    voice.result(&report, &format!("{}{}{}", drawn(&fit, ink), layout_text(&fit), stages_text(stages)))
}

/// What is done in the sandbox: a line for each operation, and for a program below it what a person would type.
fn stages_text(stages: &[Stage]) -> String {
    let mut text = String::new();
    for stage in stages {
        let _ = writeln!(text, "tree, {}:", stage.name);
        for Planned { operation, command, network, optional, .. } in &stage.operations {
            let note = match (network, optional) {
                (true, _) => " (network)",
                (false, true) => " (if the tree has it)",
                (false, false) => "",
            };
            let command = command.iter().map(|command| format!("\n      {command}"));
            let _ = writeln!(text, "  {operation}{note}{}", command.collect::<String>());
        }
    }
    text
}

/// The disk as a picture; nothing for a bare file system.
fn drawn(fit: &Fit, ink: Ink) -> String {
    if fit.plan.disk.is_none() {
        return String::new();
    }
    let stretch = |place: &Place| {
        let [nr, name, kind, fs, ..] = cells(&place.part);
        let clone =
            place.part.clone_of.as_ref().map(|origin| format!(", clone of {origin}")).unwrap_or_default();
        Stretch { key: nr, name, start: place.start, len: place.len, note: format!("{kind}, {fs}{clone}") }
    };
    let stretches: Vec<Stretch> = fit.places.iter().map(stretch).collect();
    format!("{}\n", picture(fit.len, &stretches, COLUMNS, ink, size))
}

fn rules_text(plan: &Plan) -> String {
    let mut text = head(plan);
    if let Some(disk) = &plan.disk {
        let _ = writeln!(text, "disk: {}, {}", table_text(disk), disk.size_text());
    }
    let head = [
        ("nr", true),
        ("name", false),
        ("size", true),
        ("type", false),
        ("file system", false),
        ("label", false),
        ("id", false),
        ("why", false),
    ];
    let rows = plan.parts.iter().map(|part| {
        let [nr, name, kind, fs, label, id] = cells(part);
        vec![nr, name, part.size.to_string(), kind, fs, label, id, part.why.clone()]
    });
    text += &table(&head, &rows.collect::<Vec<_>>());
    let growth = plan.disk.as_ref().and_then(|disk| disk.growth);
    if let (Some(growth), Some(last)) = (growth, plan.parts.last()) {
        let alone = if growth.once { " alone" } else { "" };
        let most = growth.most.map(|most| format!(", to {most} at most")).unwrap_or_default();
        let _ = writeln!(
            text,
            "growth: {} grows at the first boot{alone}, by what the tree has for it{most}",
            last.name()
        );
    }
    tail(&mut text, plan);
    text
}

/// A fit for people.
pub(super) fn layout_text(fit: &Fit) -> String {
    let mut text = head(&fit.plan);
    if let Some(disk) = &fit.plan.disk {
        let _ = writeln!(text, "disk: {}, {} ({} bytes)", table_text(disk), size(fit.len), fit.len);
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
        ("why", false),
    ];
    let rows = fit.places.iter().map(|place| {
        let Place { part, start, len, usage, .. } = place;
        let [nr, name, kind, fs, label, id] = cells(part);
        let dash = || "-".to_owned();
        let used = usage.map_or_else(dash, |usage| size(usage.used));
        let free = usage.map_or_else(dash, |usage| size(usage.free));
        vec![nr, name, start.to_string(), size(*len), kind, fs, label, id, used, free, part.why.clone()]
    });
    text += &table(&head, &rows.collect::<Vec<_>>());
    for entry in &fit.entries {
        let initrd = entry.initrd.as_deref().unwrap_or("none");
        let _ = writeln!(text, "boot entry: {} (kernel {}, initrd {initrd})", entry.file, entry.kernel);
    }
    if let Some(grows) = &fit.grows {
        let _ = writeln!(text, "growth: {grows}");
    }
    for path in &fit.replaced {
        let _ = writeln!(text, "replaced by a generated file: {path}");
    }
    for path in &fit.left_out {
        let _ = writeln!(text, "left out: {path}");
    }
    tail(&mut text, &fit.plan);
    text
}

/// `gpt` with the disk's GUID, `mbr` with its signature.
fn table_text(disk: &DiskPlan) -> String {
    match disk.table {
        Table::Gpt { hybrid: false } => format!("gpt {}", disk.guid),
        Table::Gpt { hybrid: true } => {
            format!("gpt {} with a hybrid mbr {:#010x}", disk.guid, disk.signature)
        }
        Table::Mbr { .. } => format!("mbr {:#010x}", disk.signature),
        Table::Dasd => "dasd".to_owned(),
    }
}

fn head(plan: &Plan) -> String {
    let version = plan.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("{}{version} for {}, times at most {}\n", plan.name, plan.arch, plan.epoch)
}

/// What was done another way than asked, and what the system that will use an image cannot do with it.
pub(super) fn warn(fit: &Fit, voice: Voice) {
    fit.notes.iter().for_each(|note| voice.note(&format!("note: {note}")));
    for part in &fit.plan.parts {
        let profile = part.filesystem.iter().filter_map(|filesystem| filesystem.profile.as_ref());
        for line in profile.flat_map(|profile| &profile.warnings) {
            voice.note(&format!("warning: {}: {line}", part.name()));
        }
    }
}

/// Which defaults a file system has; `None` where they are always the same.
fn profile(part: &Part) -> Option<String> {
    let filesystem = part.filesystem.as_ref().filter(|_| part.image.is_none())?;
    match (&filesystem.profile, &filesystem.target) {
        (Some(profile), _) => Some(profile.to_string()),
        (None, Some(_)) => None,
        (None, None) => {
            let nothing = registry::Target::default();
            let depends = filesystem.mkfs.filesystem().ok()?.aimed(&nothing).ok()?;
            depends.map(|_| "that of the release in the tree".to_owned())
        }
    }
}

fn tail(text: &mut String, plan: &Plan) {
    // A clone has what its origin has.
    for part in plan.parts.iter().filter(|part| part.clone_of.is_none()) {
        if let Some(profile) = profile(part) {
            let _ = writeln!(text, "profile of {}: {profile}", part.name());
        }
    }
    match plan.boot.as_ref().map(|boot| boot.loader) {
        Some(Loader::SystemdBoot { timeout, .. }) => {
            let _ = writeln!(
                text,
                "boot: systemd-boot out of the tree, {timeout} s until the newest kernel starts"
            );
        }
        Some(Loader::Grub) => {
            let _ = writeln!(text, "boot: GRUB out of the tree");
        }
        Some(Loader::Zipl) => {
            let _ = writeln!(text, "boot: a loader for s390, which cannot be installed yet");
        }
        Some(Loader::Custom) => {
            let _ = writeln!(text, "boot: what the tree brings itself");
        }
        None => {}
    }
    if let Some(line) = &plan.command_line {
        let _ = writeln!(text, "kernel command line: {line}");
    }
    for file in &plan.files {
        let _ = writeln!(text, "generated: {}", file.path);
    }
    for file in plan.outputs.iter().map(|output| &output.file).chain(&plan.clones_file) {
        let _ = writeln!(text, "output: {file}");
    }
}

/// Number, name, type, file system, label, id.
fn cells(part: &Part) -> [String; 6] {
    let dash = || "-".to_owned();
    let entry = part.entry.as_ref();
    let fs = part.filesystem.as_ref();
    let kind = match entry.map(|entry| &entry.slot) {
        Some(Slot::Gpt { type_guid, .. }) => {
            gpt::types::name(type_guid).map_or_else(|| type_guid.to_string(), str::to_owned)
        }
        Some(Slot::Mbr { mbr_type, active }) => {
            format!("{mbr_type:02x}{}", if *active { " active" } else { "" })
        }
        Some(Slot::Dasd) | None => dash(),
    };
    [
        entry.map_or_else(dash, |entry| entry.number.to_string()),
        entry.map_or_else(|| part.role.clone(), |entry| entry.name.clone()),
        kind,
        fs.map_or_else(dash, |fs| fs.mkfs.name.clone()),
        fs.and_then(|fs| fs.label.clone()).unwrap_or_else(dash),
        fs.map_or_else(dash, |fs| fs.id.clone()),
    ]
}
