//! The law of the house that no lint can state.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use std::path::{Path, PathBuf};
use support::{listing, source};

/// All Rust files below a directory.
fn sources(directory: &Path) -> Vec<PathBuf> {
    listing(directory)
        .into_iter()
        .map(|name| directory.join(name))
        .flat_map(|path| if path.is_dir() { sources(&path) } else { vec![path] })
        .filter(|path| path.extension().is_some_and(|ending| ending == "rs"))
        .collect()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn arrows_point_one_way() {
    let formats = sources(&source("formats/src"));
    let fstools = sources(&source("fstools/src"));
    assert!(formats.len() > 15 && fstools.len() > 15, "sources are found");
    for path in &formats {
        assert!(
            !text(path).contains("diskwright_fstools"),
            "{}: formats knows nothing of file systems",
            path.display()
        );
    }
    let allowed = ["layout", "bytes", "fault", "identity"];
    for path in &fstools {
        for part in text(path).split("diskwright_formats::").skip(1) {
            let room: String =
                part.chars().take_while(|it| it.is_ascii_alphanumeric() || *it == '_').collect();
            // A group of imports starts with a brace.
            assert!(
                room.is_empty() || allowed.contains(&room.as_str()),
                "{}: uses formats::{room}",
                path.display()
            );
        }
    }
}

#[test]
fn a_format_is_a_folder_with_the_fixed_files_and_says_where_its_rules_are_from() {
    let folders = [
        "formats/src/table/gpt",
        "formats/src/disk/qcow2",
        "fstools/src/ext",
        "fstools/src/fat",
        "fstools/src/swap",
    ];
    for folder in folders {
        let at = source(folder);
        for name in ["mod", "disk", "lay", "open", "dump"] {
            let there = at.join(format!("{name}.rs")).is_file() || at.join(name).join("mod.rs").is_file();
            assert!(there, "{folder}: {name}.rs is missing");
        }
        let doc: String =
            text(&at.join("mod.rs")).lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(
            doc.len() > 600,
            "{folder}/mod.rs: names the specification, draws the map, states the limits"
        );
        assert!(doc.contains("```text"), "{folder}/mod.rs: draws the map of the disk");
    }
}

#[test]
fn only_one_module_is_unsafe_and_only_one_room_prints() {
    for path in ["src", "formats/src", "fstools/src"].iter().flat_map(|at| sources(&source(at))) {
        let (name, text) = (path.display().to_string(), text(&path));
        assert!(name.ends_with("src/sys.rs") || !text.contains("unsafe {"), "{name}: unsafe");
        let allows = text.contains("allow(clippy::print_");
        assert!(name.contains("src/cli/") || !allows, "{name}: prints");
        assert!(!text.contains("todo!(") && !text.contains("unimplemented!("), "{name}: unfinished");
    }
}

#[test]
fn no_room_has_a_name_that_says_nothing() {
    for path in ["src", "formats/src", "fstools/src"].iter().flat_map(|at| sources(&source(at))) {
        let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
        let empty = ["util", "utils", "helper", "helpers", "common", "misc", "manager", "managers"];
        assert!(!empty.contains(&stem.as_str()), "{}", path.display());
    }
}
