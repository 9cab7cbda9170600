//! `system build`, `system create`, `system boxbuild`: what diskwright does for them.

use super::super::args::{Build, Changes, Create, Selection, Shape, Writing};
use super::super::create::{self, Outcome};
use super::super::fail::{Code, Failure};
use super::super::say::Voice;
use super::{Call, Task, own_options, table, text, words};
use crate::describe::kiwi::runtime::Runtime;
use crate::emit::{self, Output};
use crate::model::{Arch, Image, Target};
use crate::report::kiwi::{FACTS_FILE, Facts, RESULT_FILE, ResultFile, Results, image_key};
use crate::survey::Surveyed;
use diskwright_formats::layout::{Extent, Layout, What};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// `system build`
pub(super) fn build(task: Task<'_>) -> Result<(), Failure> {
    let Task { call, runtime, setting, voice, .. } = task;
    let target = path(call, "target-dir");
    let writing = task.options.making.writing;
    let args = Build {
        description: path(call, "description"),
        output: target.clone(),
        selection: selection(call, voice)?,
        changes: Changes::default(),
        shape: shape(call, &task.options.making.shape, voice)?,
        writing: Writing { force: writing.force || call.has("allow-existing-root"), ..writing },
    };
    if task.options.making.record.is_some() {
        let message = "--record: system build makes its tree itself";
        return Err(
            Failure::new(Code::Usage, message).hint("a record of the overlay root is root.tree beside it")
        );
    }
    let outcome = create::build(args, runtime.max_size(), setting, voice).map_err(in_kiwis_words)?;
    if outcome.is_some() {
        let tree = target.join("build/image-root");
        voice.note(&format!("note: no {}: the tree goes straight into the images", tree.display()));
    }
    record(outcome, &target, &task)
}

/// `system create`
pub(super) fn create(task: Task<'_>) -> Result<(), Failure> {
    let Task { call, runtime, setting, voice, .. } = task;
    let (root, target) = (path(call, "root"), path(call, "target-dir"));
    let description = description(&root, call.value("kiwi-file"))?;
    let args = Create {
        description: Some(description),
        root: root.into_os_string(),
        record: task.options.making.record.clone(),
        output: target.clone(),
        selection: Selection { kiwi_file: None, ..selection(call, voice)? },
        changes: Changes::default(),
        shape: shape(call, &task.options.making.shape, voice)?,
        // As in KIWI: the last call counts.
        writing: Writing { force: true, ..task.options.making.writing },
    };
    let outcome = create::create(args, runtime.max_size(), setting, voice)?;
    record(outcome, &target, &task)
}

/// `system boxbuild`: what stands behind `--`, built right here.
pub(super) fn boxbuild(task: Task<'_>) -> Result<(), Failure> {
    if task.call.has("list-boxes") {
        task.voice.note("no boxes: none is needed, images are built right here without privileges");
        return task.voice.result(&Vec::<String>::new(), "");
    }
    let build = table::verb("system", "build").expect("a row of the table");
    let rest = task.call.rest.as_deref().unwrap_or_default();
    let mut call = words::read_rest(rest, build, &own_options())?;
    words::judge(&call)?.iter().for_each(|note| task.voice.note(&format!("note: {note}")));
    let shape = super::Options::of(&call)?;
    for given in &task.call.given {
        let row = given.row;
        if table::GLOBAL.iter().any(|(global, _)| global.long == row.long) {
            if !row.repeats && call.has(row.long) {
                let message = format!("--{} is there twice: in front of -- and behind it", row.long);
                return Err(Failure::new(Code::Usage, message).hint("give it once, in front of `system`"));
            }
            call.given.push(given.clone());
        }
    }
    let machine = ["x86_64", "aarch64"].into_iter().find(|name| task.call.has(name));
    let mut options = shape;
    if let Some(machine) = machine {
        if let Some(other) = call.value("target-arch").filter(|other| *other != machine) {
            let message = format!("--{machine} and --target-arch {}: which one?", other.display());
            return Err(Failure::new(Code::Usage, message).hint("take one of them away"));
        }
        options.making.shape.arch.get_or_insert_with(|| machine.to_owned());
    }
    build_of(&task, &call, options)
}

fn build_of(task: &Task<'_>, call: &Call, options: super::Options) -> Result<(), Failure> {
    build(Task { call, options, runtime: task.runtime, setting: task.setting, voice: task.voice })
}

fn path(call: &Call, long: &str) -> PathBuf {
    PathBuf::from(call.value(long).expect("what a command needs is there"))
}

fn selection(call: &Call, voice: Voice) -> Result<Selection, Failure> {
    let one = |long: &str| call.value(long).map(|value| text(value, long)).transpose();
    let profile = call.values("profile").map(|value| text(value, "profile")).collect::<Result<_, _>>()?;
    let image_type = one("type")?.map(|name| match name.as_str() {
        "vmx" => {
            voice.note("note: --type vmx is oem since schema 7.4");
            "oem".to_owned()
        }
        _ => name,
    });
    Ok(Selection { profile, image_type, kiwi_file: one("kiwi-file")? })
}

