//! What a disk is divided into, and what goes with it: sizes, volumes, partitions, boxes, initrds, encryption.

use super::{Said, element};
use crate::describe::Span;
use crate::model::lexical::{Digits, Gigabytes, Machines, PartitionSize, ShortName, VolumeSize};
use crate::model::words::{InitrdAction, PartitionFilesystem, PartitionType, SizeUnit, VagrantProvider};

element! {
    /// `size`: its text and `unpartitioned` are numbers of `unit`, MiB where none is said.
    Size {
        attributes { unit: SizeUnit, unpartitioned: u64, additive: bool }
        text: u64;
    }

    /// `systemdisk`
    SystemDisk {
        attributes { name: String, preferlvm: bool }
        elements { volume: Vec<Volume> }
    }

    /// `volumes`, of a container
    Volumes {
        elements { volume: Vec<Volume> }
    }

    /// `volume`
    Volume {
        attributes {
            copy_on_write: bool,
            quota: PartitionSize,
            filesystem_check: bool,
            freespace: VolumeSize,
            mountpoint: String,
            label: String,
            name: String,
            parent: String,
            size: VolumeSize,
            arch: Machines,
        }
    }

    /// `partitions`
    Partitions {
        elements { partition: Vec<Partition> }
    }

    /// `partition`
    Partition {
        attributes {
            part_id: Digits,
            name: String,
            size: PartitionSize,
            partition_name: ShortName,
            partition_type: PartitionType,
            mountpoint: String,
            filesystem: PartitionFilesystem,
            label: String,
            clone: Digits,
        }
    }

    /// `vagrantconfig`
    VagrantConfig {
        attributes {
            provider: VagrantProvider,
            virtualsize: Gigabytes,
            boxname: String,
            virtualbox_guest_additions_present: bool,
            embedded_vagrantfile: String,
        }
    }

    /// `installmedia`
    InstallMedia {
        elements { initrd: Vec<Initrd> }
    }

    /// `initrd`
    Initrd {
        attributes { action: InitrdAction }
        elements { dracut: Vec<Dracut> }
    }

    /// `dracut`
    Dracut {
        attributes { module: String, driver: String, uefi: bool }
    }

    /// `luksformat`: options of cryptsetup.
    LuksFormat {
        elements { option: Vec<LuksOption> }
    }

    /// `option`
    LuksOption {
        attributes { name: String, value: String }
    }
}
