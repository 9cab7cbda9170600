//! Trees, archives and hosts that are not what they seem: a clear error, the exit code of the README, nothing left behind.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use std::fs::OpenOptions;
use std::io::{Seek, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use support::*;

/// Runs the program in `at`: it must end with `code`, say `words`, and leave `at` as it was.
#[track_caller]
fn refused(name: &str, at: &Path, arguments: &[&str], code: i32, words: &[&str]) -> String {
    let before = everything(at);
    let ended = run(command(arguments).current_dir(at));
    assert_eq!(ended.code, Some(code), "{name}:\n{}{}", ended.stdout, ended.stderr);
    for word in words {
        assert!(ended.stderr.contains(word), "{name}: {word:?} is not in:\n{}", ended.stderr);
    }
    assert_eq!(everything(at), before, "{name}: something was left behind");
    ended.stderr
}

/// All paths below a directory.
fn everything(at: &Path) -> Vec<String> {
    let mut paths = Vec::new();
    for name in listing(at) {
        let path = at.join(&name);
        let inner = if path.is_dir() && !path.is_symlink() { everything(&path) } else { vec![] };
        paths.extend(inner.into_iter().map(|inner| format!("{name}/{inner}")));
        paths.push(name);
    }
    paths
}

/// What is made of any source here: the whole way to a container, and a bare file system.
const USES: [&[&str]; 2] =
    [&["create", "--root", "source", "-o", "disk.qcow2"], &["mkfs", "ext4", "source", "image"]];

#[test]
fn archives_whose_members_lead_elsewhere() {
    let file = |name: &str| Member::file(name, "x");
    let link = |name: &str, to: &str| Member::new(name, What::Symlink(to.into()));
    let hard = |name: &str, to: &str| Member::new(name, What::Hard(to.into()));
    let cases: &[(&str, Vec<Member>, &[&str])] = &[
        ("parent", vec![file("../escaped")], &["../escaped"]),
        ("parent in the middle", vec![file("a/../../escaped")], &["a/../../escaped"]),
        ("only parents", vec![Member::directory("../..")], &["../.."]),
        ("absolute", vec![file("/escaped")], &["/escaped"]),
        ("through a link", vec![link("way", "/tmp"), file("way/escaped")], &["way/escaped"]),
        ("through a link up", vec![link("way", ".."), file("way/escaped")], &["way/escaped"]),
        ("through two links", vec![link("a", "b"), link("b", "/tmp"), file("a/escaped")], &["a/escaped"]),
        ("hard link outside", vec![hard("name", "../../etc/passwd")], &["name"]),
        ("hard link to an absolute name", vec![hard("name", "/etc/passwd")], &["name"]),
        ("hard link to nothing", vec![hard("name", "not/there")], &["name", "not/there"]),
        ("hard link through a link", vec![link("way", "/etc"), hard("name", "way/passwd")], &["name"]),
        ("hard link to itself", vec![hard("name", "name")], &["name"]),
        ("hard link to a directory", vec![Member::directory("d"), hard("name", "d")], &["name"]),
        ("a file that is a directory", vec![file("a"), file("a/b")], &["a/b"]),
        ("a name of zeros", vec![Member::file(b"a\0b", "x")], &["a"]),
        ("a name of 256 bytes", vec![file(&"n".repeat(256))], &[&"n".repeat(200), "255"]),
        ("a target of 4096 bytes", vec![link("long", &"t/".repeat(2048))], &["long", "409"]),
        ("an attribute that is too large", vec![file("big").xattr("user.x", [b'x'; 9000])], &["big"]),
    ];
    for (name, members, words) in cases {
        for arguments in USES {
            let at = tempfile::tempdir().unwrap();
            write(at.path().join("source"), tar(members));
            refused(name, at.path(), arguments, 1, words);
        }
    }
    assert!(!Path::new("/tmp/escaped").exists(), "nothing is ever unpacked");
}

/// Members with some of everything that can be cut.
fn varied() -> Vec<Member> {
    let long = "directory/".repeat(20) + "file";
    vec![
        Member::file("first", noise(1, 700)).xattr("user.a", "b"),
        Member::directory("d"),
        Member::file(long, noise(2, 3000)),
        Member::new("link", What::Symlink(b"first".to_vec())),
        Member::new("again", What::Hard(b"first".to_vec())),
        Member::file("last", noise(3, 1500)),
    ]
}

#[test]
fn archives_cut_short_anywhere() {
    let whole = tar(&varied());
    let at = tempfile::tempdir().unwrap();
    let source = at.path().join("source");
    // Two empty blocks end an archive, and one will do.
    let end = whole.len() - 512;
    let mut cuts: Vec<usize> = (1..end).step_by(if all() { 7 } else { 200 }).collect();
    cuts.extend((512..end).step_by(512).flat_map(|block| [block - 1, block, block + 1]));
    cuts.push(end - 1);
    let arguments = ["mkfs", "ext4", "--dry-run", "source", "image"];
    for cut in cuts {
        write(&source, &whole[..cut]);
        refused(&format!("cut at {cut}"), at.path(), &arguments, 1, &["source"]);
    }
    write(&source, &whole[..end]);
    run(command(arguments).current_dir(at.path())).ends(0);
    // Compressed archives say how long they are.
    for program in ["gzip", "xz", "zstd"] {
        let Some(path) = oracle("archives_cut_short", program) else { continue };
        write(&source, &whole);
        tool(&path, ["-q", "-k", source.to_str().unwrap()]);
        let packed = listing(at.path()).into_iter().find(|name| name != "source").unwrap();
        let bytes = std::fs::read(at.path().join(&packed)).unwrap();
        std::fs::remove_file(at.path().join(&packed)).unwrap();
        for cut in (1..bytes.len()).step_by(if all() { 17 } else { 1 + bytes.len() / 12 }) {
            write(&source, &bytes[..cut]);
            refused(&format!("{packed} cut at {cut}"), at.path(), USES[1], 1, &["source"]);
        }
    }
}

#[test]
fn archives_that_lie_about_sizes() {
    // As long as the two records that it replaces: the size and an attribute.
    let far = format!("50 size={:041}\n", 9_000_000_000_000_u64);
    let records = "13 size=5000\n37 SCHILY.xattr.user.padding=1234567\n";
    let cases: &[(&str, &str, &str)] = &[
        ("more than there is", "size=5000", "size=9000"),
        ("far more than there is", records, &far),
        ("less than there is", "size=5000", "size=0500"),
        ("negative", "size=5000", "size=-500"),
        ("no number", "size=5000", "size=5k00"),
        ("nothing", "size=5000", "size=    "),
        ("too large for any file", records, &far.replace("=0000", "=9999")),
    ];
    for (name, from, to) in cases {
        assert_eq!(from.len(), to.len(), "{name}");
        let mut archive = tar(&[Member::file("liar", noise(1, 5000)).xattr("user.padding", "1234567")]);
        let at = archive.windows(from.len()).position(|window| window == from.as_bytes()).unwrap();
        archive[at..at + to.len()].copy_from_slice(to.as_bytes());
        for arguments in USES {
            let at = tempfile::tempdir().unwrap();
            write(at.path().join("source"), &archive);
            refused(name, at.path(), arguments, 1, &["source"]);
        }
    }
}

#[test]
fn the_size_that_is_said_to_do_does() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    write(at.join("source/usr/share/huge"), noise(1, 60 << 20));
    write(at.join("source/usr/bin/tool"), noise(2, 5 << 20));
    for number in 0..2000 {
        write(at.join(format!("source/many/{number}")), "x");
    }
    let create = |size| ["create", "--root", "source", "-o", "disk.raw", "--owner", "0:0", "--size", size];
    let said = refused("disk", at, &create("50M"), 1, &["does not fit", "/usr/share", "would do"]);
    let size = said.split("--size ").nth(1).and_then(|rest| rest.split([';', ' ', '\n']).next()).unwrap();
    run(command(create(size)).current_dir(at)).ends(0);
    let megabytes: u64 = size.strip_suffix('M').unwrap().parse().unwrap();
    std::fs::remove_file(at.join("disk.raw")).unwrap();
    let less = format!("{}M", megabytes - 1);
    refused("a MiB less", at, &create(&less), 1, &["would do"]);

    let mkfs = |size| ["mkfs", "--owner", "0:0", "--size", size, "ext4", "source", "image"];
    let said = refused("file system", at, &mkfs("50M"), 1, &["does not fit", "/usr", "would do"]);
    let size = said.split("a size of ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    run(command(mkfs(&format!("{size}B"))).current_dir(at)).ends(0);
}

/// Does something again and again while the program runs.
fn meanwhile(act: impl Fn(u64) + Sync, program: impl FnOnce() -> Run) -> Run {
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut round = 0;
            while !over.load(Ordering::Relaxed) {
                act(round);
                round += 1;
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        // It has acted once before the program starts.
        std::thread::sleep(Duration::from_millis(5));
        let ended = program();
        over.store(true, Ordering::Relaxed);
        ended
    })
}

