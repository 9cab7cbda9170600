//! Archives that lie, escape or are damaged: refused with the member's name and position, and never a panic.

use crate::support::*;
use diskwright::survey::{Options, SurveyError, survey_stream};
use proptest::prelude::*;
use std::fs;
use std::path::Path;

#[track_caller]
fn refused(archive: &[u8], expected: &str) {
    let result = streamed(archive);
    assert!(matches!(result, Err(SurveyError::Refused(_)) | Ok(_)), "not an I/O error");
    let said = failure(result);
    assert!(said.starts_with("tar: stream: ") && said.contains(expected), "{said}\nexpected: {expected}");
}

#[test]
fn paths_that_escape() {
    let table: &[(Tar, &str)] = &[
        (Tar::default().file("../f", b""), "../f, at byte 0: a name with `..` in it"),
        (Tar::default().file("a/../../f", b""), "a/../../f, at byte 0: a name with `..` in it"),
        (Tar::default().file("a/..", b""), "a name with `..` in it"),
        (Tar::default().directory("../"), "a name with `..` in it"),
        (Tar::default().file("/etc/passwd", b""), "/etc/passwd, at byte 0: an absolute name"),
        (Tar::default().pax(b'x', &[("path", b"/abs")]).file("f", b""), "/abs, at byte 0: an absolute name"),
        (Tar::default().pax(b'x', &[("path", b"a\0b")]).file("f", b""), "a name with NUL in it: a\\x00b"),
        (Tar::default().file("", b""), "a name of no bytes"),
        (Tar::default().file("./", b""), "at byte 0: "),
        (Tar::default().link(".", b'2', "x"), "the root of the archive is not a directory"),
        (Tar::default().link(".", b'1', "x"), "the root of the archive is not a directory"),
        (
            Tar::default().link("a", b'2', "/etc").file("a/passwd", b"x"),
            "a/passwd, at byte 512: its path leads through a symlink: a -> /etc",
        ),
        (
            Tar::default().directory("d/").link("d/s", b'2', ".").file("d/s/x/y", b"x"),
            "d/s/x/y, at byte 1024: its path leads through a symlink: d/s -> .",
        ),
        (
            Tar::default().file("a", b"").file("a/b", b""),
            "a/b, at byte 512: its path leads through a file: a",
        ),
        (
            Tar::default().link("h", b'1', "none"),
            "h, at byte 0: a hard link to what the archive does not have before it: none",
        ),
        (Tar::default().link("h", b'1', "f").file("f", b""), "h, at byte 0: a hard link to what"),
        (Tar::default().link("h", b'1', "../f"), "a target with `..` in it"),
        (Tar::default().link("h", b'1', "/etc/passwd"), "an absolute target"),
        (Tar::default().link("h", b'1', ""), "a target of no bytes"),
        (Tar::default().directory("d/").link("h", b'1', "d"), "a hard link to a directory: d"),
        (
            Tar::default().directory("d/").file("d/f", b"").link("s", b'2', "d").link("h", b'1', "s/f"),
            "a hard link to what the archive does not have before it: s/f",
        ),
        (
            Tar::default().file("d/f", b"").file("d", b""),
            "d, at byte 512: it would take the place of a directory that has files",
        ),
        (Tar::default().link("s", b'2', ""), "s, at byte 0: a symlink target of 0 bytes"),
        (
            Tar::default().pax(b'x', &[("path", &[b'n'; 256])]).file("f", b""),
            "a component of its name has 256 bytes: at most 255",
        ),
        (
            Tar::default().pax(b'x', &[("path", &b"ab/".repeat(1400))]).file("f", b""),
            "a name of 4200 bytes: at most 4095",
        ),
        (
            Tar::default().pax(b'x', &[("linkpath", &[b't'; 5000])]).link("s", b'2', ""),
            "a symlink target of 5000 bytes: 1 to 4095",
        ),
    ];
    for (tar, expected) in table {
        if *expected == "at byte 0: " {
            // A name that is only the root, with a slash: a directory of old.
            assert!(streamed(&tar.clone().end()).is_ok());
            continue;
        }
        refused(&tar.clone().end(), expected);
    }
}

