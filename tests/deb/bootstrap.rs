//! Trees that work are made of Debian's packages, without privileges.

use super::{debian, differences, files, inside, open, unpacked};
use crate::support::{all, listing, oracle, run, skip, tool};
use diskwright::root::deb::{Database, Deb, Root, essential, merge_usr, needs_dpkg, preinsts};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What mmdebstrap makes of the same packages and is not the same here, each with its reason.
const DIFFERENCES: &[(&str, &str)] = &[
    ("dev", "devices are the sandbox's"),
    ("proc", "mounted"),
    ("etc/apt/sources.list", "mmdebstrap's own"),
    ("etc/fstab", "mmdebstrap's own"),
    ("etc/hostname", "mmdebstrap copies that of the host"),
    ("etc/resolv.conf", "mmdebstrap copies that of the host"),
    ("etc/machine-id", "mmdebstrap's own"),
    ("var/cache/apt/archives/lock", "apt's, which mmdebstrap ran"),
    ("var/cache/apt/archives/partial", "apt's, which mmdebstrap ran"),
    ("var/lib/apt/lists", "apt's, which mmdebstrap ran"),
    ("var/lib/apt/lists/lock", "apt's, which mmdebstrap ran"),
    ("var/lib/apt/lists/partial", "apt's, which mmdebstrap ran"),
    ("var/cache/apt/pkgcache.bin", "apt's cache: mmdebstrap removes it"),
    ("var/cache/apt/srcpkgcache.bin", "apt's cache: mmdebstrap removes it"),
    ("var/cache/ldconfig/aux-cache", "mmdebstrap removes it"),
    ("var/cache/debconf/config.dat", "in another order of configuration, questions know others' owners"),
    ("var/cache/debconf/config.dat-old", "as it was before the last package"),
    ("var/cache/debconf/templates.dat-old", "as it was before the last package"),
    ("var/lib/dpkg/arch", "mmdebstrap's own"),
    ("var/lib/dpkg/available", "dpkg's: mmdebstrap removes it"),
    ("var/lib/dpkg/status-old", "as it was before the last package"),
    ("var/log/alternatives.log", "mmdebstrap removes logs"),
    ("var/log/dpkg.log", "mmdebstrap removes logs"),
];

#[test]
fn a_tree_of_debian_packages_works() {
    let test = "a_tree_of_debian_packages_works";
    let Some(packages) = debian(test) else { return };
    inside(test, "bootstrap::inside_bootstrap", &[("DEB_PACKAGES", &packages)]);
}

#[test]
fn a_tree_is_the_one_that_mmdebstrap_makes() {
    let test = "a_tree_is_the_one_that_mmdebstrap_makes";
    if !all() {
        return;
    }
    let (Some(packages), Some(_)) = (debian(test), oracle(test, "mmdebstrap")) else { return };
    let (Some(_), Some(_)) = (oracle(test, "dpkg-scanpackages"), oracle(test, "tar")) else { return };
    let scratch = tempfile::tempdir().unwrap();
    tool("chmod", ["755".as_ref(), scratch.path().as_os_str()]);
    // A repository of these very packages.
    let repository = scratch.path().join("repository");
    std::fs::create_dir(&repository).unwrap();
    for name in listing(&packages).iter().filter(|name| name.ends_with(".deb")) {
        std::fs::copy(packages.join(name), repository.join(name)).unwrap();
    }
    let scan = Command::new("dpkg-scanpackages").arg(".").current_dir(&repository).output().unwrap();
    std::fs::write(repository.join("Packages"), scan.stdout).unwrap();
    let hooks = "/usr/share/mmdebstrap/hooks/merged-usr";
    let mut mmdebstrap = Command::new(crate::support::source("tests/fixtures/as-user"));
    mmdebstrap.args([
        "mmdebstrap",
        "--quiet",
        "--mode=unshare",
        "--variant=apt",
        "--architectures=amd64",
        "--format=tar",
    ]);
    mmdebstrap.arg(format!("--hook-dir={hooks}")).args(["bookworm", "-"]).current_dir("/");
    mmdebstrap.arg(format!("deb [trusted=yes] copy:{} ./", repository.display()));
    let made = mmdebstrap.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let tar = scratch.path().join("theirs.tar");
    std::fs::write(&tar, made.stdout).unwrap();
    inside(test, "bootstrap::inside_bootstrap", &[("DEB_PACKAGES", &packages), ("DEB_THEIRS", &tar)]);
}

/// Packages with services, users, diversions and triggers, which the essential set has not.
const FURTHER: [&str; 6] =
    ["usr-is-merged", "systemd-sysv", "udev", "openssh-server", "man-db", "python3-minimal"];

#[test]
fn further_packages_are_unpacked_here_and_those_with_work_to_do_before_by_dpkg() {
    let test = "further_packages_are_unpacked_here_and_those_with_work_to_do_before_by_dpkg";
    if !all() {
        return;
    }
    let Some(packages) = debian(test) else { return };
    let mut fixture = Command::new(crate::support::source("tests/fixtures/debian-packages"));
    let fetched = run(fixture.args(["--existing", "bookworm"]).args(FURTHER));
    if fetched.code != Some(0) {
        skip(
            test,
            &format!("no packages of Debian (tests/fixtures/debian-packages bookworm {})", FURTHER.join(" ")),
        );
        return;
    }
    let further = PathBuf::from(fetched.stdout.trim());
    inside(test, "bootstrap::inside_bootstrap", &[("DEB_PACKAGES", &packages), ("DEB_FURTHER", &further)]);
}

