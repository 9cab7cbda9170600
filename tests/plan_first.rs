//! The first example, the whole way: its overlay becomes a disk, which is read back.
#![allow(clippy::disallowed_methods)]

use diskwright::build::{Request, Stage, identity, lay, run};
use diskwright::describe::kiwi::{Description, load};
use diskwright::emit::{self, Progress};
use diskwright::model::Arch;
use diskwright::resolve::{Choice, Resolved, resolve};
use diskwright::root::{prepare, survey as survey_layers};
use diskwright::survey::{Images, Options, Survey};
use diskwright_formats::layout::{Contents, Reader};
use diskwright_formats::table::gpt;
use std::path::{Path, PathBuf};

const EPOCH: i64 = 1_700_000_000;

struct Silent;

impl Progress for Silent {
    fn advance(&self, _: u64) {}
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/first")
}

fn options(work: &Path, threads: usize) -> Options {
    Options { epoch: EPOCH, owner: None, work_dir: work.to_owned(), threads }
}

fn resolved(description: &Description, formats: &[&str]) -> Resolved {
    let formats = formats.iter().map(|one| (*one).to_owned()).collect();
    resolve(&description.model, &Choice { formats, ..Choice::new(Arch::X86_64) }).expect("a good description")
}

fn surveyed(description: &Description, resolved: &Resolved, work: &Path) -> Survey {
    let prepared = prepare(description, resolved).expect("it needs no packages");
    survey_layers(&prepared, &options(work, 2)).expect("it can be surveyed")
}

#[test]
fn the_disk_has_what_the_description_says() {
    let work = tempfile::tempdir().expect("a directory");
    let description = load(&example(), None).expect("it is there");
    let resolved = resolved(&description, &["raw"]);
    assert_eq!(resolved.warnings.list, [], "not even a warning");
    let Survey { tree, contents, .. } = surveyed(&description, &resolved, work.path());
    let identity = identity(&resolved.image, None, EPOCH);
    let (fit, composed) = lay(&resolved.image, &identity, tree, &contents, &Images::default(), &mut |_| {})
        .expect("it can be laid");
    let reader = Reader::new(&composed[0].layout, &contents as &dyn Contents);
    let table = gpt::open(&reader).expect("a table");
    assert_eq!(table.damage, []);
    let found: Vec<(String, u64, u64)> =
        table.partitions.iter().map(|one| (one.name.clone(), one.start >> 20, one.len >> 20)).collect();
    let expected = [("p.UEFI", 1, 20), ("p.lxdata", 21, 32), ("p.lxroot", 53, 138)];
    assert_eq!(found, expected.map(|(name, start, len)| (name.to_owned(), start, len)));
    for place in &fit.places {
        let usage = place.usage.expect("each has a file system");
        assert!(usage.free > 0 && usage.used > 0 && usage.free + usage.used <= place.len, "{usage:?}");
    }
    let root = fit.places[2].tree.as_ref().expect("a tree");
    let paths: Vec<String> =
        root.walk().map(|step| String::from_utf8(step.path).expect("a name in ASCII")).collect();
    for path in ["/etc/fstab", "/etc/hostname", "/etc/os-release", "/usr/bin/hello", "/srv", "/boot/efi"] {
        assert!(paths.iter().any(|one| one == path), "{path} in {paths:?}");
    }
    let hello = root.node(root.lookup(b"/usr/bin/hello").expect("there"));
    assert_eq!((hello.meta.mode & 0o111, hello.meta.uid, hello.meta.gid), (0o111, 0, 0));
}

