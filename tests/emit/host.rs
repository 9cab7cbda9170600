//! What depends on the host: full disks, limits, reflinks, and a trace of the calls.

use super::support::*;
use diskwright::emit::{EmitError, Output};
use diskwright_formats::layout::{Bytes, ContentId, Layout, Memory};
use std::fs;
use std::io;
use std::path::Path;
use tempfile::tempdir;

const MIB: u64 = 1 << 20;

fn plain(len: u64) -> Layout {
    layout(len, vec![content(0, len, 0, 0)])
}

#[test]
fn a_disk_that_is_too_small() {
    const TEST: &str = "host::a_disk_that_is_too_small";
    if let Some(dir) = inside() {
        return in_a_small_disk(&dir);
    }
    let dir = tempdir().unwrap();
    // A mount in a namespace of its own goes away with the test.
    let wrap: &[&str] = match rustix::process::geteuid().is_root() {
        true => &["unshare", "--mount"],
        false => &["unshare", "--mount", "--user", "--map-root-user"],
    };
    let script = "mount -t tmpfs -o size=8m none . || { echo cannot mount; exit 77; }; cd .";
    run_prepared(TEST, wrap, script, dir.path());
}

fn in_a_small_disk(dir: &Path) {
    // Known before the first byte: 3 MiB of 64 MiB fit twice, not three times.
    let mut image = Layout::empty(64 * MIB);
    image.splice(MIB, &plain(3 * MIB), "").unwrap();
    let contents = Memory(vec![noise(3 * MIB as usize, 1)]);
    let three = ["a", "b", "c"].map(|name| output(dir, name, &image));
    match run(&three, &contents, &QUICK).unwrap_err() {
        EmitError::Space { path, needed, available } => {
            assert_eq!((path.as_path(), needed), (dir, 9 * MIB));
            assert!((7 * MIB..=8 * MIB).contains(&available), "{available}");
        }
        error => panic!("{error}"),
    }
    assert_eq!(names(dir), [""; 0]);
    run(&three[..2], &contents, &QUICK).unwrap();
    assert_eq!(names(dir), ["a", "b"]);
    fs::remove_file(dir.join("a")).unwrap();
    fs::remove_file(dir.join("b")).unwrap();

    // Not known before: somebody else takes the room while we write.
    let take = |_: ContentId, call: Call| match call {
        Call::Open => fs::write(dir.join("other"), vec![1; 6 * MIB as usize]),
        _ => Ok(()),
    };
    let error = run(&three[..1], &Hooked { inner: &contents, hook: take }, &QUICK).unwrap_err();
    match &error {
        EmitError::Io(error) => assert_eq!(error.kind(), io::ErrorKind::StorageFull),
        error => panic!("{error}"),
    }
    assert!(error.to_string().starts_with(dir.join("a").to_str().unwrap()), "{error}");
    assert_eq!(names(dir), ["other"]);
}

#[test]
fn a_limit_on_file_sizes() {
    const TEST: &str = "host::a_limit_on_file_sizes";
    if let Some(dir) = inside() {
        let outputs = [output(&dir, "small", &plain(MIB)), output(&dir, "large", &plain(3 * MIB))];
        let error = run(&outputs, &Memory(vec![noise(3 * MIB as usize, 1)]), &QUICK).unwrap_err();
        match &error {
            EmitError::Io(error) => assert_eq!(error.kind(), io::ErrorKind::FileTooLarge),
            error => panic!("{error}"),
        }
        assert!(error.to_string().contains("large: a file of 3145728 bytes"), "{error}");
        assert_eq!(names(&dir), [""; 0]);
        return;
    }
    let dir = tempdir().unwrap();
    run_prepared(TEST, &["env"], "ulimit -f 4000", dir.path()); // of 512 or of 1024 bytes: the shell chooses
}

