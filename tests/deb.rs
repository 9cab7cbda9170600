//! Packages are unpacked as dpkg unpacks them: Debian's own packages, dpkg itself as the judge.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod support;

use diskwright::root::deb::{Deb, Options, Root, essential, merge_usr, preinsts, unpack};
use std::fs::File;
use std::path::Path;
use std::process::Command;

/// Not a test: what the tests run in a user namespace.
#[test]
#[ignore = "run by the others"]
fn worker() {
    let Some(tree) = std::env::var_os("DEB_ROOT") else { return };
    let packages = open(Path::new(&std::env::var_os("DEB_PACKAGES").unwrap()));
    let threads = std::env::var("DEB_THREADS").map_or(2, |threads| threads.parse().unwrap());
    let options = Options { architectures: vec!["amd64".to_owned()], filters: Vec::new(), threads };
    let root = Root::open(Path::new(&tree)).unwrap();
    merge_usr(&root, &packages, "amd64").unwrap();
    let start = std::time::Instant::now();
    if let Err(error) = unpack(&root, &packages, &options) {
        panic!("{error}");
    }
    println!("unpacked in {:?}", start.elapsed());
    if std::env::var_os("DEB_CONFIGURE").is_none() {
        return;
    }
    let enter = |program: &str| {
        let mut command = Command::new("/usr/sbin/chroot");
        command.arg(&tree).arg(program).current_dir("/").env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("DEBIAN_FRONTEND", "noninteractive");
        command.env("LC_ALL", "C");
        command
    };
    for script in preinsts(&packages) {
        println!("{}", script.path);
        let mut command = enter(&script.path);
        command.args(&script.arguments).envs(script.environment);
        assert!(command.status().unwrap().success(), "{}", script.path);
    }
    let essential = essential(&packages);
    assert!(enter("dpkg").arg("--configure").args(&essential).status().unwrap().success(), "{essential:?}");
    assert!(enter("dpkg").args(["--configure", "-a"]).status().unwrap().success(), "dpkg --configure -a");
}

fn open(directory: &Path) -> Vec<Deb> {
    let names = support::listing(directory);
    let open = |name: &String| Deb::open(File::open(directory.join(name)).unwrap(), name);
    names.iter().filter(|name| name.ends_with(".deb")).map(|name| open(name).unwrap()).collect()
}
