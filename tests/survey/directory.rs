//! Live directories.

use crate::support::*;
use diskwright::survey::{Options, Origin, Survey, SurveyError, origin_of, survey, survey_listed};
use diskwright_fstools::tree::{Data, Kind};
use rustix::fd::BorrowedFd;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, PermissionsExt, lchown};
use std::path::Path;

#[test]
fn a_directory_becomes_a_tree() {
    let scratch = scratch();
    let top = scratch.path().join("top");
    plain_sample(&top);
    rustix::fs::mknodat(rustix::fs::CWD, top.join("sock"), rustix::fs::FileType::Socket, 0o755.into(), 0)
        .unwrap();
    fs::set_permissions(top.join("sock"), fs::Permissions::from_mode(0o755)).unwrap();
    let far = std::process::Command::new("touch").args(["-d", "@1500000000"]).arg(top.join("sock")).status();
    assert!(far.unwrap().success());
    set_time(&top, 1_600_000_000, 0);
    let expected = "\
diskwright tree 1
/ directory 0711 0 0 1600000000.000000000 - - -
/a-tool file 4755 0 0 1600000008.000000000 196708 - -
/all-zero file 0644 0 0 1600000008.000000000 131072 - -
/bin directory 0755 0 0 1600000003.000000000 - - -
/bin/nothing file 0644 0 0 1600000011.000000000 0 - -
/bin/other hardlink - - - - - - /a-tool
/bin/tool hardlink - - - - - - /a-tool
/empty directory 1777 0 0 1600000005.000000000 - - -
/etc directory 0750 0 0 1600000000.000000000 - - -
/etc/conf file 0600 0 0 1700000000.000000000 9 - -
/etc/dangling symlink 0777 0 0 1500000000.000000000 - - ../nowhere
/link symlink 0777 0 0 1500000000.000000000 - - bin/tool
/sock socket 0755 0 0 1500000000.000000000 - - -
/sparse file 0644 0 0 1600000006.000000000 1310725 - -
/zeros file 0644 0 0 1600000005.000000000 524288 - -
end 15
";
    let survey = surveyed(&top);
    // Modes that the process's umask had a say in.
    let seen =
        text(&survey).replace(" 0664 ", " 0644 ").replace("/bin directory 0775", "/bin directory 0755");
    assert_eq!(seen, expected);
    let owners = "owners: all files belong to uid";
    assert_eq!(survey.notes.iter().any(|note| note.starts_with(owners)), !is_root(), "{:?}", survey.notes);
    assert_eq!(bytes(&survey, node(&survey, "/etc/conf")), b"one line\n");
    for path in ["/bin/tool", "/sparse", "/zeros", "/all-zero", "/bin/nothing"] {
        let expected = fs::read(top.join(&path[1..])).unwrap();
        assert!(bytes(&survey, node(&survey, path)) == expected, "{path}");
    }
}

#[test]
fn neither_threads_nor_the_order_of_a_listing_matter() {
    let scratch = scratch();
    let top = scratch.path().join("top");
    rich_sample(&top);
    for number in 0..1000 {
        fs::write(top.join("empty").join(format!("file-{}", number * 7919 % 1000)), [number as u8]).unwrap();
    }
    for number in 0..100 {
        fs::create_dir_all(top.join(format!("many/{number}/below"))).unwrap();
        fs::hard_link(top.join("bin/tool"), top.join(format!("many/{number}/tool"))).unwrap();
    }
    let expected = whole(&surveyed(&top));
    let plain = |directory: BorrowedFd<'_>| -> io::Result<Vec<Box<[u8]>>> {
        let path = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&directory));
        let names = fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().as_bytes().into()));
        names.collect()
    };
    for (threads, turn) in [(1, 0), (8, 1), (1, 977), (8, 977)] {
        let shuffled = move |directory: BorrowedFd<'_>| {
            let mut names = plain(directory)?;
            names.sort();
            if turn % 2 == 1 {
                names.reverse();
            }
            let by = turn % names.len().max(1);
            names.rotate_left(by);
            Ok(names)
        };
        let options = Options { threads, ..options() };
        let survey = survey_listed(&directory(&top), &options, &shuffled).unwrap();
        assert_eq!(whole(&survey), expected, "{threads} threads, turned by {turn}");
    }
}