/// Runs a test again in what the script prepares; skips it if that cannot be had.
fn run_prepared(test: &str, wrap: &[&str], script: &str, dir: &Path) {
    let done = again(test, wrap, script, dir);
    let said = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    if done.status.code() == Some(77) || said.contains("unshare failed") {
        return inapplicable(test, said.lines().next().unwrap_or("the host cannot"));
    }
    assert!(done.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
}

#[test]
fn reflinks_on_xfs() {
    reflinks("host::reflinks_on_xfs", "mkfs.xfs", "xfsprogs");
}

#[test]
fn reflinks_on_btrfs() {
    reflinks("host::reflinks_on_btrfs", "mkfs.btrfs", "btrfs-progs");
}

fn reflinks(test: &str, mkfs: &str, package: &str) {
    if let Some(dir) = inside() {
        return on_a_host_with_reflinks(&dir.join("mnt"));
    }
    let Some(program) = tool(mkfs) else {
        return skip(test, &format!("{mkfs} missing (package {package})"));
    };
    if !rustix::process::geteuid().is_root() {
        return inapplicable(test, "a loop mount needs root");
    }
    let dir = tempdir().unwrap();
    let script = format!(
        "truncate -s 512M disk && {} -q disk && mkdir mnt && mount -o loop disk mnt || {{ echo cannot mount; exit 77; }}",
        program.display()
    );
    run_prepared(test, &["unshare", "--mount"], &script, dir.path());
}

fn on_a_host_with_reflinks(dir: &Path) {
    let sources = dir.join("sources");
    fs::create_dir(&sources).unwrap();
    let bytes: Vec<Bytes> =
        [100, 128 << 10, 1_000_001, 9_000_000].iter().zip(1..).map(|(&len, seed)| noise(len, seed)).collect();
    let files = Files::write(&sources, &bytes);
    let aligned = vec![
        content(0, 100, 0, 0),
        content(4096, 128 << 10, 1, 0),
        content(MIB, 1_000_001, 2, 0),
        content(2 * MIB, 9_000_000, 3, 0),
        content(20 * MIB, 9_000_000, 3, 0),
    ];
    let odd = vec![
        content(512, 1_000_001, 2, 0),
        content(2 * MIB, 5_000_000, 3, 4096),
        content(9 * MIB, 5_000_000, 3, 7),
    ];
    let out = dir.join("out");
    fs::create_dir(&out).unwrap();
    let outputs: [Output; 2] =
        [output(&out, "aligned", &layout(32 * MIB, aligned)), output(&out, "odd", &layout(32 * MIB, odd))];
    for threads in [1, 4] {
        let (_, calls) = check(&outputs, &files, threads);
        let blocks = |len: u64| len / 4096 * 4096;
        let cloned = (128 << 10) + blocks(1_000_001) + 2 * blocks(9_000_000) + blocks(5_000_000);
        assert_eq!(calls.bytes_cloned, cloned, "{calls:?}");
        // What is not made of whole blocks on both sides is copied by the kernel or written: tails, and the odd ones.
        assert!(calls.bytes_copied >= 5_900_000 && calls.bytes_written < 100_000, "{calls:?}");
    }
    // A source that is on another file system is copied, and one that shrinks is still an error.
    let elsewhere = tempdir_outside(dir);
    let others = Files::write(elsewhere.path(), &bytes);
    let (_, calls) = check(&outputs[..1], &others, 2);
    assert_eq!(calls.bytes_cloned, 0);
    let cut = |id: ContentId, call: Call| {
        if id.0 == 2 && call == Call::Range {
            fs::File::options().write(true).open(files.path(2))?.set_len(9)?;
        }
        Ok(())
    };
    fs::remove_file(&outputs[0].path).unwrap();
    let error = run(&outputs[..1], &Hooked { inner: &files, hook: cut }, &QUICK).unwrap_err();
    assert!(error.to_string().starts_with(files.path(2).to_str().unwrap()), "{error}");
    assert_eq!(names(&out), ["odd"]);
}

fn tempdir_outside(dir: &Path) -> tempfile::TempDir {
    tempfile::tempdir_in(dir.parent().unwrap()).unwrap()
}

/// Two outputs of the same files: the kernel sees each source opened once.
#[test]
fn a_trace_shows_each_source_opened_once() {
    const TEST: &str = "host::a_trace_shows_each_source_opened_once";
    let lens = [10usize, 5000, 60_000, 200_000, 9_000_000];
    let dir = tempdir().unwrap();
    let dir = inside().unwrap_or_else(|| dir.path().to_owned());
    let sources = dir.join("sources");
    if inside().is_some() {
        let paths = (0..lens.len()).map(|number| sources.join(format!("source-{number}")));
        let files = Files::new(paths.collect());
        let at = |number: usize| number as u64 * MIB;
        let extents = |shift: u64| {
            let place =
                |(number, &len): (usize, &usize)| content(shift + at(number), len as u64, number as u32, 0);
            lens.iter().enumerate().map(place).collect()
        };
        let outputs = [
            output(&dir, "a", &layout(20 * MIB, extents(0))),
            output(&dir, "b", &layout(20 * MIB, extents(65_536))),
        ];
        run(&outputs, &files, &diskwright::emit::Options { sync: true, ..QUICK }).unwrap();
        return;
    }
    let Some(strace) = tool("strace") else { return skip(TEST, "strace missing (package strace)") };
    fs::create_dir(&sources).unwrap();
    Files::write(&sources, &lens.iter().zip(1..).map(|(&len, seed)| noise(len, seed)).collect::<Vec<_>>());
    let strace = strace.to_str().unwrap();
    let wrap = [strace, "-f", "-o", "trace", "-e", "trace=%desc,%file"];
    run_prepared(TEST, &wrap, ":", &dir);
    let trace = fs::read_to_string(dir.join("trace")).unwrap();
    let count =
        |words: &[&str]| trace.lines().filter(|line| words.iter().all(|word| line.contains(word))).count();
    for number in 0..lens.len() {
        assert_eq!(count(&["open", &format!("source-{number}\"")]), 1, "source-{number}");
    }
    assert_eq!(count(&["openat(", ".diskwright-", "O_EXCL"]), 2);
    assert_eq!(count(&["fdatasync("]), 2);
    let renames: Vec<&str> = trace.lines().filter(|line| line.contains("renameat2(")).collect();
    assert!(
        renames.len() == 2 && renames[0].contains("\"a\"") && renames[1].contains("\"b\""),
        "{renames:?}"
    );
    // Three small files are neither written one by one nor as zeros: a run each, in two outputs.
    assert!(count(&["pwritev("]) <= 2 * 5, "{}", count(&["pwritev("]));
    assert_eq!(count(&["fallocate("]), 0);
}
