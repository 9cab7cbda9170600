//! Archives that GNU tar made: the tree of the directory they were made of.

use crate::support::*;
use diskwright::survey::{Options, Origin, Survey, survey, survey_stream};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

/// An archive of a directory.
fn archive(tar: &Path, top: &Path, arguments: &[&str]) -> Vec<u8> {
    let mut command = Command::new(tar);
    command.args(["--numeric-owner", "-C"]).arg(top).args(arguments).args(["-cf", "-", "."]);
    // Its warning about sockets.
    run(command.env("LC_ALL", "C")).stdout
}

fn gnu_tar(test: &str) -> Option<PathBuf> {
    tool(test, "tar", "tar")
}

/// The directory as tar sees it: owners are not changed by the survey.
fn of_directory(top: &Path) -> Survey {
    let mut survey = surveyed(top);
    if !is_root() {
        let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        for id in 0..survey.tree.nodes() as u32 {
            let meta = survey.tree.meta_mut(diskwright_fstools::tree::NodeId(id));
            (meta.uid, meta.gid) = (uid, gid);
        }
    }
    survey
}

#[test]
fn every_format_gives_the_same_tree() {
    let Some(tar) = gnu_tar("tar_gnu::every_format_gives_the_same_tree") else { return };
    let scratch = scratch();
    let (plain, rich) = (scratch.path().join("plain"), scratch.path().join("rich"));
    plain_sample(&plain);
    rich_sample(&rich);
    let xattrs = ["--format=pax", "--xattrs", "--xattrs-include=*"];
    let table: &[(&Path, &[&str])] = &[
        (&plain, &["--format=v7"]),
        (&plain, &["--format=oldgnu"]),
        (&plain, &["--format=ustar"]),
        (&plain, &["--format=gnu"]),
        (&plain, &["--format=gnu", "--sparse"]),
        (&plain, &["--format=gnu", "--sparse", "--hole-detection=raw", "--sort=inode"]),
        (&plain, &["--format=pax"]),
        (&plain, &["--format=pax", "--sparse"]),
        (&plain, &["--format=pax", "--blocking-factor=1"]),
        (&plain, &["--format=gnu", "--label=volume"]),
        (&rich, &xattrs),
        (&rich, &["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=0.0"]),
        (&rich, &["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=0.1"]),
        (&rich, &["--format=pax", "--xattrs", "--xattrs-include=*", "--sparse", "--sparse-version=1.0"]),
        (
            &rich,
            &[
                "--format=pax",
                "--xattrs",
                "--xattrs-include=*",
                "--sparse",
                "--hole-detection=raw",
                "--sort=name",
            ],
        ),
    ];
    let (of_plain, of_rich) = (whole(&of_directory(&plain)), whole(&of_directory(&rich)));
    for (top, arguments) in table {
        let bytes = archive(&tar, top, arguments);
        let expected = if *top == plain { &of_plain } else { &of_rich };
        let as_file =
            filed(&scratch, &bytes, &options()).unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert_eq!(whole(&as_file), *expected, "{arguments:?}");
        let as_stream = streamed(&bytes).unwrap();
        assert_eq!(whole(&as_stream), *expected, "{arguments:?}, streamed");
        assert_eq!(as_file.notes, [""; 0]);
    }
}

#[test]
fn long_names_in_the_gnu_format() {
    let Some(tar) = gnu_tar("tar_gnu::long_names_in_the_gnu_format") else { return };
    let scratch = scratch();
    rich_sample(&scratch.path().join("rich"));
    let survey =
        streamed(&archive(&tar, &scratch.path().join("rich"), &["--format=gnu", "--sparse"])).unwrap();
    let deep = format!("/{}/{}", "d".repeat(150), "e".repeat(150));
    // Whichever of the two names comes first in the archive holds the data.
    assert_eq!(bytes(&survey, node(&survey, &format!("{deep}/file"))), b"deep");
    assert_eq!(node(&survey, &format!("{deep}/file")), node(&survey, "/deep"));
    assert!(line(&survey, &format!("{deep}/long-link")).ends_with(&format!(" {}", "t".repeat(300))));
    assert!(
        line(&survey, "/old").contains(" -2.000000000 "),
        "base-256 and rounded down: {}",
        line(&survey, "/old")
    );
    assert!(line(&survey, &format!("/empty/{}", "n".repeat(255))).starts_with("file"));
    assert!(line(&survey, "/empty/not-\\xff-utf8").starts_with("file"));
}

#[test]
fn directories_that_are_not_in_the_archive() {
    let Some(tar) = gnu_tar("tar_gnu::directories_that_are_not_in_the_archive") else { return };
    let scratch = scratch();
    let top = scratch.path().join("top");
    plain_sample(&top);
    let output = run(Command::new(&tar).arg("-C").arg(&top).args(["-cf", "-", "etc/conf", "./bin/nothing"]));
    let survey = streamed(&output.stdout).unwrap();
    for path in ["/", "/etc", "/bin"] {
        assert_eq!(line(&survey, path), "directory 0755 0 0 1700000000.000000000 - - -", "{path}");
    }
    let owned = Options { owner: Some((3, 4)), ..options() };
    let survey = filed(&scratch, &output.stdout, &owned).unwrap();
    assert_eq!(line(&survey, "/etc"), "directory 0755 3 4 1700000000.000000000 - - -");
    assert!(line(&survey, "/etc/conf").contains(" 3 4 "));
}

