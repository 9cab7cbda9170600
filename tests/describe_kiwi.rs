//! What KIWI itself selects of the descriptions of a corpus, and what is selected here: the same type, packages,
//! repositories, accounts, partitions, volumes and defaults.
#![allow(clippy::disallowed_methods, clippy::print_stdout)]

mod support;

use diskwright::describe::kiwi::{Description, LoadError, load};
use diskwright::describe::{Diagnostic, Severity};
use diskwright::model::elements::{self, Said, is_set, value};
use diskwright::model::lexical::Lexical;
use diskwright::model::words::{BootloaderName, Firmware, ImageType, InitrdSystem, Machine, SizeUnit};
use diskwright::model::{Arch, Item, Phase};
use diskwright::report::info;
use diskwright::resolve::checks::{CHECKS, failing};
use diskwright::resolve::{Choice, ResolveError, Selection, select};
use serde_json::{Value, json};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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

/// What KIWI says to each case.
fn oracle(python: &Path, cases: &[Value]) -> Vec<Value> {
    let mut child = Command::new(python)
        .arg(support::source("tests/fixtures/kiwi-resolve.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    let mut stdin = child.stdin.take().expect("it reads");
    let input: String = cases.iter().map(|case| format!("{case}\n")).collect();
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("it reads everything");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

/// All ways to choose: each profile alone and none, each type.
fn choices(description: &Description) -> Vec<(Vec<String>, Option<String>)> {
    let model = &description.model;
    let mut profiles: Vec<Vec<String>> = vec![Vec::new()];
    profiles.extend(model.profiles.iter().map(|profile| vec![profile.name.clone()]));
    let mut types: Vec<Option<String>> = vec![None];
    types.extend(
        model.preferences.iter().flat_map(|one| &one.types).map(|one| Some(one.image_name().to_owned())),
    );
    types.dedup();
    profiles.iter().flat_map(|one| types.iter().map(|kind| (one.clone(), kind.clone()))).collect()
}

/// Names of checks, but of the one that asks whether a directory of the host is there.
fn checks() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|check| check.name).filter(|name| *name != "check_boot_description_exists")
}

/// Ours in the words of the oracle.
fn ours(selection: &Selection<'_>) -> Value {
    let names = |phase, item| selection.names(phase, item).into_keys().collect::<Vec<String>>();
    let Some(kind) = selection.kind else { return json!({ "error": "KiwiTypeNotFound" }) };
    let said = &kind.said;
    let mut profiles = selection.profiles.clone();
    profiles.sort();
    let setting = |of: fn(&elements::Preferences) -> &Option<Said<String>>| {
        selection
            .preferences
            .iter()
            .find_map(|one| of(&one.said).clone())
            .map_or_else(String::new, |one| one.value)
    };
    let locale = selection.preferences.iter().find_map(|one| one.said.locale.as_ref());
    let size = said.size.as_ref().and_then(|size| {
        let giga = value(&size.unit) == Some(SizeUnit::Gibibytes);
        value(&size.text).map(|size| if giga { size * 1024 } else { size })
    });
    let modules = |item| {
        selection.items(Phase::Bootstrap, item).into_iter().map(|one| one.name).collect::<Vec<String>>()
    };
    let start_sector = value(&said.disk_start_sector).map_or(2048, |sector| sector.0);
    let firmware = value(&said.firmware).unwrap_or(match selection.machine {
        Machine::Aarch64 => Firmware::Efi,
        _ => Firmware::Bios,
    });
    let loader = said.bootloader.as_ref().and_then(|loader| value(&loader.name));
    json!({
        "profiles": profiles,
        "type": kind.image(),
        "version": setting(|it| &it.version),
        "name": selection.model.name,
        "package_manager": selection.package_manager(),
        "release_version": setting(|it| &it.release_version),
        "bootstrap": names(Phase::Bootstrap, Item::Package),
        "image": names(Phase::Image, Item::Package),
        "uninstall": names(Phase::Uninstall, Item::Package),
        "delete": names(Phase::Delete, Item::Package),
        "ignored": names(Phase::Image, Item::Ignore),
        "collections": names(Phase::Image, Item::Collection),
        "pattern": selection.pattern(Phase::Image),
        "products": names(Phase::Image, Item::Product),
        "archives": names(Phase::Image, Item::Archive),
        "bootstrap_archives": names(Phase::Bootstrap, Item::Archive),
        "files": names(Phase::Image, Item::File),
        "modules": { "disable": modules(Item::NoModule), "enable": modules(Item::Module) },
        "repositories": selection.repositories().iter().map(|one| json!([
            one.location().map(|path| &path.value), value(&one.kind), value(&one.priority), is_set(&one.imageinclude), is_set(&one.imageonly),
        ])).collect::<Vec<Value>>(),
        "users": selection.users().iter().map(|one| json!([one.name.value, one.groups])).collect::<Vec<Value>>(),
        "partitions": selection.partitions().iter().map(|one| json!([
            one.name, one.mbsize, one.partition_name, one.partition_type, one.mountpoint, one.filesystem, one.label, one.clone,
        ])).collect::<Vec<Value>>(),
        "volume_manager": selection.volume_manager(),
        "volume_group": selection.volume_group(),
        "volumes": selection.volumes().iter().map(|v| json!([
            v.name, v.parent, v.size, v.realpath, v.mountpoint, v.fullsize, v.label, v.attributes, v.is_root_volume,
        ])).collect::<Vec<Value>>(),
        "initrd_system": if kind.image() == Some(ImageType::Iso) { Some(InitrdSystem::Dracut) } else { selection.initrd_system() },
        "filesystem": value(&said.filesystem),
        "firmware": firmware,
        "bootloader": loader.unwrap_or(BootloaderName::Grub2),
        "disk_start_sector": start_sector,
        "kernelcmdline": elements::text(&said.kernelcmdline),
        "format": said.format.as_ref().map(|format| format.value.canonical()),
        "mbytes": size,
        "checks": failing(selection).into_iter().filter(|name| checks().any(|one| one == *name)).collect::<Vec<&str>>(),
        "locale": locale.map(|one| one.value.0.iter().map(Lexical::canonical).collect::<Vec<String>>()),
    })
}

/// What differs and is meant to: the file's end, the key, and why.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "example_deprecated_schema.xml",
        "error",
        "schema 7.3, which KIWI 10 does not take any more, is upgraded here",
    ),
    (
        "example_this_path_config.xml",
        "repositories",
        "this:// stays what it is: a description has no paths of the host",
    ),
];