/// Runs of a file of so many windows and bytes, of which these windows have data.
fn runs(survey: &Survey, path: &str) -> Option<Vec<(u64, u64)>> {
    let Kind::File(Data::Content { runs, .. }) = &survey.tree.node(node(survey, path)).kind else {
        panic!("{path} has no content")
    };
    runs.as_ref().map(|runs| runs.iter().map(|run| (run.start, run.end)).collect())
}

#[test]
fn holes_come_from_content() {
    const W: u64 = WINDOW as u64;
    /// Length, positions of single bytes that are not zero, the runs.
    type Row = (u64, &'static [u64], Option<&'static [(u64, u64)]>);
    let table: &[Row] = &[
        (0, &[], None),
        (1, &[], None),
        (W - 1, &[], None),
        (W, &[], Some(&[])),
        (W, &[0], None),
        (W, &[W - 1], None),
        (W, &[4095], None),
        (W, &[4096], None),
        (W + 1, &[], Some(&[(W, W + 1)])),
        (W + 1, &[W - 1], None),
        (2 * W - 1, &[], Some(&[(W, 2 * W - 1)])),
        (2 * W, &[W], Some(&[(W, 2 * W)])),
        (2 * W, &[W - 1], Some(&[(0, W)])),
        (5 * W, &[0, 2 * W + 5, 3 * W], Some(&[(0, W), (2 * W, 4 * W)])),
        (5 * W + 7, &[2 * W - 1, 5 * W + 6], Some(&[(W, 2 * W), (5 * W, 5 * W + 7)])),
        (4 * W, &[0, W, 2 * W, 3 * W], None),
    ];
    let shm = Path::new("/dev/shm");
    let hosts = [Some(std::env::temp_dir()), shm.is_dir().then(|| shm.to_owned())];
    for host in hosts.into_iter().flatten() {
        let scratch = tempfile::tempdir_in(host).unwrap();
        let top = scratch.path();
        for (number, (len, set, _)) in table.iter().enumerate() {
            let mut bytes = vec![0; *len as usize];
            set.iter().for_each(|&at| bytes[at as usize] = 1);
            fs::write(top.join(format!("written-{number}")), &bytes).unwrap();
            let sparse = File::create(top.join(format!("sparse-{number}"))).unwrap();
            sparse.set_len(*len).unwrap();
            set.iter().for_each(|&at| sparse.write_all_at(&[1], at).unwrap());
            let reserved = File::create(top.join(format!("reserved-{number}"))).unwrap();
            let flags = rustix::fs::FallocateFlags::empty();
            if *len > 0 && rustix::fs::fallocate(&reserved, flags, 0, *len).is_err() {
                reserved.set_len(*len).unwrap();
            }
            set.iter().for_each(|&at| reserved.write_all_at(&[1], at).unwrap());
        }
        let survey = surveyed(top);
        for (number, (len, set, expected)) in table.iter().enumerate() {
            for how in ["written", "sparse", "reserved"] {
                let seen = runs(&survey, &format!("/{how}-{number}"));
                assert_eq!(seen.as_deref(), *expected, "{how}: {len} bytes with {set:?}");
            }
        }
    }
}

#[test]
fn a_file_of_a_tebibyte_of_hole_is_quick() {
    let scratch = scratch();
    let file = File::create(scratch.path().join("large")).unwrap();
    if file.set_len(1 << 40).is_err() {
        return inapplicable(
            "directory::a_file_of_a_tebibyte_of_hole_is_quick",
            "the host has no such files",
        );
    }
    file.write_all_at(b"x", 1 << 39).unwrap();
    let survey = surveyed(scratch.path());
    assert_eq!(runs(&survey, "/large"), Some(vec![(1 << 39, (1 << 39) + WINDOW as u64)]));
}