#[test]
fn the_last_member_of_a_name_wins() {
    let Some(tar) = gnu_tar("tar_gnu::the_last_member_of_a_name_wins") else { return };
    let scratch = scratch();
    let top = scratch.path().join("top");
    plain_sample(&top);
    let path = scratch.path().join("a.tar");
    fs::write(&path, archive(&tar, &top, &["--blocking-factor=1"])).unwrap();
    fs::write(top.join("etc/conf"), b"second").unwrap();
    fs::remove_dir(top.join("empty")).unwrap();
    fs::write(top.join("empty"), b"now a file").unwrap();
    run(Command::new(&tar).arg("-C").arg(&top).arg("-rf").arg(&path).args(["./etc/conf", "./empty"]));
    let survey = survey(&Origin::Tar(path), &options()).unwrap();
    assert_eq!(bytes(&survey, node(&survey, "/etc/conf")), b"second");
    assert_eq!(bytes(&survey, node(&survey, "/empty")), b"now a file");
}

/// A reader that gives a few bytes at a time, and is interrupted now and then.
struct Drip<'a>(&'a [u8], usize);

impl Read for Drip<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.1 += 1;
        if self.1.is_multiple_of(7) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let len = buffer.len().min(self.1 * 37 % 4099 + 1).min(self.0.len());
        buffer[..len].copy_from_slice(&self.0[..len]);
        self.0 = &self.0[len..];
        Ok(len)
    }
}

#[test]
fn compressed_archives() {
    const TEST: &str = "tar_gnu::compressed_archives";
    let tools = [("tar", "tar"), ("gzip", "gzip"), ("zstd", "zstd"), ("xz", "xz-utils")];
    let found: Vec<PathBuf> = tools.iter().filter_map(|(name, package)| tool(TEST, name, package)).collect();
    let [tar, gzip, zstd, xz] = &found[..] else { return };
    let scratch = scratch();
    let top = scratch.path().join("top");
    rich_sample(&top);
    let plain = archive(tar, &top, &["--format=pax", "--xattrs", "--xattrs-include=*"]);
    let expected = whole(&of_directory(&top));
    let half = plain.len() / 2 + 77;
    let skippable = b"\x52\x2a\x4d\x18\x05\0\0\0hello";
    let in_two = |program: &Path, arguments: &[&str], between: &[u8]| {
        let first = filtered(program, arguments, &plain[..half]);
        [&first, between, &filtered(program, arguments, &plain[half..]), between].concat()
    };
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("gzip", filtered(gzip, &["-c"], &plain)),
        ("gzip, two members", in_two(gzip, &["-1c"], b"")),
        ("gzip, padded with zeros", [filtered(gzip, &["-c"], &plain), vec![0; 10_000]].concat()),
        ("zstd", filtered(zstd, &["-c"], &plain)),
        ("zstd, two frames", in_two(zstd, &["-1c"], b"")),
        (
            "zstd, frames to be skipped",
            [skippable, &in_two(zstd, &["-c", "--no-check"], skippable)[..]].concat(),
        ),
        ("zstd, long window", filtered(zstd, &["-c", "--long=27", "-3"], &plain)),
        ("zstd, ultra", filtered(zstd, &["-c", "--ultra", "-20"], &plain)),
        ("xz", filtered(xz, &["-c"], &plain)),
        ("xz, two streams and padding", in_two(xz, &["-1c"], &[0; 8])),
        ("xz, blocks and sha256", filtered(xz, &["-c", "--block-size=100000", "--check=sha256"], &plain)),
        ("xz, large dictionary", filtered(xz, &["-9ec"], &plain)),
    ];
    for (name, bytes) in &table {
        let as_file = filed(&scratch, bytes, &options()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(whole(&as_file), expected, "{name}");
        let as_stream = survey_stream(&mut Drip(bytes, 0), "drip", &options()).unwrap();
        assert_eq!(whole(&as_stream), expected, "{name}, streamed");
    }
    let names: Vec<_> =
        fs::read_dir(&options().work_dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let left = names.iter().filter(|name| name.to_string_lossy().starts_with(".diskwright-spool"));
    assert_eq!(left.count(), 0, "spools have no names");
}

#[test]
fn an_archive_as_a_pipe_or_on_standard_input() {
    const TEST: &str = "tar_gnu::an_archive_as_a_pipe_or_on_standard_input";
    if inside().is_some() {
        let survey = survey(&Origin::Stdin, &options()).unwrap();
        assert_eq!(bytes(&survey, node(&survey, "/etc/conf")), b"one line\n");
        return;
    }
    let Some(tar) = gnu_tar(TEST) else { return };
    let scratch = scratch();
    let top = scratch.path().join("top");
    plain_sample(&top);
    let path = scratch.path().join("a.tar.gz");
    fs::write(&path, archive(&tar, &top, &["-z"])).unwrap();
    again(TEST, &["env"], "exec < a.tar.gz", scratch.path());
    let fifo = scratch.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let writer = {
        let fifo = fifo.clone();
        std::thread::spawn(move || fs::write(fifo, fs::read(path).unwrap()).unwrap())
    };
    let survey = survey(&Origin::Tar(fifo), &options()).unwrap();
    writer.join().unwrap();
    assert_eq!(bytes(&survey, node(&survey, "/etc/conf")), b"one line\n");
}
