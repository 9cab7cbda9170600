//! `type`: one image, and everything in it.

use super::Content::{Elements, Empty, Holds};
use super::Occurs::{Any, Optional, Several};
use super::State::{Noted, Off, Recorded, Refused, Same, Written};
use super::Value::*;
use super::{Element, at, element};
use crate::model::words::{
    DevicePersistency, DiskController, DiskMode, DvdController, EfiPartTable, EnclaveFormat, Firmware,
    GuestArch, InitrdAction, InstallBoot, LiveFlags, LuksOs, LuksPbkdf, LuksVersion, MdRaid,
    OverlayFilesystem, OvfType, PartitionType, PersistentFilesystem, SelinuxPolicy, SizeUnit,
    SquashfsCompression, TargetType, TimeoutStyle, VagrantProvider, XenLoader,
};

static BOOTLOADER_BOOTLOADERSETTINGS_SHIMOPTION: Element =
    element("shimoption", Empty, Recorded("what shim-install does is done in one way"))
        .attributes(&[at("name", Text, Same).required(), at("value", Text, Same)]);

static BOOTLOADER_BOOTLOADERSETTINGS_INSTALLOPTION: Element = element("installoption", Empty, Same)
    .attributes(&[at("name", Text, Same).required(), at("value", Text, Same)]);

static BOOTLOADER_BOOTLOADERSETTINGS_ENVIRONMENT_ENV: Element = element("env", Empty, Same)
    .attributes(&[at("name", Text, Same).required(), at("value", Text, Same).required()]);

static BOOTLOADER_BOOTLOADERSETTINGS_ENVIRONMENT: Element = element("environment", Elements, Same)
    .children(&[(Several, &BOOTLOADER_BOOTLOADERSETTINGS_ENVIRONMENT_ENV)]);

static BOOTLOADER_BOOTLOADERSETTINGS_CONFIGOPTION: Element =
    element("configoption", Empty, Same).attributes(&[
        at("name", Text, Same).required(),
        at("value", Text, Recorded("the option that counts has none")),
    ]);

static BOOTLOADER_BOOTLOADERSETTINGS: Element = element("bootloadersettings", Elements, Same).children(&[
    (Any, &BOOTLOADER_BOOTLOADERSETTINGS_SHIMOPTION),
    (Any, &BOOTLOADER_BOOTLOADERSETTINGS_INSTALLOPTION),
    (Optional, &BOOTLOADER_BOOTLOADERSETTINGS_ENVIRONMENT),
    (Any, &BOOTLOADER_BOOTLOADERSETTINGS_CONFIGOPTION),
]);

static BOOTLOADER_SECURELINUX_HKD_CERT: Element =
    element("hkd_cert", Empty, Same).attributes(&[at("name", Text, Same).required()]);

static BOOTLOADER_SECURELINUX_HKD_REVOCATION_LIST: Element =
    element("hkd_revocation_list", Empty, Same).attributes(&[at("name", Text, Same).required()]);

static BOOTLOADER_SECURELINUX: Element = element("securelinux", Elements, Refused("secure execution"))
    .attributes(&[at("hkd_ca_cert", Text, Same).required(), at("hkd_sign_cert", Text, Same).required()])
    .children(&[
        (Several, &BOOTLOADER_SECURELINUX_HKD_CERT),
        (Any, &BOOTLOADER_SECURELINUX_HKD_REVOCATION_LIST),
    ]);

static BOOTLOADER: Element = element("bootloader", Elements, Same)
    .attributes(&[
        at(
            "name",
            Each(&[
                ("grub2", Same),
                ("grub2_s390x_emu", Refused("GRUB for s390")),
                ("systemd_boot", Same),
                ("custom", Same),
                ("zipl", Refused("loaders for s390")),
            ]),
            Same,
        )
        .required(),
        at("bls", Boolean, Same),
        at("output_console", GrubOutput, Same),
        at("input_console", GrubInput, Same),
        at("serial_line", Text, Same),
        at("video_mode", Text, Same),
        at("timeout", Number, Same),
        at("timeout_style", OneOf(TimeoutStyle::WORDS), Same),
        at("targettype", OneOf(TargetType::WORDS), Refused("disks for s390")),
        at(
            "use_disk_password",
            Boolean,
            Recorded("only a root in LUKS has a passphrase, which cannot be written yet"),
        ),
        at("grub_template", Text, Noted("only GRUB has it")),
    ])
    .children(&[(Optional, &BOOTLOADER_BOOTLOADERSETTINGS), (Any, &BOOTLOADER_SECURELINUX)]);

