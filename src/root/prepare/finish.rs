//! What runs between a tree and its image.

use super::PrepareError;
use super::job::limited;
use crate::root::EDIT_BOOT_CONFIG;
use crate::root::sandbox::{Log, Operation, Sandbox, Session};
use crate::root::setup::Setup;
use crate::root::store::{Store, Work, copy_tree};
use crate::root::tree::Place;

/// What KIWI runs in a tree before it makes an image of it.
pub(super) fn finishing(setup: &Setup, finishing: &Finishing) -> Vec<Operation> {
    let Finishing { is_disk, fstab, boot_config } = finishing;
    let mut list = setup.images();
    if *is_disk {
        list.extend(fstab.iter().flat_map(|text| setup.fstab(text)));
        list.extend(setup.boot_script(EDIT_BOOT_CONFIG, boot_config));
        list.extend(["pre_disk_sync.sh", "disk.sh"].into_iter().filter_map(|name| setup.script(name)));
    }
    list
}

/// Runs what KIWI runs in a tree before it makes an image of it, on a copy.
pub fn finish(
    place: &Place,
    setup: &Setup,
    session: &Finish<'_>,
    begun: &dyn Fn(&str),
) -> Result<Work, PrepareError> {
    let Finish { name, finishing, epoch, network, limit, store, sandbox } = *session;
    let work = store.work(name, sandbox)?;
    copy_tree(place, &work.tree())?;
    let log = Log::create(work.beside("log"))?;
    let scripts = Session {
        tree: work.tree().directory,
        inputs: setup.inputs(),
        network,
        operations: limited(&self::finishing(setup, finishing), limit),
        ..Session::default()
    };
    for session in [work.tree().take(), scripts, work.tree().give(epoch)] {
        let done = sandbox.run(&session, &log, &mut |operation| {
            if let Operation::Run(run) = operation
                && !run.optional
            {
                begun(&run.what);
            }
        });
        if let Err(error) = done {
            let tree = work.leave(epoch).ok().map(|place| place.directory);
            return Err(PrepareError::Sandbox(Box::new(error), tree));
        }
    }
    Ok(work)
}

/// What image KIWI's scripts are run for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finishing {
    /// Whether it is a disk.
    pub is_disk: bool,
    /// The generated fstab, where the tree may have a script that changes it.
    pub fstab: Option<String>,
    /// Arguments of `edit_boot_config.sh`: the root's file system, the number of the partition that `/boot` is in.
    pub boot_config: Vec<String>,
}

/// How a tree is finished.
#[derive(Clone, Copy, Debug)]
pub struct Finish<'a> {
    /// Of the copy.
    pub name: &'a str,
    /// Of what image.
    pub finishing: &'a Finishing,
    /// The latest time in the tree, in seconds since 1970.
    pub epoch: i64,
    /// Whether scripts reach the network.
    pub network: bool,
    /// Seconds after which a script is killed; 0: never.
    pub limit: u32,
    /// Where the copy is made.
    pub store: &'a Store,
    /// Where scripts run.
    pub sandbox: &'a Sandbox,
}
