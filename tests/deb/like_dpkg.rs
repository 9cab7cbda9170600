//! The same packages, unpacked by dpkg and here: the same tree and the same database.

use super::{debian, differences, files, inside, open, unpacked};
use crate::support::{oracle, run, tool};
use diskwright::root::deb::{Filter, Root, merge_usr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// What dpkg leaves behind itself: locks, and the database as it was.
const DPKG_OWN: [&str; 5] = ["lock", "lock-frontend", "status-old", "triggers/Lock", "triggers/Unincorp"];

#[test]
fn debian_packages_are_unpacked_as_dpkg_unpacks_them() {
    let test = "debian_packages_are_unpacked_as_dpkg_unpacks_them";
    let (Some(packages), Some(_)) = (debian(test), oracle(test, "dpkg")) else { return };
    inside(test, "like_dpkg::inside_debian", &[("DEB_PACKAGES", &packages)]);
}

#[test]
#[ignore = "run inside a user namespace"]
fn inside_debian() {
    let packages = PathBuf::from(std::env::var_os("DEB_PACKAGES").unwrap());
    let scratch = tempfile::tempdir().unwrap();
    // Scripts are not run: only packages without.
    let chosen = scratch.path().join("packages");
    std::fs::create_dir(&chosen).unwrap();
    let mut count = 0;
    for deb in open(&packages).iter().filter(|deb| deb.control.file("preinst").is_none()) {
        std::os::unix::fs::symlink(packages.join(&deb.shown), chosen.join(&deb.shown)).unwrap();
        count += 1;
    }
    assert!(count > 60, "{count} packages");
    let rule = |pattern: &str, include| Filter { pattern: pattern.to_owned(), include };
    let filters = [
        rule("/usr/share/doc/*", false),
        rule("/usr/share/doc/*/copyright", true),
        rule("/usr/share/locale/*", false),
        rule("/usr/share/locale/de*/*", true),
    ];
    for (name, filters) in [("whole", &[][..]), ("filtered", &filters)] {
        let [ours, theirs] = [(); 2].map(|()| tempfile::tempdir_in(scratch.path()).unwrap());
        for tree in [&ours, &theirs] {
            merge_usr(&Root::open(tree.path()).unwrap(), &[], "amd64").unwrap();
        }
        let said = dpkg(theirs.path(), &chosen, filters);
        assert!(said.ends_with("0"), "{said}");
        let done = unpacked(ours.path(), &open(&chosen), filters, &["amd64"])
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(done.len(), count, "{name}");
        assert_same(ours.path(), theirs.path(), name);
    }
}

/// Runs dpkg on packages in a directory, by name; gives what it said and its exit code at the end.
fn dpkg(tree: &Path, packages: &Path, filters: &[Filter]) -> String {
    let admin = tree.join("var/lib/dpkg");
    for name in ["info", "updates", "triggers", "alternatives"] {
        std::fs::create_dir_all(admin.join(name)).unwrap();
    }
    for name in ["status", "available"].map(|name| admin.join(name)).iter().filter(|path| !path.exists()) {
        std::fs::write(name, "").unwrap();
    }
    let mut command = Command::new("dpkg");
    command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").arg(format!("--root={}", tree.display()));
    command.args(["--force-depends", "--force-script-chrootless", "--force-unsafe-io", "--log=/dev/null"]);
    for Filter { pattern, include } in filters {
        command.arg(format!("--path-{}={pattern}", if *include { "include" } else { "exclude" }));
    }
    command.args(["--no-triggers", "--unpack"]);
    let names = crate::support::listing(packages).into_iter().filter(|name| name.ends_with(".deb"));
    let run = run(command.args(names.map(|name| packages.join(name))));
    format!("{}{}{}", run.stdout, run.stderr, run.code.unwrap_or(-1))
}

fn assert_same(ours: &Path, theirs: &Path, what: &str) {
    let own = |line: &&String| {
        let path = line.split(' ').next().unwrap_or_default();
        path.strip_prefix("var/lib/dpkg/").is_none_or(|path| !DPKG_OWN.contains(&path))
    };
    let [one, other] = [ours, theirs].map(|tree| files(tree).iter().filter(own).cloned().collect::<Vec<_>>());
    let mut diff = Command::new("diff");
    diff.args(["-r", "--no-dereference"])
        .args(DPKG_OWN.map(|name| format!("--exclude={}", name.rsplit('/').next().unwrap_or(name))));
    let diff = run(diff.args([ours, theirs]));
    // It compares no fifos, and says so.
    let lines = diff.stdout.lines().filter(|line| !line.contains("is a fifo while file"));
    assert_eq!(lines.collect::<Vec<_>>(), [""; 0], "{what}: {}", diff.stderr);
    assert_eq!(differences(&one, &other), [""; 0], "{what}");
}

/// Packages for what Debian's own have too little of. `make NAME VERSION ARCHITECTURE` starts one, `pack` ends it.
const BUILT: &str = r#"
set -e
make() {
  name=$1 at=$2/$1-$4
  mkdir -p $at/DEBIAN
  printf 'Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: nobody <nobody@example.org>\n' $1 $3 $4 >$at/DEBIAN/control
  printf 'Section: misc\nPriority: optional\n' >>$at/DEBIAN/control
  cd $at
}
says() { printf "$@" >>DEBIAN/control; }
pack() {
  printf 'Description: a package\n of lines\n .\n  more of them\n' >>DEBIAN/control
  find . -path ./DEBIAN -prune -o -exec touch -h -d @1600000000 {} +
  dpkg-deb --root-owner-group -Z$1 --build . ../$set-$name-$(basename $PWD).deb >/dev/null
  cd ../..
}

set=1
make a first 0:1.0-1 amd64
mkdir -p usr/bin usr/share/doc/a usr/lib/a etc var/lib/a lib/a usr/share/c
echo a >usr/bin/a; ln usr/bin/a usr/bin/ab; echo s >usr/bin/s; chmod 4755 usr/bin/s; ln -s a usr/bin/aa; ln -s ../share/doc usr/lib/a/doc
mkfifo usr/lib/a/fifo; chmod 600 usr/lib/a/fifo; chmod 1777 var/lib/a; echo lib >lib/a/lib; echo shared >usr/share/doc/a/README
echo conf >etc/a.conf; echo conf >etc/b.conf; printf '/etc/a.conf\n/etc/b.conf\n' >DEBIAN/conffiles
printf 'interest /usr/share/icons\ninterest-noawait a-trigger\nactivate other\n' >DEBIAN/triggers
echo x >DEBIAN/shlibs; echo x >DEBIAN/with.dot; printf 'Template: a/b\nType: note\nDescription: a\n' >DEBIAN/templates
says 'Essential: no\nMulti-Arch: no\nHomepage: https://example.org\nReplaces: d\n'
says 'Suggests: libx(>=1.0)|y , z:any,w (= 0:2)\nXB-Other: one\n  two\nPriority-Of: 3\n'
pack none
make b first 1:2 amd64
mkdir -p usr/bin usr/share/doc/b usr/share/icons
echo b >usr/bin/a; echo same >usr/share/doc/b/copyright; ln -s copyright usr/share/doc/b/link; echo i >usr/share/icons/b
printf 'interest-await /usr/share/b\ninterest a-trigger\n' >DEBIAN/triggers
says 'Multi-Arch: same\nReplaces: a (<< 2)\n'
pack gzip
make b first 1:2 i386
mkdir -p usr/share/doc/b usr/lib/i386
echo same >usr/share/doc/b/copyright; ln -s copyright usr/share/doc/b/link; echo 32 >usr/lib/i386/b
says 'Multi-Arch: same\nReplaces: a (<< 2)\n'
pack xz
make c first 1 all
mkdir -p usr/share
ln -s doc usr/share/c; ln -s doc usr/share/cc; echo diverted >usr/share/local; echo own >usr/share/own
pack zstd
make d first 1 all
mkdir -p usr/share/doc/a etc
echo other >usr/share/doc/a/README; echo mine >usr/share/doc/a/MINE; echo d >etc/b.conf; echo d >etc/d.conf
printf '/etc/b.conf\n/etc/d.conf\nremove-on-upgrade /etc/gone.conf\n' >DEBIAN/conffiles
echo '0123456789abcdef0123456789abcdef  usr/share/doc/a/MINE' >DEBIAN/md5sums
pack none
make e first 1~rc1 all
mkdir -p usr/share usr/sbin
echo not-diverted >usr/share/own; echo e >usr/sbin/e
says 'Protected: yes\nImportant: yes\nPre-Depends: a\nEnhances: b\n'
pack none
set=2
make f second 1 all
mkdir -p usr/share/icons/f usr/share/b usr/share/cc
echo f >usr/share/icons/f/f; echo f >usr/share/b/f; echo through >usr/share/cc/through
printf 'activate a-trigger\nactivate-noawait /usr/share/icons/f\n' >DEBIAN/triggers
pack none
make g second 1 all
mkdir -p usr/share/b usr/share/doc/b
echo g >usr/share/b/g; printf 'activate-await /usr/share/icons\n' >DEBIAN/triggers
pack none
set=3
make h third 1 all
mkdir -p usr/share/b; echo h >usr/share/b/g
pack none
set=4
make i fourth 1:2 s390x
pack none
"#;

/// dpkg-divert(1): a local one, and one of the package `e`.
const DIVERSIONS: &str =
    "/usr/share/local\n/usr/share/local.distrib\n:\n/usr/share/own\n/usr/share/own.diverted\ne\n";

#[test]
fn packages_of_every_kind_are_unpacked_as_dpkg_unpacks_them() {
    let test = "packages_of_every_kind_are_unpacked_as_dpkg_unpacks_them";
    let (Some(_), Some(_)) = (oracle(test, "dpkg"), oracle(test, "dpkg-deb")) else { return };
    inside(test, "like_dpkg::inside_built", &[]);
}

#[test]
#[ignore = "run inside a user namespace"]
fn inside_built() {
    let scratch = tempfile::tempdir().unwrap();
    run(Command::new("sh").args(["-c", BUILT]).current_dir(scratch.path())).ends(0);
    let set = |name: &str| scratch.path().join(name);
    let [ours, theirs] = ["ours", "theirs"].map(set);
    for tree in [&ours, &theirs] {
        std::fs::create_dir_all(tree.join("var/lib/dpkg")).unwrap();
        std::fs::create_dir_all(tree.join("etc")).unwrap();
        merge_usr(&Root::open(tree).unwrap(), &[], "amd64").unwrap();
        let diversions =
            "/usr/share/local\n/usr/share/local.distrib\n:\n/usr/share/own\n/usr/share/own.diverted\ne\n";
        std::fs::write(tree.join("var/lib/dpkg/diversions"), diversions).unwrap();
        std::fs::write(tree.join("var/lib/dpkg/statoverride"), "root #7 2750 /usr/sbin/e\n").unwrap();
        std::fs::write(tree.join("var/lib/dpkg/arch"), "amd64\ni386\n").unwrap();
        std::fs::write(tree.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    }
    let unpack_both = |name: &str| {
        let done = unpacked(&ours, &open(&set(name)), &[], &["amd64", "i386"]);
        (done.map_err(|error| error.to_string()), dpkg(&theirs, &set(name), &[]))
    };
    for name in ["first", "second"] {
        let (done, said) = unpack_both(name);
        assert!(done.is_ok() && said.ends_with('0'), "{name}: {done:?} {said}");
        assert_same(&ours, &theirs, name);
        // Who wants to hear of triggers hears of them once it is configured.
        for tree in [&ours, &theirs] {
            let root = format!("--root={}", tree.display());
            let mut dpkg = Command::new("dpkg");
            dpkg.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").args([
                &root,
                "--force-depends",
                "--no-triggers",
            ]);
            run(dpkg.args(["--log=/dev/null", "--force-confnew", "--configure", "-a"])).ends(0);
        }
        assert_same(&ours, &theirs, &format!("{name}, configured"));
        // The one package that brings sums brings a wrong one.
        let verify = tool("dpkg", [&format!("--root={}", ours.display()), "--verify"]);
        assert_eq!(verify, "??5??????   /usr/share/doc/a/MINE\n", "{name}");
    }
    // A conffile that the administrator made a symlink; dpkg 1.21 unpacks beside the symlink what it then looks for
    // beside the file.
    let linked = set("linked");
    std::fs::create_dir_all(linked.join("etc")).unwrap();
    std::fs::create_dir_all(linked.join("var/lib/dpkg")).unwrap();
    std::fs::write(linked.join("var/lib/dpkg/diversions"), DIVERSIONS).unwrap();
    std::os::unix::fs::symlink("/etc/elsewhere.conf", linked.join("etc/a.conf")).unwrap();
    unpacked(&linked, &open(&set("first")), &[], &["amd64", "i386"]).unwrap();
    assert_eq!(std::fs::read(linked.join("etc/elsewhere.conf.dpkg-new")).unwrap(), b"conf\n");
    let (done, said) = unpack_both("third");
    assert_eq!(done.unwrap_err(), "deb: 3-h-h-all.deb: /usr/share/b/g: it is also in the package g 1");
    assert!(said.contains("trying to overwrite '/usr/share/b/g', which is also in package g 1"), "{said}");
    let (done, said) = unpack_both("fourth");
    assert_eq!(done.unwrap_err(), "deb: 4-i-i-s390x.deb: a package for s390x in a tree for amd64, i386");
    assert!(said.contains("package architecture (s390x) does not match system (amd64)"), "{said}");
}
