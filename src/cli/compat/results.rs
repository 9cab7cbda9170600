//! `result list`, `result bundle`.

use super::super::fail::{Code, Failure};
use super::bundle::{Digest, Item, Settings, write};
use super::{Task, text};
use crate::report::kiwi::{
    FACTS_FILE, Facts, PICKLE_FILE, RESULT_FILE, ResultFile, Results, base, bundle_name,
};
use serde::{Deserialize, Serialize};
use std::fmt::Write;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The largest list of results that is read, in bytes.
const LARGEST: u64 = 4 << 20;

/// `result list`
pub(super) fn list(task: &Task<'_>) -> Result<(), Failure> {
    let target = target(task)?;
    let results = load(&target)?;
    let mut text = "Result files:\n".to_owned();
    if let Some((pattern, _)) = &results.pattern {
        let _ = writeln!(text, "--> bundle_format: {}", shown(pattern));
    }
    for (key, file) in &results.files {
        let name = shown(&file.filename);
        let _ = writeln!(text, "--> {}: {name}", shown(key));
        if !Path::new(&file.filename).exists() {
            task.voice.note(&format!("note: no longer there: {name}"));
        }
    }
    let value: serde_json::Value = serde_json::from_str(&results.to_json()).map_err(std::io::Error::other)?;
    task.voice.result(&value, &text)
}

/// Text of a file, safe for a terminal.
fn shown(text: &str) -> String {
    let one = |c: char| if c.is_control() { c.escape_default().to_string() } else { c.to_string() };
    text.chars().map(one).collect()
}

#[derive(Serialize)]
struct Bundled {
    schema: u32,
    directory: PathBuf,
    files: Vec<super::bundle::Made>,
}

/// `result bundle`
pub(super) fn bundle(task: &Task<'_>) -> Result<(), Failure> {
    let (target, call) = (target(task)?, task.call);
    let directory = PathBuf::from(call.value("bundle-dir").expect("what a command needs is there"));
    if directory.exists() && fs_err::canonicalize(&target)? == fs_err::canonicalize(&directory)? {
        let message = "--bundle-dir is --target-dir: a bundle lies in a directory of its own";
        return Err(Failure::new(Code::Usage, message).hint("name another --bundle-dir"));
    }
    let id = part_of_name(&text(call.value("id").expect("what a command needs is there"), "id")?, "id")?;
    let pattern = match call.value("bundle-format") {
        None => None,
        Some(pattern) => Some(part_of_name(&text(pattern, "bundle-format")?, "bundle-format")?),
    };
    let results = load(&target)?;
    let facts = facts(&target, &results)?;
    let pattern = pattern.or(results.pattern.as_ref().map(|(pattern, _)| pattern.clone()));
    check_pattern(pattern.as_deref(), &facts, &target)?;
    let items = items(task, &target, &results, &facts, &id, pattern.as_deref())?;
    let settings = Settings {
        digest: if task.runtime.digest_bits() == 512 { Digest::Sha512 } else { Digest::Sha256 },
        level: task.runtime.xz_level().unwrap_or(6),
        threads: task.setting.threads,
    };
    let bar = task.voice.bar("bundling")?;
    let files = write(&directory, &items, &settings, &bar)?;
    drop(bar);
    let mut text = String::new();
    for file in &files {
        let _ = writeln!(text, "{}: {}", directory.join(&file.file).display(), super::say::size(file.bytes));
    }
    task.voice.result(&Bundled { schema: 1, directory, files }, &text)
}

pub(super) fn target(task: &Task<'_>) -> Result<PathBuf, Failure> {
    let target = PathBuf::from(task.call.value("target-dir").expect("what a command needs is there"));
    fs_err::metadata(&target)?;
    Ok(target)
}

pub(super) fn load(target: &Path) -> Result<Results, Failure> {
    let path = target.join(RESULT_FILE);
    if !path.exists() {
        let message = format!("{}: no results: no {RESULT_FILE}", target.display());
        let hint = match target.join(PICKLE_FILE).exists() {
            true => format!("{PICKLE_FILE} is for KIWI's own `result list` and `result bundle` alone"),
            false => "it is written by system build and system create".to_owned(),
        };
        return Err(Failure::new(Code::Refused, message).hint(hint));
    }
    Ok(Results::parse(&path.display().to_string(), &read(&path)?)?)
}