#[test]
#[ignore = "run inside a user namespace"]
fn inside_bootstrap() {
    let packages = open(Path::new(&std::env::var_os("DEB_PACKAGES").unwrap()));
    let scratch = tempfile::tempdir().unwrap();
    tool("chmod", ["755".as_ref(), scratch.path().as_os_str()]);
    let tree = scratch.path().join("tree");
    std::fs::create_dir(&tree).unwrap();
    merge_usr(&Root::open(&tree).unwrap(), &packages, "amd64").unwrap();
    let done = unpacked(&tree, &packages, &[], &["amd64"]).unwrap_or_else(|error| panic!("{error}"));
    assert!(done.len() > 70, "{} packages", done.len());
    configure(&tree, &packages);
    if let Some(further) = std::env::var_os("DEB_FURTHER") {
        add(&tree, Path::new(&further));
    }
    assert_works(&tree);
    if let Some(theirs) = std::env::var_os("DEB_THEIRS") {
        compare(&tree, &theirs, scratch.path());
    }
}

/// dpkg and apt find nothing wrong.
fn assert_works(tree: &Path) {
    for (program, arguments, expected) in
        [("dpkg", "--audit", ""), ("dpkg", "--verify", ""), ("dpkg-query", "-f${db:Status-Abbrev}", "ii ")]
    {
        let show = if program == "dpkg-query" { &["--show"][..] } else { &[] };
        let said = run(enter(tree, program).args(show).arg(arguments)).ends(0).stdout;
        let left = said.replace(expected, "");
        assert_eq!((left.as_str(), said.is_empty()), ("", expected.is_empty()), "{program} {arguments}");
    }
    run(enter(tree, "apt-get").arg("check")).ends(0);
    for name in ["proc", "dev/null", "dev/zero", "dev/full", "dev/random", "dev/urandom", "dev/tty"] {
        run(Command::new("umount").arg(tree.join(name))).ends(0);
    }
    let left = tool("find", [tree.as_os_str(), "-name".as_ref(), "*.dpkg-*".as_ref()]);
    assert_eq!(left, "", "conffiles are in their places");
}

/// Unpacks packages into a tree that works.
fn add(tree: &Path, directory: &Path) {
    let root = Root::open(tree).unwrap();
    let database = Database::read(&root).unwrap();
    let is_new = |deb: &Deb| database.find(&deb.control.name, &deb.control.architecture).is_none();
    let new: Vec<Deb> = open(directory).into_iter().filter(is_new).collect();
    let (here, rest): (Vec<Deb>, Vec<Deb>) =
        new.into_iter().partition(|deb| needs_dpkg(deb, &database).is_none());
    let names: Vec<&str> = rest.iter().map(|deb| &deb.control.name[..]).collect();
    assert!(
        here.len() > 3 * rest.len() && names.contains(&"python3.11-minimal"),
        "{} here, {names:?}",
        here.len()
    );
    unpacked(tree, &here, &[], &["amd64"]).unwrap_or_else(|error| panic!("{error}"));
    let archives = tree.join("var/cache/apt/archives");
    for deb in &rest {
        std::fs::copy(directory.join(&deb.shown), archives.join(&deb.shown)).unwrap();
    }
    let paths = rest.iter().map(|deb| format!("/var/cache/apt/archives/{}", deb.shown));
    run(enter(tree, "dpkg").args(["--force-depends", "--unpack"]).args(paths)).ends(0);
    run(enter(tree, "dpkg").args(["--configure", "-a"])).ends(0);
}

/// What is run in the tree.
fn enter(tree: &Path, program: &str) -> Command {
    let mut command = Command::new("/usr/sbin/chroot");
    command.arg(tree).arg(program).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
    command.env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C").current_dir("/");
    command
}

fn configure(tree: &Path, packages: &[Deb]) {
    run(Command::new("mount").args(["-t", "proc", "proc"]).arg(tree.join("proc"))).ends(0);
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let device = tree.join("dev").join(name);
        std::fs::write(&device, "").unwrap();
        run(Command::new("mount").arg("--bind").arg(format!("/dev/{name}")).arg(device)).ends(0);
    }
    for script in preinsts(packages) {
        run(enter(tree, &script.path).args(&script.arguments).envs(script.environment)).ends(0);
    }
    run(enter(tree, "dpkg").arg("--configure").args(essential(packages))).ends(0);
    run(enter(tree, "dpkg").args(["--configure", "-a"])).ends(0);
}

fn compare(tree: &Path, theirs: &std::ffi::OsStr, scratch: &Path) {
    let other = scratch.join("theirs");
    std::fs::create_dir(&other).unwrap();
    let mut tar = Command::new("tar");
    tar.args(["--numeric-owner", "--exclude=./dev/*", "-xpf"]).arg(theirs).arg("-C").arg(&other);
    run(&mut tar).ends(0);
    // Times of what scripts made, and of the day on which it was, differ.
    let without_time = |line: &String| {
        let words: Vec<&str> = line.split(' ').collect();
        words[..words.len().min(6)].join(" ")
    };
    let [ours, theirs] = [tree, &other].map(|tree| {
        let mut lines: Vec<String> = files(tree).iter().map(without_time).collect();
        lines.sort();
        lines
    });
    let explained = |line: &String| {
        let path = line.split(' ').nth(1).unwrap_or_default();
        DIFFERENCES.iter().any(|(known, _)| *known == path) || path.starts_with("dev/")
    };
    let left: Vec<String> = differences(&theirs, &ours).into_iter().filter(|line| !explained(line)).collect();
    assert_eq!(left, [""; 0]);
    let owned: PathBuf = tree.join("etc/shadow");
    assert!(owned.is_file(), "scripts were run");
}