#[test]
fn what_stays_in_the_tree() {
    // A hard link onto itself; links and directories that are replaced.
    let tar = Tar::default()
        .file("f", b"1")
        .link("f", b'1', "./f")
        .link("s", b'2', "f")
        .directory("s/")
        .file("s/inside", b"")
        .directory("e/")
        .link("e", b'1', "f");
    let survey = streamed(&tar.end()).unwrap();
    assert_eq!(line(&survey, "/f"), "hardlink - - - - - - /e");
    assert!(line(&survey, "/s/inside").starts_with("file"));
}

#[test]
fn headers_that_lie() {
    let header = |kind: u8| Header::new(b"f", kind, 0);
    let one = |header: Header| Tar::default().raw(header, b"").end();
    let mut wrong_sum = Tar::default().file("a", b"").file("b", b"").end();
    wrong_sum[512] = b'c';
    let table: &[(Vec<u8>, &str)] = &[
        (one(header(b'0').with(124, b"0000000x000\0")), "f, at byte 0: a bad size"),
        (one(header(b'0').with(124, b"-0000000001\0")), "f, at byte 0: a bad size"),
        (one(header(b'0').with(124, &[0xff; 12])), "f, at byte 0: a bad size"),
        (
            one(header(b'0').with(124, b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff")),
            "the archive is cut short: 9223372036854775807",
        ),
        (
            one(header(b'0').with(124, b"77777777777\0")),
            "the archive is cut short: 8589934591 bytes of data, and 1024 are left",
        ),
        (one(header(b'0').with(108, b"99999999")), "f, at byte 0: a bad uid"),
        (one(header(b'0').with(116, b"\x80\0\0\x01\0\0\0\0")), "f, at byte 0: a bad gid"),
        (one(header(b'0').with(100, b"rwxr-xr-")), "f, at byte 0: a bad mode"),
        (one(header(b'0').with(136, b"yesterday...")), "f, at byte 0: a bad time"),
        (one(header(b'3').with(329, b"9")), "f, at byte 0: a bad device number"),
        (one(header(b'4').with(257, &[0; 8])), "f, at byte 0: a bad device number"),
        (one(header(b'M')), "f, at byte 0: a member that started on another volume"),
        (one(header(b'Q')), "f, at byte 0: an unknown type of member: Q"),
        (
            one(header(b'S').with(386, b"00000000000\0zzzzzzzzzzz\0")),
            "f, at byte 0: a bad map of a sparse file",
        ),
        (wrong_sum, "at byte 512: the checksum of a header is wrong"),
        (Tar::default().file("f", b"").end()[..512].to_vec(), "at byte 512: the archive is cut short"),
        (
            Tar::default().file("f", &[1; 600]).end()[..1200].to_vec(),
            "f, at byte 0: the archive is cut short: 600 bytes of data, and 688 are left",
        ),
        (
            [Tar::default().file("f", b"").0, vec![0; 512], Tar::default().file("g", b"").end()].concat(),
            "at byte 512: one block of zeros in the middle",
        ),
        (
            Tar::default().pax(b'x', &[("path", b"p")]).end(),
            "at byte 0: an extended header without its member",
        ),
        (
            Tar::default().raw(Header::new(b"@LongLink", b'L', 4), b"long").end(),
            "at byte 0: an extended header without its member",
        ),
        (
            Tar::default().raw(Header::new(b"x", b'x', 3), b"xyz").file("f", b"").end(),
            "a pax record without its length",
        ),
        (
            Tar::default().raw(Header::new(b"x", b'x', 12), b"99 path=ab\n\n").file("f", b"").end(),
            "not as long as it says: 99",
        ),
        (
            Tar::default().pax(b'x', &[("size", b"1e3")]).file("f", b"").end(),
            "f, at byte 0: a bad value of size: 1e3",
        ),
        (Tar::default().pax(b'x', &[("uid", b"4294967296")]).file("f", b"").end(), "a bad uid"),
        (Tar::default().pax(b'x', &[("mtime", b"now")]).file("f", b"").end(), "a bad value of mtime: now"),
        (
            Tar::default().pax(b'x', &[("LIBARCHIVE.xattr.user.a", b"!")]).file("f", b"").end(),
            "a bad value of LIBARCHIVE.xattr.user.a",
        ),
        (
            Tar::default().pax(b'x', &[("SCHILY.xattr.", b"!")]).file("f", b"").end(),
            "an attribute name that is none",
        ),
        (
            Tar::default().raw(Header::new(b"x", b'x', 1 << 25), b"").end(),
            "an extended header of 33554432 bytes: at most 16777216",
        ),
        (
            Tar::default().raw(Header::new(b"x", b'L', 1 << 17), b"").end(),
            "an extended header of 131072 bytes: at most 65536",
        ),
    ];
    for (archive, expected) in table {
        refused(archive, expected);
    }
}

#[test]
fn sparse_files_that_lie() {
    let with =
        |records: &[(&str, &[u8])], data: &[u8]| Tar::default().pax(b'x', records).file("f", data).end();
    let v1: [(&str, &[u8]); 2] = [("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0")];
    let one = |map: &[u8]| {
        let mut data = map.to_vec();
        data.resize(512, 0);
        with(&[v1[0], v1[1], ("GNU.sparse.realsize", b"1000")], &data)
    };
    let old = |pieces: &[&[u8]], more: u8| {
        let mut header = Header::new(b"f", b'S', 0).with(482, &[more]);
        pieces.iter().enumerate().for_each(|(index, piece)| {
            header.set(386 + index * 24, piece);
        });
        Tar::default().raw(header, b"").end()
    };
    let table: &[(Vec<u8>, &str)] = &[
        (with(&v1, b""), "a sparse file without its size"),
        (
            with(&[("GNU.sparse.major", b"2"), ("GNU.sparse.minor", b"0")], b""),
            "an unknown format of sparse files: 2",
        ),
        (one(b"1\n0\n"), "a bad map of a sparse file"),
        (one(b"x\n"), "a bad map of a sparse file"),
        (one(&[b'1'; 512]), "a bad map of a sparse file"),
        (one(b"18446744073709551615\n0\n1\n"), "a bad map of a sparse file"),
        (one(b"1\n0\n100\n"), "the pieces of a sparse file have 100 bytes, its data 0"),
        (one(b"1\n999\n2\n"), "a piece of a sparse file that does not fit: 2 bytes at 999 of 1000"),
        (one(b"2\n500\n0\n0\n0\n"), "a piece of a sparse file that does not fit: 0 bytes at 0 of 1000"),
        (
            with(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,1,2")], b""),
            "a bad map of a sparse file",
        ),
        (
            with(&[("GNU.sparse.size", b"10"), ("GNU.sparse.map", b"0,5")], b"abcd"),
            "have 5 bytes, its data 4",
        ),
        (
            with(&[("GNU.sparse.size", b"9223372036854775808")], b""),
            "a sparse file of 9223372036854775808 bytes: at most",
        ),
        (with(&[("GNU.sparse.numbytes", b"1")], b""), "a bad value of GNU.sparse.numbytes"),
        (
            old(&[b"00000000000\0", b""], 1)[..512].to_vec(),
            "at byte 512: the archive is cut short in the map",
        ),
        (old(&[b"00000000000\x0000000000010\0"], 0), "does not fit: 8 bytes at 0 of 0"),
    ];
    for (archive, expected) in table {
        refused(archive, expected);
    }
    // More pieces than any file has.
    let many: String = (0..1_100_000).map(|_| "0\n0\n").collect();
    let mut data = format!("1100000\n{many}").into_bytes();
    data.resize(data.len().next_multiple_of(512), 0);
    refused(&with(&[v1[0], v1[1], ("GNU.sparse.realsize", b"1")], &data), "more than 1048576 pieces");
}

#[test]
fn what_is_no_archive() {
    let table: &[(&[u8], &str)] = &[
        (b"", "not a tar archive, nor one compressed"),
        (b"hello", "not a tar archive, nor one compressed"),
        (&[1; 5000], "not a tar archive, nor one compressed"),
        (b"BZh91AY&SY", "an archive compressed with bzip2: gzip, zstd and xz can be read"),
        (b"\x04\x22\x4d\x18....", "an archive compressed with lz4"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\x03", "the compressed data is cut short"),
        (b"\x1f\x8b\xff\0\0\0\0\0\0\x03", "the compressed data is damaged"),
        (b"\x28\xb5\x2f\xfd", "zstd: "),
        (b"\x50\x2a\x4d\x18\x05\0\0\0hell", "the compressed data is cut short"),
        (b"\xfd7zXZ\0", "the compressed data is cut short"),
    ];
    let scratch = scratch();
    for (bytes, expected) in table {
        refused(bytes, expected);
        let filed = failure(filed(&scratch, bytes, &options()));
        assert!(filed.contains(expected), "{filed}");
    }
    assert!(failure(streamed(b"BZh91AY&SY")).contains("bzip2 -dc FILE | "));
    let missing = diskwright::survey::Origin::Tar(Path::new("/no/such.tar").to_owned());
    assert!(failure(diskwright::survey::survey(&missing, &options())).starts_with("/no/such.tar: "));
}

/// A small archive with a bit of everything.
fn varied() -> Vec<u8> {
    Tar::default()
        .pax(b'g', &[("comment", b"x")])
        .directory("d/")
        .pax(
            b'x',
            &[
                ("path", b"d/long"),
                ("mtime", b"1.5"),
                ("SCHILY.xattr.user.a", b"b"),
                ("LIBARCHIVE.xattr.user.c", b"Zg"),
            ],
        )
        .file("short", b"data")
        .raw(Header::new(b"@LongLink", b'K', 6), b"d/long")
        .link("h", b'1', "x")
        .raw(
            Header::new(b"s", b'S', 3)
                .with(257, b"ustar  \0")
                .with(386, b"00000000001\x0000000000003\0")
                .with(483, b"00000000010\0"),
            b"abc",
        )
        .pax(
            b'x',
            &[
                ("GNU.sparse.major", b"1"),
                ("GNU.sparse.minor", b"0"),
                ("GNU.sparse.realsize", b"9"),
                ("GNU.sparse.name", b"t"),
            ],
        )
        .raw(Header::new(b"u", b'0', 515), &[b"1\n2\n3\n".as_slice(), &[0; 506], b"abc"].concat())
        .link("l", b'2', "h")
        .raw(Header::new(b"c", b'3', 0), b"")
        .end()
}

#[test]
fn no_change_of_a_byte_makes_it_panic() {
    let archive = varied();
    let accepted = streamed(&archive).unwrap();
    assert_eq!(text(&accepted).lines().count(), 10, "{}", text(&accepted));
    let work_dir = if Path::new("/dev/shm").is_dir() { "/dev/shm".into() } else { options().work_dir };
    let options = Options { work_dir, ..options() };
    let (mut refusals, mut trees) = (0, 0);
    let all = std::env::var_os("DISKWRIGHT_ALL").is_some_and(|all| all == "1");
    for at in (0..archive.len()).filter(|at| all || archive[*at] != 0 || at % 16 == 0) {
        for change in [0, b'1', 0xff, archive[at] ^ 1] {
            let mut changed = archive.clone();
            changed[at] = change;
            // A header that was changed is sealed again, so that what it says is looked at.
            let header = at / 512 * 512;
            if archive[header + 257..].starts_with(b"ustar") && !(148..156).contains(&(at % 512)) {
                let sealed = Header(changed[header..header + 512].try_into().unwrap()).sealed();
                changed[header..header + 512].copy_from_slice(&sealed);
            }
            match survey_stream(&mut &changed[..], "changed", &options) {
                Ok(survey) => {
                    trees += 1;
                    drop(survey);
                }
                Err(SurveyError::Refused(_)) => refusals += 1,
                Err(SurveyError::Io(error)) => panic!("byte {at} as {change}: {error}"),
            }
        }
    }
    assert!(refusals > 1000 && trees > 1000, "{refusals} refusals, {trees} trees");
}

#[test]
fn no_cut_makes_it_panic() {
    let archive = varied();
    let end = archive.len() - 1024;
    for len in (0..archive.len()).step_by(8) {
        match streamed(&archive[..len]) {
            Err(SurveyError::Refused(_)) => {}
            Err(error) => panic!("cut to {len}: {error}"),
            // One block of zeros may be cut off.
            Ok(_) => assert!(len >= end + 512, "cut to {len} bytes and accepted"),
        }
    }
}

#[test]
fn damaged_compressed_archives() {
    const TEST: &str = "tar_hostile::damaged_compressed_archives";
    let archive = varied();
    let table: &[(&str, &str, &[&str])] =
        &[("gzip", "gzip", &["-nc"]), ("zstd", "zstd", &["-c"]), ("xz", "xz-utils", &["-c"])];
    for (name, package, arguments) in table {
        let Some(program) = tool(TEST, name, package) else { continue };
        let bytes = filtered(&program, arguments, &archive);
        let expected = text(&streamed(&bytes).unwrap());
        let mut accepted = 0;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                match streamed(&changed) {
                    // Bits without a meaning: a time, an operating system.
                    Ok(survey) => {
                        accepted += 1;
                        assert_eq!(text(&survey), expected, "{name}: bit {bit} of byte {at} goes unnoticed");
                    }
                    Err(SurveyError::Refused(_)) => {}
                    Err(SurveyError::Io(error)) => panic!("{name}: bit {bit} of byte {at}: {error}"),
                }
            }
        }
        assert!(accepted < 120, "{name}: {accepted} changes go unnoticed");
        for len in 0..bytes.len() {
            assert!(
                streamed(&bytes[..len]).is_err(),
                "{name}: cut to {len} of {} bytes and accepted",
                bytes.len()
            );
        }
    }
}

#[test]
fn a_bomb_of_zeros_takes_no_space() {
    const TEST: &str = "tar_hostile::a_bomb_of_zeros_takes_no_space";
    let Some(gzip) = tool(TEST, "gzip", "gzip") else { return };
    let size = 80 << 20;
    let mut archive = Tar::default().raw(Header::new(b"zeros", b'0', size), b"").0;
    archive.resize(archive.len() + size + 1024, 0);
    let bomb = filtered(&gzip, &["-1c"], &archive);
    assert!(bomb.len() < 1 << 20);
    let survey = streamed(&bomb).unwrap();
    let id = node(&survey, "/zeros");
    let diskwright_fstools::tree::Kind::File(data) = &survey.tree.node(id).kind else { panic!() };
    assert_eq!((data.size(), data.runs().count()), (size as u64, 0));
}

#[test]
fn a_work_directory_that_is_full() {
    const TEST: &str = "tar_hostile::a_work_directory_that_is_full";
    let scratch = scratch();
    let archive = Tar::default().file("f", &[7; 300_000]).end();
    if let Some(inside) = inside() {
        let options = Options { work_dir: inside.clone(), ..options() };
        let result = survey_stream(&mut &archive[..], "stream", &options);
        assert!(matches!(result, Err(SurveyError::Io(_))));
        let said = failure(result);
        let expected = format!(
            "{}: the work directory cannot hold the archive: stream after 65536 bytes: ",
            inside.display()
        );
        assert!(said.starts_with(&expected), "{said}");
        assert_eq!(fs::read_dir(&inside).unwrap().count(), 0, "nothing is left");
        return;
    }
    // No file of more than 64 KiB: as good as a full disk. (Units of 512 bytes in sh.)
    again(TEST, &["env"], "trap '' XFSZ; ulimit -f 128", scratch.path());
    let options = Options { work_dir: scratch.path().join("missing"), ..options() };
    let said = failure(survey_stream(&mut &archive[..], "stream", &options));
    assert!(said.contains("/missing: "), "{said}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever stands behind a valid start.
    #[test]
    fn noise_is_refused_or_read(noise in prop::collection::vec(any::<u8>(), 0..3000), sealed: bool) {
        let mut archive = noise;
        if sealed && archive.len() >= 512 {
            let header = Header(archive[..512].try_into().unwrap()).sealed();
            archive[..512].copy_from_slice(&header);
        }
        if let Err(SurveyError::Io(error)) = streamed(&archive) {
            prop_assert!(false, "{error}");
        }
    }
}