fn shape(call: &Call, own: &Shape, voice: Voice) -> Result<Shape, Failure> {
    let target = call.value("target-arch").map(|value| text(value, "target-arch")).transpose()?;
    let arch = match (&own.arch, target) {
        (Some(own), Some(target)) if *own != target => {
            let message = format!("--arch {own} and --target-arch {target}: which one?");
            return Err(Failure::new(Code::Usage, message).hint("take one of them away"));
        }
        (own, target) => target.or(own.clone()),
    };
    if arch.is_none() {
        // The image must not depend on where it is made; in KIWI it does.
        let host = rustix::system::uname();
        let host = host.machine().to_string_lossy();
        if Arch::from_name(&host).is_some_and(|host| host != Arch::X86_64) {
            voice.note(&format!("note: the image is for x86_64; for this machine: --target-arch {host}"));
        }
    }
    Ok(Shape { arch, ..own.clone() })
}

/// The description of a prepared tree: KIWI puts it into the directory `image`.
fn description(root: &Path, kiwi_file: Option<&OsStr>) -> Result<PathBuf, Failure> {
    if !root.is_dir() {
        fs_err::metadata(root)?;
        let message = format!("--root {}: not a directory", root.display());
        let root = root.display();
        return Err(Failure::new(Code::Usage, message).hint(format!(
            "a tar needs the description beside it: diskwright create DESCRIPTION --root {root} -o DIR"
        )));
    }
    let [top, inner] = ["", "image"]
        .map(|directory| root.join(directory).join(kiwi_file.unwrap_or(OsStr::new("config.xml"))));
    match (top.is_file(), inner.is_file()) {
        (true, true) if kiwi_file.is_none() => {
            let message = format!("{}: two descriptions: config.xml and image/config.xml", root.display());
            Err(Failure::new(Code::Usage, message).hint("say which one: --kiwi-file image/config.xml"))
        }
        (true, _) => Ok(top),
        (false, true) => Ok(inner),
        (false, false) if kiwi_file.is_some() => {
            let message = format!("{}: no such description", top.display());
            Err(Failure::new(Code::Refused, message).hint("--kiwi-file is a name in the tree"))
        }
        (false, false) => {
            let message = format!("{}: no description in the tree: no image/config.xml", root.display());
            let hint =
                format!("say which one: diskwright create DESCRIPTION --root {} -o DIR", root.display());
            Err(Failure::new(Code::Refused, message).hint(hint))
        }
    }
}

/// What exists is replaced by another option than `--force` here.
fn in_kiwis_words(failure: Failure) -> Failure {
    let hint = failure.hint.map(|hint| hint.replace("--force", "--allow-existing-root"));
    Failure { hint, ..failure }
}

/// Writes the results for `result list`, `result bundle` and everybody's scripts.
fn record(outcome: Option<Outcome>, target: &Path, task: &Task<'_>) -> Result<(), Failure> {
    let Some(outcome) = outcome else { return Ok(()) };
    let results = results(&outcome, task.runtime)?;
    let facts = facts(&outcome.image, outcome.profiles);
    let facts = serde_json::json!({ "schema": 1, "image": facts });
    let facts = serde_json::to_string_pretty(&facts).map_err(std::io::Error::other)? + "\n";
    let output = |name: &str, text: String| {
        let len = text.len() as u64;
        let extent = Extent::of_bytes(0, text.into_bytes(), What::new(&"results"));
        let layout = Layout::new(len, vec![extent], vec![]).expect("one extent from end to end");
        Output { layout, path: target.join(name) }
    };
    let outputs = [output(RESULT_FILE, results.to_json()), output(FACTS_FILE, facts)];
    let options = emit::Options { overwrite: true, ..super::super::emitting(task.setting) };
    emit::emit(&outputs, &Surveyed::memory(vec![]), &options, &Silent)?;
    task.voice.note(&format!("results: {}", outputs[0].path.display()));
    Ok(())
}

struct Silent;

impl emit::Progress for Silent {
    fn advance(&self, _: u64) {}
}

fn results(outcome: &Outcome, runtime: &Runtime) -> Result<Results, Failure> {
    let outputs = &outcome.report.outputs;
    let formats: Vec<&str> = outputs.iter().filter_map(|output| output.format.as_deref()).collect();
    let mut results = Results::default();
    for output in outputs {
        let (key, use_for_bundle, compress) = image_key(output.format.as_deref(), &formats);
        let path = std::path::absolute(&output.path)?;
        let filename = path.to_str().ok_or_else(|| {
            let message = format!("{}: not UTF-8: the list of results cannot have it", path.display());
            Failure::new(Code::Refused, message).hint("choose another --target-dir")
        })?;
        let compress = runtime.compress().unwrap_or(compress);
        let file = ResultFile { compress, filename: filename.to_owned(), shasum: true, use_for_bundle };
        results.files.insert(key, file);
    }
    Ok(results)
}

fn facts(image: &Image, profiles: Vec<String>) -> Facts {
    let image_type = match &image.target {
        Target::Disk(_) => "oem".to_owned(),
        Target::Filesystem(volume) => volume.format.name.clone(),
    };
    Facts {
        name: image.name.clone(),
        version: image.version.clone().unwrap_or_default(),
        arch: image.arch.machine().to_owned(),
        profiles,
        image_type,
    }
}
