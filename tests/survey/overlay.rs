//! One survey laid over another.

use crate::support::*;
use diskwright::survey::{Survey, Surveyed, overlay};
use diskwright_formats::layout::{Bytes, ContentId};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, ROOT, Time, Tree};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn files_replace_and_directories_merge() {
    let base = Tar::default()
        .directory("etc/")
        .file("etc/kept", b"kept")
        .file("etc/replaced", b"old")
        .link("etc/other-name", b'1', "etc/replaced")
        .link("link", b'2', "etc/replaced")
        .pax(b'x', &[("SCHILY.xattr.user.a", b"base")])
        .file("with-attribute", b"1")
        .end();
    let top = Tar::default()
        .raw(Header::new(b"./", b'5', 0).with(100, b"0000500\0"), b"")
        .raw(Header::new(b"etc/", b'5', 0).with(100, b"0000750\0"), b"")
        .pax(b'x', &[("SCHILY.xattr.user.a", b"top")])
        .file("etc/replaced", b"new and longer")
        .link("etc/hard", b'1', "etc/replaced")
        .file("link", b"no longer a link")
        .file("new/deep/file", &[5; 100])
        .end();
    let scratch = scratch();
    fs::create_dir(scratch.path().join("live")).unwrap();
    fs::write(scratch.path().join("live/live"), b"from a directory").unwrap();
    let laid = overlay(streamed(&base).unwrap(), filed(&scratch, &top, &options()).unwrap()).unwrap();
    let laid = overlay(laid, surveyed(&scratch.path().join("live"))).unwrap();
    let expected: &[(&str, &str)] = &[
        ("/etc", "directory 0750 1 2 1600000000.000000000 - - -"),
        ("/etc/kept", "file 0644 1 2 1600000000.000000000 4 - -"),
        ("/etc/other-name", "file 0644 1 2 1600000000.000000000 3 - -"),
        ("/etc/hard", "file 0644 1 2 1600000000.000000000 14 - - user.a=top"),
        ("/etc/replaced", "hardlink - - - - - - /etc/hard"),
        ("/link", "file 0644 1 2 1600000000.000000000 16 - -"),
        ("/new/deep", "directory 0755 0 0 1700000000.000000000 - - -"),
        ("/with-attribute", "file 0644 1 2 1600000000.000000000 1 - - user.a=base"),
    ];
    for (path, expected) in expected {
        assert_eq!(line(&laid, path), *expected, "{path}");
    }
    let contents: &[(&str, &[u8])] = &[
        ("/etc/kept", b"kept"),
        ("/etc/other-name", b"old"),
        ("/etc/hard", b"new and longer"),
        ("/link", b"no longer a link"),
        ("/live", b"from a directory"),
        ("/new/deep/file", &[5; 100]),
    ];
    for (path, expected) in contents {
        assert_eq!(bytes(&laid, node(&laid, path)), *expected, "{path}");
    }
}

#[test]
fn the_same_as_cp() {
    let scratch = scratch();
    let (base, top, copy) =
        (scratch.path().join("base"), scratch.path().join("top"), scratch.path().join("copy"));
    rich_sample(&base);
    plain_sample(&top);
    fs::write(top.join("etc/conf"), b"another line\n").unwrap();
    fs::remove_file(top.join("sparse")).unwrap();
    symlink("zeros", top.join("sparse")).unwrap();
    fs::create_dir(top.join("only-here")).unwrap();
    fs::write(top.join("only-here/file"), vec![3; 100_000]).unwrap();
    set_time(&top.join("only-here"), 1_234_567_890, 0);
    let laid = overlay(surveyed(&base), surveyed(&top)).unwrap();
    for (from, to) in [(base.clone(), copy.clone()), (top.join("."), copy.clone())] {
        run(Command::new("cp").args(["-a", "--remove-destination"]).arg(from).arg(to));
    }
    assert_eq!(whole(&laid), whole(&surveyed(&copy)));
}

#[test]
fn what_cp_refuses() {
    let table: &[(Tar, Tar, &str)] = &[
        (
            Tar::default().link("lib", b'2', "usr/lib"),
            Tar::default().file("lib/module", b""),
            "overlay: /lib: a directory would take the place of a symlink [/lib is a symlink to usr/lib: put the files where it points]",
        ),
        (
            Tar::default().file("a", b""),
            Tar::default().directory("a/"),
            "a directory would take the place of a file",
        ),
        (
            Tar::default().directory("a/"),
            Tar::default().file("a", b""),
            "a file would take the place of a directory",
        ),
        (
            Tar::default().directory("a/"),
            Tar::default().link("a", b'2', "x"),
            "a symlink would take the place of a directory",
        ),
    ];
    for (base, top, expected) in table {
        let survey = |tar: &Tar| streamed(&tar.clone().end()).unwrap();
        let refused = overlay(survey(base), survey(top));
        let said = failure(refused.map_err(Into::into));
        assert!(said.contains(expected), "{said}, expected: {expected}");
    }
}

/// A survey in memory: files of one byte at paths of two names.
fn small(files: &BTreeMap<(u8, u8), u8>) -> Survey {
    let meta = Meta::of_root(0o755, Time::default());
    let mut tree = Tree::new(meta);
    let mut contents = Vec::new();
    for ((directory, name), byte) in files {
        let id = ContentId(contents.len() as u32);
        contents.push(Bytes::from(vec![*byte]));
        let kind = Kind::File(Data::Content { id, size: 1, runs: None });
        tree.put(format!("{directory}/{name}").as_bytes(), Node { meta, kind }, meta).unwrap();
    }
    Survey { tree, contents: Surveyed::memory(contents), notes: vec![] }
}

proptest! {
    #[test]
    fn an_overlay_is_a_union_of_maps(
        base in prop::collection::btree_map((0..4_u8, 0..9_u8), any::<u8>(), 0..20),
        top in prop::collection::btree_map((0..4_u8, 0..9_u8), any::<u8>(), 0..20),
    ) {
        let laid = overlay(small(&base), small(&top)).unwrap();
        let mut both = base;
        both.extend(top);
        prop_assert_eq!(whole(&laid), whole(&{
            let mut expected = small(&both);
            expected.tree.renumber();
            expected
        }));
        prop_assert_eq!(laid.tree.child(ROOT, b"9"), None);
    }
}