#[test]
fn whose_files_they_are() {
    let scratch = scratch();
    let top = scratch.path().join("top");
    plain_sample(&top);
    let given = Options { owner: Some((7, 8)), ..options() };
    let survey_given = survey(&directory(&top), &given).unwrap();
    assert!(line(&survey_given, "/etc/conf").contains(" 7 8 "));
    assert!(line(&survey_given, "/").contains(" 7 8 "));
    if !is_root() {
        assert!(line(&surveyed(&top), "/etc/conf").contains(" 0 0 "));
        return;
    }
    let own = |path: &str, uid, gid| lchown(top.join(path), Some(uid), Some(gid)).unwrap();
    own("etc/conf", 1000, 1001);
    own("link", 1002, 0);
    let survey_host = surveyed(&top);
    assert!(line(&survey_host, "/etc/conf").contains(" 1000 1001 "), "as the host says");
    assert!(line(&survey_host, "/link").contains(" 1002 0 "));
    assert_eq!(survey_host.notes, [""; 0]);

    let all = |uid, gid| {
        let walk = text(&surveyed(&top));
        let paths = walk.lines().filter_map(|line| line.strip_prefix('/')?.split(' ').next());
        paths.for_each(|path| own(path, uid, gid));
    };
    all(1000, 1000);
    own("etc", 1000, 5);
    let ordinary = surveyed(&top);
    assert!(
        text(&ordinary).lines().filter(|line| line.contains(".000000000")).all(|line| line.contains(" 0 0 "))
    );
    assert_eq!(ordinary.notes, ["owners: all files belong to uid 1000 and become 0:0"]);

    own("etc/dangling", 0, 0);
    let mixed = failure(survey(&directory(&top), &options()));
    assert!(mixed.contains("top/etc/dangling: the owners in this directory are mixed"), "{mixed}");
    assert!(
        mixed.contains("uid 1000") && mixed.contains("--record FILE") && mixed.contains("--owner UID:GID"),
        "{mixed}"
    );
    assert!(survey(&directory(&top), &given).is_ok(), "an owner for everything");
}

#[test]
fn attributes_of_a_live_directory() {
    let scratch = scratch();
    let top = scratch.path().join("top");
    rich_sample(&top);
    let set = |path: &str, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(top.join(path), name, value, rustix::fs::XattrFlags::empty()).unwrap();
    };
    // user::rw- user:1000:r-- group::r-- mask::r-- other::---
    let acl = b"\x02\0\0\0\x01\0\x06\0\xff\xff\xff\xff\x02\0\x04\0\xe8\x03\0\0\x04\0\x04\0\xff\xff\xff\xff\x10\0\x04\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff";
    set("etc/conf", "system.posix_acl_access", acl);
    set("etc", "system.posix_acl_default", acl);
    set("fifo", "system.posix_acl_access", acl);
    set("bin/nothing", "user.large", &[b'x'; 3000]);
    if is_root() {
        set("etc/conf", "trusted.secret", b"1");
        set("bin/tool", "trusted.secret", b"1");
        set("link", "trusted.secret", b"1");
    }
    let survey = surveyed(&top);
    let conf = line(&survey, "/etc/conf");
    for part in ["system.posix_acl_access=\\x02", "user.bytes=\\x00\\xff\\n=%\\x20", "user.empty="] {
        assert!(conf.contains(part), "{part} in {conf}");
    }
    assert_eq!(conf.contains(" security.capability=\\x01\\x00\\x00\\x02"), is_root());
    assert!(line(&survey, "/etc").contains("system.posix_acl_default="));
    assert!(line(&survey, "/fifo").contains("system.posix_acl_access="));
    assert!(line(&survey, "/bin/nothing").contains(&format!("user.large={}", "x".repeat(3000))));
    assert!(!text(&survey).contains("trusted"));
    let expected = "attributes that a live directory does not give: trusted.secret (of 2 files)";
    assert_eq!(survey.notes.iter().any(|note| note == expected), is_root(), "{:?}", survey.notes);
}

