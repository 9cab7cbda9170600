//! `diskwright mkfs`: one file system image from a tree.

use super::args::Mkfs;
use super::fail::{Code, Failure};
use super::say::{Voice, size};
use super::setting::Setting;
use super::timing::Clock;
use super::tree::{dated, origin, read, system_of};
use crate::emit::{self, Output};
use crate::model::{Rule, Size};
use crate::plan::Profile;
use diskwright_formats::identity::Identity;
use diskwright_fstools::registry::{Aimed, Filesystem, Geometry, Laid, ROWS, find, targets};
use diskwright_fstools::tree::Tree;
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
struct Made {
    schema: u32,
    image: String,
    filesystem: &'static str,
    id: String,
    label: Option<String>,
    bytes: u64,
    used: u64,
    free: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    inodes_used: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inodes_free: Option<u64>,
    /// Which defaults it has; none where they are always the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<Profile>,
    notes: Vec<String>,
}

/// Lays one file system and writes it.
pub(super) fn mkfs(args: Mkfs, setting: &Setting, voice: Voice) -> Result<(), Failure> {
    let mut clock = Clock::start(setting.timings);
    let row = find(&args.fs).ok_or_else(|| {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        let failure = Failure::new(Code::Usage, format!("not a file system that can be made: {}", args.fs));
        failure.hint(format!("one of: {}", known.join(", ")))
    })?;
    if ![512, 4096].contains(&args.sector_size) {
        return Err(Failure::new(
            Code::Usage,
            format!("not a sector size: {}: 512 or 4096", args.sector_size),
        ));
    }
    let filesystem = (row.configure)(&[implied(&args.fs), args.options.clone()].concat())?;
    let rule = match &args.size {
        None => Rule::ROOMY,
        Some(text) => {
            let size: Size = text.parse().map_err(|error| Failure::new(Code::Usage, format!("{error}")))?;
            Rule::from(size)
        }
    };
    let parent =
        args.image.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let origin = origin(&args.tree, args.record.as_deref());
    let setting = &dated(setting, &origin)?;
    let survey = read(&origin, args.owner, setting, Some(parent))?;
    survey.notes.iter().for_each(|note| voice.note(note));
    // The image is all there is: `/boot` is on it.
    let target = system_of(&survey, args.target.as_deref())?.target(true);
    let (filesystem, profile) = match filesystem.aimed(&target)? {
        Some(Aimed { filesystem, profile }) => (filesystem, Some(Profile::from(profile))),
        None => (filesystem, None),
    };
    let warnings = profile.iter().flat_map(|profile| &profile.warnings);
    warnings.for_each(|line| voice.note(&format!("warning: {line}")));
    clock.stage("survey");
    // The description of this image is its options: they are the default seed.
    let seed = setting.seed.clone().unwrap_or_else(|| format!("mkfs {} {:?}", row.name, args.options));
    let identity = Identity::new(seed.as_bytes(), setting.epoch_or_default());
    let (len, laid) = lay(&*filesystem, &survey.tree, rule, args.sector_size, &identity)?;
    clock.stage("lay");
    let made = Made {
        schema: 1,
        image: args.image.display().to_string(),
        filesystem: row.name,
        id: filesystem.id(&identity),
        label: filesystem.label().map(str::to_owned),
        bytes: len,
        used: laid.usage.used,
        free: laid.usage.free,
        inodes_used: laid.usage.inodes.map(|(used, _)| used),
        inodes_free: laid.usage.inodes.map(|(_, free)| free),
        profile,
        notes: survey.notes.clone(),
    };
    let (used, free) = (size(made.used), size(made.free));
    let mut text = format!(
        "{}: {} {}, {} ({used} used, {free} free)\n",
        made.image,
        made.filesystem,
        made.id,
        size(len)
    );
    if let Some(profile) = &made.profile {
        text += &format!("profile: {profile}\n");
    }
    if args.writing.dry_run {
        return voice.result(&made, &text);
    }
    let emit = emit::Options {
        sync: !args.writing.no_sync,
        overwrite: args.writing.force,
        ..super::emitting(setting)
    };
    let bar = voice.bar("writing")?;
    let outputs = [Output { layout: laid.layout, path: args.image }];
    let contents = survey.contents;
    drop(survey.tree); // laid: its room is free for the work that follows
    let (_, calls) = emit::emit(&outputs, &contents, &emit, &bar)?;
    drop(bar);
    clock.emitted(len, &calls);
    clock.report();
    voice.result(&made, &text)
}

/// File systems with their options and limits, and the releases of `--target`.
pub(super) fn help() -> String {
    let mut text = "Example: diskwright mkfs ext4 --size min+64M TREE root.ext4 -L root -m 1\n\n".to_owned();
    text += "Options behind the image are those of the file system's own mkfs; an option that would be ignored is refused by name.\n";
    let mut rest = ROWS;
    while let [row, ..] = rest {
        let same = rest.iter().take_while(|other| other.options == row.options).count();
        let (group, behind) = rest.split_at(same);
        rest = behind;
        let names: Vec<&str> = group.iter().map(|row| row.name).collect();
        text += &format!("\n{}:\n", names.join(", "));
        row.options.iter().for_each(|(option, about)| text += &format!("  {option}\n          {about}\n"));
        text += "  Limits:\n";
        row.limits.iter().for_each(|limit| text += &format!("          {limit}\n"));
    }
    text + &format!("\nReleases for --target: {}\n", targets().join(", "))
}

/// What a name says that is narrower than its row: `fat32` is not any FAT. Options that follow may say otherwise.
fn implied(name: &str) -> Vec<String> {
    match name {
        "fat12" | "fat16" | "fat32" => vec!["-F".to_owned(), name["fat".len()..].to_owned()],
        _ => vec![],
    }
}

fn lay(
    filesystem: &dyn Filesystem,
    tree: &Tree,
    rule: Rule,
    sector_size: u32,
    identity: &Identity,
) -> Result<(u64, Laid), Failure> {
    let len = rule.length(|free| filesystem.measure(tree, free, sector_size))?;
    // Only a partition can be what others leave.
    let len = len.expect("every size on the command line makes a number");
    let geometry = Geometry { len, sector_size, hidden_sectors: 0 };
    Ok((len, filesystem.lay(tree, &geometry, identity)?))
}