static CONTAINERCONFIG_ENTRYPOINT_ARGUMENT: Element =
    element("argument", Empty, Same).attributes(&[at("name", Text, Same).required()]);

static CONTAINERCONFIG_ENTRYPOINT: Element = element("entrypoint", Elements, Same)
    .attributes(&[at("execute", Text, Same), at("clear", Boolean, Same)])
    .children(&[(Any, &CONTAINERCONFIG_ENTRYPOINT_ARGUMENT)]);

static CONTAINERCONFIG_SUBCOMMAND_ARGUMENT: Element =
    element("argument", Empty, Same).attributes(&[at("name", Text, Same).required()]);

static CONTAINERCONFIG_SUBCOMMAND: Element = element("subcommand", Elements, Same)
    .attributes(&[at("execute", Text, Same), at("clear", Boolean, Same)])
    .children(&[(Any, &CONTAINERCONFIG_SUBCOMMAND_ARGUMENT)]);

static CONTAINERCONFIG_EXPOSE_PORT: Element =
    element("port", Empty, Same).attributes(&[at("number", Port, Same).required()]);

static CONTAINERCONFIG_EXPOSE: Element =
    element("expose", Elements, Same).children(&[(Several, &CONTAINERCONFIG_EXPOSE_PORT)]);

static CONTAINERCONFIG_VOLUMES_VOLUME: Element = element("volume", Empty, Same).attributes(&[
    at("copy_on_write", Boolean, Same),
    at("quota", PartitionSize, Same),
    at("filesystem_check", Boolean, Same),
    at("freespace", VolumeSize, Same),
    at("mountpoint", Text, Same),
    at("label", Text, Same),
    at("name", Text, Same).required(),
    at("parent", Text, Same),
    at("size", VolumeSize, Same),
    at("arch", Arches, Same),
]);

static CONTAINERCONFIG_VOLUMES: Element =
    element("volumes", Elements, Same).children(&[(Several, &CONTAINERCONFIG_VOLUMES_VOLUME)]);

static CONTAINERCONFIG_STOPSIGNAL: Element = element("stopsignal", Holds(Text), Same);

static CONTAINERCONFIG_ENVIRONMENT_ENV: Element = element("env", Empty, Same)
    .attributes(&[at("name", Text, Same).required(), at("value", Text, Same).required()]);

static CONTAINERCONFIG_ENVIRONMENT: Element =
    element("environment", Elements, Same).children(&[(Several, &CONTAINERCONFIG_ENVIRONMENT_ENV)]);

static CONTAINERCONFIG_LABELS_LABEL: Element = element("label", Empty, Same)
    .attributes(&[at("name", Text, Same).required(), at("value", Text, Same).required()]);

static CONTAINERCONFIG_LABELS: Element =
    element("labels", Elements, Same).children(&[(Several, &CONTAINERCONFIG_LABELS_LABEL)]);

static CONTAINERCONFIG_HISTORY: Element = element("history", Holds(Text), Same).attributes(&[
    at("created_by", Text, Same),
    at("author", Text, Same),
    at("application_id", Text, Same),
    at("package_version", PackageVersion, Same),
    at("launcher", Text, Same),
]);

static CONTAINERCONFIG: Element = element("containerconfig", Elements, Refused("containers"))
    .attributes(&[
        at("name", Text, Same).required(),
        at("tag", Text, Same),
        at("additionalnames", Text, Same),
        at("maintainer", Text, Same),
        at("user", Text, Same),
        at("workingdir", Text, Same),
    ])
    .children(&[
        (Optional, &CONTAINERCONFIG_ENTRYPOINT),
        (Optional, &CONTAINERCONFIG_SUBCOMMAND),
        (Optional, &CONTAINERCONFIG_EXPOSE),
        (Optional, &CONTAINERCONFIG_VOLUMES),
        (Optional, &CONTAINERCONFIG_STOPSIGNAL),
        (Optional, &CONTAINERCONFIG_ENVIRONMENT),
        (Optional, &CONTAINERCONFIG_LABELS),
        (Optional, &CONTAINERCONFIG_HISTORY),
    ]);

static MACHINE_VMCONFIG_ENTRY: Element = element("vmconfig-entry", Holds(Text), Same);

