//! Descriptions that others wrote: each is planned, or refused with file and line. Runs over the directory that
//! `DISKWRIGHT_CORPUS` names.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

use diskwright::build::identity;
use diskwright::describe::kiwi::{LoadError, load};
use diskwright::describe::{Diagnostics, Severity};
use diskwright::model::{Arch, MIB, Model, Rule};
use diskwright::plan::{Part, plan};
use diskwright::resolve::{Choice, ResolveError, resolve};
use std::io::Write;
use std::path::{Path, PathBuf};

/// The corpus; says so if there is none.
fn corpus(test: &str) -> Option<PathBuf> {
    let found = std::env::var_os("DISKWRIGHT_CORPUS").map(PathBuf::from).filter(|path| path.is_dir());
    if found.is_none() {
        let line = format!("SKIP {test}: no corpus (DISKWRIGHT_CORPUS names no directory)");
        println!("{line}");
        if let Some(list) = std::env::var_os("DISKWRIGHT_SKIPS") {
            let file = std::fs::OpenOptions::new().create(true).append(true).open(list);
            writeln!(file.expect("the list of skips"), "{line}").expect("a line");
        }
    }
    found
}

fn descriptions(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        let ending = path.extension().unwrap_or_default();
        if path.is_dir() {
            descriptions(&path, found);
        } else if ending == "kiwi" || ending == "xml" {
            found.push(path);
        }
    }
    found.sort();
}

fn check_diagnostics(file: &Path, diagnostics: &Diagnostics) {
    assert!(diagnostics.stop(), "{}: refused without an error", file.display());
    for one in &diagnostics.list {
        let lines = one.source.text.lines().count().max(1);
        let (line, column) = one.position();
        assert!((1..=lines).contains(&line) && column >= 1, "{one}");
        let first = one.message.chars().next().expect("a message");
        assert!(!first.is_uppercase() && !one.message.ends_with('.'), "{one}");
    }
    let carets = diagnostics.render(false);
    let errors = diagnostics.list.iter().filter(|one| one.severity == Severity::Error).count();
    assert!(carets.matches("error[").count() >= errors, "{carets}");
}

/// All ways to choose from a description: each profile alone and none, each type.
fn choices(model: &Model, arch: Arch) -> Vec<Choice> {
    let mut profiles: Vec<Vec<String>> = vec![Vec::new()];
    profiles.extend(model.profiles.iter().map(|profile| vec![profile.name.clone()]));
    let mut types: Vec<Option<String>> = vec![None];
    types.extend(model.preferences.iter().flat_map(|one| &one.types).map(|one| Some(one.image.clone())));
    let choice = |profiles: &Vec<String>, image_type: &Option<String>| Choice {
        profiles: profiles.clone(),
        image_type: image_type.clone(),
        ..Choice::new(arch)
    };
    profiles
        .iter()
        .flat_map(|profiles| types.iter().map(|one| choice(profiles, one)).collect::<Vec<_>>())
        .collect()
}

#[test]
fn every_description_is_planned_or_refused_with_its_place() {
    let Some(corpus) = corpus("every_description_is_planned_or_refused_with_its_place") else { return };
    let mut files = Vec::new();
    descriptions(&corpus, &mut files);
    assert!(!files.is_empty(), "a corpus of descriptions");
    let (mut planned, mut refused, mut unfit) = (0, 0, 0);
    for file in &files {
        let model = match load(file, None) {
            Ok(description) => description.model,
            Err(LoadError::Refused(diagnostics)) => {
                check_diagnostics(file, &diagnostics);
                continue;
            }
            Err(other) => panic!("{}: {other}", file.display()),
        };
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for choice in choices(&model, arch) {
                match resolve(&model, &choice) {
                    Ok(resolved) => {
                        let identity = identity(&resolved.image, None, 0);
                        plan(&resolved.image, &identity).expect("what is accepted can be planned");
                        planned += 1;
                    }
                    Err(ResolveError::Refused(diagnostics)) => {
                        check_diagnostics(file, &diagnostics);
                        refused += 1;
                    }
                    Err(ResolveError::Choice(_)) => unfit += 1,
                }
            }
        }
    }
    println!("{} files; choices: {planned} planned, {refused} refused, {unfit} not there", files.len());
}

