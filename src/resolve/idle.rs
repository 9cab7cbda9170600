//! What a type says and nothing of its disk takes up: KIWI passes over it without a word.

use crate::describe::Diagnostic;
use crate::model::{Contents, Disk, Table, Type};

/// Whether nothing takes up a part, and why.
struct Idle {
    /// `bootpartsize`, `oemconfig/oem-swapsize`.
    path: &'static str,
    why: &'static str,
    is_idle: fn(&Disk) -> bool,
}

const fn idle(path: &'static str, why: &'static str, is_idle: fn(&Disk) -> bool) -> Idle {
    Idle { path, why, is_idle }
}

const NO_BOOT: &str = "there is no partition for /boot: bootpartition=\"true\" makes one";
const NO_ESP: &str = "only disks for UEFI have an EFI system partition: firmware=\"uefi\"";
const NO_SPARE: &str = "there is no spare partition: spare_part gives it a size";

const PARTS: &[Idle] = &[
    idle("bootpartsize", NO_BOOT, |disk| !has(disk, "boot")),
    idle("bootfilesystem", NO_BOOT, |disk| !has(disk, "boot")),
    idle("boot_clone", NO_BOOT, |disk| !has(disk, "boot")),
    idle("bootpart_id", NO_BOOT, |disk| !has(disk, "boot")),
    idle("efipartsize", NO_ESP, |disk| !has(disk, "efi")),
    idle("efimountoptions", NO_ESP, |disk| !has(disk, "efi")),
    idle("efipart_id", NO_ESP, |disk| !has(disk, "efi")),
    idle("efiparttable", NO_ESP, |disk| !has(disk, "efi")),
    idle("eficsm", "only a GPT for UEFI asks for it", |disk| {
        !has(disk, "efi") || matches!(disk.table, Table::Mbr { converted: false, .. })
    }),
    idle("eficsmpart_id", "there is no partition for BIOS", |disk| !has(disk, "efi_csm")),
    idle("gpt_hybrid_mbr", "only a GPT for UEFI can be hybrid", |disk| {
        !matches!(disk.table, Table::Gpt { hybrid: true })
    }),
    idle("force_mbr", "only a GPT for UEFI becomes an MBR", |disk| {
        !matches!(disk.table, Table::Mbr { converted: true, .. })
    }),
    idle("dosparttable_extended_layout", "only an MBR has logical partitions", |disk| {
        !matches!(disk.table, Table::Mbr { extended: true, .. })
    }),
    idle("apply_dps_codes", "only a GPT has such types", |disk| !matches!(disk.table, Table::Gpt { .. })),
    idle("spare_part_fs", NO_SPARE, |disk| !has(disk, "spare")),
    idle("spare_part_mountpoint", NO_SPARE, |disk| !has(disk, "spare")),
    idle("spare_part_mountpoint", "there is no file system in it: spare_part_fs names one", |disk| {
        disk.partitions.iter().any(|one| one.role == "spare" && one.contents == Contents::Blank)
    }),
    idle("oemconfig/oem-resize-once", "nothing grows: oem-resize is false", |disk| disk.growth.is_none()),
    idle("oemconfig/oem-swapsize", "there is no swap: <oem-swap>true</oem-swap>", |disk| {
        !has(disk, "swap") && disk.volumes.is_none()
    }),
];

fn has(disk: &Disk, role: &str) -> bool {
    disk.partitions.iter().any(|one| one.role == role)
}

/// A warning for each. What is said to be off, or nothing, is no wish.
pub(super) fn idle_parts(kind: &Type, disk: &Disk) -> Vec<Diagnostic> {
    let said = kind.said.entries("type");
    let found = PARTS.iter().filter(|part| (part.is_idle)(disk)).filter_map(|part| {
        let entry = said.iter().find(|entry| {
            entry.path.strip_prefix("type").is_some_and(|path| path.get(1..) == Some(part.path))
        })?;
        // `eficsm` is on by default: to turn it off is the wish.
        let off = ["false", "0"].contains(&entry.text) && part.path != "eficsm";
        let message = format!("{} has no effect: {}", part.path, part.why);
        (!off).then(|| entry.span.warning("no-effect", message))
    });
    found.collect()
}
