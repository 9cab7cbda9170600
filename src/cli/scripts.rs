//! The scripts that run between a tree and its image.

use super::fail::{Code, Failure};
use super::say::Voice;
use super::setting::Setting;
use crate::build::identity;
use crate::describe::kiwi::Description;
use crate::model::Target;
use crate::plan::{ROOT, plan as plan_of};
use crate::resolve::{Choice, Resolved, select};
use crate::root::edit_disk::boot_device;
use crate::root::prepare::Finishing;
use crate::root::setup::FSTAB_SCRIPT;
use crate::root::{EDIT_BOOT_CONFIG, EDIT_BOOT_INSTALL, boot_hooks, finishing, may_bring_fstab_script};
use crate::survey::Origin;

/// What is said when a script changes the finished disk.
pub(super) const RAW_FIRST: &str = "the raw disk is written first, for edit_boot_install.sh to change it";

/// What runs for an image.
pub(super) struct Scripts {
    is_disk: bool,
    /// Those beside the description, by their names.
    beside: Vec<&'static str>,
    /// Those that the type names.
    boot: Vec<&'static str>,
    /// The generated fstab, where the tree may have a script that changes it.
    fstab: Option<String>,
    /// The file system of the root.
    filesystem: String,
    /// The partition that `/boot` is in.
    pub(super) boot_number: u32,
}

impl Scripts {
    pub(super) fn of(
        description: &Description,
        resolved: &Resolved,
        choice: &Choice,
        tree: Option<&Origin>,
        setting: &Setting,
        voice: Voice,
    ) -> Result<Scripts, Failure> {
        let selection = select(&description.model, choice).map_err(|error| voice.resolve_error(error))?;
        let is_disk = matches!(resolved.image.target, Target::Disk(_));
        let beside = finishing(&description.directory, is_disk);
        let boot = boot_hooks(&selection);
        let fstab = is_disk
            && match tree {
                Some(Origin::Directory { path, record: Some(_) }) => path.join(&FSTAB_SCRIPT[1..]).is_file(),
                Some(_) => false,
                None => {
                    selection.is_installed_by_apt()
                        && may_bring_fstab_script(&description.directory, &selection)
                }
            };
        // What is refused of it is refused later.
        let generated = || {
            let seed = setting.seed.as_deref().map(str::as_bytes);
            let plan = plan_of(&resolved.image, &identity(&resolved.image, seed, 0)).ok()?;
            plan.files.into_iter().find(|file| file.path == "/etc/fstab").map(|file| file.text)
        };
        let fstab = if fstab { generated() } else { None };
        let scripts = Scripts { is_disk, beside, boot, fstab, filesystem: String::new(), boot_number: 0 };
        if scripts.boot.is_empty() {
            return Ok(scripts);
        }
        // Numbers of partitions and file systems are the same with any identity.
        let plan = plan_of(&resolved.image, &identity(&resolved.image, None, 0))?;
        let part = |role: &str| plan.parts.iter().find(|part| part.role == role);
        let entry = part("boot").or_else(|| part(ROOT)).and_then(|part| part.entry.as_ref());
        let filesystem = part(ROOT).and_then(|part| part.filesystem.as_ref());
        Ok(Scripts {
            filesystem: filesystem.map(|one| one.mkfs.name.clone()).unwrap_or_default(),
            boot_number: entry.map_or(0, |entry| entry.number),
            ..scripts
        })
    }

    /// Whether there are any.
    pub(super) fn any(&self) -> bool {
        !self.beside.is_empty() || !self.boot.is_empty() || self.changes_fstab()
    }

    /// Whether the tree may have a script that changes the generated fstab.
    pub(super) fn changes_fstab(&self) -> bool {
        self.fstab.is_some()
    }

    /// Whether one changes the finished disk.
    pub(super) fn edits_disk(&self) -> bool {
        self.boot.contains(&EDIT_BOOT_INSTALL)
    }

    /// What runs in the tree before its image is laid.
    pub(super) fn finishing(&self) -> Finishing {
        Finishing { is_disk: self.is_disk, fstab: self.fstab.clone(), boot_config: self.boot_config() }
    }

    fn boot_config(&self) -> Vec<String> {
        match self.boot.contains(&EDIT_BOOT_CONFIG) {
            true => vec![self.filesystem.clone(), self.boot_number.to_string()],
            false => Vec::new(),
        }
    }

    /// A tree that is an overlay alone has nothing that could run them.
    pub(super) fn refuse_without_programs(&self) -> Result<(), Failure> {
        let Some(name) = self.boot.first() else { return Ok(()) };
        let message =
            format!("{name}: runs in the tree, and a description without packages gives none with programs");
        Err(Failure::new(Code::Refused, message)
            .hint("make the tree by other means, and `diskwright create` the image: --root TREE"))
    }

    /// Which run when, in order: a line each.
    pub(super) fn told(&self) -> Vec<String> {
        let (images, disk): (Vec<&str>, Vec<&str>) =
            self.beside.iter().partition(|name| **name == "images.sh");
        let config = self
            .boot
            .contains(&EDIT_BOOT_CONFIG)
            .then(|| format!("{EDIT_BOOT_CONFIG} {}", self.boot_config().join(" ")));
        let fstab = self.changes_fstab().then(|| "etc/fstab.script".to_owned());
        let before = images
            .into_iter()
            .map(str::to_owned)
            .chain(fstab)
            .chain(config)
            .chain(disk.into_iter().map(str::to_owned));
        let before =
            before.map(|line| format!("{line}: runs in a copy of the tree before its image is laid"));
        let after = self.edits_disk().then(|| {
            let device = boot_device(self.boot_number);
            format!(
                "{EDIT_BOOT_INSTALL} DISK {device}: runs in the copy of the tree on the finished raw disk, which is written \
                 first; all formats are made of what it leaves"
            )
        });
        before.chain(after).collect()
    }
}
