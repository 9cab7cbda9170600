//! Sources that change between survey and reading.

use crate::support::*;
use diskwright::survey::{Origin, Survey, survey};
use diskwright_formats::layout::{ContentId, Contents};
use diskwright_fstools::tree::{Data, Kind};
use std::fs::{self, File};
use std::os::unix::fs::{FileExt, symlink};
use std::path::Path;

fn content(survey: &Survey, path: &str) -> ContentId {
    match &survey.tree.node(node(survey, path)).kind {
        Kind::File(Data::Content { id, .. }) => *id,
        other => panic!("{path}: {other:?}"),
    }
}

/// Opens, reads and closes a content; the error, if any.
fn use_all(survey: &Survey, path: &str, len: usize, meanwhile: impl FnOnce()) -> Option<String> {
    let used = || {
        let content = survey.contents.open(content(survey, path))?;
        meanwhile();
        content.read_exact_at(0, &mut vec![0; len])?;
        content.close()
    };
    used().err().map(|error| error.to_string())
}

type Change = (&'static str, fn(&Path), &'static str);

const CHANGES: &[Change] = &[
    ("nothing", |_| {}, ""),
    (
        "shrinks",
        |file| File::options().write(true).open(file).unwrap().set_len(10).unwrap(),
        "had 1000 bytes and has 10",
    ),
    (
        "grows",
        |file| File::options().write(true).open(file).unwrap().set_len(2000).unwrap(),
        "had 1000 bytes and has 2000",
    ),
    (
        "is written",
        |file| File::options().write(true).open(file).unwrap().write_all_at(b"new", 5).unwrap(),
        "other times",
    ),
    (
        "is replaced",
        |file| {
            let other = file.with_file_name("other");
            fs::write(&other, [1; 1000]).unwrap();
            fs::rename(other, file).unwrap();
        },
        "another file",
    ),
];

#[test]
fn a_file_that_changes_before_it_is_opened() {
    let more: &[Change] = &[
        ("is removed", |file| fs::remove_file(file).unwrap(), "No such file"),
        (
            "becomes a symlink",
            |file| {
                fs::rename(file, file.with_file_name("moved")).unwrap();
                symlink("moved", file).unwrap();
            },
            "/d/file: ",
        ),
        (
            "becomes a fifo",
            |file| {
                fs::remove_file(file).unwrap();
                rustix::fs::mknodat(rustix::fs::CWD, file, rustix::fs::FileType::Fifo, 0o644.into(), 0)
                    .unwrap();
            },
            "had 1000 bytes and has 0",
        ),
        (
            "moves with its directory",
            |file| {
                let directory = file.parent().unwrap();
                fs::rename(directory, directory.with_file_name("moved")).unwrap();
                symlink("moved", directory).unwrap();
            },
            "/d/file: ",
        ),
    ];
    for (name, change, expected) in CHANGES.iter().chain(more) {
        let scratch = scratch();
        let file = scratch.path().join("d/file");
        fs::create_dir(scratch.path().join("d")).unwrap();
        fs::write(&file, [7; 1000]).unwrap();
        let survey = surveyed(scratch.path());
        change(&file);
        check(name, &file, expected, use_all(&survey, "/d/file", 1000, || ()));
    }
}

#[test]
fn a_file_that_changes_while_it_is_read() {
    // A file that is replaced while it is open is still the old one, and is read as such.
    for (name, change, expected) in CHANGES.iter().filter(|(name, ..)| *name != "is replaced") {
        let scratch = scratch();
        let file = scratch.path().join("file");
        fs::write(&file, [7; 1000]).unwrap();
        let survey = surveyed(scratch.path());
        check(name, &file, expected, use_all(&survey, "/file", 1000, || change(&file)));
    }
}

#[test]
fn an_archive_that_changes() {
    for (name, change, _) in CHANGES.iter().filter(|(name, ..)| *name != "is replaced") {
        for early in [true, false] {
            let scratch = scratch();
            let file = scratch.path().join("a.tar");
            fs::write(&file, Tar::default().file("f", &[7; 1000]).end()).unwrap();
            let survey = survey(&Origin::Tar(file.clone()), &options()).unwrap();
            if early {
                change(&file);
            }
            let error = use_all(&survey, "/f", 1000, || {
                if !early {
                    change(&file)
                }
            });
            let expected = if *name == "nothing" { "" } else { "changed since it was surveyed" };
            check(name, &file, expected, error);
        }
    }
}

fn check(name: &str, file: &Path, expected: &str, error: Option<String>) {
    match error {
        None => assert_eq!(expected, "", "a file that {name}: no error"),
        Some(error) => {
            assert!(!expected.is_empty(), "a file of which {name} changes: {error}");
            assert!(error.starts_with(&file.display().to_string()), "a file that {name}: {error}");
            assert!(error.contains(expected), "a file that {name}: {error}");
        }
    }
}
