//! What KIWI's schema knows, and what becomes of it here. Nothing is ignored in silence: what is in no table is unknown.

/// What becomes of an attribute or an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stance {
    /// It is read, or changes no image here and none in KIWI (meta data, what only an installer would use).
    Read,
    /// It is known and changes nothing here; why. A warning.
    Idle(&'static str),
    /// It may be false or 0. Otherwise it is not supported yet.
    Off,
    /// It is not supported yet; what that is.
    Missing(&'static str),
}

use Stance::{Idle, Missing, Off, Read};

/// What an element may have.
pub(super) struct Schema {
    pub(super) attributes: &'static [(&'static str, Stance)],
    pub(super) children: &'static [(&'static str, Stance, Option<&'static Schema>)],
}

/// Only text.
const TEXT: &Schema = &Schema { attributes: &[], children: &[] };

const fn attributes(attributes: &'static [(&'static str, Stance)]) -> Schema {
    Schema { attributes, children: &[] }
}

/// `image`. A child without a schema is looked into by whoever reads it.
pub(super) const IMAGE: &Schema = &Schema {
    attributes: &[("name", Read), ("displayname", Read), ("id", Read), ("schemaversion", Read)],
    children: &[
        ("include", Missing("including another file"), None),
        ("certificates", Read, None),
        ("description", Read, Some(DESCRIPTION)),
        ("preferences", Read, None),
        ("profiles", Read, Some(PROFILES)),
        ("users", Read, Some(USERS)),
        ("drivers", Idle("only custom initrds use it"), None),
        ("strip", Idle("only custom initrds use it"), None),
        ("repository", Read, Some(REPOSITORY)),
        ("containers", Read, None),
        ("packages", Read, Some(PACKAGES)),
        ("extension", Read, None),
    ],
};

const DESCRIPTION: &Schema = &Schema {
    attributes: &[("type", Read)],
    children: &[
        ("author", Read, Some(TEXT)),
        ("contact", Read, Some(TEXT)),
        ("specification", Read, Some(TEXT)),
        ("license", Read, Some(TEXT)),
    ],
};

const PROFILES: &Schema = &Schema { attributes: &[], children: &[("profile", Read, Some(PROFILE))] };

const PROFILE: &Schema = &Schema {
    attributes: &[("name", Read), ("description", Read), ("import", Read), ("arch", Read)],
    children: &[("requires", Read, Some(&attributes(&[("profile", Read), ("arch", Read)])))],
};

const USERS: &Schema =
    &Schema { attributes: &[("profiles", Read), ("arch", Read)], children: &[("user", Read, Some(USER))] };

const USER: &Schema = &attributes(&[
    ("name", Read),
    ("password", Read),
    ("pwdformat", Read),
    ("groups", Read),
    ("id", Read),
    ("home", Read),
    ("realname", Read),
    ("shell", Read),
]);

const REPOSITORY: &Schema = &Schema {
    attributes: &[
        ("type", Read),
        ("profiles", Read),
        ("arch", Read),
        ("alias", Read),
        ("components", Read),
        ("distribution", Read),
        ("architectures", Read),
        ("imageinclude", Read),
        ("imageonly", Read),
        ("use_for_bootstrap", Read),
        ("repository_gpgcheck", Read),
        ("package_gpgcheck", Read),
        ("customize", Read),
        ("priority", Read),
        ("username", Read),
        ("password", Read),
        ("sourcetype", Read),
    ],
    children: &[("source", Read, Some(SOURCE))],
};

const SOURCE: &Schema = &Schema {
    attributes: &[("path", Read)],
    children: &[("signing", Read, Some(&attributes(&[("key", Read)])))],
};

const NAME_AND_ARCH: &Schema = &attributes(&[("name", Read), ("arch", Read)]);