/// Descriptions that are wrong, and the code that says why; all others are good, in every profile.
const WRONG: &[(&str, &str)] = &[
    ("example_include_config_missing_reference.xml", "include"),
    ("example_include_config.xml", "include"),
    ("example_no_imageinclude_config.xml", "missing-attribute"),
    ("unit-data/include.xml", "missing-attribute"),
    ("include_repo.xml", "not-xml"),
    ("example_runtime_checker_include_nested_reference.xml", "include"),
];

/// The first problem that is more than something that is not supported yet.
fn wrong(diagnostics: &[Diagnostic]) -> Option<&Diagnostic> {
    diagnostics.iter().find(|one| one.severity == Severity::Error && one.code != "unsupported")
}

#[test]
fn every_description_of_the_corpus_is_understood() {
    let test = "every_description_of_the_corpus_is_understood";
    let Some(corpus) = support::corpus(test) else { return };
    let mut files = Vec::new();
    descriptions(&corpus, &mut files);
    let mut selections = 0;
    let mut strange: Vec<String> = Vec::new();
    let mut slowest = (std::time::Duration::ZERO, PathBuf::new());
    for file in &files {
        let start = std::time::Instant::now();
        let expected = WRONG.iter().find(|(end, _)| file.ends_with(end)).map(|(_, code)| *code);
        let loaded = load(file, None);
        let problems = match &loaded {
            Ok(description) => description.model.problems.as_slice(),
            Err(LoadError::Refused(diagnostics)) => diagnostics.list.as_slice(),
            Err(other) => panic!("{}: {other}", file.display()),
        };
        let found = wrong(problems);
        if found.map(|one| one.code) != expected {
            strange.push(format!(
                "expected {expected:?}: {}",
                found.map(ToString::to_string).unwrap_or_default()
            ));
        }
        let Ok(description) = loaded else { continue };
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for (profiles, kind) in choices(&description) {
                let choice = Choice { profiles, image_type: kind, ..Choice::new(arch) };
                // What is not there on this machine, or in this profile, was not asked for.
                if let Ok(selection) = select(&description.model, &choice) {
                    let shown = info(&description.model, &choice).map(|info| serde_json::to_string(&info));
                    assert!(shown.is_ok_and(|json| json.is_ok_and(|json| json.len() > 100)));
                    selections += usize::from(selection.kind.is_some());
                }
            }
        }
        let time = start.elapsed() / choices(&description).len().max(1) as u32;
        slowest = slowest.max((time, file.clone()));
    }
    assert!(strange.is_empty(), "{}", strange.join("\n"));
    println!("{} descriptions, {selections} selections; the slowest: {slowest:?}", files.len());
    let limit = if cfg!(debug_assertions) { 500 } else { 50 };
    assert!(slowest.0.as_millis() < limit, "{slowest:?}");
    assert!(files.len() > 90 && selections > 500);
}

