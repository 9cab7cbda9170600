//! Archives made by hand: what formats allow and few programs write.

use crate::support::*;
use std::fs;

#[test]
fn every_kind_of_member() {
    let tar = Tar::default()
        .raw(Header::new(b"./", b'5', 0).with(100, b"0001755\0"), b"")
        .file("./file", b"data")
        .raw(Header::new(b"contiguous", b'7', 3), b"abc")
        .raw(Header::new(b"old", 0, 3), b"abc")
        .raw(Header::new(b"old-directory/", 0, 0), b"")
        .raw(Header::new(b"dumpdir/", b'D', 10), b"Yname\0\0...")
        .link("hard", b'1', "./file")
        .link("soft", b'2', "/absolute/../target")
        .raw(Header::new(b"char", b'3', 0), b"")
        .raw(Header::new(b"block", b'4', 0), b"")
        .raw(Header::new(b"fifo", b'6', 0), b"")
        // Sizes that mean nothing: there is no data behind these.
        .raw(Header::new(b"hard-of-size", b'1', 4).with(157, b"file"), b"")
        .raw(Header::new(b"soft-of-size", b'2', 4).with(157, b"file"), b"")
        .raw(Header::new(b"directory-of-size/", b'5', 512), b"")
        .raw(Header::new(b"name", b'0', 0).with(345, b"some/prefix"), b"")
        .raw(
            Header::new(b"gnu-has-no-prefix", b'0', 0).with(257, b"ustar  \0").with(345, b"00000000000\0"),
            b"",
        )
        .raw(
            Header::new(b"star", b'0', 0)
                .with(345, b"prefix")
                .with(476, b"00000000000\0")
                .with(508, b"tar\0"),
            b"",
        )
        .raw(Header::new(&[b'f'; 100], b'0', 0), b"")
        .end();
    let expected = format!(
        "\
diskwright tree 1
/ directory 1755 1 2 1600000000.000000000 - - -
/block block 0644 1 2 1600000000.000000000 - 7:9 -
/char character 0644 1 2 1600000000.000000000 - 7:9 -
/contiguous file 0644 1 2 1600000000.000000000 3 - -
/directory-of-size directory 0644 1 2 1600000000.000000000 - - -
/dumpdir directory 0644 1 2 1600000000.000000000 - - -
/{} file 0644 1 2 1600000000.000000000 0 - -
/fifo fifo 0644 1 2 1600000000.000000000 - - -
/file file 0644 1 2 1600000000.000000000 4 - -
/gnu-has-no-prefix file 0644 1 2 1600000000.000000000 0 - -
/hard hardlink - - - - - - /file
/hard-of-size hardlink - - - - - - /file
/old file 0644 1 2 1600000000.000000000 3 - -
/old-directory directory 0644 1 2 1600000000.000000000 - - -
/prefix directory 0755 0 0 1700000000.000000000 - - -
/prefix/star file 0644 1 2 1600000000.000000000 0 - -
/soft symlink 0644 1 2 1600000000.000000000 - - /absolute/../target
/soft-of-size symlink 0644 1 2 1600000000.000000000 - - file
/some directory 0755 0 0 1700000000.000000000 - - -
/some/prefix directory 0755 0 0 1700000000.000000000 - - -
/some/prefix/name file 0644 1 2 1600000000.000000000 0 - -
end 21
",
        "f".repeat(100)
    );
    assert_eq!(text(&streamed(&tar).unwrap()), expected);
}

#[test]
fn extended_headers() {
    let long = "p".repeat(200);
    let tar = Tar::default()
        .pax(b'g', &[("uid", b"77"), ("comment", b"of no interest"), ("SCHILY.xattr.user.all", b"1")])
        .pax(
            b'x',
            &[("path", long.as_bytes()), ("mtime", b"1500000000.25"), ("gid", b"4294967295"), ("size", b"4")],
        )
        .raw(Header::new(b"short", b'0', 0), b"data")
        .file("next", b"")
        .pax(b'x', &[("uid", b""), ("linkpath", long.as_bytes()), ("unknown", b"\0\xff\n=")])
        .link("hard", b'1', "nowhere")
        .pax(b'g', &[("uid", b"78")])
        .pax(
            b'x',
            &[
                ("SCHILY.xattr.security.selinux", b"a label\0"),
                ("SCHILY.xattr.user.a%3Db%25c%41", b"1"),
                ("LIBARCHIVE.xattr.user.x%20y", b"AAH/"),
                ("LIBARCHIVE.xattr.user.z", b"Zg"),
                ("SCHILY.xattr.user.z", b"wins"),
                ("SCHILY.xattr.user.all", b"2"),
            ],
        )
        .file("attributes", b"")
        .pax(
            b'x',
            &[("RHT.security.selinux", b"system_u:object_r:etc_t:s0"), ("SCHILY.acl.access", b"user::rw-")],
        )
        .file("labelled", b"")
        .pax(b'x', &[("mtime", b"-1.5")])
        .file("before", b"")
        .end();
    let survey = streamed(&tar).unwrap();
    let rows = [
        (format!("/{long}"), "hardlink - - - - - - /hard".to_owned()),
        ("/hard".to_owned(), "file 0644 77 4294967295 1500000000.250000000 4 - - user.all=1".to_owned()),
        ("/next".to_owned(), "file 0644 77 2 1600000000.000000000 0 - - user.all=1".to_owned()),
        (
            "/attributes".to_owned(),
            "file 0644 78 2 1600000000.000000000 0 - - security.selinux=a\\x20label\\x00 user.a\\x3db%c%41=1 user.all=2 \
             user.x\\x20y=\\x00\\x01\\xff user.z=wins"
                .to_owned(),
        ),
        (
            "/labelled".to_owned(),
            "file 0644 78 2 1600000000.000000000 0 - - security.selinux=system_u:object_r:etc_t:s0\\x00 user.all=1".to_owned(),
        ),
        ("/before".to_owned(), "file 0644 78 2 -2.500000000 0 - - user.all=1".to_owned()),
    ];
    for (path, expected) in rows {
        assert_eq!(line(&survey, &path), expected, "{path}");
    }
    let acls = "access control lists that the archive has only as text (tar --acls) are left out: 1 files";
    assert_eq!(survey.notes, [acls]);
}