const PACKAGES: &Schema = &Schema {
    attributes: &[
        ("type", Read),
        ("profiles", Read),
        ("arch", Read),
        ("patternType", Read),
        ("bootstrap_package", Read),
    ],
    children: &[
        (
            "package",
            Read,
            Some(&attributes(&[("name", Read), ("arch", Read), ("bootinclude", Read), ("bootdelete", Read)])),
        ),
        ("namedCollection", Read, Some(NAME_AND_ARCH)),
        (
            "collectionModule",
            Read,
            Some(&attributes(&[("name", Read), ("stream", Read), ("enable", Read), ("arch", Read)])),
        ),
        ("product", Read, Some(NAME_AND_ARCH)),
        ("ignore", Read, Some(NAME_AND_ARCH)),
        ("archive", Read, Some(&attributes(&[("name", Read), ("bootinclude", Read), ("target_dir", Read)]))),
        (
            "file",
            Read,
            Some(&attributes(&[
                ("name", Read),
                ("target", Read),
                ("owner", Read),
                ("permissions", Read),
                ("arch", Read),
            ])),
        ),
    ],
};

/// `preferences`.
pub(super) const PREFERENCES: &Schema = &Schema {
    attributes: &[("profiles", Read), ("arch", Read)],
    children: &[
        ("version", Read, Some(TEXT)),
        ("packagemanager", Read, Some(TEXT)),
        ("release-version", Read, Some(TEXT)),
        ("locale", Read, Some(TEXT)),
        ("keytable", Read, Some(TEXT)),
        ("timezone", Read, Some(TEXT)),
        ("rpm-locale-filtering", Read, Some(TEXT)),
        ("rpm-check-signatures", Read, Some(TEXT)),
        ("rpm-excludedocs", Read, Some(TEXT)),
        ("bootsplash-theme", Read, Some(TEXT)),
        ("bootloader-theme", Idle("only GRUB has themes"), Some(TEXT)),
        ("showlicense", Read, Some(TEXT)),
        ("type", Read, None),
    ],
};

/// Children of `preferences` that change a tree when it is prepared.
pub(super) const PREPARED: &[&str] = &["locale", "keytable", "timezone", "bootsplash-theme"];