#[test]
fn kiwi_selects_the_same() {
    let test = "kiwi_selects_the_same";
    let Some(corpus) = support::corpus(test) else { return };
    let Some(python) = support::kiwi(test) else { return };
    let mut files = Vec::new();
    descriptions(&corpus, &mut files);
    assert!(compare(&python, &files) > 500);
}

/// What most descriptions have, and what its four forms must keep: lists, single elements, numbers, truth values.
const FORMS: [(&str, &str); 4] = [
    (
        "form.xml",
        r#"<image schemaversion="8.5" name="t"><description type="system"><author>A</author><contact>a</contact>
<specification>S</specification></description><profiles><profile name="A" description="a" import="true"/></profiles>
<preferences><version>1.0.5</version><packagemanager>apt</packagemanager><locale>en_US,de_DE</locale>
<type image="oem" filesystem="btrfs" firmware="uefi" kernelcmdline="a &lt;b&gt; 'c'"><size unit="G">4</size>
<oemconfig><oem-swap>true</oem-swap><oem-swapsize>77</oem-swapsize></oemconfig>
<systemdisk preferlvm="true"><volume name="home" size="2G"/><volume name="@root" freespace="50"/></systemdisk></type></preferences>
<users><user name="root" password="x" groups="root,wheel"/></users>
<repository priority="5" imageinclude="true"><source path="https://x"/></repository>
<packages type="image"><package name="a"/><package name="b" arch="aarch64"/></packages>
<packages type="bootstrap"><package name="c"/></packages></image>"#,
    ),
    (
        "form.yaml",
        r##"image:
  "@schemaversion": "8.5"
  "@name": t
  description: {"@type": system, author: A, contact: a, specification: S}
  profiles: {profile: {"@name": A, "@description": a, "@import": true}}
  preferences:
    version: 1.0.5
    packagemanager: apt
    locale: en_US,de_DE
    type:
      "@image": oem
      "@filesystem": btrfs
      "@firmware": uefi
      "@kernelcmdline": a <b> 'c'
      size: {"@unit": G, "#text": 4}
      oemconfig: {oem-swap: yes, oem-swapsize: 77}
      systemdisk:
        "@preferlvm": on
        volume:
        - {"@name": home, "@size": 2G}
        - {"@name": "@root", "@freespace": 50}
  users: {user: {"@name": root, "@password": x, "@groups": "root,wheel"}}
  repository: {"@priority": 5, "@imageinclude": true, source: {"@path": "https://x"}}
  packages:
  - "@type": image
    package: [{"@name": a}, {"@name": b, "@arch": aarch64}]
  - "@type": bootstrap
    package: {"@name": c}
"##,
    ),
    (
        "form.json",
        r##"{"image": {"@schemaversion": "8.5", "@name": "t",
"description": {"@type": "system", "author": "A", "contact": "a", "specification": "S"},
"profiles": {"profile": {"@name": "A", "@description": "a", "@import": true}},
"preferences": {"version": "1.0.5", "packagemanager": "apt", "locale": "en_US,de_DE",
 "type": {"@image": "oem", "@filesystem": "btrfs", "@firmware": "uefi", "@kernelcmdline": "a <b> 'c'",
  "size": {"@unit": "G", "#text": 4}, "oemconfig": {"oem-swap": true, "oem-swapsize": 77},
  "systemdisk": {"@preferlvm": true, "volume": [{"@name": "home", "@size": "2G"}, {"@name": "@root", "@freespace": 50}]}}},
"users": {"user": {"@name": "root", "@password": "x", "@groups": "root,wheel"}},
"repository": {"@priority": 5, "@imageinclude": true, "source": {"@path": "https://x"}},
"packages": [{"@type": "image", "package": [{"@name": "a"}, {"@name": "b", "@arch": "aarch64"}]},
 {"@type": "bootstrap", "package": {"@name": "c"}}]}}
