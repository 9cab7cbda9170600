//! The lists of packages next to what dpkg says of the same tree.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use diskwright::root::lists::{Lists, lists};
use diskwright::survey::{Options, Origin, survey};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use support::{debian_root, oracle, run, tool, write};

/// KIWI's formats (`system/setup.py: _export_deb_package_list, _export_deb_package_verification`).
const FIELDS: &str = "${Package}|None|${Version}|None|${Architecture}|None|None\\n";

fn ours(root: &Path) -> Lists {
    let options = Options { epoch: 0, owner: Some((0, 0)), work_dir: std::env::temp_dir(), threads: 2 };
    let origin = Origin::Directory { path: root.to_owned(), record: None };
    let survey = survey(&origin, &options).unwrap();
    lists(&survey.tree, &survey.contents).unwrap().expect("a tree of Debian")
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

/// What dpkg says, and what is in the list: the same lines.
fn compare(root: &Path) -> String {
    let admin = root.join("var/lib/dpkg");
    let (admin, tree) = (admin.to_str().unwrap(), root.to_str().unwrap());
    let Lists { packages, verified } = ours(root);
    let said = tool("dpkg-query", ["--admindir", admin, "-W", "-f", FIELDS]);
    assert_eq!(packages.lines().collect::<Vec<_>>(), sorted(&said));
    assert!(packages.ends_with('\n') && packages.lines().count() > 50, "{packages}");
    let said =
        run(Command::new("dpkg").args(["--root", tree, "-V", "--verify-format", "rpm"]).env("LC_ALL", "C"));
    let verified = String::from_utf8(verified).unwrap();
    assert_eq!(sorted(&verified), sorted(&said.stdout), "{}", said.stderr);
    verified
}

#[test]
fn a_debian_root_has_the_lists_that_dpkg_would_give() {
    const TEST: &str = "a_debian_root_has_the_lists_that_dpkg_would_give";
    let (Some(tar), Some(_)) = (debian_root(TEST), oracle(TEST, "dpkg")) else { return };
    let at = tempfile::tempdir().unwrap();
    let root = at.path().join("root");
    std::fs::create_dir(&root).unwrap();
    tool(
        "tar",
        ["-C".as_ref(), root.as_os_str(), "--exclude=./dev/*".as_ref(), "-xf".as_ref(), tar.as_os_str()],
    );
    let first = compare(&root);
    // Each kind of difference, conffiles and others.
    write(root.join("etc/issue"), "ours\n");
    std::fs::remove_file(root.join("etc/debian_version")).unwrap();
    write(root.join("usr/share/base-files/motd"), "ours\n");
    std::fs::remove_file(root.join("usr/bin/cat")).unwrap();
    std::fs::rename(root.join("usr/bin/cut"), root.join("usr/bin/cut.real")).unwrap();
    symlink("cut.real", root.join("usr/bin/cut")).unwrap();
    std::fs::remove_file(root.join("etc/issue.net")).unwrap();
    symlink("issue", root.join("etc/issue.net")).unwrap();
    std::fs::remove_file(root.join("usr/bin/dir")).unwrap();
    symlink("nowhere", root.join("usr/bin/dir")).unwrap();
    std::fs::remove_dir_all(root.join("usr/share/doc/dpkg")).unwrap();
    write(root.join("usr/share/doc/dpkg"), "a file");
    write(root.join("var/lib/dpkg/diversions"), "/usr/bin/wc\n/usr/bin/wc.other\n:\n");
    let text = compare(&root);
    for line in [
        "??5?????? c /etc/issue",
        "missing   c /etc/debian_version",
        "??5??????   /usr/share/base-files/motd",
        "missing     /bin/cat",
        "?M5?????? c /etc/issue.net",
        "?M???????   /bin/dir",
        "?M.??????   /usr/bin/cut",
        "missing     /usr/share/doc/dpkg/copyright (Not a directory)",
        "missing     /usr/bin/wc.other",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} in:\n{text}");
        assert!(!first.lines().any(|one| one == line), "{line} was there before");
    }
}
