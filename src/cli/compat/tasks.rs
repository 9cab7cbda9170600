//! `system build`, `system create`, `system boxbuild`: what diskwright does for them.

use super::super::args::{Build, Changes, Create, Info, Selection, Shape, Writing};
use super::super::create::{self, Outcome};
use super::super::fail::{Code, Failure};
use super::super::prepare::{self as preparing, Fetching, Prepare};
use super::super::sandbox::Sandboxed;
use super::super::say::Voice;
use super::words::Given;
use super::{Call, Task, own_options, table, text, words};
use crate::describe::kiwi::runtime::Runtime;
use crate::emit::{self, Output};
use crate::model::{Arch, Image, Target};
use crate::plan::is_image;
use crate::report::kiwi::{FACTS_FILE, Facts, RESULT_FILE, ResultFile, Results, image_key};
use crate::survey::Surveyed;
use diskwright_formats::layout::{Extent, Layout, What};
use std::ffi::{OsStr, OsString};
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};

/// `system build`
pub(super) fn build(task: Task<'_>) -> Result<(), Failure> {
    let Task { call, runtime, setting, voice, .. } = task;
    let target = path(call, "target-dir");
    let writing = task.options.making.writing;
    let args = Build {
        fetching: Fetching::default(),
        sandboxed: Default::default(),
        description: path(call, "description"),
        output: target.clone(),
        selection: selection(call, voice)?,
        changes: changes(call, voice)?,
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

/// `system prepare`
pub(super) fn prepare(task: &Task<'_>) -> Result<(), Failure> {
    let Task { call, setting, voice, .. } = task;
    let shape = shape(call, &task.options.making.shape, *voice)?;
    let args = Prepare {
        description: path(call, "description"),
        root: Some(path(call, "root")),
        tar: None,
        force: false,
        selection: selection(call, *voice)?,
        changes: changes(call, *voice)?,
        fetching: Fetching::default(),
        sandboxed: Sandboxed::default(),
        arch: shape.arch,
    };
    preparing::prepare(args, setting, *voice).map_err(in_kiwis_words)
}

/// `system create`
pub(super) fn create(task: Task<'_>) -> Result<(), Failure> {
    let Task { call, runtime, setting, voice, .. } = task;
    let (root, target) = (path(call, "root"), path(call, "target-dir"));
    let description = description(&root, call.value("kiwi-file"))?;
    let args = Create {
        fetching: Default::default(),
        sandboxed: Default::default(),
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

/// `image info`
pub(super) fn info(task: &Task<'_>) -> Result<(), Failure> {
    let (call, voice) = (task.call, task.voice);
    let args = Info {
        descriptions: vec![path(call, "description")],
        support: false,
        resolve_package_list: false,
        shape: shape(call, &Shape::default(), voice)?,
        selection: selection(call, voice)?,
        changes: changes(call, voice)?,
    };
    super::super::info::info(&args, voice)
}

/// `system boxbuild --list-boxes`
pub(super) fn list_boxes(task: &Task<'_>) -> Result<(), Failure> {
    task.voice.note("no boxes: none is needed, images are built right here without privileges");
    task.voice.result(&Vec::<String>::new(), "")
}

/// The `system build` that a `system boxbuild` is without its box, and what to note about the box.
pub(super) fn unboxed(boxed: Call) -> Result<(Call, Vec<String>), Failure> {
    let notes = words::judge(&boxed)?;
    let build = table::verb("system", "build").expect("a row of the table");
    let mut call = words::read_rest(boxed.rest.as_deref().unwrap_or_default(), build, &own_options())?;
    let machine = ["x86_64", "aarch64"].into_iter().find(|name| boxed.has(name)).map(OsString::from);
    let (arch, _) =
        table::GLOBAL.iter().find(|(row, _)| row.long == "target-arch").expect("a row of the table");
    let machine = machine.map(|name| Given { row: arch, value: Some(name) });
    let global = |given: &Given| table::GLOBAL.iter().any(|(row, _)| row.long == given.row.long);
    let handed_on: Vec<Given> = boxed.given.into_iter().filter(global).chain(machine).collect();
    for (at, given) in handed_on.iter().enumerate() {
        let long = given.row.long;
        let same = |other: &Given| other.row.long == long;
        if !given.row.repeats && (call.has(long) || handed_on[..at].iter().any(same)) {
            let message = match long {
                "target-arch" => "the machine is said twice: --target-arch, --x86_64, --aarch64".to_owned(),
                long => format!("--{long} is there twice: in front of -- and behind it"),
            };
            return Err(Failure::new(Code::Usage, message).hint("give it once"));
        }
    }
    call.given.extend(handed_on);
    call.own.extend(boxed.own);
    Ok((call, notes))
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

/// The options that change the description.
fn changes(call: &Call, voice: Voice) -> Result<Changes, Failure> {
    let one = |long: &str| call.value(long).map(|value| text(value, long)).transpose();
    let many =
        |long: &'static str| call.values(long).map(|value| text(value, long)).collect::<Result<Vec<_>, _>>();
    let credentials =
        |values: Vec<String>| values.iter().map(|one| credentials(one)).collect::<Result<Vec<_>, _>>();
    let mut changes = Changes {
        set_type_attr: many("set-type-attr")?,
        ignore_repos: call.has("ignore-repos"),
        ignore_repos_used_for_build: call.has("ignore-repos-used-for-build"),
        set_repo: one("set-repo")?,
        set_repo_credentials: one("set-repo-credentials")?
            .map(|value| self::credentials(&value))
            .transpose()?,
        add_repo: many("add-repo")?,
        add_repo_credentials: credentials(many("add-repo-credentials")?)?,
        add_package: many("add-package")?,
        add_bootstrap_package: many("add-bootstrap-package")?,
        delete_package: many("delete-package")?,
        ca_cert: many("ca-cert")?,
        ca_target_distribution: one("ca-target-distribution")?,
        // Container types are refused, and their options with them; only a package manager reads the release version.
        ..Changes::default()
    };
    if changes.set_repo.is_none() && changes.set_repo_credentials.take().is_some() {
        voice.note("note: --set-repo-credentials without effect: there is no --set-repo");
    }
    Ok(changes)
}

/// `USER:PASSWORD`, or a file whose first line says that.
fn credentials(text: &str) -> Result<String, Failure> {
    let line = match Path::new(text).is_file() {
        false => text.to_owned(),
        true => {
            let mut line = String::new();
            let file = fs_err::File::open(text)?;
            std::io::BufReader::new(file.take(1 << 16)).read_line(&mut line)?;
            line.trim_end().to_owned()
        }
    };
    match line.contains(':') {
        true => Ok(line),
        // What it is may be a secret: it is not repeated.
        false => Err(Failure::new(Code::Usage, "credentials have no colon, and are no file either")
            .hint("USER:PASSWORD, or a file whose first line is that")),
    }
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
    let mut results = results(&outcome, task.runtime)?;
    let facts = facts(&outcome.image, outcome.profiles);
    results.pattern = outcome.bundle_format.map(|pattern| (pattern, facts.clone()));
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
        // As KIWI's lists of packages, what is told of an image has no checksum.
        let is_image = is_image(output.format.as_deref());
        let compress = is_image && runtime.compress().unwrap_or(compress);
        let file = ResultFile { compress, filename: filename.to_owned(), shasum: is_image, use_for_bundle };
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
        arch: image.arch.machine().name().to_owned(),
        profiles,
        image_type,
    }
}