fn read(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = fs_err::File::open(path)?.take(LARGEST + 1).read_to_string(&mut text)?;
    match read as u64 > LARGEST {
        true => Err(Failure::new(Code::Refused, format!("{}: more than {LARGEST} bytes", path.display()))),
        false => Ok(text),
    }
}

#[derive(Deserialize)]
struct FactsFile {
    image: Facts,
}

/// Name and version: from our own file, from KIWI's, else from the names of the results.
fn facts(target: &Path, results: &Results) -> Result<Facts, Failure> {
    let path = target.join(FACTS_FILE);
    if path.exists() {
        let found: FactsFile = serde_json::from_str(&read(&path)?).map_err(|error| {
            let hint = "make the results again, with system build or system create";
            Failure::new(Code::Refused, format!("{}: {error}", path.display())).hint(hint)
        })?;
        return Ok(found.image);
    }
    let known = results.pattern.as_ref().map(|(_, facts)| facts.clone());
    known.or_else(|| results.guess()).ok_or_else(|| {
        let message = format!("{}: no result has a name like NAME.ARCH-VERSION.EXTENSION", target.display());
        Failure::new(Code::Refused, message)
            .hint("make the results again, with system build or system create")
    })
}

/// A pattern may ask for what the names of KIWI's results do not say.
fn check_pattern(pattern: Option<&str>, facts: &Facts, target: &Path) -> Result<(), Failure> {
    let unknown = facts.image_type.is_empty();
    let asked = pattern.and_then(|pattern| ["%P", "%T"].into_iter().find(|tag| pattern.contains(tag)));
    match asked.filter(|_| unknown) {
        None => Ok(()),
        Some(tag) => {
            let message =
                format!("--bundle-format: {tag}: the results in {} do not say it", target.display());
            Err(Failure::new(Code::Refused, message)
                .hint(format!("write what it stands for in the place of {tag}")))
        }
    }
}

fn part_of_name(text: &str, long: &str) -> Result<String, Failure> {
    let bad = text.is_empty() || text.contains('/') || text.chars().any(char::is_control);
    match bad {
        false => Ok(text.to_owned()),
        true => {
            let message = format!("--{long} {}: not a part of a file name", text.escape_debug());
            Err(Failure::new(Code::Usage, message)
                .hint("it cannot be empty, nor have a slash or control characters"))
        }
    }
}

/// A result, where it is now: the whole directory may have been moved.
pub(super) fn found(task: &Task<'_>, target: &Path, filename: &str) -> Result<PathBuf, Failure> {
    let source = PathBuf::from(filename);
    if source.exists() {
        return Ok(source);
    }
    let here = target.join(base(filename));
    if !here.exists() {
        let message = format!("{}: this result is no longer there", shown(filename));
        let hint = "make the results again, with system build or system create";
        return Err(Failure::new(Code::Refused, message).hint(hint));
    }
    task.voice.note(&format!("note: {} is now {}", shown(filename), shown(&here.to_string_lossy())));
    Ok(here)
}

fn items(
    task: &Task<'_>,
    target: &Path,
    results: &Results,
    facts: &Facts,
    id: &str,
    pattern: Option<&str>,
) -> Result<Vec<Item>, Failure> {
    let mut items: Vec<Item> = Vec::new();
    for ResultFile { filename, compress, shasum, .. } in
        results.files.values().filter(|file| file.use_for_bundle)
    {
        let source = found(task, target, filename)?;
        let name = part_of_name(&bundle_name(filename, facts, id, pattern), "bundle-format")?;
        if let Some(other) = items.iter().find(|item| item.name == name) {
            let message = format!("{} and {filename}: both would be {name}", other.source.display());
            return Err(
                Failure::new(Code::Refused, message).hint("name the bundle's files without --bundle-format")
            );
        }
        let compress = *compress && !task.call.has("no-compress");
        items.push(Item { source, name, compress, shasum: *shasum });
    }
    match items.is_empty() {
        false => Ok(items),
        true => {
            Err(Failure::new(Code::Refused, format!("{}: no result is meant for a bundle", target.display())))
        }
    }
}
