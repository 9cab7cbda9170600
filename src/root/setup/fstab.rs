//! `etc/fstab.script` of a tree: KIWI runs it behind `fstab.append` and `fstab.patch`, to change the fstab that it has made (NG
//! 11.1.6, `system/setup.py: create_fstab`). Where it is not, none of this happens: the fstab is no file before there is an
//! image.

use super::files::{Dress, Files, refused};
use crate::plan::patched;
use crate::root::sandbox::OperationError;
use rustix::fs::FileType;

const FSTAB: &str = "/etc/fstab";
const APPEND: &str = "/etc/fstab.append";
const PATCH: &str = "/etc/fstab.patch";
/// The script in a tree.
pub const SCRIPT: &str = "/etc/fstab.script";
/// The script where it runs. That it is there says that the tree's fstab is the one of the image.
pub(super) const DONE: &str = "/image/fstab.script";

/// Where there is a script: writes the fstab that it is to change, and moves it to where it can be executed.
pub(super) fn write(files: &Files, generated: &str) -> Result<(), OperationError> {
    files.remove(DONE)?;
    let Some(stat) = files.stat(SCRIPT)?.filter(|stat| FileType::from_raw_mode(stat.st_mode).is_file())
    else {
        return Ok(());
    };
    let mut text = generated.to_owned() + &files.read(APPEND)?.unwrap_or_default();
    if let Some(patch) = files.read(PATCH)? {
        text = patched(&text, &patch).map_err(|reason| refused("tree", PATCH, reason))?;
    }
    let script = files.read(SCRIPT)?.unwrap_or_default();
    // By itself where it is executable, else by bash.
    let first = match (stat.st_mode & 0o111 != 0, script.starts_with("#!")) {
        (true, true) => "",
        (true, false) => "#!/bin/sh\n",
        (false, _) => "#!/bin/bash\n",
    };
    files.write(DONE, (first.to_owned() + &script).as_bytes(), Dress::of_root(0o755))?;
    files.write(FSTAB, text.as_bytes(), Dress::of_root(0o644))?;
    [APPEND, PATCH, SCRIPT].iter().try_for_each(|path| files.remove(path))
}