#[test]
fn files_that_change_while_they_are_read() {
    const LEN: u64 = 48 << 20;
    type Act = (&'static str, fn(&Path, u64));
    let acts: &[Act] = &[
        ("grows", |path, _| {
            OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
        }),
        ("shrinks", |path, round| {
            let len = LEN - 1 - round % (LEN / 2);
            OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
        }),
        ("is written", |path, round| {
            let mut file = OpenOptions::new().write(true).open(path).unwrap();
            file.seek(std::io::SeekFrom::Start(LEN / 2)).unwrap();
            file.write_all(&round.to_le_bytes()).unwrap();
        }),
    ];
    for (name, act) in acts {
        let at = tempfile::tempdir().unwrap();
        let at = at.path();
        let path = at.join("source/usr/changing");
        write(&path, noise(1, LEN as usize));
        write(at.join("source/usr/other"), noise(2, 1 << 20));
        let before = everything(at);
        let program = || {
            let arguments = USES[0].iter().chain(&["--owner", "0:0", "--size", "400M"]);
            run(command(arguments).current_dir(at))
        };
        // On a busy host nothing may happen while the program runs.
        let is_bad = |_| {
            let ended = meanwhile(|round| act(&path, round), program);
            let complete = ended.code == Some(0);
            complete.then(|| std::fs::remove_file(at.join("disk.qcow2")).unwrap());
            (!complete).then_some(ended)
        };
        let ended = (0..9).find_map(is_bad).expect("it changed in one of nine runs");
        assert_eq!(ended.code, Some(1), "{name}:\n{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("usr/changing"), "{name}: {}", ended.stderr);
        assert!(ended.stderr.contains("change"), "{name}: {}", ended.stderr);
        assert_eq!(everything(at), before, "{name}");
    }
}

/// A file that is cut when the first bytes of the image are written, after it was looked at and found whole.
#[test]
fn a_file_that_shrinks_after_it_was_looked_at() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let path = at.join("source/changing");
    write(&path, noise(1, 150 << 20));
    std::fs::create_dir(at.join("out")).unwrap();
    let cut = |_| {
        if !listing(&at.join("out")).is_empty() {
            OpenOptions::new().write(true).open(&path).unwrap().set_len(1 << 20).unwrap();
        }
    };
    let arguments = ["mkfs", "--owner", "0:0", "ext4", "source", "out/image"];
    let ended = meanwhile(cut, || run(command(arguments).current_dir(at)));
    if ended.code == Some(0) {
        return inapplicable("shrinks", "the image was complete before the file was cut");
    }
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("changing"), "{}", ended.stderr);
    assert_eq!(listing(&at.join("out")), Vec::<String>::new());
}

