//! The values of a description that count, each with where it is from.

use super::info::{Origin, Value};
use crate::describe::kiwi::{Row, rows};
use crate::model::words::ImageType;
use crate::model::{Entry, Kind, Preferences, Rule, Scope, Size, Type};
use crate::resolve::{Choice, Selection};
use std::collections::BTreeSet;

/// Attributes whose value opens something.
const SECRET: [&str; 1] = ["type@luks"];

/// What is shown in the place of a secret.
const HIDDEN: &str = "***";

/// Settings of `preferences`, then those of the selected type.
pub(super) fn values(selection: &Selection<'_>, choice: &Choice) -> Vec<Value> {
    let rows = rows();
    let mut values = of_image(selection, &rows);
    values.extend(general(selection, &rows));
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
    let settings: Vec<(Entry<'_>, &Scope)> =
        selection.preferences.iter().flat_map(|one| settings(one)).collect();
    let mut names: BTreeSet<&str> = BTreeSet::from(["packagemanager"]);
    names.extend(settings.iter().map(|(setting, _)| setting.path.as_str()));
    let one = |name: &str| {
        let mut said = settings.iter().filter(|(setting, _)| setting.path == name);
        let counts = if LAST.contains(&name) { said.next_back() } else { said.next() };
        let (value, from) = match counts {
            Some((setting, scope)) => (setting.text.to_owned(), Origin::of(setting.span, scope)),
            None => (selection.package_manager().to_string(), Origin::Default),
        };
        let state = state(rows, &format!("image/preferences/{name}"), &value);
        Value { name: name.to_owned(), value, state, from }
    };
    names.into_iter().map(one).collect()
}

/// Elements of a section but its types, by their names.
fn settings(section: &Preferences) -> impl Iterator<Item = (Entry<'_>, &Scope)> {
    let own = section.said.entries("").into_iter().filter_map(|entry| {
        let name = entry.path.strip_prefix('/').filter(|name| !name.contains(['/', '@']))?;
        Some(Entry { path: name.to_owned(), ..entry })
    });
    own.map(|entry| (entry, &section.scope))
}

/// What the whole description is called.
fn of_image(selection: &Selection<'_>, rows: &[Row]) -> Vec<Value> {
    let model = selection.model;
    let said = Origin::of(&model.span, &Scope::default());
    let value = |name: &str, value: &str, from: Origin| Value {
        name: name.to_owned(),
        value: value.to_owned(),
        state: state(rows, name, value),
        from,
    };
    let display = match &model.displayname {
        Some(name) => value("image@displayname", name, said.clone()),
        None => value("image@displayname", &model.name, Origin::Default),
    };
    vec![value("image@name", &model.name, said), display]
}

fn of_type(selection: &Selection<'_>, kind: &Type, choice: &Choice, rows: &[Row]) -> Vec<Value> {
    let section = selection.preferences.iter().find(|one| one.types.iter().any(|it| it.span == kind.span));
    let scope = section.map(|one| one.scope.clone()).unwrap_or_default();
    let options = options(kind, choice);
    let option = |path: &str| options.iter().find(|(known, ..)| *known == path);
    let mut values: Vec<Value> = Vec::new();
    let mut add = |path: &str, value: &str, from: Origin| match option(path) {
        Some((_, option, value)) => {
            let from = Origin::CommandLine { option: (*option).to_owned() };
            values.push(of_path(rows, path, value.clone(), from));
        }
        None => values.push(of_path(rows, path, value.to_owned(), from)),
    };
    let said = kind.said.entries("type");
    for entry in said.iter().filter(|entry| !entry.is_blank()) {
        let shown = if SECRET.contains(&entry.path.as_str()) { HIDDEN } else { entry.text };
        add(&entry.path, shown, Origin::of(entry.span, &scope));
    }
    let unsaid = |path: &str| said.iter().all(|entry| entry.is_blank() || entry.path != path);
    let defaults = defaults(selection, kind);
    for (path, value) in defaults.iter().filter(|(path, _)| unsaid(path)) {
        add(path, value, Origin::Default);
    }
    let known = |path: &str| defaults.iter().any(|(other, _)| *other == path);
    for (path, _, value) in options.iter().filter(|(path, ..)| unsaid(path) && !known(path)) {
        add(path, value, Origin::Default);
    }
    values
}

/// What a type says, with what becomes of it.
fn of_path(rows: &[Row], path: &str, value: String, from: Origin) -> Value {
    let state = state(rows, &format!("image/preferences/{path}"), &value);
    Value { name: path.to_owned(), value, state, from }
}

/// Options of the command line that take the place of what a type says: its path, the option, the value.
fn options(kind: &Type, choice: &Choice) -> Vec<(&'static str, &'static str, String)> {
    let is_disk = kind.image() == Some(ImageType::Oem);
    let root = if is_disk { "type@filesystem" } else { "type@image" };
    let formats = Some(choice.formats.join(", ")).filter(|formats| !formats.is_empty());
    let size = |size: Option<Size>| size.map(|size| Rule::from(size).to_string());
    let all = [
        (root, "--fs", choice.filesystem.clone()),
        ("type@rootfs_label", "--label", choice.label.clone()),
        ("type@efipartsize", "--esp-size", size(choice.esp_size)),
        ("type@kernelcmdline", "--cmdline", choice.command_line.clone()),
        ("type@format", "--format", formats),
        ("type/bootloader@name", "--no-boot", choice.no_boot.then(|| "custom".to_owned())),
        ("type/size", "--size", size(choice.size)),
    ];
    all.into_iter().filter_map(|(path, option, value)| value.map(|value| (path, option, value))).collect()
}

/// What counts where a type says nothing: KIWI's defaults, and those of the images that are made here.
fn defaults(selection: &Selection<'_>, kind: &Type) -> Vec<(&'static str, String)> {
    let mut defaults = selection.defaults().map(|defaults| defaults.entries()).unwrap_or_default();
    let is_disk = kind.image() == Some(ImageType::Oem);
    if is_disk {
        let more = [
            ("type@fsmountoptions", "defaults"),
            ("type@efiparttable", "gpt"),
            ("type@apply_dps_codes", "false"),
            ("type@kernelcmdline", ""),
            ("type@format", "raw"),
        ];
        defaults.extend(more.map(|(path, value)| (path, value.to_owned())));
    }
    if is_disk || matches!(kind.kind, Some(Kind::Filesystem { .. })) {
        defaults.push(("type/size", Rule::ROOMY.to_string()));
    }
    defaults
}
