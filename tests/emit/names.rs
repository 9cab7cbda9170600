//! Final names: which are refused, what is replaced, and all together or none.

use super::support::*;
use diskwright::emit::{EmitError, Options, Output};
use diskwright_formats::layout::{ContentId, Memory};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use tempfile::tempdir;

const REPLACE: Options = Options { overwrite: true, ..QUICK };

fn image(dir: &Path, name: &str) -> Output {
    output(dir, name, &layout(8192, vec![content(4096, 3, 0, 0)]))
}

fn new() -> Memory {
    Memory(vec![b"new".to_vec().into()])
}

fn is_new(path: &Path) -> bool {
    fs::read(path).is_ok_and(|bytes| bytes.len() == 8192 && bytes[4096..4099] == *b"new")
}

#[test]
fn what_is_refused() {
    let dir = tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("file"), "old").unwrap();
    fs::create_dir(at("directory")).unwrap();
    symlink("file", at("link")).unwrap();
    let before = names(dir.path());
    let exists = "this file exists";
    let cases: [(&[&str], &Options, &str); 9] = [
        (&["file"], &QUICK, exists),
        (&["new", "file"], &QUICK, exists),
        (&["directory"], &REPLACE, "this is a directory"),
        (&["link"], &REPLACE, "this is a symbolic link"),
        (&["/dev/null"], &REPLACE, "this is a device"),
        (&["new", "new"], &REPLACE, "two outputs have this name"),
        (&["new", "directory/../new"], &REPLACE, "two outputs have this name"),
        (&["/"], &REPLACE, "this names a directory"),
        (&["directory/.."], &REPLACE, "this names a directory"),
    ];
    for (paths, options, says) in cases {
        let outputs: Vec<Output> = paths.iter().map(|name| image(dir.path(), name)).collect();
        let error = run(&outputs, &new(), options).unwrap_err();
        assert!(matches!(error, EmitError::Refused(_)), "{error:?}");
        assert!(error.to_string().contains(says), "{paths:?}: {error}");
        assert_eq!(names(dir.path()), before, "{paths:?}");
    }
    let error = run(&[image(dir.path(), "missing/file")], &new(), &QUICK).unwrap_err().to_string();
    assert!(error.contains(at("missing").to_str().unwrap()), "{error}");
    assert_eq!(fs::read(at("file")).unwrap(), b"old");
}

#[test]
fn old_files_are_replaced_when_allowed() {
    let dir = tempdir().unwrap();
    fs::write(dir.path().join("a"), "old").unwrap();
    let outputs = [image(dir.path(), "a"), image(dir.path(), "b")];
    run(&outputs, &new(), &Options { sync: true, ..REPLACE }).unwrap();
    assert_eq!(names(dir.path()), ["a", "b"]);
    assert!(outputs.iter().all(|output| is_new(&output.path)));
    let mode = fs::metadata(&outputs[0].path).unwrap().permissions().mode();
    assert_eq!(mode & 0o7111, 0, "{mode:o}");
}

#[test]
fn names_as_long_as_names_can_be_and_leftovers() {
    let dir = tempdir().unwrap();
    let long = "n".repeat(255);
    let outputs = [image(dir.path(), &long)];
    let seen = std::sync::Mutex::new(Vec::new());
    let look = |_: ContentId, _: Call| {
        *seen.lock().unwrap() = names(dir.path());
        Ok(())
    };
    run(&outputs, &Hooked { inner: &new(), hook: look }, &QUICK).unwrap();
    let hidden = seen.into_inner().unwrap();
    assert!(hidden.len() == 1 && hidden[0].starts_with(".diskwright-"), "{hidden:?}");
    // A run that was killed left its file: the next one takes another name and does not touch it.
    fs::write(dir.path().join(&hidden[0]), "left").unwrap();
    run(&outputs, &new(), &REPLACE).unwrap();
    assert_eq!(names(dir.path()), [hidden[0].as_str(), &long]);
    assert_eq!(fs::read(dir.path().join(&hidden[0])).unwrap(), b"left");
}

#[test]
fn a_source_is_not_replaced() {
    let dir = tempdir().unwrap();
    let sources = tempdir().unwrap();
    let files = Files::write(sources.path(), &[noise(300_000, 1)]);
    let same = dir.path().join("image");
    fs::hard_link(files.path(0), &same).unwrap();
    let outputs = [output(dir.path(), "image", &layout(300_000, vec![content(0, 300_000, 0, 0)]))];
    let error = run(&outputs, &files, &REPLACE).unwrap_err();
    assert!(matches!(error, EmitError::Refused(_)), "{error}");
    assert!(error.to_string().contains("one of the sources"), "{error}");
    assert_eq!(fs::read(&same).unwrap(), *noise(300_000, 1));
    assert_eq!(names(dir.path()), ["image"]);
}

/// The second of two final names is taken while the files are being written.
#[test]
fn when_one_name_fails_all_do() {
    for (options, had_old) in [(&QUICK, false), (&REPLACE, false), (&REPLACE, true)] {
        let dir = tempdir().unwrap();
        let outputs = [image(dir.path(), "a"), image(dir.path(), "b")];
        if had_old {
            fs::write(&outputs[0].path, "old").unwrap();
        }
        let take = |_: ContentId, call: Call| {
            if call == Call::Close {
                fs::create_dir(&outputs[1].path)?;
            }
            Ok(())
        };
        let error = run(&outputs, &Hooked { inner: &new(), hook: take }, options).unwrap_err().to_string();
        assert!(error.contains(outputs[1].path.to_str().unwrap()), "{error}");
        match had_old {
            true => assert_eq!(fs::read(&outputs[0].path).unwrap(), b"old"),
            false => assert!(!outputs[0].path.exists()),
        }
        assert_eq!(names(dir.path()).len(), 1 + usize::from(had_old), "{:?}", names(dir.path()));
    }
}
