//! What is left to do after packages are unpacked: their `preinst` scripts, then `dpkg --configure -a`.
//!
//! dpkg runs a `preinst` before it unpacks the package; here it runs afterwards, as in debootstrap and mmdebstrap, which
//! unpack the whole essential set before the first script runs: scripts need a shell, and that is one of the packages.
//! `base-passwd` comes first: others name users and groups.

use super::archive::Deb;
use super::database::ADMIN;
use serde::{Deserialize, Serialize};

/// A maintainer script that is to be run in the tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The package.
    pub package: String,
    /// Absolute, in the tree; it is executable.
    pub path: String,
    /// Behind the path.
    pub arguments: Vec<String>,
    /// What dpkg sets for scripts (dpkg(1), "Internal environment"), beside what else the environment has.
    pub environment: Vec<(String, String)>,
}

/// The `preinst` scripts of packages that were unpacked, in the order in which they are to be run.
pub fn preinsts(packages: &[Deb]) -> Vec<Script> {
    let mut scripts: Vec<Script> = packages.iter().filter_map(preinst).collect();
    scripts.sort_by_key(|script| script.package != "base-passwd");
    scripts
}

fn preinst(deb: &Deb) -> Option<Script> {
    let control = &deb.control;
    control.file("preinst")?;
    let environment = [
        ("DPKG_ADMINDIR", ADMIN),
        ("DPKG_MAINTSCRIPT_ARCH", &control.architecture),
        ("DPKG_MAINTSCRIPT_DEBUG", "0"),
        ("DPKG_MAINTSCRIPT_NAME", "preinst"),
        ("DPKG_MAINTSCRIPT_PACKAGE", &control.name),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_ROOT", ""),
    ];
    Some(Script {
        package: control.name.clone(),
        path: format!("{ADMIN}/info/{}.preinst", control.info_name()),
        arguments: vec!["install".to_owned()],
        environment: environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec(),
    })
}