#[test]
fn numbers_in_base_256() {
    let mut header = Header::new(b"f", b'0', 0);
    header.set(108, b"\x80\0\0\0\xff\xff\xff\xfe").set(116, b"\x80\0\0\0\0\x0f\x42\x40");
    header
        .set(124, b"\x80\0\0\0\0\0\0\0\0\0\0\x05")
        .set(136, b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    let survey = streamed(&Tar::default().raw(header, b"12345").end()).unwrap();
    assert_eq!(line(&survey, "/f"), "file 0644 4294967294 1000000 -1.000000000 5 - -");
}

/// A pax sparse header of format 1.0 with the map in front of the data.
fn sparse_1_0(map: &str, realsize: &str, data: &[u8]) -> Vec<u8> {
    let mut stored = map.as_bytes().to_vec();
    stored.resize(stored.len().next_multiple_of(512), 0);
    stored.extend_from_slice(data);
    let records: [(&str, &[u8]); 4] = [
        ("GNU.sparse.major", b"1"),
        ("GNU.sparse.minor", b"0"),
        ("GNU.sparse.name", b"real/name"),
        ("GNU.sparse.realsize", realsize.as_bytes()),
    ];
    Tar::default().pax(b'x', &records).file("GNUSparseFile.0/name", &stored).end()
}

#[test]
fn sparse_files_by_hand() {
    let old = |pieces: &[(u64, u64)], size: u64| {
        let mut header = Header::new(b"real/name", b'S', 6).with(257, b"ustar  \0");
        for (index, (start, len)) in pieces.iter().enumerate() {
            header.set(386 + index * 24, format!("{start:011o}\0{len:011o}\0").as_bytes());
        }
        header.set(483, format!("{size:011o}\0").as_bytes());
        Tar::default().raw(header, b"abcdef").end()
    };
    let records_0 = |records: &[(&str, &[u8])]| {
        Tar::default().pax(b'x', records).file("GNUSparseFile.0/name", b"abcdef").end()
    };
    let archives = [
        old(&[(70_000, 3), (140_000, 3), (200_000, 0)], 200_000),
        records_0(&[
            ("GNU.sparse.size", b"200000"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.offset", b"70000"),
            ("GNU.sparse.numbytes", b"3"),
            ("GNU.sparse.offset", b"140000"),
            ("GNU.sparse.numbytes", b"3"),
            ("path", b"real/name"),
        ]),
        records_0(&[
            ("GNU.sparse.name", b"real/name"),
            ("GNU.sparse.size", b"200000"),
            ("GNU.sparse.numblocks", b"2"),
            ("GNU.sparse.map", b"70000,3,140000,3"),
        ]),
        sparse_1_0("2\n70000\n3\n140000\n3\n", "200000", b"abcdef"),
    ];
    let mut expected = vec![0; 200_000];
    expected[70_000..70_003].copy_from_slice(b"abc");
    expected[140_000..140_003].copy_from_slice(b"def");
    let scratch = scratch();
    fs::create_dir(scratch.path().join("real")).unwrap();
    fs::write(scratch.path().join("real/name"), &expected).unwrap();
    let live = whole(&surveyed(scratch.path()));
    for (number, archive) in archives.iter().enumerate() {
        let survey = streamed(archive).unwrap_or_else(|error| panic!("archive {number}: {error}"));
        let node = node(&survey, "/real/name");
        assert!(bytes(&survey, node) == expected, "archive {number}");
        let runs = |text: &str| text[text.rfind('[').unwrap()..].to_owned();
        assert_eq!(runs(&format!("{:?}", whole(&survey))), runs(&format!("{live:?}")), "archive {number}");
    }
}

#[test]
fn a_sparse_file_of_exabytes_is_only_a_number() {
    let survey =
        streamed(&sparse_1_0("1\n4611686018427387904\n6\n", "9223372036854775807", b"abcdef")).unwrap();
    assert!(line(&survey, "/real/name").contains(" 9223372036854775807 "));
}

#[test]
fn many_names_in_reverse_order() {
    let tar = (0..20_000).rev().fold(Tar::default(), |tar, number| tar.file(&format!("d/{number:06}"), b""));
    let survey = streamed(&tar.end()).unwrap();
    assert_eq!(survey.tree.nodes(), 20_002);
}

#[test]
fn an_empty_archive() {
    let survey = streamed(&Tar::default().end()).unwrap();
    assert_eq!(text(&survey).lines().count(), 3);
    assert_eq!(streamed(&[0; 512]).unwrap().tree.nodes(), 1, "one block of zeros at the very end");
}
