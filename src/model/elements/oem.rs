//! `oemconfig`: what a disk does when it is first started, and its install media.

use super::{Said, element};
use crate::describe::Span;
use crate::model::lexical::Mebibytes;

element! {
    /// `oemconfig`
    OemConfig {
        elements {
            boot_title = "oem-boot-title": Option<Said<String>>,
            bootwait = "oem-bootwait": Option<Said<bool>>,
            resize = "oem-resize": Option<Said<bool>>,
            resize_once = "oem-resize-once": Option<Said<bool>>,
            ramdisk_size = "oem-ramdisk-size": Option<Said<String>>,
            device_filter = "oem-device-filter": Option<Said<String>>,
            nic_filter = "oem-nic-filter": Option<Said<String>>,
            inplace_recovery = "oem-inplace-recovery": Option<Said<bool>>,
            kiwi_initrd = "oem-kiwi-initrd": Option<Said<bool>>,
            multipath_scan = "oem-multipath-scan": Option<Said<bool>>,
            vmcp_parmfile = "oem-vmcp-parmfile": Option<Said<String>>,
            partition_install = "oem-partition-install": Option<Said<bool>>,
            reboot = "oem-reboot": Option<Said<bool>>,
            reboot_interactive = "oem-reboot-interactive": Option<Said<bool>>,
            recovery = "oem-recovery": Option<Said<bool>>,
            recovery_id = "oem-recoveryID": Option<Said<u64>>,
            recovery_part_size = "oem-recovery-part-size": Option<Said<Mebibytes>>,
            shutdown = "oem-shutdown": Option<Said<bool>>,
            shutdown_interactive = "oem-shutdown-interactive": Option<Said<bool>>,
            silent_boot = "oem-silent-boot": Option<Said<bool>>,
            silent_install = "oem-silent-install": Option<Said<bool>>,
            silent_verify = "oem-silent-verify": Option<Said<bool>>,
            skip_verify = "oem-skip-verify": Option<Said<bool>>,
            swap = "oem-swap": Option<Said<bool>>,
            swapsize = "oem-swapsize": Option<Said<Mebibytes>>,
            swapname = "oem-swapname": Option<Said<String>>,
            systemsize = "oem-systemsize": Option<Said<Mebibytes>>,
            unattended = "oem-unattended": Option<Said<bool>>,
            unattended_id = "oem-unattended-id": Option<Said<String>>,
        }
    }
}
