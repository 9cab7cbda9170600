//! The script that changes a finished disk: KIWI's `edit_boot_install.sh` (NG 11.1.6, `builder/disk.py`, at the end).
//!
//! KIWI's runs on the host, on a disk that is mapped. This one runs in a copy of the tree that the disk was made of, and is shown
//! the disk's raw file, which it may change; nothing else of the host.

use super::EDIT_BOOT_INSTALL;
use super::prepare::PrepareError;
use super::sandbox::{BINDS, Bind, Log, Operation, Sandbox, Session};
use super::setup::Setup;
use super::store::Work;
use std::path::Path;

/// Changes the raw file of a disk by `edit_boot_install.sh`, which runs in the tree that the disk was made of. What it
/// changes in the tree comes too late to count.
///
/// # Errors
/// The sandbox cannot show the file, or the script failed: the tree is left for its user to look into.
pub fn edit_disk(
    work: &Work,
    setup: &Setup,
    session: &EditDisk<'_>,
    begun: &dyn Fn(&str),
) -> Result<(), PrepareError> {
    let EditDisk { directory, file, boot_device, epoch, network, sandbox } = *session;
    let disk = format!("{BINDS}/{DISK}/{file}");
    let mut operations = setup.boot_script(EDIT_BOOT_INSTALL, &[disk.clone(), boot_device.to_owned()]);
    for operation in &mut operations {
        if let Operation::Run(run) = operation {
            run.command = with_device(&disk, boot_device, std::mem::take(&mut run.command));
        }
    }
    let bind = Bind { from: directory.to_owned(), name: DISK.to_owned(), writable: true };
    let tree = work.tree();
    let script = Session {
        tree: tree.directory.clone(),
        binds: vec![bind],
        inputs: setup.inputs(),
        network,
        operations,
        ..Session::default()
    };
    let log = Log::create(work.beside("log"))?;
    for session in [tree.take(), script, tree.give(epoch)] {
        let done = sandbox.run(&session, &log, &mut |operation| {
            if let Operation::Run(run) = operation {
                begun(&run.what);
            }
        });
        if let Err(error) = done {
            let tree = work.leave(epoch).ok().map(|place| place.directory);
            return Err(PrepareError::Sandbox(Box::new(error), tree));
        }
    }
    Ok(())
}

/// A name that KIWI's loop device could have; what scripts derive from it is the disk's file.
const LOOP: &str = "loop0";

/// The name under which KIWI would have given the partition of this number: there is no such device here.
pub fn boot_device(number: u32) -> String {
    format!("/dev/mapper/{LOOP}p{number}")
}

/// Scripts take the disk's device from the partition's name. It is the file, so that what they write to it is not lost in a
/// new file of this name; a device of the partition itself there is not.
fn with_device(disk: &str, boot_device: &str, command: Vec<String>) -> Vec<String> {
    let Some((loop_device, _)) = boot_device.rsplit_once('p') else { return command };
    let device = loop_device.replace("/dev/mapper/", "/dev/");
    let link = r#"ln -s "$0" "$1" && shift && exec "$@""#;
    ["bash", "--norc", "-c", link, disk, &device].map(str::to_owned).into_iter().chain(command).collect()
}

/// Name of the [`Bind`] with the disk.
const DISK: &str = "disk";

/// Which disk is changed, and how.
#[derive(Clone, Copy, Debug)]
pub struct EditDisk<'a> {
    /// The directory of the host that holds the disk, and nothing else.
    pub directory: &'a Path,
    /// Its name there.
    pub file: &'a str,
    /// The second argument: [`boot_device`].
    pub boot_device: &'a str,
    /// The latest time in the tree, in seconds since 1970.
    pub epoch: i64,
    /// Whether the script reaches the network.
    pub network: bool,
    /// Where it runs.
    pub sandbox: &'a Sandbox,
}
