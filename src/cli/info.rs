//! `diskwright info`: what is in a description, and which parts of descriptions would be refused.

use super::args;
use super::create::choice;
use super::fail::{Code, Failure};
use super::say::{Voice, table};
use crate::describe::kiwi::{find, load, load_with};
use crate::model::words::PartitionFilesystem;
use crate::report::{
    Blocker, DescriptionSupport, Info, Missing, Origin, Section, Support, Totals, Verdict, info as info_of,
    support as support_of,
};
use std::ffi::OsStr;
use std::fmt::{Display, Write};

/// Prints what is in a description; with `--support` what is not supported of many.
pub(super) fn info(args: &args::Info, voice: Voice) -> Result<(), Failure> {
    if args.resolve_package_list {
        let message = "--resolve-package-list needs a solver of packages, which is not there yet";
        let hint = "without it, the packages are shown that the description names";
        return Err(Failure::new(Code::Refused, message).hint(hint));
    }
    let choice = choice(&args.selection, &args.shape, OsStr::new(""))?;
    if args.support {
        let paths = args.descriptions.iter().flat_map(|path| find(path));
        let read = paths.map(|path| {
            let read = load(&path, args.selection.kiwi_file.as_deref());
            (path.display().to_string(), read)
        });
        let support = support_of(&read.collect::<Vec<_>>(), choice.arch);
        return voice.result(&support, &support_text(&support));
    }
    let [path] = args.descriptions.as_slice() else {
        let message = format!("info takes one description, and {} are given", args.descriptions.len());
        return Err(Failure::new(Code::Usage, message).hint("--support takes many"));
    };
    let overrides = args.changes.overrides();
    let loaded = load_with(path, args.selection.kiwi_file.as_deref(), &choice, &overrides);
    let description = loaded.map_err(|error| voice.load_error(error))?;
    let info = info_of(&description.model, &choice).map_err(|error| voice.resolve_error(error))?;
    voice.result(&info, &info_text(&info))
}

fn yes(found: bool) -> String {
    if found { "yes" } else { "-" }.to_owned()
}

/// Words with commas between; a dash where there are none.
fn list<T: Display>(words: &[T]) -> String {
    match words {
        [] => "-".to_owned(),
        words => words.iter().map(ToString::to_string).collect::<Vec<String>>().join(", "),
    }
}

fn pairs<'a>(pairs: impl IntoIterator<Item = (&'a String, &'a String)>) -> String {
    list(&pairs.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<String>>())
}

fn info_text(info: &Info) -> String {
    let version = info.version.as_deref().map(|version| format!(" {version}")).unwrap_or_default();
    let kind = info.image_type.as_deref().map(|kind| format!(", type {kind}")).unwrap_or_default();
    let selected: Vec<&str> =
        info.profiles.iter().filter(|one| one.selected).map(|one| one.name.as_str()).collect();
    let profiles =
        if selected.is_empty() { String::new() } else { format!(", profiles {}", selected.join(", ")) };
    let mut text = format!("{}{version} for {}{kind}{profiles}\nfile: {}\n", info.name, info.arch, info.file);
    profiles_text(&mut text, info);
    types_text(&mut text, info);
    // Partitions and volumes have tables of their own.
    let tables = ["type/partitions/", "type/systemdisk/volume"];
    let values = info.values.iter().filter(|one| !tables.iter().any(|start| one.name.starts_with(start)));
    let rows = values.map(|one| {
        let state = one.state.filter(|state| *state != "used").unwrap_or("").to_owned();
        vec![one.name.clone(), one.value.clone(), place(&one.from, info), state]
    });
    let head = [("name", false), ("value", false), ("from", false), ("", false)];
    part(&mut text, &head, rows.collect());
    disk_text(&mut text, info);
    info.packages.iter().for_each(|section| section_text(&mut text, section, info));
    let rows = info.repositories.iter().map(|one| {
        let credentials = if one.credentials { "yes" } else { "-" }.to_owned();
        let keys = list(&one.keys);
        vec![one.path.clone(), pairs(&one.attributes), keys, credentials, place(&one.from, info)]
    });
    let head = [("repository", false), ("", false), ("keys", false), ("credentials", false), ("from", false)];
    part(&mut text, &head, rows.collect());
    let rows = info
        .users
        .iter()
        .map(|one| vec![one.name.clone(), list(&one.groups), pairs(&one.attributes), place(&one.from, info)]);
    part(&mut text, &[("user", false), ("groups", false), ("", false), ("from", false)], rows.collect());
    for warning in &info.warnings {
        let _ = writeln!(text, "\n{warning}");
    }
    match info.refused.as_slice() {
        [] => text += "\nAn image can be made of it.\n",
        refused => {
            let _ = write!(text, "\nNo image can be made of it today:\n{}\n", refused.join("\n"));
        }
    }
    text
}

/// A table with an empty line above; nothing where it has no rows.
fn part(text: &mut String, head: &[(&str, bool)], rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(head, &rows));
    }
}

/// Where something is from: files as they are seen from the directory of the description.
fn place(origin: &Origin, info: &Info) -> String {
    let directory = info.file.rfind('/').map_or("", |at| &info.file[..=at]);
    let place = origin.to_string();
    place.strip_prefix(directory).map(str::to_owned).unwrap_or(place)
}