/// `type image="oem"`.
pub(super) const OEM: &Schema = &Schema {
    attributes: &[
        ("image", Read),
        ("primary", Read),
        ("boot", Missing("a custom initrd")),
        ("bootkernel", Missing("a custom initrd")),
        ("bootprofile", Missing("a custom initrd")),
        ("initrd_system", Read),
        ("filesystem", Read),
        ("fscreateoptions", Read),
        ("fsmountoptions", Read),
        ("rootfs_label", Read),
        ("squashfscompression", Missing("squashfs")),
        ("erofscompression", Missing("erofs")),
        ("btrfs_root_is_subvolume", Missing("btrfs")),
        ("btrfs_set_default_volume", Missing("btrfs")),
        ("btrfs_root_is_snapshot", Missing("btrfs")),
        ("btrfs_root_is_snapper_snapshot", Missing("btrfs")),
        ("btrfs_root_is_readonly_snapshot", Missing("btrfs")),
        ("btrfs_quota_groups", Missing("btrfs")),
        ("firmware", Read),
        ("efiparttable", Read),
        ("eficsm", Read),
        ("efipartsize", Read),
        ("efifatimagesize", Read),
        ("efimountoptions", Missing("mount options of the EFI system partition")),
        ("bootpartition", Off),
        ("bootpartsize", Read),
        ("bootfilesystem", Read),
        ("root_clone", Off),
        ("boot_clone", Off),
        ("eficsmpart_id", Missing("a chosen partition number")),
        ("efipart_id", Missing("a chosen partition number")),
        ("rootpart_id", Missing("a chosen partition number")),
        ("bootpart_id", Missing("a chosen partition number")),
        ("spare_part", Missing("a spare partition")),
        ("spare_part_mountpoint", Missing("a spare partition")),
        ("spare_part_fs", Missing("a spare partition")),
        ("spare_part_fs_attributes", Missing("a spare partition")),
        ("spare_part_is_last", Off),
        ("disk_start_sector", Read),
        ("dosparttable_extended_layout", Off),
        ("gpt_hybrid_mbr", Off),
        ("force_mbr", Off),
        ("target_blocksize", Read),
        ("target_removable", Read),
        ("devicepersistency", Read),
        ("apply_dps_codes", Read),
        ("luks", Missing("encryption")),
        ("luks_version", Missing("encryption")),
        ("luks_pbkdf", Missing("encryption")),
        ("luks_randomize", Missing("encryption")),
        ("luksOS", Missing("encryption")),
        ("mdraid", Missing("RAID")),
        ("overlayroot", Off),
        ("overlayroot_readonly_filesystem", Missing("an overlay root")),
        ("overlayroot_readonly_createoptions", Missing("an overlay root")),
        ("overlayroot_readonly_partsize", Missing("an overlay root")),
        ("overlayroot_write_partition", Missing("an overlay root")),
        ("verity_blocks", Missing("dm-verity")),
        ("embed_verity_metadata", Off),
        ("standalone_integrity", Off),
        ("embed_integrity_metadata", Off),
        ("integrity_legacy_hmac", Off),
        ("integrity_keyfile", Missing("dm-integrity")),
        ("integrity_metadata_key_description", Missing("dm-integrity")),
        ("format", Read),
        ("formatoptions", Read),
        ("vhdfixedtag", Missing("fixed VHD")),
        ("gcelicense", Missing("images for GCE")),
        ("bundle_format", Read),
        ("kernelcmdline", Read),
        ("editbootconfig", Missing("a hook script")),
        ("editbootinstall", Missing("a hook script")),
        ("selinux_policy", Missing("SELinux labels")),
        ("wwid_wait_timeout", Idle("it goes into an initrd, and the tree's own is taken as it is")),
        ("ramonly", Off),
        ("xen_server", Off),
        ("installiso", Off),
        ("installstick", Off),
        ("installpxe", Off),
        ("installboot", Read),
        ("installprovidefailsafe", Read),
        ("install_continue_on_timeout", Read),
        ("volid", Read),
        ("application_id", Read),
        ("derived_from", Missing("containers")),
        ("vga", Idle("KIWI dropped it in schema 8.5")),
    ],
    children: &[
        ("bootloader", Read, Some(BOOTLOADER)),
        ("containerconfig", Missing("containers"), None),
        ("machine", Idle("only descriptions of virtual machines (vmx, ova) use it"), None),
        ("oemconfig", Read, Some(OEMCONFIG)),
        ("size", Read, Some(SIZE)),
        ("systemdisk", Missing("volumes (LVM, btrfs)"), None),
        ("partitions", Read, Some(PARTITIONS)),
        ("vagrantconfig", Missing("vagrant boxes"), None),
        ("installmedia", Idle("only install media use it"), None),
        ("initrd", Missing("changing the initrd"), None),
        ("luksformat", Missing("encryption"), None),
    ],
};

/// `type` with the name of a file system as its image.
pub(super) const BARE: &Schema = &Schema {
    attributes: &[("image", Read), ("primary", Read), ("fscreateoptions", Read), ("bundle_format", Read)],
    children: &[("size", Read, Some(SIZE))],
};

const BOOTLOADER: &Schema = &Schema {
    attributes: &[
        ("name", Read),
        ("timeout", Read),
        ("timeout_style", Idle("only GRUB has it")),
        ("bls", Idle("only GRUB has it")),
        ("console", Idle("only GRUB has it")),
        ("output_console", Idle("only GRUB has it")),
        ("input_console", Idle("only GRUB has it")),
        ("serial_line", Idle("only GRUB has it")),
        ("video_mode", Idle("only GRUB has it")),
        ("grub_template", Idle("only GRUB has it")),
        ("targettype", Missing("disks for s390")),
        ("use_disk_password", Off),
    ],
    children: &[
        ("bootloadersettings", Missing("settings of a loader's installer"), None),
        ("securelinux", Missing("secure execution"), None),
    ],
};

const SIZE: &Schema = &attributes(&[("unit", Read), ("additive", Read), ("unpartitioned", Read)]);

const PARTITIONS: &Schema = &Schema { attributes: &[], children: &[("partition", Read, Some(PARTITION))] };