static MACHINE_VMDISK: Element = element("vmdisk", Empty, Same).attributes(&[
    at("disktype", Text, Same),
    at("controller", OneOf(DiskController::WORDS), Same),
    at("id", Number, Same),
    at("device", Text, Same),
    at("diskmode", OneOf(DiskMode::WORDS), Same),
]);

static MACHINE_VMDVD: Element = element("vmdvd", Empty, Same).attributes(&[
    at("controller", OneOf(DvdController::WORDS), Same).required(),
    at("id", Number, Same).required(),
]);

static MACHINE_VMNIC: Element = element("vmnic", Empty, Same).attributes(&[
    at("driver", Text, Same),
    at("interface", Text, Same).required(),
    at("mode", Text, Same),
    at("mac", Mac, Same),
]);

static MACHINE: Element =
    element("machine", Elements, Noted("only descriptions of virtual machines (vmx, ova) use it"))
        .attributes(&[
            at("min_memory", Number, Same),
            at("max_memory", Number, Same),
            at("min_cpu", Number, Same),
            at("max_cpu", Number, Same),
            at("ovftype", OneOf(OvfType::WORDS), Same),
            at("HWversion", Integer, Same),
            at("arch", OneOf(GuestArch::WORDS), Same),
            at("xen_loader", OneOf(XenLoader::WORDS), Same),
            at("guestOS", Text, Same),
            at("memory", Number, Same),
            at("ncpus", Number, Same),
        ])
        .children(&[
            (Any, &MACHINE_VMCONFIG_ENTRY),
            (Optional, &MACHINE_VMDISK),
            (Optional, &MACHINE_VMDVD),
            (Any, &MACHINE_VMNIC),
        ]);

static OEMCONFIG_OEM_BOOT_TITLE: Element =
    element("oem-boot-title", Holds(Text), Recorded("only install media use it"));