#[test]
fn two_formats_are_written_from_one_disk() {
    let work = tempfile::tempdir().expect("a directory");
    let description = load(&example(), None).expect("it is there");
    let digests = [1, 4].map(|threads| {
        let resolved = resolved(&description, &["raw", "qcow2"]);
        let identity = identity(&resolved.image, None, EPOCH);
        let directory = work.path().join(threads.to_string());
        std::fs::create_dir(&directory).expect("a directory");
        let request = Request {
            image: &resolved.image,
            identity: &identity,
            directory: directory.clone(),
            file: None,
            largest: None,
            lists: Vec::new(),
            emit: emit::Options { threads, sync: false, overwrite: false },
        };
        let survey = surveyed(&description, &resolved, work.path());
        let mut stages = Vec::new();
        let report =
            run(&request, survey, &Silent, &mut |stage| stages.push(stage)).expect("it can be built");
        assert_eq!(stages, [Stage::Fit, Stage::Compose, Stage::Emit]);
        let names: Vec<String> = report
            .outputs
            .iter()
            .map(|one| one.path.file_name().expect("a name").to_string_lossy().into_owned())
            .collect();
        assert_eq!(names, ["first.x86_64-1.0.0.raw", "first.x86_64-1.0.0.qcow2"]);
        assert_eq!(report.outputs[0].len, 192 << 20);
        assert!(report.outputs[1].len < 16 << 20, "qcow2 has no zeros: {}", report.outputs[1].len);
        let json = serde_json::to_value(&report).expect("a report is JSON");
        assert_eq!(json["layout"]["partitions"][2]["role"], "root");
        report.outputs.iter().map(|one| std::fs::read(&one.path).expect("a file")).collect::<Vec<Vec<u8>>>()
    });
    assert!(digests[0] == digests[1], "threads change no byte");
}

#[test]
fn what_cannot_be_prepared_is_named_all_at_once() {
    let work = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| std::fs::write(work.path().join(name), text).expect("a file");
    let xml = r#"<image schemaversion="8.5" name="t"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description><preferences><version>1</version><timezone>UTC</timezone>
<type image="ext4"/></preferences><packages type="image"><package name="x"/></packages></image>"#;
    write("config.xml", xml);
    let description = load(work.path(), None).expect("it is there");
    let resolved = resolved(&description, &[]);
    for script in ["config.sh", "images.sh", "disk.sh"] {
        write(script, "");
    }
    let error = prepare(&description, &resolved).expect_err("nothing of it can be done").to_string();
    let lines: Vec<String> =
        error.replace(&work.path().display().to_string(), "D").lines().map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "D/config.xml:1:183: error: element timezone needs a change of configuration in the tree, which build cannot do yet",
            "D/config.xml:2:35: error: element packages needs a package manager, which build cannot do yet",
            "D/config.xml:2:67: error: there are packages, and no repository that they could come from (check_repositories_configured)",
            "description: D/config.sh: a script that KIWI runs here, which is not supported yet",
            "description: D/images.sh: a script that KIWI runs here, which is not supported yet",
        ]
    );
}

#[test]
fn without_packages_there_must_be_an_overlay() {
    let work = tempfile::tempdir().expect("a directory");
    let xml = r#"<image schemaversion="8.5" name="t"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description><preferences><version>1</version><type image="ext4"/></preferences></image>"#;
    std::fs::write(work.path().join("config.xml"), xml).expect("a file");
    let description = load(work.path(), None).expect("it is there");
    let error =
        prepare(&description, &resolved(&description, &[])).expect_err("there is no tree").to_string();
    assert_eq!(
        error.replace(&work.path().display().to_string(), "D"),
        "description: D/root: no overlay: a description without packages takes its tree from the directory root beside it\n"
    );
}

#[test]
fn profiles_lie_over_the_overlay() {
    let work = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| {
        let path = work.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(path, text).expect("a file");
    };
    let xml = r#"<image schemaversion="8.5" name="t"><description type="system"><author>A</author><contact>a@b</contact><specification>S</specification></description><profiles><profile name="Big" description="b" import="true"/>
<profile name="Other" description="o"/></profiles><preferences><version>1</version><type image="ext4"/></preferences></image>"#;
    write("config.xml", xml);
    write("root/etc/a", "root");
    write("root/etc/b", "root");
    write("Big/etc/b", "profile");
    write("Other/etc/c", "other");
    let description = load(work.path(), None).expect("it is there");
    let survey = surveyed(&description, &resolved(&description, &[]), work.path());
    let size = |path: &str| match survey.tree.lookup(path.as_bytes()).map(|node| &survey.tree.node(node).kind)
    {
        Some(diskwright_fstools::tree::Kind::File(data)) => Some(data.size()),
        _ => None,
    };
    assert_eq!((size("/etc/a"), size("/etc/b"), size("/etc/c")), (Some(4), Some(7), None));
}