"##,
    ),
    (
        "form.toml",
        r##"[image]
"@schemaversion" = "8.5"
"@name" = "t"
[image.description]
"@type" = "system"
author = "A"
contact = "a"
specification = "S"
[image.profiles.profile]
"@name" = "A"
"@description" = "a"
"@import" = true
[image.preferences]
version = "1.0.5"
packagemanager = "apt"
locale = "en_US,de_DE"
[image.preferences.type]
"@image" = "oem"
"@filesystem" = "btrfs"
"@firmware" = "uefi"
"@kernelcmdline" = "a <b> 'c'"
[image.preferences.type.size]
"@unit" = "G"
"#text" = 4
[image.preferences.type.oemconfig]
oem-swap = true
oem-swapsize = 77
[image.preferences.type.systemdisk]
"@preferlvm" = true
[[image.preferences.type.systemdisk.volume]]
"@name" = "home"
"@size" = "2G"
[[image.preferences.type.systemdisk.volume]]
"@name" = "@root"
"@freespace" = 50
[image.users.user]
"@name" = "root"
"@password" = "x"
"@groups" = "root,wheel"
[image.repository]
"@priority" = 5
"@imageinclude" = true
[image.repository.source]
"@path" = "https://x"
[[image.packages]]
"@type" = "image"
[[image.packages.package]]
"@name" = "a"
[[image.packages.package]]
"@name" = "b"
"@arch" = "aarch64"
[[image.packages]]
"@type" = "bootstrap"
[image.packages.package]
"@name" = "c"
"##,
    ),
];

#[test]
fn kiwi_reads_all_languages_the_same() {
    let test = "kiwi_reads_all_languages_the_same";
    let directory = tempfile::tempdir().expect("a directory");
    let mut infos = Vec::new();
    let mut files = Vec::new();
    for (name, text) in FORMS {
        let file = directory.path().join(name);
        std::fs::write(&file, text).expect("a file");
        let description = load(&file, None).unwrap_or_else(|error| panic!("{name}: {error}"));
        let problem = wrong(&description.model.problems);
        assert!(problem.is_none(), "{name}: {problem:?}");
        let selection = select(&description.model, &Choice::new(Arch::X86_64)).expect("a selection");
        infos.push(ours(&selection));
        files.push(file);
    }
    assert!(infos.iter().all(|info| *info == infos[0]), "the four forms say the same");
    let Some(python) = support::kiwi(test) else { return };
    assert!(compare(&python, &files) >= 4 * 8);
}

/// Compares all choices from these descriptions; gives their number.
fn compare(python: &Path, files: &[PathBuf]) -> usize {
    let loaded = files.iter().filter_map(|file| Some((file.clone(), load(file, None).ok()?)));
    let loaded: Vec<(PathBuf, Description)> = loaded.collect();
    let checks: Vec<&str> = checks().collect();
    let mut cases = Vec::new();
    let mut results = Vec::new();
    for (file, description) in &loaded {
        let wrong = wrong(&description.model.problems);
        for arch in [Arch::X86_64, Arch::Aarch64] {
            for (profiles, kind) in choices(description) {
                cases.push(
                    json!({"file": file, "profiles": profiles, "type": kind, "machine": arch.machine(), "checks": checks}),
                );
                let choice = Choice { profiles, image_type: kind, ..Choice::new(arch) };
                results.push(match select(&description.model, &choice) {
                    _ if wrong.is_some() => json!({"error": wrong.map(ToString::to_string)}),
                    Ok(selection) => ours(&selection),
                    Err(ResolveError::Choice(refusal)) => json!({"error": refusal.to_string()}),
                    Err(ResolveError::Refused(diagnostics)) => json!({"error": diagnostics.to_string()}),
                });
            }
        }
    }
    let theirs = oracle(python, &cases);
    assert_eq!(theirs.len(), cases.len());
    let mut different = Vec::new();
    let mut same = 0;
    for ((case, ours), theirs) in cases.iter().zip(&results).zip(&theirs) {
        let file = case["file"].as_str().expect("a file");
        match (ours.get("error"), theirs.get("error")) {
            (Some(_), Some(_)) => same += 1,
            (None, None) => {
                same += 1;
                let mut ours = ours.clone();
                ours["no verdict"] = theirs["no verdict"].clone();
                if let Some(names) = ours["checks"].as_array_mut() {
                    names.retain(|name| {
                        !theirs["no verdict"].as_array().is_some_and(|open| open.contains(name))
                    });
                }
                for (key, theirs) in theirs.as_object().expect("an object") {
                    let meant = DIFFERENT.iter().any(|(end, at, _)| file.ends_with(end) && at == key);
                    if ours[key] != *theirs && !meant {
                        let case = json!([file, case["profiles"], case["type"], case["machine"]]);
                        different.push(format!("{case}\n  {key}: KIWI {theirs}\n  we {}", ours[key]));
                    }
                }
            }
            _ if DIFFERENT.iter().any(|(end, at, _)| file.ends_with(end) && *at == "error") => {}
            (ours, theirs) => different.push(format!("{case}\n  error: KIWI {theirs:?}\n  we {ours:?}")),
        }
    }
    println!("{} files, {} choices, {same} alike", loaded.len(), cases.len());
    let shown = different.iter().take(25).cloned().collect::<Vec<String>>().join("\n");
    assert!(different.is_empty(), "{} differ:\n{shown}", different.len());
    cases.len()
}