const PARTITION: &Schema = &attributes(&[
    ("name", Read),
    ("size", Read),
    ("partition_name", Read),
    ("partition_type", Read),
    ("mountpoint", Read),
    ("filesystem", Read),
    ("label", Read),
    ("clone", Off),
    ("part_id", Missing("a chosen partition number")),
]);

const INITRD: Stance = Idle("it goes into an initrd, and the tree's own is taken as it is");

const OEMCONFIG: &Schema = &Schema {
    attributes: &[],
    children: &[
        ("oem-resize", Read, Some(TEXT)),
        ("oem-resize-once", INITRD, Some(TEXT)),
        ("oem-swap", Off, Some(TEXT)),
        ("oem-swapsize", Read, Some(TEXT)),
        ("oem-swapname", Read, Some(TEXT)),
        ("oem-systemsize", Read, Some(TEXT)),
        ("oem-recovery", Off, Some(TEXT)),
        ("oem-recoveryID", Read, Some(TEXT)),
        ("oem-recovery-part-size", Read, Some(TEXT)),
        ("oem-inplace-recovery", Off, Some(TEXT)),
        ("oem-multipath-scan", INITRD, Some(TEXT)),
        ("oem-kiwi-initrd", Off, Some(TEXT)),
        ("oem-device-filter", Read, Some(TEXT)),
        ("oem-nic-filter", Read, Some(TEXT)),
        ("oem-unattended", Read, Some(TEXT)),
        ("oem-unattended-id", Read, Some(TEXT)),
        ("oem-skip-verify", Read, Some(TEXT)),
        ("oem-silent-verify", Read, Some(TEXT)),
        ("oem-silent-install", Read, Some(TEXT)),
        ("oem-silent-boot", INITRD, Some(TEXT)),
        ("oem-bootwait", Read, Some(TEXT)),
        ("oem-reboot", Read, Some(TEXT)),
        ("oem-reboot-interactive", Read, Some(TEXT)),
        ("oem-shutdown", Read, Some(TEXT)),
        ("oem-shutdown-interactive", Read, Some(TEXT)),
        ("oem-boot-title", Read, Some(TEXT)),
        ("oem-partition-install", Read, Some(TEXT)),
        ("oem-ramdisk-size", Read, Some(TEXT)),
        ("oem-vmcp-parmfile", Read, Some(TEXT)),
    ],
};

/// All values of `image`.
pub(super) const IMAGE_TYPES: &[&str] = &[
    "oem", "ext2", "ext3", "ext4", "btrfs", "squashfs", "erofs", "xfs", "iso", "pxe", "kis", "docker", "oci",
    "appx", "wsl", "enclave", "cpio", "tbz",
];

/// The values of `image` that are bare file systems.
pub(super) const BARE_TYPES: &[&str] = &["ext2", "ext3", "ext4", "btrfs", "squashfs", "erofs", "xfs"];

/// All values of `filesystem` in `type image="oem"`.
pub(super) const ROOT_FILESYSTEMS: &[&str] = &["ext4", "ext2", "ext3", "btrfs", "xfs", "squashfs", "erofs"];

/// All values of `filesystem` in `partition`.
pub(super) const PARTITION_FILESYSTEMS: &[&str] =
    &["ext4", "ext2", "ext3", "btrfs", "xfs", "squashfs", "fat16", "fat32"];

/// All values of `format`; `raw` is what no format means.
pub(super) const FORMATS: &[&str] =
    &["raw", "qcow2", "gce", "ova", "vagrant", "vmdk", "vdi", "vhd", "vhdx", "vhd-fixed"];

/// All values of `bootloader@name`.
pub(super) const LOADERS: &[&str] = &["systemd_boot", "custom", "grub2", "grub2_s390x_emu", "zipl"];

/// All values of `firmware`.
pub(super) const FIRMWARES: &[&str] = &["uefi", "efi", "bios", "ec2", "ofw", "opal", "custom"];

/// KIWI refuses partition names that occur in this text (its rule tests for substrings).
pub(super) const RESERVED_PARTITIONS: &str = "root readonly boot prep spare swap efi_csm efi";
