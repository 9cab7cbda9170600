//! Directories with a record.

use crate::support::*;
use diskwright::survey::{Options, Origin, Survey, SurveyError, survey};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// A prepared tree: a directory as its owner can have it, and its record.
fn prepared(top: &Path) {
    fs::create_dir_all(top.join("dev")).unwrap();
    fs::create_dir(top.join("gone-placeholder")).unwrap();
    fs::write(top.join("ping"), b"ping").unwrap();
    fs::hard_link(top.join("ping"), top.join("ping6")).unwrap();
    symlink("ping", top.join("link")).unwrap();
    // Of the devices one is missing, one an empty file, one a fifo.
    fs::write(top.join("dev/null"), b"").unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, top.join("dev/log"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .unwrap();
    fs::set_permissions(top.join("ping"), fs::Permissions::from_mode(0o700)).unwrap();
}

const RECORD: &str = "\
diskwright tree 1
/ directory 0555 0 0 1600000000.000000000 - - -
/dev directory 0755 0 0 1600000000.000000000 - - -
/dev/log socket 0666 0 5 1600000000.000000000 - - -
/dev/null character 0666 0 0 1600000000.000000000 - 1:3 -
/dev/sda block 0660 0 6 1600000000.000000000 - 8:0 -
/dev/zzz hardlink - - - - - - /dev/sda
/gone-placeholder directory 2775 8 9 1800000000.000000001 - - -
/link symlink 0777 3 4 1600000000.000000001 - - ping
/ping file 4755 10 11 1600000000.123456789 4 - - security.capability=\\x01 security.selinux=label\\x00
/ping6 hardlink - - - - - - /ping
end 10
";

fn with_record(top: &Path, record: &str, options: &Options) -> Result<Survey, SurveyError> {
    let path = top.with_extension("tree");
    fs::write(&path, record).unwrap();
    survey(&Origin::Directory { path: top.to_owned(), record: Some(path) }, options)
}

#[test]
fn the_record_says_what_the_directory_cannot() {
    let scratch = scratch();
    let top = scratch.path().join("root");
    prepared(&top);
    let survey = with_record(&top, RECORD, &options()).unwrap();
    assert_eq!(text(&survey), RECORD.replace("1800000000.000000001", "1700000000.000000000"));
    assert_eq!(survey.notes, [""; 0]);
    assert_eq!(bytes(&survey, node(&survey, "/ping6")), b"ping");
    let owned = with_record(&top, RECORD, &Options { owner: Some((5, 6)), ..options() }).unwrap();
    assert!(text(&owned).lines().filter(|line| line.contains(".0000")).all(|line| line.contains(" 5 6 ")));
}

#[test]
fn what_is_only_in_the_directory() {
    let scratch = scratch();
    let top = scratch.path().join("root");
    prepared(&top);
    fs::create_dir(top.join("new")).unwrap();
    fs::write(top.join("new/file"), b"new").unwrap();
    fs::set_permissions(top.join("new/file"), fs::Permissions::from_mode(0o640)).unwrap();
    set_time(&top.join("new/file"), 1_500_000_000, 5);
    fs::hard_link(top.join("ping"), top.join("a-link")).unwrap();
    // Edited after the record was made: the directory gives data.
    fs::write(top.join("ping"), b"longer than it was").unwrap();
    fs::remove_file(top.join("link")).unwrap();
    symlink("elsewhere", top.join("link")).unwrap();
    let survey = with_record(&top, RECORD, &options()).unwrap();
    assert_eq!(survey.notes, ["paths that are not in the record: 3, taken as 0:0 with their own mode"]);
    assert_eq!(line(&survey, "/new/file"), "file 0640 0 0 1500000000.000000005 3 - -");
    assert_eq!(line(&survey, "/link"), "symlink 0777 3 4 1600000000.000000001 - - elsewhere");
    assert!(line(&survey, "/a-link").starts_with("file 4755 10 11 1600000000.123456789 18"));
    assert_eq!(line(&survey, "/ping"), "hardlink - - - - - - /a-link");
}

type Break = (&'static str, fn(&Path), &'static str);

#[test]
fn what_the_directory_lost() {
    let table: &[Break] = &[
        (
            "a file",
            |top| fs::remove_file(top.join("link")).unwrap(),
            "/link: in the record, and not in the directory",
        ),
        (
            "a directory",
            |top| fs::remove_dir_all(top.join("dev")).unwrap(),
            "/dev: in the record, and not in the directory",
        ),
        (
            "its type",
            |top| {
                fs::remove_dir(top.join("gone-placeholder")).unwrap();
                fs::write(top.join("gone-placeholder"), b"").unwrap();
            },
            "/gone-placeholder: a directory in the record, a file in the directory",
        ),
        (
            "a placeholder that has data",
            |top| fs::write(top.join("dev/null"), b"x").unwrap(),
            "/dev/null: a character device in the record, a file in the directory",
        ),
        (
            "a placeholder that is a directory",
            |top| fs::create_dir(top.join("dev/sda")).unwrap(),
            "/dev/sda: a block device in the record, a directory in the directory",
        ),
        (
            "a hard link",
            |top| {
                fs::remove_file(top.join("ping6")).unwrap();
                fs::write(top.join("ping6"), b"ping").unwrap();
            },
            "/ping6: no longer a hard link, as the record says",
        ),
        (
            "several",
            |top| {
                fs::remove_file(top.join("link")).unwrap();
                fs::remove_file(top.join("ping6")).unwrap();
            },
            "/link: in the record, and not in the directory; /ping6: in the record",
        ),
    ];
    for (name, change, expected) in table {
        let scratch = scratch();
        let top = scratch.path().join("root");
        prepared(&top);
        change(&top);
        let said = failure(with_record(&top, RECORD, &options()));
        assert!(said.starts_with("record: ") && said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn many_losses_are_counted() {
    let scratch = scratch();
    let top = scratch.path().join("root");
    fs::create_dir(&top).unwrap();
    let lines: String = (100..200).map(|name| format!("/{name} file 0644 0 0 0.000000000 1 - -\n")).collect();
    let record = format!("diskwright tree 1\n/ directory 0755 0 0 0.000000000 - - -\n{lines}end 101\n");
    let said = failure(with_record(&top, &record, &options()));
    assert!(said.contains("/119: ") && !said.contains("/120: ") && said.contains("; and 80 more"), "{said}");
}

#[test]
fn names_that_the_directory_holds_as_one_file() {
    let scratch = scratch();
    let top = scratch.path().join("root");
    prepared(&top);
    let record =
        RECORD.replace("/ping6 hardlink - - - - - - /ping", "/ping6 file 0600 1 1 1.000000000 4 - -");
    let survey = with_record(&top, &record, &options()).unwrap();
    assert_eq!(line(&survey, "/ping6"), "file 0600 1 1 1.000000000 4 - -");
    assert!(line(&survey, "/ping").starts_with("file 4755 10 11 "));
    assert_eq!(bytes(&survey, node(&survey, "/ping6")), b"ping");
}

#[test]
fn a_record_that_is_none() {
    let scratch = scratch();
    let top = scratch.path().join("root");
    prepared(&top);
    let said = failure(with_record(&top, &RECORD.replace("0666 0 5", "0666 0 x"), &options()));
    let expected = format!("record: {}, line 4, column 24: gid", top.with_extension("tree").display());
    assert!(said.starts_with(&expected), "{said}, expected: {expected}");
    let missing = Origin::Directory { path: top.clone(), record: Some(top.join("none.tree")) };
    let said = failure(survey(&missing, &options()));
    assert!(said.contains("none.tree"), "{said}");
}

/// What a directory gives, written as a record and applied to itself, gives it again.
#[test]
fn a_record_of_a_directory_changes_nothing() {
    let scratch = scratch();
    let top = scratch.path().join("root");
    rich_sample(&top);
    let plain = surveyed(&top);
    let recorded = with_record(&top, &text(&plain), &options()).unwrap();
    assert_eq!(whole(&recorded), whole(&plain));
    assert_eq!(recorded.notes, [""; 0]);
}
