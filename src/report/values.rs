//! The values of a description that count, each with where it is from.

use super::info::{Origin, Value};
use crate::describe::kiwi::{Row, rows};
use crate::model::{Arch, Kind, Rule, Type};
use crate::resolve::{Choice, ESP_MIB, Selection};
use std::collections::BTreeSet;

/// Attributes whose value opens something.
const SECRET: [&str; 1] = ["luks"];

/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// A value that an image has even where nothing is said.
struct Known {
    /// As facts of a type are named.
    path: &'static str,
    /// The option that replaces it, and its value.
    option: Option<(&'static str, String)>,
    /// What counts where nothing is said; `None`: nothing does.
    default: Option<String>,
}

/// Settings of `preferences`, then those of the selected type.
pub(super) fn values(selection: &Selection<'_>, choice: &Choice) -> Vec<Value> {
    let rows = rows();
    let mut values = general(selection, &rows);
    if let Some(kind) = selection.kind {
        values.extend(of_type(selection, kind, choice, &rows));
    }
    values
}

fn state(rows: &[Row], path: &str, value: &str) -> Option<&'static str> {
    let with_value = format!("{path}={value}");
    let of = |path: &str| rows.iter().find(|row| row.path == path).map(|row| row.state.name_with(value));
    of(&with_value).or_else(|| of(path))
}

/// Of the settings that may be there in several sections the first one counts, or the last one.
const LAST: [&str; 4] = ["timezone", "locale", "keytable", "bootloader-theme"];

fn general(selection: &Selection<'_>, rows: &[Row]) -> Vec<Value> {
    let mut names: BTreeSet<&str> = BTreeSet::from(["packagemanager"]);
    let settings = selection.preferences.iter().flat_map(|one| &one.settings);
    names.extend(settings.map(|setting| setting.value.0.as_str()));
    let one = |name: &str| {
        let all = selection
            .preferences
            .iter()
            .flat_map(|section| section.settings.iter().map(move |setting| (setting, &section.scope)));
        let mut said = all.filter(|(setting, _)| setting.value.0 == name);
        let counts = if LAST.contains(&name) { said.next_back() } else { said.next() };
        let (value, from) = match counts {
            Some((setting, scope)) => (setting.value.1.clone(), Origin::of(&setting.span, scope)),
            None => (selection.package_manager().to_owned(), Origin::Default),
        };
        let state = state(rows, &format!("image/preferences/{name}"), &value);
        Value { name: name.to_owned(), value, state, from }
    };
    names.into_iter().map(one).collect()
}

fn of_type(selection: &Selection<'_>, kind: &Type, choice: &Choice, rows: &[Row]) -> Vec<Value> {
    let section = selection.preferences.iter().find(|one| one.types.iter().any(|it| it.span == kind.span));
    let scope = section.map(|one| one.scope.clone()).unwrap_or_default();
    let known = known(kind, choice);
    let option = |path: &str| known.iter().find(|one| one.path == path).and_then(|one| one.option.clone());
    let mut values: Vec<Value> = Vec::new();
    for fact in &kind.facts {
        let (path, said) = (&fact.value.0, &fact.value.1);
        let hidden = SECRET.contains(&path.as_str());
        let said = if hidden { HIDDEN.to_owned() } else { said.clone() };
        let (value, from) = match option(path) {
            Some((option, value)) => (value, Origin::CommandLine { option }),
            None => (said, Origin::of(&fact.span, &scope)),
        };
        values.push(of_path(rows, path, value, from));
    }
    let unsaid = |one: &&Known| kind.fact(one.path).is_none();
    for one in known.iter().filter(unsaid) {
        let found = match (&one.option, &one.default) {
            (Some((option, value)), _) => Some((value.clone(), Origin::CommandLine { option })),
            (None, Some(value)) => Some((value.clone(), Origin::Default)),
            (None, None) => None,
        };
        values.extend(found.map(|(value, from)| of_path(rows, one.path, value, from)));
    }
    values
}

/// A fact of a type under its whole name: an attribute of the type itself, or what is in it.
fn of_path(rows: &[Row], path: &str, value: String, from: Origin) -> Value {
    let attribute = format!("image/preferences/type@{path}");
    let own = rows.iter().any(|row| row.path == attribute);
    let name = if own { format!("type@{path}") } else { format!("type/{path}") };
    let state = state(rows, &format!("image/preferences/{name}"), &value);
    Value { name, value, state, from }
}

/// What the images have that can be made here; KIWI's defaults but for sizes.
fn known(kind: &Type, choice: &Choice) -> Vec<Known> {
    let known = |path, option: Option<(&'static str, String)>, default: Option<&str>| Known {
        path,
        option,
        default: default.map(str::to_owned),
    };
    let size = choice.size.map(|size| ("--size", Rule::from(size).to_string()));
    let filesystem = choice.filesystem.clone().map(|name| ("--fs", name));
    let label = choice.label.clone().map(|label| ("--label", label));
    let room = Rule::ROOMY.to_string();
    if kind.image != "oem" {
        let bare = matches!(kind.kind, Some(Kind::Filesystem { .. }));
        let all = vec![
            known("image", filesystem, None),
            known("rootfs_label", label, None),
            known("size", size, Some(&room)),
        ];
        return if bare { all } else { Vec::new() };
    }
    let formats = Some(("--format", choice.formats.join(", "))).filter(|_| !choice.formats.is_empty());
    let loader = choice.no_boot.then(|| ("--no-boot", "custom".to_owned()));
    let esp = choice.esp_size.map(|size| ("--esp-size", Rule::from(size).to_string()));
    let esp_default = ESP_MIB.to_string();
    let command_line = choice.command_line.clone().map(|line| ("--cmdline", line));
    let firmware = if matches!(choice.arch, Arch::X86_64 | Arch::Ix86) { "bios" } else { "efi" };
    vec![
        known("filesystem", filesystem, None),
        known("rootfs_label", label, Some("ROOT")),
        known("fsmountoptions", None, Some("defaults")),
        known("firmware", None, Some(firmware)),
        known("efiparttable", None, Some("gpt")),
        known("efipartsize", esp, Some(&esp_default)),
        known("eficsm", None, Some("true")),
        known("target_blocksize", None, Some("512")),
        known("disk_start_sector", None, Some("2048")),
        known("devicepersistency", None, Some("by-uuid")),
        known("apply_dps_codes", None, Some("true")),
        known("kernelcmdline", command_line, Some("")),
        known("format", formats, Some("raw")),
        known("initrd_system", None, Some("dracut")),
        known("bootloader@name", loader, Some("grub2")),
        known("bootloader@timeout", None, Some("10")),
        known("oemconfig/oem-resize", None, Some("true")),
        known("size", size, Some(&room)),
    ]
}