#[test]
fn an_archive_that_grows_while_it_is_read() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    let source = at.join("source");
    let members: Vec<Member> =
        (0..40).map(|number| Member::file(format!("file{number}"), noise(number, 1 << 20))).collect();
    write(&source, tar(&members));
    let grow = |_| OpenOptions::new().append(true).open(&source).unwrap().write_all(&[0; 512]).unwrap();
    let ended = meanwhile(grow, || run(command(USES[1]).current_dir(at)));
    assert_eq!(ended.code, Some(1), "{}{}", ended.stdout, ended.stderr);
    assert!(ended.stderr.contains("source") && ended.stderr.contains("change"), "{}", ended.stderr);
    assert_eq!(listing(at), ["source"]);
}

/// The program as somebody without privileges, where the tests run as root; as the caller otherwise.
fn unprivileged(at: &Path, arguments: &[&str]) -> Option<Command> {
    if !root() {
        let mut program = command(arguments);
        program.current_dir(at);
        return Some(program);
    }
    let setpriv = oracle("unprivileged", "setpriv")?;
    let copy = at.join("../program").join("diskwright");
    std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
    program_at(&copy);
    let mut program = Command::new(setpriv);
    let nobody =
        ["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all"];
    program.args(nobody).arg(copy).args(arguments).current_dir(at).env_remove("SOURCE_DATE_EPOCH");
    Some(program)
}

