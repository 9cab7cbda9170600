//! Packages are unpacked as dpkg unpacks them: Debian's own packages and some that were built for it, dpkg itself as the
//! judge; and trees are made of them that work.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

#[path = "../support/mod.rs"]
mod support;

mod bootstrap;
mod hostile;
mod like_dpkg;

use diskwright::root::deb::{Deb, DebError, Filter, Options, Root, Unpacked, unpack};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use support::{Run, listing, oracle, run, skip, source};

/// Runs one of the tests that are marked `inside` as root of a user namespace; `None` where there is none.
fn inside(test: &str, name: &str, environment: &[(&str, &Path)]) -> Option<Run> {
    oracle(test, "newuidmap")?;
    let directory = tempfile::tempdir().unwrap();
    support::tool("chmod", ["755".as_ref(), directory.path().as_os_str()]);
    let program = directory.path().join("inside");
    support::tool("cp", [std::env::current_exe().unwrap().as_os_str(), program.as_os_str()]);
    let mut command = Command::new(source("tests/fixtures/as-user"));
    command.args(["unshare", "--map-auto", "--map-root-user", "--mount", "--pid", "--fork"]).current_dir("/");
    command.arg(&program).args(["--ignored", "--exact", "--nocapture", name]);
    let run = run(command.envs(environment.iter().copied()));
    if run.stderr.contains("unshare: ") {
        skip(test, &format!("no user namespaces: {}", run.stderr.trim()));
        return None;
    }
    assert!(run.stdout.contains("1 passed") || run.code != Some(0), "{name} is a test: {}", run.stdout);
    Some(run.ends(0))
}

/// Debian's packages that are essential, apt, and what they depend on, if they were fetched.
fn debian(test: &str) -> Option<PathBuf> {
    let mut fixture = Command::new(source("tests/fixtures/debian-packages"));
    let run = run(fixture.args(["--existing", "bookworm", "usr-is-merged"]));
    if run.code != Some(0) {
        skip(test, "no packages of Debian (tests/fixtures/debian-packages bookworm usr-is-merged)");
        return None;
    }
    Some(PathBuf::from(run.stdout.trim()))
}

/// The packages in a directory, by name.
fn open(directory: &Path) -> Vec<Deb> {
    let names = listing(directory);
    let open = |name: &String| Deb::open(File::open(directory.join(name)).unwrap(), name);
    let packages = names.iter().filter(|name| name.ends_with(".deb"));
    packages.map(|name| open(name).unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn unpacked(
    tree: &Path,
    packages: &[Deb],
    filters: &[Filter],
    architectures: &[&str],
) -> Result<Vec<Unpacked>, DebError> {
    let architectures = architectures.iter().map(|&name| name.to_owned()).collect();
    let options = Options { architectures, filters: filters.to_vec(), threads: 3 };
    unpack(&Root::open(tree).unwrap(), packages, &options)
}

/// Everything about the files of a tree, one a line, sorted. Directories have no time: it is when their last file came.
/// Nor have the files that dpkg writes itself.
fn files(tree: &Path) -> Vec<String> {
    let format = r"%P %y %m %U:%G %n %s %l %Ts\n";
    let mut find = Command::new("find");
    let text = run(find.current_dir(tree).args([".", "-printf", format])).ends(0).stdout;
    let line = |line: &str| {
        let mut words: Vec<&str> = line.split(' ').collect();
        if words[1] == "d" {
            words.truncate(4);
        }
        if words[0].starts_with("var/lib/dpkg") || words[1] == "l" && !words[0].contains('/') {
            words.pop();
        }
        words.join(" ")
    };
    let mut lines: Vec<String> = text.lines().map(line).collect();
    lines.sort();
    lines
}

/// The lines that only one of two lists has, marked with `<` and `>`.
fn differences(one: &[String], other: &[String]) -> Vec<String> {
    let only = |mark: &str, these: &[String], those: &[String]| {
        let lines = these.iter().filter(|line| those.binary_search(line).is_err());
        lines.map(|line| format!("{mark} {line}")).collect::<Vec<_>>()
    };
    [only("<", one, other), only(">", other, one)].concat()
}
