//! The record: a round trip that loses nothing, and errors with line and column.
#![allow(clippy::unwrap_used)]

use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::record::{read, write};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, ROOT, Time, Tree, Xattrs};
use proptest::prelude::*;

fn text(tree: &Tree) -> String {
    let mut text = Vec::new();
    write(tree, &mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn file(size: u64) -> Kind {
    Kind::File(Data::Content { id: ContentId(7), size, runs: None })
}

#[test]
fn one_of_each_kind() {
    let meta = |mode, uid, gid, mtime| Meta { uid, gid, ..Meta::of_root(mode, mtime) };
    let mut tree = Tree::new(meta(0o755, 0, 0, Time::seconds(1_700_000_000)));
    let xattrs = Xattrs::from([
        (b"security.capability".to_vec(), vec![1, 0, 0, 2, b' ', b'\\', 0xff]),
        (b"user.a=b".to_vec(), vec![]),
    ]);
    let xattrs = tree.intern(xattrs);
    let old = Time { sec: -2, nsec: 500_000_000 };
    let rows = [
        ("-", meta(0o644, 4_294_967_295, 1, old), file(18_446_744_073_709_551_615)),
        (
            "a b\n",
            Meta { xattrs, ..meta(0o6755, 1, 2, Time { sec: 1, nsec: 1 }) },
            Kind::file(b"12345".to_vec()),
        ),
        ("block", meta(0o660, 0, 6, Time::seconds(0)), Kind::BlockDevice { major: 259, minor: 1_048_575 }),
        ("char", meta(0o666, 0, 0, Time::seconds(0)), Kind::CharDevice { major: 1, minor: 3 }),
        ("dash", meta(0o777, 0, 0, Time::seconds(0)), Kind::Symlink((*b"-").into())),
        ("dir", meta(0o1777, 0, 0, Time::seconds(0)), Kind::directory()),
        ("fifo", meta(0o600, 0, 0, Time::seconds(0)), Kind::Fifo),
        ("sock", meta(0, 0, 0, Time::seconds(0)), Kind::Socket),
        ("über\\", meta(0o777, 0, 0, Time::seconds(0)), Kind::Symlink((*b"../x y\xff").into())),
    ];
    for (name, meta, kind) in rows {
        tree.add(ROOT, name.as_bytes(), Node { meta, kind }).unwrap();
    }
    let target = tree.child(ROOT, b"a b\n").unwrap();
    let dir = tree.child(ROOT, b"dir").unwrap();
    tree.link(dir, b"link", target).unwrap();
    let expected = "\
diskwright tree 1
/ directory 0755 0 0 1700000000.000000000 - - -
/- file 0644 4294967295 1 -2.500000000 18446744073709551615 - -
/a\\x20b\\n file 6755 1 2 1.000000001 5 - - security.capability=\\x01\\x00\\x00\\x02\\x20\\\\\\xff user.a\\x3db=
/block block 0660 0 6 0.000000000 - 259:1048575 -
/char character 0666 0 0 0.000000000 - 1:3 -
/dash symlink 0777 0 0 0.000000000 - - \\x2d
/dir directory 1777 0 0 0.000000000 - - -
/dir/link hardlink - - - - - - /a\\x20b\\n
/fifo fifo 0600 0 0 0.000000000 - - -
/sock socket 0000 0 0 0.000000000 - - -
/\\xc3\\xbcber\\\\ symlink 0777 0 0 0.000000000 - - ../x\\x20y\\xff
end 11
";
    assert_eq!(text(&tree), expected);
    assert_eq!(text(&read(expected.as_bytes()).unwrap()), expected);
}

#[test]
fn walk_order_is_not_the_order_of_paths_as_bytes() {
    let mut tree = Tree::new(Meta::of_root(0o755, Time::default()));
    for path in ["a", "a.b", "a/c"] {
        let kind = if path == "a" { Kind::directory() } else { Kind::Fifo };
        let meta = Meta::of_root(0o755, Time::default());
        tree.put(path.as_bytes(), Node { meta, kind }, meta).unwrap();
    }
    let text = text(&tree);
    let paths: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(paths[1..5], ["/", "/a", "/a/c", "/a.b"]);
    read(text.as_bytes()).unwrap();
}

const ROOT_LINE: &str = "/ directory 0755 0 0 0.000000000 - - -";

/// A record of these lines with header, root and end, and where it is refused.
fn refused(lines: &[&str]) -> String {
    let count = lines.len() + 1;
    let text = format!("diskwright tree 1\n{ROOT_LINE}\n{}\nend {count}\n", lines.join("\n"));
    let refusal = read(text.as_bytes()).err().unwrap_or_else(|| panic!("accepted: {text}"));
    assert!(refusal.reason.chars().next().is_some_and(|first| !first.is_uppercase()), "{refusal}");
    refusal.to_string()
}

#[test]
fn what_is_not_a_record() {
    let file = "/f file 0644 0 0 0.000000000 1 - -";
    let table: &[(&[&str], &str)] = &[
        (&["/f"], "line 3, column 3: the line ends before: type"),
        (&["/f file 0644 0 0 0.000000000 1 -"], "line 3, column 33: the line ends before: target"),
        (&["/f potato 0644 0 0 0.000000000 - - -"], "line 3, column 4: an unknown type: potato"),
        (&["/f file 644 0 0 0.000000000 1 - -"], "line 3, column 9: the mode"),
        (&["/f file 9999 0 0 0.000000000 1 - -"], "line 3, column 9: the mode"),
        (&["/f file 10000 0 0 0.000000000 1 - -"], "line 3, column 9: the mode"),
        (&["/f file +644 0 0 0.000000000 1 - -"], "line 3, column 9: the mode"),
        (&["/f file 0644 00 0 0.000000000 1 - -"], "line 3, column 14: uid"),
        (&["/f file 0644 0 4294967296 0.000000000 1 - -"], "line 3, column 16: gid"),
        (&["/f file 0644 0 0 0.00000000 1 - -"], "line 3, column 18: the time"),
        (&["/f file 0644 0 0 0.+00000000 1 - -"], "line 3, column 18: the time"),
        (&["/f file 0644 0 0 -0.000000000 1 - -"], "line 3, column 18: the time"),
        (&["/f file 0644 0 0 0.000000000 - - -"], "line 3, column 30: size"),
        (&["/f fifo 0644 0 0 0.000000000 5 - -"], "line 3, column 30: size does not apply"),
        (&["/f file 0644 0 0 0.000000000 1 1:3 -"], "line 3, column 32: device does not apply"),
        (&["/f block 0644 0 0 0.000000000 - 13 -"], "line 3, column 33: no MAJOR:MINOR: 13"),
        (&["/f block 0644 0 0 0.000000000 - 1:03 -"], "line 3, column 33: no MAJOR:MINOR"),
        (&["/f file 0644 0 0 0.000000000 1 - x"], "line 3, column 34: target does not apply"),
        (&["/f symlink 0644 0 0 0.000000000 - - -"], "line 3, column 37: a symlink has a target"),
        (&["/f symlink 0644 0 0 0.000000000 - - "], "line 3, column 1: a symlink target of 0 bytes"),
        (&["/f file 0644 0 0 0.000000000 1 - - user.x"], "line 3, column 36: an attribute without ="),
        (&["/f file 0644 0 0 0.000000000 1 - - b=1 a=1"], "line 3, column 40: attributes are sorted"),
        (&["/f file 0644 0 0 0.000000000 1 - - a=1 a=1"], "line 3, column 40: attributes are sorted"),
        (&["/f file 0644 0 0 0.000000000 1 - - a=\\x41"], "line 3, column 38: not the usual spelling: A"),
        (&["/\\xFF file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: not the usual spelling: /\\xff"),
        (&["/\\q file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: an escape that is none"),
        (&["/\\x2 file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: an escape that is none"),
        (&["/\\x00 file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: a name with `/` or NUL in it"),
        (&["f file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: a path starts with /"),
        (&["/a//f file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: a path starts with /"),
        (&["/. file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: a path starts with /"),
        (&["/.. file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: `.` and `..` are no names"),
        (&[file, file], "line 4, column 1: not in order, behind: /f"),
        (&[file, "/e fifo 0644 0 0 0.000000000 - - -"], "line 4, column 1: not in order, behind: /f"),
        (&["/a/f file 0644 0 0 0.000000000 1 - -"], "line 3, column 1: its directory is not in the record"),
        (&[file, "/f/g file 0644 0 0 0.000000000 1 - -"], "line 4, column 1: its parent is not a directory"),
        (&["/g hardlink - - - - - - /f"], "line 3, column 25: not the first name of a file above: /f"),
        (&[file, "/g hardlink - - - - - - //f"], "line 4, column 25: not the first name"),
        (&[file, "/g hardlink - - - - - - /f/"], "line 4, column 25: not the first name"),
        (&[file, "/g hardlink - - - - - - /"], "line 4, column 25: not the first name"),
        (&[file, "/g hardlink 0644 - - - - - /f"], "line 4, column 13: what a hard link has"),
        (&[file, "/g hardlink - - - - - - /f a=1"], "line 4, column 28: a hard link has no attributes"),
        (
            &[file, "/g hardlink - - - - - - /f", "/h hardlink - - - - - - /g"],
            "line 5, column 25: not the first name",
        ),
        (&[""], "line 3, column 1: the line ends before: type"),
    ];
    for (lines, expected) in table {
        let refusal = refused(lines);
        assert!(
            refusal.starts_with(&format!("record: {expected}")),
            "{lines:?}: {refusal}, expected: {expected}"
        );
    }
}

#[test]
fn a_record_that_is_cut_short() {
    let full = format!("diskwright tree 1\n{ROOT_LINE}\n/f fifo 0644 0 0 0.000000000 - - -\nend 2\n");
    read(full.as_bytes()).unwrap();
    for len in 0..full.len() {
        assert!(read(&full.as_bytes()[..len]).is_err(), "cut to {len} bytes");
    }
    for (text, expected) in [
        (full.replace("end 2", "end 3"), "line 4, column 5: the record has another number of paths: 2"),
        (
            full.replace("tree 1", "tree 2"),
            "line 1, column 1: a record starts with the line: diskwright tree 1",
        ),
        (format!("{full}x"), "line 5, column 1: text behind the end"),
        ("diskwright tree 1\nend 0\n".to_owned(), "line 2, column 1: the record has no root"),
        (full.replace("/ dir", "/a dir"), "line 2, column 1: the first path is the root"),
        (full.replace("/ directory", "/ fifo"), "line 2, column 1: the root is a directory"),
    ] {
        let refusal = read(text.as_bytes()).unwrap_err().to_string();
        assert!(refusal.starts_with(&format!("record: {expected}")), "{refusal}, expected: {expected}");
    }
}

fn any_bytes(len: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![prop::collection::vec(any::<u8>(), len.clone()), prop::collection::vec(b'-'..=b'/', len)]
}

fn any_kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        Just(Kind::directory()),
        Just(Kind::Fifo),
        Just(Kind::Socket),
        any::<u64>().prop_map(file),
        any_bytes(1..20).prop_map(|target| Kind::Symlink(target.into())),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        any::<(u32, u32)>().prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
    ]
}

/// Names of a path, what is put there, or which name so far it is a hard link of.
type Step = (Vec<Vec<u8>>, Kind, Meta, Xattrs, Option<usize>);

fn any_step() -> impl Strategy<Value = Step> {
    let path = prop::collection::vec(any_bytes(1..4), 1..4);
    let time = (any::<i64>(), 0..1_000_000_000_u32).prop_map(|(sec, nsec)| Time { sec, nsec });
    let meta = (0..=0o7777_u16, any::<u32>(), any::<u32>(), time);
    let meta = meta.prop_map(|(mode, uid, gid, mtime)| Meta { uid, gid, ..Meta::of_root(mode, mtime) });
    let xattrs = prop::collection::btree_map(any_bytes(0..9), any_bytes(0..9), 0..3);
    (path, any_kind(), meta, xattrs, prop::option::of(0..40_usize))
}

fn grown(steps: Vec<Step>) -> Tree {
    let meta = Meta::of_root(0o700, Time::default());
    let mut tree = Tree::new(meta);
    for (path, kind, meta, xattrs, link) in steps {
        let xattrs = tree.intern(xattrs);
        let path = path.join(&b'/');
        let linked = link.and_then(|index| tree.walk().nth(index)).map(|step| step.node);
        // Whatever the tree refuses is not part of it.
        let _ = match linked {
            Some(node) => tree.link(ROOT, &path, node),
            None => tree.put(&path, Node { meta: Meta { xattrs, ..meta }, kind }, meta).map(|_| ()),
        };
    }
    tree
}

/// Everything that a record holds, in another form.
fn facts(tree: &Tree) -> Vec<(Vec<u8>, u32, Meta, Xattrs, String)> {
    let fact = |step: diskwright_fstools::tree::Step| {
        let Node { meta, kind } = tree.node(step.node);
        let kind = match kind {
            Kind::Directory(_) => "directory".to_owned(),
            Kind::File(data) => format!("file of {}", data.size()),
            other => format!("{other:?}"),
        };
        let xattrs = tree.xattrs(meta.xattrs).clone();
        (step.path, step.node.0, Meta { xattrs: Default::default(), ..*meta }, xattrs, kind)
    };
    tree.walk().map(fact).collect()
}

proptest! {
    #[test]
    fn the_round_trip_is_exact(steps in prop::collection::vec(any_step(), 0..40)) {
        let mut tree = grown(steps);
        tree.renumber();
        let written = text(&tree);
        let again = read(written.as_bytes()).unwrap_or_else(|refusal| panic!("{refusal} in:\n{written}"));
        prop_assert_eq!(facts(&again), facts(&tree));
        prop_assert_eq!(text(&again), written);
    }

    /// A record with a byte changed is refused, or it is the record of another tree.
    #[test]
    fn one_text_for_each_tree(steps in prop::collection::vec(any_step(), 1..6), at in any::<prop::sample::Index>(), byte: u8) {
        let mut changed = text(&grown(steps)).into_bytes();
        let at = at.index(changed.len());
        changed[at] = byte;
        if let Ok(tree) = read(&changed) {
            prop_assert_eq!(text(&tree).into_bytes(), changed);
        }
    }
}
