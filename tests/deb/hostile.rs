//! Packages that are malformed, and packages that would write where they must not.

use super::{inside, unpacked};
use crate::support::{Member, What, tar};
use diskwright::root::deb::{Deb, DebError};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// deb(5), ar(5).
fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut ar = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        ar.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", bytes.len()).bytes(),
        );
        ar.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            ar.push(b'\n');
        }
    }
    ar
}

fn control(name: &str) -> Vec<u8> {
    let text = format!(
        "Package: {name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: nobody <nobody@example.org>\nDescription: one\n"
    );
    tar(&[Member::directory("./"), Member::file("./control", text)])
}

fn deb(name: &str, data: &[Member]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", &control(name)), ("data.tar", &tar(data))])
}

fn open(bytes: &[u8], name: &str) -> Result<Deb, DebError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    Deb::open(file, name)
}

fn refusal(bytes: &[u8]) -> String {
    match open(bytes, "a.deb") {
        Err(DebError::Refused(refusal)) => refusal.to_string(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn malformed_packages_are_refused_with_the_position() {
    let (version, control) = (("debian-binary", &b"2.0\n"[..]), control("a"));
    let control = ("control.tar", &control[..]);
    let data = tar(&[Member::directory("./")]);
    let data = ("data.tar", &data[..]);
    let good = ar(&[version, control, data]);
    assert_eq!(open(&good, "a.deb").unwrap().control.name, "a");
    let mut bad_size = good.clone();
    bad_size[8 + 48..8 + 58].copy_from_slice(b"-4        ");
    let files = |members: &[Member]| {
        let control = tar(members);
        ar(&[version, ("control.tar", &control), data])
    };
    let says = |text: &str| files(&[Member::file("control", text)]);
    let table: &[(&str, Vec<u8>, &str)] = &[
        ("nothing", vec![], "at byte 0: not a Debian package: it is no ar archive"),
        ("something", b"!<arch>!".to_vec(), "at byte 0: not a Debian package: it is no ar archive"),
        ("only the mark", b"!<arch>\n".to_vec(), "at byte 8: the package is cut short"),
        (
            "no version",
            ar(&[control, data]),
            "at byte 8: not a Debian package: its first member is not debian-binary",
        ),
        (
            "version 3",
            ar(&[("debian-binary", b"3.0\n"), control]),
            "at byte 68: a package of format 3.0: 2.x can be read",
        ),
        ("no control", ar(&[version]), "at byte 72: the package has no control.tar"),
        ("no data", ar(&[version, control]), "the package has no data.tar"),
        ("order", ar(&[version, data, control]), "at byte 72: a member data.tar where control.tar should be"),
        (
            "bzip2",
            ar(&[version, ("control.tar.bz2", b"BZh")]),
            "control.tar.bz2: packages compressed with gzip, xz or zstd",
        ),
        ("cut", good[..good.len() - 600].to_vec(), "the package is cut short: data.tar has"),
        ("bad size", bad_size, "at byte 8: a member with a bad size"),
        (
            "no xz",
            ar(&[version, ("control.tar.xz", &[7; 99]), data]),
            "control.tar: at byte 0: the compressed data is damaged",
        ),
        (
            "cut xz",
            ar(&[version, ("control.tar.gz", b"\x1f\x8b"), data]),
            "control.tar: at byte 0: the archive is cut short",
        ),
        ("no control file", files(&[]), "a package without the file control"),
        (
            "a link",
            files(&[Member::new("control", What::Symlink(b"/etc/passwd".to_vec()))]),
            "neither a file",
        ),
        ("out", files(&[Member::file("../control", "")]), "control.tar: ../control: a bad name"),
        ("below", files(&[Member::file("a/control", "")]), "control.tar: a/control: a bad name"),
        (
            "twice",
            files(&[Member::file("control", ""), Member::file("./control", "")]),
            "control.tar: ./control: twice",
        ),
        ("no name", says("Version: 1\n"), "control: a package without a Package"),
        ("a path", says("Package: ../a\nVersion: 1\nArchitecture: all\n"), "control: a bad Package"),
        ("a version", says("Package: a\nVersion: 1/2\nArchitecture: all\n"), "control: a bad Version: 1/2"),
        (
            "an architecture",
            says("Package: a\nVersion: 1\nArchitecture: ../x\n"),
            "control: a bad Architecture: ../x",
        ),
        ("twice a field", says("Package: a\npackage: b\n"), "control: a field twice: package"),
        ("no field", says("Package\n"), "control: a line without a field"),
    ];
    for (what, bytes, expected) in table {
        let refusal = refusal(bytes);
        assert!(refusal.starts_with("deb: a.deb") && refusal.contains(expected), "{what}: {refusal}");
    }
    // Wherever it ends, it is refused, or has all that is read when it is opened.
    for len in (0..good.len()).step_by(7) {
        assert!(open(&good[..len], "a.deb").is_err(), "{len}");
    }
}

#[test]
fn nothing_is_written_outside_the_tree_and_nothing_through_links_of_the_package() {
    inside("nothing_is_written_outside_the_tree", "hostile::inside_hostile", &[]);
}

/// What happens to the tree, and what the error says; empty: no error.
type Case = (&'static str, Vec<Vec<Member>>, &'static str);

fn cases() -> Vec<Case> {
    let link = |name: &str, to: &str| Member::new(name, What::Symlink(to.as_bytes().to_vec()));
    let hard = |name: &str, to: &str| Member::new(name, What::Hard(to.as_bytes().to_vec()));
    let file = |name: &str| Member::file(name, "data");
    let directory = |name: &str| Member::directory(name);
    vec![
        ("..", vec![vec![file("../out")]], "../out, at byte 0: a name with `..` in it"),
        (".. inside", vec![vec![directory("a"), file("a/../../out")]], "a name with `..` in it"),
        ("absolute", vec![vec![file("/out")]], "/out, at byte 0: an absolute name"),
        ("newline", vec![vec![file("a\nb")]], "a newline or NUL in a name"),
        ("its own link", vec![vec![link("a", "/outside"), file("a/out")]], "a: No such file or directory"),
        ("no directory", vec![vec![file("a/out")]], "a: No such file or directory"),
        ("a file as directory", vec![vec![file("a"), file("a/b")]], "a: Not a directory"),
        ("a device", vec![vec![Member::new("a", What::Device(b'c', 1, 3))]], "only the real root can make"),
        (
            "attributes",
            vec![vec![directory("a").xattr("user.a", "b")]],
            "attributes of what is no regular file",
        ),
        ("twice", vec![vec![file("a"), link("./a", "b")]], "./a, at byte 2048: twice in the package"),
        ("a hard link out", vec![vec![hard("a", "/etc/passwd")]], "an absolute name"),
        ("a hard link up", vec![vec![hard("a", "../../etc/passwd")]], "a name with `..` in it"),
        ("a hard link to nothing", vec![vec![hard("a", "b")]], "does not have before it: b"),
        ("a hard link to itself", vec![vec![hard("a", "a")]], "does not have before it: a"),
        (
            "a hard link to a link",
            vec![vec![link("b", "/etc/passwd"), hard("a", "b")]],
            "what is left out: b",
        ),
        (
            "both have it",
            vec![vec![file("a")], vec![file("a")]],
            "a1.deb: /a: it is also in the package p0 1.0",
        ),
        (
            "a directory of another",
            vec![vec![directory("a"), file("a/b")], vec![file("a")]],
            "it is also in the package p0",
        ),
        // Links to directories are followed, as if the tree were the root: in it, wherever they say they lead.
        (
            "a link of another",
            vec![vec![directory("b"), link("a", "/b")], vec![directory("a"), file("a/inside")]],
            "",
        ),
        ("a link up", vec![vec![link("a", "../../../..")], vec![directory("a"), file("a/inside")]], ""),
        (
            "a link out",
            vec![vec![link("a", "/outside")], vec![file("a/out")]],
            "a: No such file or directory",
        ),
        (
            "a link that ends nowhere",
            vec![vec![link("a", "a")], vec![file("a/out")]],
            "a: Too many levels of symbolic links",
        ),
    ]
}

#[test]
#[ignore = "run inside a user namespace"]
fn inside_hostile() {
    let scratch = tempfile::tempdir().unwrap();
    let tree = scratch.path().join("a/b/c/tree");
    for (what, packages, expected) in cases() {
        let _ = std::fs::remove_dir_all(scratch.path().join("a"));
        std::fs::create_dir_all(&tree).unwrap();
        let open = |(at, members): (usize, &Vec<Member>)| {
            open(&deb(&format!("p{at}"), members), &format!("a{at}.deb"))
        };
        let packages: Vec<Deb> = packages.iter().enumerate().map(|it| open(it).unwrap()).collect();
        let done = unpacked(&tree, &packages, &[], &["amd64"]);
        let error = done.err().map(|error| error.to_string()).unwrap_or_default();
        match expected {
            "" => assert_eq!(error, "", "{what}"),
            _ => assert!(error.contains(expected), "{what}: {error}"),
        }
        let names = |path: &Path| crate::support::listing(path);
        assert_eq!(names(scratch.path()), ["a"], "{what}");
        assert_eq!(names(&scratch.path().join("a/b/c")), ["tree"], "{what}");
        assert!(!tree.join("out").exists() && !tree.join("outside").exists(), "{what}");
        assert!(!tree.join("var/lib/dpkg/tmp.diskwright").exists(), "{what}: nothing is left behind");
    }
    // The kernel notes whose root a capability is for, and shows it to that root as it was: vfs_cap_data, revision 2.
    let capability = [&[1, 0, 0, 2][..], &[0, 0x20, 0, 0], &[0; 12]].concat();
    let members =
        [Member::file("ping", "data").mode(0o2755).owner(7, 8).xattr("security.capability", &capability)];
    unpacked(&tree, &[open(&deb("q", &members), "q.deb").unwrap()], &[], &["amd64"]).unwrap();
    let mut value = [0; 64];
    let len = rustix::fs::getxattr(tree.join("ping"), "security.capability", &mut value).unwrap();
    assert_eq!(value[..len], capability);
    let meta = std::fs::metadata(tree.join("ping")).unwrap();
    assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid(), meta.mtime()), (0o2755, 7, 8, 1_500_000_000));
    assert!(!Path::new("/out").exists() && !Path::new("/outside").exists() && !Path::new("/inside").exists());
}