fn profiles_text(text: &mut String, info: &Info) {
    let rows = info.profiles.iter().map(|one| {
        let requires = one.requires.iter().map(|required| match required.arch.as_slice() {
            [] => required.profile.clone(),
            arch => format!("{} ({})", required.profile, list(arch)),
        });
        vec![
            one.name.clone(),
            yes(one.selected),
            yes(one.import),
            list(&requires.collect::<Vec<String>>()),
            list(&one.arch),
            one.description.clone(),
            place(&one.from, info),
        ]
    });
    let head = [
        ("profile", false),
        ("selected", false),
        ("imported", false),
        ("requires", false),
        ("machines", false),
        ("description", false),
        ("from", false),
    ];
    part(text, &head, rows.collect());
}

fn disk_text(text: &mut String, info: &Info) {
    let dash = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let rows = info.partitions.iter().map(|one| {
        let copies = if one.clone == 0 { "-".to_owned() } else { one.clone.to_string() };
        let filesystem = one.filesystem.map(PartitionFilesystem::name);
        let mountpoint = dash(one.mountpoint.as_deref());
        vec![one.name.clone(), one.mbsize.to_string(), dash(filesystem), mountpoint, copies]
    });
    let head = [
        ("partition", false),
        ("MiB", true),
        ("file system", false),
        ("mounted at", false),
        ("clones", true),
    ];
    part(text, &head, rows.collect());
    let rows = info.volumes.iter().map(|one| {
        let size = one.size.map_or_else(|| "all that is left".to_owned(), |size| size.to_string());
        vec![one.name.clone(), size, one.realpath.clone()]
    });
    let title = format!("volume ({})", info.volume_manager.unwrap_or("none"));
    part(text, &[(&title, false), ("size", false), ("path", false)], rows.collect());
}

fn types_text(text: &mut String, info: &Info) {
    let rows = info.types.iter().map(|one| {
        let selected = match (one.selected, one.available) {
            (true, _) => "yes",
            (false, true) => "-",
            (false, false) => "not with these profiles",
        };
        vec![
            one.image.clone(),
            selected.to_owned(),
            yes(one.default),
            list(&one.arch),
            place(&one.from, info),
        ]
    });
    let head =
        [("type", false), ("selected", false), ("default", false), ("machines", false), ("from", false)];
    part(text, &head, rows.collect());
}

fn section_text(text: &mut String, section: &Section, info: &Info) {
    let Section { section, pattern, items } = section;
    let title = match pattern.as_str() {
        "onlyRequired" => format!("packages: {section}"),
        pattern => format!("packages: {section} ({pattern})"),
    };
    let rows = items.iter().map(|one| {
        let to = [one.target.as_ref(), one.owner.as_ref(), one.permissions.as_ref()];
        let to: Vec<&str> = to.into_iter().flatten().map(String::as_str).collect();
        let kind = if one.kind.name() == "package" { "" } else { one.kind.name() };
        vec![one.name.clone(), kind.to_owned(), to.join(" "), place(&one.from, info)]
    });
    part(text, &[(&title, false), ("", false), ("", false), ("from", false)], rows.collect());
}

fn support_text(support: &Support) -> String {
    let mut text: String = support.descriptions.iter().map(description_line).collect();
    if support.descriptions.len() > 1 {
        text.push('\n');
        text.push_str(&totals_text(&support.totals));
    }
    text
}

fn description_line(one: &DescriptionSupport) -> String {
    let made = one.images.iter().filter(|image| image.supported()).count();
    let images = one.images.len();
    let refused = list(&one.refused.iter().map(|Missing { lack, .. }| lack).collect::<Vec<_>>());
    let what = match one.verdict {
        Verdict::Supported => format!("supported, {}", count(images, "image")),
        Verdict::Partly => format!("{made} of {}; refused: {refused}", count(images, "image")),
        Verdict::Refused => format!("refused: {refused}"),
        Verdict::Unreadable => format!("cannot be read: {}", one.problems.join("; ")),
        Verdict::Wrong => {
            let first = one.problems.first().map(String::as_str).unwrap_or_default();
            let more = match one.problems.len() {
                0 | 1 => String::new(),
                many => format!(" (and {} more)", many - 1),
            };
            let besides =
                if one.refused.is_empty() { String::new() } else { format!("; refused: {refused}") };
            format!("wrong: {first}{more}{besides}")
        }
    };
    format!("{}: {what}\n", one.path)
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn totals_text(totals: &Totals) -> String {
    let verdicts = totals.verdicts.iter().map(|(verdict, number)| format!("{number} {}", verdict.name()));
    let verdicts = verdicts.collect::<Vec<String>>().join(", ");
    let mut text = format!(
        "{}: {verdicts}; {} of {} can be made\n",
        count(totals.descriptions, "description"),
        totals.supported_images,
        count(totals.images, "image"),
    );
    let rows = |blockers: &[Blocker]| -> Vec<Vec<String>> {
        let row = |one: &Blocker| {
            let numbers = [one.descriptions, one.images, one.alone].map(|number| number.to_string());
            numbers.into_iter().chain([one.lack.part.clone(), one.lack.feature.clone()]).collect()
        };
        blockers.iter().map(row).collect()
    };
    let head = |what| [("descriptions", true), ("images", true), ("alone", true), (what, false), ("", false)];
    part(&mut text, &head("what blocks them"), rows(&totals.refused));
    part(&mut text, &head("what only build lacks"), rows(&totals.build));
    text
}
