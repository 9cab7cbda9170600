//! A package that has a tree to begin with (`bootstrap_package`), in a tar (KIWI NG, `package_manager/apt.py:
//! _process_install_requests_bootstrap_prebuild_root`).

use super::AptError;
use crate::model::Arch;
use crate::root::deb::{Deb, DebError};
use crate::root::repository::Chosen;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use fs_err::File;
use std::io::Write;

/// Where the tar is: KIWI looks into the first of these, and its documentation names the second.
const DIRECTORIES: [&str; 2] = ["/var/lib/bootstrap", "/var/cache/kiwi/bootstrap"];

/// Copies the tar out of the package: `NAME.MACHINE.tar.xz`, the machine as `uname -m` names it.
pub fn copy_tree(package: &Chosen, deb: File, arch: Arch, into: &mut dyn Write) -> Result<(), AptError> {
    let Chosen { name, version, .. } = package;
    let paths = DIRECTORIES.map(|directory| format!("{directory}/{name}.{}.tar.xz", arch.machine().name()));
    let deb = Deb::open(deb.into_parts().0, &format!("{name} {version}"))?;
    match deb.copy_file(&[&paths[0], &paths[1]], into)? {
        Some(_) => Ok(()),
        None => {
            let reason =
                format!("no tree to begin with (bootstrap_package): neither {} nor {}", paths[0], paths[1]);
            let hint = "name a package that has one, or take bootstrap_package away: trees begin with the essential packages then";
            Err(Refusal::new(RefusalKind::Missing, Spot::new("deb", name.as_str()), reason).hint(hint).into())
        }
    }
}

impl From<DebError> for AptError {
    fn from(error: DebError) -> AptError {
        match error {
            DebError::Refused(refusal) => refusal.into(),
            DebError::Io(error) => error.into(),
        }
    }
}