#[test]
fn what_cannot_be_read_is_said_at_once() {
    const TEST: &str = "directory::what_cannot_be_read_is_said_at_once";
    let kept = inside().is_none().then(scratch);
    let top = kept.as_ref().map_or_else(|| inside().unwrap(), |scratch| scratch.path().to_owned());
    if is_root() {
        if tool(TEST, "setpriv", "util-linux").is_some() {
            lchown(&top, Some(65534), Some(65534)).unwrap();
            again(TEST, &UNPRIVILEGED, "", &top);
        }
        return;
    }
    for path in ["b", "z"] {
        fs::write(top.join(path), b"small").unwrap();
    }
    fs::write(top.join("large"), vec![1; 2 * WINDOW]).unwrap();
    fs::create_dir_all(top.join("closed/inner")).unwrap();
    fs::create_dir(top.join("blind")).unwrap();
    fs::write(top.join("blind/file"), b"").unwrap();
    for (path, mode) in [("b", 0), ("large", 0o200), ("closed", 0), ("blind", 0o400)] {
        fs::set_permissions(top.join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let error = survey(&directory(&top), &options());
    assert!(matches!(&error, Err(SurveyError::Io(error)) if error.kind() == io::ErrorKind::PermissionDenied));
    let said = failure(error);
    assert!(said.starts_with("4 files cannot be read: "), "{said}");
    for path in ["/b: ", "/large: ", "/closed: ", "/blind/file: "] {
        assert!(said.contains(&format!("{}{path}", top.display())), "{path} in {said}");
    }
    fs::set_permissions(top.join("b"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(top.join("large"), fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(top.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(top.join("blind"), fs::Permissions::from_mode(0o700)).unwrap();
    assert!(line(&surveyed(&top), "/b").starts_with("file 0400"));
}

#[test]
fn paths_longer_than_the_host_can_name() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    let scratch = scratch();
    let flags = OFlags::DIRECTORY | OFlags::PATH;
    let mut directory = openat(CWD, scratch.path(), flags, Mode::empty()).unwrap();
    let name = "n".repeat(200);
    for _ in 0..40 {
        mkdirat(&directory, &name, 0o755.into()).unwrap();
        directory = openat(&directory, &name, flags, Mode::empty()).unwrap();
    }
    let file = openat(&directory, "file", OFlags::CREATE | OFlags::WRONLY, 0o644.into()).unwrap();
    File::from(file).write_all_at(b"far down", 0).unwrap();
    let survey = surveyed(scratch.path());
    let path = format!("/{}file", format!("{name}/").repeat(40));
    assert_eq!(bytes(&survey, node(&survey, &path)), b"far down");
}

#[test]
fn few_files_are_open_at_a_time() {
    let scratch = scratch();
    for number in 0..1000 {
        fs::create_dir(scratch.path().join(number.to_string())).unwrap();
        fs::write(scratch.path().join(format!("{number}/file")), number.to_string()).unwrap();
    }
    let survey = surveyed(scratch.path());
    for number in 0..1000 {
        let node = node(&survey, &format!("/{number}/file"));
        assert_eq!(bytes(&survey, node), number.to_string().as_bytes());
    }
    let open = fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(open < 500, "{open} open files, also of the tests beside this one");
}

#[test]
fn no_directory_there() {
    let scratch = scratch();
    fs::write(scratch.path().join("file"), b"").unwrap();
    for name in ["missing", "file"] {
        let path = scratch.path().join(name);
        let said = failure(survey(&directory(&path), &options()));
        assert!(said.starts_with(&path.display().to_string()), "{said}");
    }
}

#[test]
fn what_a_path_stands_for() {
    let scratch = scratch();
    let path = |name: &str| scratch.path().join(name);
    fs::create_dir(path("root")).unwrap();
    fs::create_dir(path("alone")).unwrap();
    fs::write(path("root.tree"), b"").unwrap();
    fs::write(path("root.tar"), b"").unwrap();
    std::os::unix::fs::symlink("root", path("current")).unwrap();
    let record = |name: &str| match origin_of(path(name).as_os_str()) {
        Origin::Directory { path: top, record } => (top == path(name)).then_some(record),
        _ => None,
    };
    assert_eq!(record("root"), Some(Some(path("root.tree"))));
    assert_eq!(record("root/"), Some(Some(path("root.tree"))));
    assert_eq!(record("root/."), Some(Some(path("root.tree"))));
    assert_eq!(record("root/../root"), Some(Some(path("root/../root.tree"))));
    assert_eq!(record("current"), Some(Some(path("root.tree").canonicalize().unwrap())));
    assert_eq!(record("alone"), Some(None));
    assert!(matches!(origin_of("-".as_ref()), Origin::Stdin));
    for name in ["root.tar", "missing"] {
        assert!(matches!(origin_of(path(name).as_os_str()), Origin::Tar(tar) if tar == path(name)));
    }
}