#[test]
fn what_an_ordinary_user_may_not_read_or_write() {
    type Case = (&'static str, fn(&Path), &'static [&'static str], &'static [&'static str]);
    let mkfs: &[&str] = &["mkfs", "--owner", "0:0", "ext4", "source", "image"];
    let mode = |path: PathBuf, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let cases: &[Case] = &[
        (
            "a file",
            |at| std::fs::set_permissions(at.join("source/d/f"), PermissionsExt::from_mode(0o000)).unwrap(),
            mkfs,
            &["d/f", "ermission denied"],
        ),
        (
            "a directory",
            |at| std::fs::set_permissions(at.join("source/d"), PermissionsExt::from_mode(0o000)).unwrap(),
            mkfs,
            &["source/d", "ermission denied"],
        ),
        (
            "the top",
            |at| std::fs::set_permissions(at.join("source"), PermissionsExt::from_mode(0o000)).unwrap(),
            mkfs,
            &["source", "ermission denied"],
        ),
        (
            "the place of the image",
            |at| {
                std::fs::create_dir(at.join("closed")).unwrap();
                std::fs::set_permissions(at.join("closed"), PermissionsExt::from_mode(0o555)).unwrap();
            },
            &["mkfs", "--owner", "0:0", "ext4", "source", "closed/image"],
            &["closed", "ermission denied"],
        ),
    ];
    for (name, close, arguments, words) in cases {
        let outer = tempfile::tempdir().unwrap();
        mode(outer.path().to_owned(), 0o755);
        let at = outer.path().join("at");
        write(at.join("source/d/f"), "secret");
        mode(at.clone(), 0o777);
        close(&at);
        let Some(mut program) = unprivileged(&at, arguments) else { return };
        let ended = run(&mut program);
        for path in ["source", "source/d"] {
            mode(at.join(path), 0o755);
        }
        assert_eq!(ended.code, Some(3), "{name}: {}{}", ended.stdout, ended.stderr);
        for word in *words {
            assert!(ended.stderr.contains(word), "{name}: {word:?} is not in:\n{}", ended.stderr);
        }
        let left: Vec<String> = everything(&at).into_iter().filter(|path| path != "closed").collect();
        assert_eq!(left, ["source/d/f", "source/d", "source"], "{name}");
    }
}

#[test]
fn no_room_for_the_image() {
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    write(at.join("source/large"), noise(1, 30 << 20));
    // Everybody's limit of a file's size, before anything is written and whatever the signal does.
    for shell in ["ulimit -f 20000; exec \"$0\" \"$@\"", "trap '' XFSZ; ulimit -f 20000; exec \"$0\" \"$@\""]
    {
        for arguments in USES {
            let program = command(arguments);
            let mut limited = Command::new("bash");
            limited.args(["-c", shell]).arg(program.get_program()).args(arguments);
            let ended = run(limited.current_dir(at));
            assert_eq!(ended.code, Some(3), "{}{}", ended.stdout, ended.stderr);
            assert!(ended.stderr.contains("ulimit"), "{}", ended.stderr);
            assert_eq!(listing(at), ["source"]);
        }
    }
}

/// A small file system that ends with the test.
struct Tmpfs(PathBuf);

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).output();
    }
}

