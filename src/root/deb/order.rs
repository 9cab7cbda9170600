//! What is left to do after packages are unpacked: their `preinst` scripts, then `dpkg --configure -a`.
//!
//! dpkg runs a `preinst` before it unpacks the package; here it runs afterwards, as in debootstrap and mmdebstrap, which
//! unpack the whole essential set before the first script runs: scripts need a shell, and that is one of the packages.
//! `base-passwd` comes first: others name users and groups.
//!
//! Then the essential packages are configured, with what they depend on, and then all others, as in mmdebstrap, which
//! installs the essential set before all others: `passwd` makes another `/etc/shadow` where `login` is not configured.

use super::archive::Deb;
use super::control::Relation;
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

/// The names of the essential packages and of those among the packages that they depend on, sorted: the first that are to
/// be configured, together (`dpkg --configure NAME...`).
pub fn essential(packages: &[Deb]) -> Vec<String> {
    let mut wanted: Vec<bool> =
        packages.iter().map(|deb| deb.control.stanza.text("Essential") == Some("yes")).collect();
    let mut todo: Vec<usize> = (0..packages.len()).filter(|&index| wanted[index]).collect();
    while let Some(index) = todo.pop() {
        let stanza = &packages[index].control.stanza;
        let relations = ["Pre-Depends", "Depends"].map(|field| stanza.relations(field).unwrap_or_default());
        for relation in relations.iter().flatten().flatten() {
            for other in (0..packages.len()).filter(|&other| satisfies(&packages[other], relation)) {
                if !std::mem::replace(&mut wanted[other], true) {
                    todo.push(other);
                }
            }
        }
    }
    let chosen = packages.iter().zip(wanted).filter(|(_, wanted)| *wanted);
    let mut names: Vec<String> = chosen.map(|(deb, _)| deb.control.info_name()).collect();
    names.sort();
    names
}

fn satisfies(deb: &Deb, relation: &Relation) -> bool {
    let provides = deb.control.stanza.relations("Provides").unwrap_or_default();
    deb.control.name == relation.package || provides.iter().flatten().any(|it| it.package == relation.package)
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