/// What stands in the way of a plan and moves no partition, replaced by what is supported.
fn supported(text: &str) -> String {
    let replaced = [
        ("<bootloader name=\"grub2\"", "<bootloader name=\"custom\""),
        ("filesystem=\"xfs\"", "filesystem=\"ext4\""),
        ("filesystem=\"ext3\"", "filesystem=\"ext4\""),
        ("filesystem=\"btrfs\"", "filesystem=\"ext4\""),
        ("btrfs_root_is_snapshot=\"true\"", ""),
        ("installiso=\"true\"", ""),
        ("format=\"vmdk\"", ""),
        ("format=\"ova\"", ""),
        ("format=\"gce\" gcelicense=\"1111111111111111111\"", ""),
        ("format=\"vagrant\"", ""),
        ("format=\"docker:qcow2\"", ""),
        ("format=\"oci:qcow2\"", ""),
    ];
    replaced.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// KIWI's own layouts (names, numbers, fixed sizes, type GUIDs, fstab), for the descriptions that can be planned.
#[test]
fn layouts_are_kiwis() {
    let Some(corpus) = corpus("layouts_are_kiwis") else { return };
    let Ok(layouts) = std::fs::read_to_string(corpus.join("expected-layouts.json")) else {
        println!("SKIP layouts_are_kiwis: no expected-layouts.json in the corpus");
        return;
    };
    let layouts: serde_json::Value = serde_json::from_str(&layouts).expect("JSON");
    let mut compared = 0;
    for case in layouts["cases"].as_array().expect("a list of cases") {
        compared += usize::from(compare(&corpus, case));
    }
    println!("{compared} layouts compared");
    assert!(compared > 0, "at least one layout can be compared");
}

fn compare(corpus: &Path, case: &serde_json::Value) -> bool {
    let text = |key: &str| case[key].as_str().unwrap_or_default().to_owned();
    let (Some(arch), Some(expected)) = (Arch::from_name(&text("arch")), case["partitions"].as_array()) else {
        return false;
    };
    if !case["kiwi_error"].is_null() {
        return false;
    }
    let directory = corpus.join(text("description"));
    let file = [directory.clone(), directory.join("appliance.kiwi"), directory.join("config.xml")];
    let Some(source) = file.iter().find_map(|file| std::fs::read_to_string(file).ok()) else { return false };
    let name = text("description");
    let Ok(model) = diskwright::describe::kiwi::parse(&name, supported(&source).into_bytes()) else {
        return false;
    };
    let profiles = case["profiles"].as_array().into_iter().flatten().filter_map(|one| one.as_str());
    let profiles = profiles.map(str::to_owned).collect();
    let choice = Choice { profiles, image_type: Some(text("type")), ..Choice::new(arch) };
    let Ok(resolved) = resolve(&model, &choice) else { return false };
    let plan = plan(&resolved.image, &identity(&resolved.image, None, 0)).expect("it can be planned");
    let found: Vec<Row> = plan.parts.iter().filter_map(row_of).collect();
    let row = |one: &serde_json::Value| {
        let text = |key: &str| one[key].as_str().unwrap_or_default().to_owned();
        let label = one["label"].as_str().map(str::to_owned);
        (
            one["number"].as_u64().unwrap_or_default(),
            text("name"),
            text("type_guid"),
            one["size_mib"].as_u64(),
            label,
        )
    };
    assert_eq!(found, expected.iter().map(row).collect::<Vec<_>>(), "{name}");
    let mounts = |text: &str| -> Vec<String> {
        text.lines().filter_map(|line| line.split(' ').nth(1)).map(str::to_owned).collect()
    };
    let fstab = case["fstab"].as_array().into_iter().flatten().filter_map(|one| one["mountpoint"].as_str());
    assert_eq!(mounts(&plan.files[0].text), fstab.collect::<Vec<_>>(), "{name}");
    true
}

/// Number, name, type, MiB where they are fixed, label.
type Row = (u64, String, String, Option<u64>, Option<String>);

fn row_of(part: &Part) -> Option<Row> {
    let entry = part.entry.as_ref()?;
    let size = match part.size {
        Rule::Exact(bytes) => Some(bytes.0 / MIB),
        _ => None,
    };
    let label = part.filesystem.as_ref().and_then(|one| one.label.clone());
    Some((u64::from(entry.number), entry.name.clone(), entry.type_guid.to_string(), size, label))
}