#[test]
fn a_disk_that_is_full_or_fills_up() {
    if !root() {
        return inapplicable("full disk", "a small file system needs root; the run as root covers it");
    }
    let at = tempfile::tempdir().unwrap();
    let at = at.path();
    write(at.join("source/large"), noise(1, 60 << 20));
    let out = at.join("out");
    std::fs::create_dir(&out).unwrap();
    let mount = |size: &str| {
        let options = format!("size={size}");
        let mounted = run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&out));
        (mounted.code == Some(0)).then(|| Tmpfs(out.clone())).ok_or(mounted.stderr)
    };
    let arguments =
        ["create", "--root", "source", "--owner", "0:0", "-o", "out/disk.qcow2", "--work-dir", "source"];
    {
        let _small = match mount("20m") {
            Ok(small) => small,
            Err(why) => return inapplicable("full disk", why.trim()),
        };
        let said = refused("full", at, &arguments, 3, &["out: ", "are needed"]);
        assert!(said.contains("free"), "{said}");
    }
    // Large enough until somebody else takes the space while it is written.
    for _ in 0..5 {
        let _small = mount("80m").unwrap();
        let fill = |_| {
            if listing(&out).iter().any(|name| name != "filler") {
                let mut filler =
                    OpenOptions::new().create(true).append(true).open(out.join("filler")).unwrap();
                while filler.write_all(&[1; 1 << 20]).is_ok() {}
            }
        };
        let ended = meanwhile(fill, || run(command(arguments).current_dir(at)));
        if ended.code == Some(0) {
            continue;
        }
        assert_eq!(ended.code, Some(3), "{}{}", ended.stdout, ended.stderr);
        assert!(ended.stderr.contains("disk.qcow2"), "{}", ended.stderr);
        assert!(ended.stderr.contains("o space left"), "{}", ended.stderr);
        assert_eq!(listing(&out), ["filler"]);
        return;
    }
    inapplicable("disk that fills up", "the image was complete before the space was taken, five times");
}

#[test]
fn sources_that_are_none() {
    type Case = (&'static str, fn(&Path), &'static [&'static str], i32, &'static [&'static str]);
    let mkfs: &[&str] = &["mkfs", "ext4", "source", "image"];
    let cases: &[Case] = &[
        ("nothing there", |_| (), mkfs, 1, &["source"]),
        ("an empty file", |at| write(at.join("source"), ""), mkfs, 1, &["source"]),
        ("text", |at| write(at.join("source"), "not an archive\n".repeat(100)), mkfs, 1, &["source"]),
        ("noise", |at| write(at.join("source"), noise(5, 20_000)), mkfs, 1, &["source"]),
        ("a dangling link", |at| symlink("nowhere", at.join("source")).unwrap(), mkfs, 1, &["source"]),
        (
            "gzip of nothing",
            |at| write(at.join("source"), b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0\0\0\0\0\0\0\0\0"),
            mkfs,
            1,
            &["source"],
        ),
        ("a device", |_| (), &["mkfs", "ext4", "/dev/null", "image"], 1, &["/dev/null"]),
        (
            "an output that is a directory",
            |at| {
                write(at.join("source/x"), "");
                std::fs::create_dir(at.join("image")).unwrap();
            },
            mkfs,
            1,
            &["image"],
        ),
        (
            "an output in no directory",
            |at| write(at.join("source/x"), ""),
            &["mkfs", "ext4", "source", "not/there/image"],
            1,
            &["not/there"],
        ),
        (
            "an output that is the source",
            |at| write(at.join("source"), tar(&[Member::file("x", noise(1, 10_000))])),
            &["mkfs", "--force", "ext4", "source", "source"],
            1,
            &["source"],
        ),
    ];
    for (name, make, arguments, code, words) in cases {
        let at = tempfile::tempdir().unwrap();
        make(at.path());
        refused(name, at.path(), arguments, *code, words);
    }
}

/// What `check` and `inspect` are given may be anything.
#[test]
fn images_that_are_none() {
    let at = tempfile::tempdir().unwrap();
    let path = at.path().join("image");
    let images =
        [vec![], vec![0], vec![0; 1 << 20], noise(9, 1 << 20), b"QFI\xfb".to_vec(), b"EFI PART".to_vec()];
    for bytes in images {
        write(&path, &bytes);
        for verb in ["check", "inspect"] {
            let ended = diskwright([verb.as_ref(), path.as_os_str()]);
            let fine = ended.code == Some(1) || verb == "inspect" && ended.code == Some(0);
            assert!(fine, "{verb} {} bytes: {:?} {}", bytes.len(), ended.code, ended.stderr);
        }
    }
}