static OEMCONFIG_OEM_BOOTWAIT: Element =
    element("oem-bootwait", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_RESIZE: Element = element("oem-resize", Holds(Boolean), Same);

static OEMCONFIG_OEM_RESIZE_ONCE: Element = element("oem-resize-once", Holds(Boolean), Same);

static OEMCONFIG_OEM_RAMDISK_SIZE: Element =
    element("oem-ramdisk-size", Holds(Text), Recorded("only install media use it"));

static OEMCONFIG_OEM_DEVICE_FILTER: Element =
    element("oem-device-filter", Holds(Text), Recorded("only install media use it"));

static OEMCONFIG_OEM_NIC_FILTER: Element =
    element("oem-nic-filter", Holds(Text), Recorded("only install media use it"));

static OEMCONFIG_OEM_INPLACE_RECOVERY: Element =
    element("oem-inplace-recovery", Holds(Boolean), Off("a recovery archive"));

static OEMCONFIG_OEM_KIWI_INITRD: Element =
    element("oem-kiwi-initrd", Holds(Boolean), Off("a custom initrd"));

static OEMCONFIG_OEM_MULTIPATH_SCAN: Element = element(
    "oem-multipath-scan",
    Holds(Boolean),
    Noted("it goes into an initrd, and the tree's own is taken as it is"),
);

static OEMCONFIG_OEM_VMCP_PARMFILE: Element =
    element("oem-vmcp-parmfile", Holds(Text), Recorded("only install media use it"));

static OEMCONFIG_OEM_PARTITION_INSTALL: Element =
    element("oem-partition-install", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_REBOOT: Element =
    element("oem-reboot", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_REBOOT_INTERACTIVE: Element =
    element("oem-reboot-interactive", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_RECOVERY: Element = element("oem-recovery", Holds(Boolean), Off("a recovery archive"));

static OEMCONFIG_OEM_RECOVERYID: Element =
    element("oem-recoveryID", Holds(Number), Recorded("only a recovery archive has it"));

static OEMCONFIG_OEM_RECOVERY_PART_SIZE: Element =
    element("oem-recovery-part-size", Holds(Number), Recorded("only a recovery archive has it"));

static OEMCONFIG_OEM_SHUTDOWN: Element =
    element("oem-shutdown", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_SHUTDOWN_INTERACTIVE: Element =
    element("oem-shutdown-interactive", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_SILENT_BOOT: Element = element(
    "oem-silent-boot",
    Holds(Boolean),
    Noted("it goes into an initrd, and the tree's own is taken as it is"),
);

static OEMCONFIG_OEM_SILENT_INSTALL: Element =
    element("oem-silent-install", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_SILENT_VERIFY: Element =
    element("oem-silent-verify", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_SKIP_VERIFY: Element =
    element("oem-skip-verify", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_SWAP: Element = element("oem-swap", Holds(Boolean), Same);

static OEMCONFIG_OEM_SWAPSIZE: Element = element("oem-swapsize", Holds(Number), Same);

static OEMCONFIG_OEM_SWAPNAME: Element =
    element("oem-swapname", Holds(Text), Recorded("only volumes of LVM have it"));

static OEMCONFIG_OEM_SYSTEMSIZE: Element = element("oem-systemsize", Holds(Number), Same);

static OEMCONFIG_OEM_UNATTENDED: Element =
    element("oem-unattended", Holds(Boolean), Recorded("only install media use it"));

static OEMCONFIG_OEM_UNATTENDED_ID: Element =
    element("oem-unattended-id", Holds(Text), Recorded("only install media use it"));

static OEMCONFIG: Element = element("oemconfig", Elements, Same).children(&[
    (Optional, &OEMCONFIG_OEM_BOOT_TITLE),
    (Optional, &OEMCONFIG_OEM_BOOTWAIT),
    (Optional, &OEMCONFIG_OEM_RESIZE),
    (Optional, &OEMCONFIG_OEM_RESIZE_ONCE),
    (Optional, &OEMCONFIG_OEM_RAMDISK_SIZE),
    (Optional, &OEMCONFIG_OEM_DEVICE_FILTER),
    (Optional, &OEMCONFIG_OEM_NIC_FILTER),
    (Optional, &OEMCONFIG_OEM_INPLACE_RECOVERY),
    (Optional, &OEMCONFIG_OEM_KIWI_INITRD),
    (Optional, &OEMCONFIG_OEM_MULTIPATH_SCAN),
    (Optional, &OEMCONFIG_OEM_VMCP_PARMFILE),
    (Optional, &OEMCONFIG_OEM_PARTITION_INSTALL),
    (Optional, &OEMCONFIG_OEM_REBOOT),
    (Optional, &OEMCONFIG_OEM_REBOOT_INTERACTIVE),
    (Optional, &OEMCONFIG_OEM_RECOVERY),
    (Optional, &OEMCONFIG_OEM_RECOVERYID),
    (Optional, &OEMCONFIG_OEM_RECOVERY_PART_SIZE),
    (Optional, &OEMCONFIG_OEM_SHUTDOWN),
    (Optional, &OEMCONFIG_OEM_SHUTDOWN_INTERACTIVE),
    (Optional, &OEMCONFIG_OEM_SILENT_BOOT),
    (Optional, &OEMCONFIG_OEM_SILENT_INSTALL),
    (Optional, &OEMCONFIG_OEM_SILENT_VERIFY),
    (Optional, &OEMCONFIG_OEM_SKIP_VERIFY),
    (Optional, &OEMCONFIG_OEM_SWAP),
    (Optional, &OEMCONFIG_OEM_SWAPSIZE),
    (Optional, &OEMCONFIG_OEM_SWAPNAME),
    (Optional, &OEMCONFIG_OEM_SYSTEMSIZE),
    (Optional, &OEMCONFIG_OEM_UNATTENDED),
    (Optional, &OEMCONFIG_OEM_UNATTENDED_ID),
]);

static SIZE: Element = element("size", Holds(Number), Same).attributes(&[
    at("unit", OneOf(SizeUnit::WORDS), Same),
    at("unpartitioned", Number, Same),
    at("additive", Boolean, Same),
]);

static SYSTEMDISK_VOLUME: Element = element("volume", Empty, Same).attributes(&[
    at("copy_on_write", Boolean, Same),
    at("quota", PartitionSize, Same),
    at("filesystem_check", Boolean, Same),
    at("freespace", VolumeSize, Same),
    at("mountpoint", Text, Same),
    at("label", Text, Same),
    at("name", Text, Same).required(),
    at("parent", Text, Same),
    at("size", VolumeSize, Same),
    at("arch", Arches, Same),
]);

static SYSTEMDISK: Element = element("systemdisk", Elements, Refused("volumes (LVM, btrfs)"))
    .attributes(&[at("name", Text, Same), at("preferlvm", Boolean, Same)])
    .children(&[(Any, &SYSTEMDISK_VOLUME)]);

static PARTITIONS_PARTITION: Element = element("partition", Empty, Same).attributes(&[
    at("part_id", Digits, Same),
    at("name", Text, Same).required(),
    at("size", PartitionSize, Same).required(),
    at("partition_name", ShortName, Same),
    at("partition_type", OneOf(PartitionType::WORDS), Same),
    at("mountpoint", Text, Same),
    at(
        "filesystem",
        Each(&[
            ("btrfs", Written),
            ("ext2", Written),
            ("ext3", Written),
            ("ext4", Written),
            ("squashfs", Written),
            ("xfs", Written),
            ("fat32", Written),
            ("fat16", Written),
        ]),
        Same,
    ),
    at("label", Text, Same),
    at("clone", Digits, Same),
]);

static PARTITIONS: Element =
    element("partitions", Elements, Same).children(&[(Several, &PARTITIONS_PARTITION)]);

static VAGRANTCONFIG: Element = element("vagrantconfig", Empty, Refused("vagrant boxes")).attributes(&[
    at("provider", OneOf(VagrantProvider::WORDS), Same).required(),
    at("virtualsize", Number, Same).required(),
    at("boxname", Text, Same),
    at("virtualbox_guest_additions_present", Boolean, Same),
    at("embedded_vagrantfile", Text, Same),
]);

static INSTALLMEDIA_INITRD_DRACUT: Element = element("dracut", Empty, Same).attributes(&[
    at("module", Text, Same),
    at("driver", Text, Same),
    at("uefi", Boolean, Same),
]);

static INSTALLMEDIA_INITRD: Element = element("initrd", Elements, Same)
    .attributes(&[at("action", OneOf(InitrdAction::WORDS), Same).required()])
    .children(&[(Any, &INSTALLMEDIA_INITRD_DRACUT)]);

static INSTALLMEDIA: Element = element("installmedia", Elements, Noted("only install media use it"))
    .children(&[(Any, &INSTALLMEDIA_INITRD)]);

static INITRD_DRACUT: Element = element("dracut", Empty, Same).attributes(&[
    at("module", Text, Same),
    at("driver", Text, Same),
    at("uefi", Boolean, Same),
]);

static INITRD: Element = element("initrd", Elements, Refused("changing the initrd"))
    .attributes(&[at("action", OneOf(InitrdAction::WORDS), Same).required()])
    .children(&[(Any, &INITRD_DRACUT)]);

static LUKSFORMAT_OPTION: Element =
    element("option", Empty, Same).attributes(&[at("name", Text, Same).required(), at("value", Text, Same)]);

static LUKSFORMAT: Element =
    element("luksformat", Elements, Refused("encryption")).children(&[(Several, &LUKSFORMAT_OPTION)]);

pub(in super::super) static TYPE: Element = element("type", Elements, Same)
    .attributes(&[
        at("archive", Boolean, Refused("images for network boot")).only("kis"),
        at("eficsmpart_id", Digits, Same).only("oem"),
        at("efipart_id", Digits, Same).only("oem"),
        at("rootpart_id", Digits, Same).only("oem"),
        at("bootpart_id", Digits, Same).only("oem"),
        at("boot", Text, Refused("a custom initrd")).only("oem pxe"),
        at(
            "bootfilesystem",
            Each(&[
                ("btrfs", Written),
                ("ext2", Written),
                ("ext3", Written),
                ("ext4", Written),
                ("xfs", Written),
                ("fat32", Written),
                ("fat16", Written),
            ]),
            Same,
        )
        .only("oem"),
        at("firmware", OneOf(Firmware::WORDS), Same).only("oem pxe iso"),
        at("bootkernel", Text, Refused("a custom initrd")),
        at("bootpartition", Boolean, Same).only("oem"),
        at("bootpartsize", Number, Same).only("oem"),
        at("efipartsize", Number, Same).only("oem"),
        at("efimountoptions", Text, Same).only("oem"),
        at("efifatimagesize", Number, Recorded("only install media use it")).only("oem iso"),
        at("eficsm", Boolean, Same).only("oem iso"),
        at("efiparttable", OneOf(EfiPartTable::WORDS), Same).only("oem iso"),
        at("dosparttable_extended_layout", Boolean, Same).only("oem"),
        at("bootprofile", Text, Refused("a custom initrd")).only("oem iso pxe cpio"),
        at("btrfs_quota_groups", Boolean, Refused("btrfs")).only("oem"),
        at("btrfs_root_is_snapper_snapshot", Boolean, Refused("btrfs")).only("oem"),
        at("btrfs_root_is_subvolume", Boolean, Refused("btrfs")).only("oem"),
        at("btrfs_set_default_volume", Boolean, Refused("btrfs")).only("oem"),
        at("btrfs_root_is_readonly_snapshot", Boolean, Refused("btrfs")).only("oem"),
        at("compressed", Boolean, Refused("images for network boot")).only("pxe kis"),
        at("devicepersistency", OneOf(DevicePersistency::WORDS), Same),
        at("editbootconfig", Text, Same).only("oem iso"),
        at("editbootinstall", Text, Same).only("oem"),
        at(
            "filesystem",
            Each(&[
                ("btrfs", Written),
                ("ext2", Written),
                ("ext3", Written),
                ("ext4", Written),
                ("squashfs", Written),
                ("erofs", Written),
                ("xfs", Written),
            ]),
            Same,
        )
        .only("oem pxe kis iso"),
        at("flags", OneOf(LiveFlags::WORDS), Refused("live media")).only("iso"),
        at("enclave_format", OneOf(EnclaveFormat::WORDS), Refused("enclaves")).only("enclave"),
        at(
            "format",
            DiskFormat(&[
                ("raw", Written),
                ("gce", Written),
                ("ova", Written),
                ("qcow2", Written),
                ("vagrant", Written),
                ("vmdk", Written),
                ("vdi", Written),
                ("vhd", Written),
                ("vhdx", Written),
                ("vhd-fixed", Written),
            ]),
            Same,
        )
        .only("oem"),
        at("formatoptions", Text, Same).only("oem"),
        at("fsmountoptions", Text, Same),
        at("fscreateoptions", Text, Same),
        at("squashfscompression", OneOf(SquashfsCompression::WORDS), Refused("squashfs"))
            .only("oem pxe kis iso squashfs"),
        at("erofscompression", Text, Refused("erofs")).only("oem pxe kis iso erofs"),
        at("gcelicense", Text, Refused("images for GCE")).only("oem"),
        at("hybridpersistent", Boolean, Refused("live media")).only("iso pxe"),
        at("hybridpersistent_filesystem", OneOf(PersistentFilesystem::WORDS), Refused("live media"))
            .only("iso pxe"),
        at("gpt_hybrid_mbr", Boolean, Same).only("oem iso"),
        at("force_mbr", Boolean, Same).only("oem"),
        at("apply_dps_codes", Boolean, Same).only("oem"),
        at(
            "initrd_system",
            Each(&[("kiwi", Refused("custom initrds")), ("dracut", Same), ("none", Same)]),
            Same,
        )
        .only("oem pxe kis"),
        at(
            "image",
            Each(&[
                ("btrfs", Written),
                ("cpio", Refused("archives")),
                ("docker", Refused("containers")),
                ("ext2", Written),
                ("ext3", Written),
                ("ext4", Written),
                ("iso", Refused("live media")),
                ("oem", Same),
                ("pxe", Refused("images for network boot")),
                ("kis", Refused("images for network boot")),
                ("squashfs", Written),
                ("erofs", Written),
                ("tbz", Refused("archives")),
                ("xfs", Written),
                ("oci", Refused("containers")),
                ("appx", Refused("containers")),
                ("enclave", Refused("enclaves")),
                ("wsl", Refused("containers")),
            ]),
            Same,
        )
        .required(),
        at("metadata_path", Text, Refused("containers")).only("appx"),
        at("installboot", OneOf(InstallBoot::WORDS), Recorded("only install media use it")).only("oem"),
        at("install_continue_on_timeout", Boolean, Recorded("only install media use it")).only("oem"),
        at("installprovidefailsafe", Boolean, Recorded("only install media use it")).only("oem"),
        at("installiso", Boolean, Off("install media")).only("oem"),
        at("installstick", Boolean, Off("install media")).only("oem"),
        at("installpxe", Boolean, Off("install media")).only("oem"),
        at("mediacheck", Boolean, Refused("live media")).only("iso"),
        at("kernelcmdline", Text, Same).only("oem iso pxe kis enclave"),
        at("luks", Text, Refused("encryption")).only("oem iso pxe kis"),
        at("luks_version", OneOf(LuksVersion::WORDS), Refused("encryption")),
        at("luksOS", OneOf(LuksOs::WORDS), Refused("encryption")).only("oem iso pxe kis"),
        at("luks_randomize", Boolean, Refused("encryption")),
        at("luks_pbkdf", OneOf(LuksPbkdf::WORDS), Refused("encryption")).only("oem iso pxe kis"),
        at("mdraid", OneOf(MdRaid::WORDS), Refused("RAID")).only("oem"),
        at("overlayroot", Boolean, Off("an overlay root")).only("oem"),
        at("overlayroot_write_partition", Boolean, Refused("an overlay root")).only("oem"),
        at("overlayroot_readonly_filesystem", OneOf(OverlayFilesystem::WORDS), Refused("an overlay root"))
            .only("oem"),
        at("overlayroot_readonly_partsize", Number, Refused("an overlay root")).only("oem"),
        at("overlayroot_readonly_createoptions", Text, Refused("an overlay root")),
        at("verity_blocks", Blocks, Refused("dm-verity")).only("oem iso"),
        at("embed_verity_metadata", Boolean, Off("dm-verity")).only("oem"),
        at("standalone_integrity", Boolean, Off("dm-integrity")).only("oem"),
        at("embed_integrity_metadata", Boolean, Off("dm-integrity")).only("oem"),
        at("integrity_legacy_hmac", Boolean, Off("dm-integrity")).only("oem"),
        at("integrity_metadata_key_description", Text, Refused("dm-integrity")).only("oem"),
        at("integrity_keyfile", Text, Refused("dm-integrity")).only("oem"),
        at("primary", Boolean, Same),
        at("ramonly", Boolean, Off("an overlay root")).only("oem"),
        at("rootfs_label", Text, Same).only("oem pxe kis docker"),
        at("spare_part", PartitionSize, Same).only("oem"),
        at("spare_part_mountpoint", Text, Same).only("oem"),
        at(
            "spare_part_fs",
            Each(&[
                ("btrfs", Written),
                ("ext2", Written),
                ("ext3", Written),
                ("ext4", Written),
                ("xfs", Written),
            ]),
            Same,
        )
        .only("oem"),
        at("spare_part_fs_attributes", FsAttributes, Refused("attributes of files")).only("oem"),
        at("spare_part_is_last", Boolean, Same).only("oem"),
        at("target_blocksize", Number, Same).only("oem kis"),
        at(
            "target_removable",
            Boolean,
            Recorded("loaders are always put where firmware looks that remembers nothing"),
        )
        .only("oem"),
        at("selinux_policy", OneOf(SelinuxPolicy::WORDS), Refused("SELinux labels")),
        at("vhdfixedtag", Guid, Refused("fixed VHD")).only("oem"),
        at("volid", ShortName, Recorded("only install media use it")).only("iso oem"),
        at("application_id", IsoText, Recorded("only install media use it")).only("iso oem"),
        at(
            "wwid_wait_timeout",
            Number,
            Noted("it goes into an initrd, and the tree's own is taken as it is"),
        )
        .only("oem"),
        at("derived_from", Text, Refused("containers")).only("docker oci oem"),
        at("delta_root", Boolean, Refused("containers")).only("docker oci"),
        at("provide_system_files", Boolean, Refused("containers")).only("docker oci"),
        at("require_system_files", Boolean, Refused("containers")).only("docker oci"),
        at("ensure_empty_tmpdirs", Boolean, Refused("containers")).only("docker oci"),
        at("xen_server", Boolean, Off("Xen")).only("oem"),
        at("publisher", IsoText, Refused("live media")).only("iso"),
        at("disk_start_sector", StartSector, Same).only("oem"),
        at("root_clone", Digits, Same).only("oem"),
        at("boot_clone", Digits, Same).only("oem"),
        at("bundle_format", Text, Recorded("it renames the results of a bundle")),
    ])
    .children(&[
        (Optional, &BOOTLOADER),
        (Optional, &CONTAINERCONFIG),
        (Optional, &MACHINE),
        (Optional, &OEMCONFIG),
        (Optional, &SIZE),
        (Optional, &SYSTEMDISK),
        (Optional, &PARTITIONS),
        (Any, &VAGRANTCONFIG),
        (Optional, &INSTALLMEDIA),
        (Any, &INITRD),
        (Optional, &LUKSFORMAT),
    ]);
