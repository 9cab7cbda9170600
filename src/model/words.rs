//! The closed vocabularies of KIWI's schema (8.5): each word that an attribute or a text may be, once. The schema's table
//! takes its lists from here.

use super::lexical::Lexical;
use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// A text that is no word of a vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoWord;

impl fmt::Display for NoWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no word of this list")
    }
}

impl std::error::Error for NoWord {}

/// Enums of words: all of them in KIWI's order, and from and into their texts.
macro_rules! vocabulary {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* $(,)? })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $(#[doc = concat!("`", $word, "`")] $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$variant),*];
            /// Their words, in the same order.
            pub const WORDS: &'static [&'static str] = &[$($word),*];

            /// The word.
            pub const fn name(self) -> &'static str {
                match self {
                    $($name::$variant => $word,)*
                }
            }
        }

        impl FromStr for $name {
            type Err = NoWord;

            fn from_str(text: &str) -> Result<$name, NoWord> {
                match text {
                    $($word => Ok($name::$variant),)*
                    _ => Err(NoWord),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl Lexical for $name {
            fn of(text: &str) -> Option<$name> {
                text.parse().ok()
            }

            fn canonical(&self) -> String {
                self.name().to_owned()
            }

            fn words(&self) -> &'static [&'static str] {
                $name::WORDS
            }
        }
    )*};
}

vocabulary! {
    /// A machine that sections of a description are for; KIWI compares with what `uname -m` says.
    Machine {
        X86_64 = "x86_64", I586 = "i586", I686 = "i686", Ix86 = "ix86", Aarch64 = "aarch64", Arm64 = "arm64",
        Amd64 = "amd64", Armv5el = "armv5el", Armv5tel = "armv5tel", Armv6hl = "armv6hl", Armv6l = "armv6l",
        Armv7hl = "armv7hl", Armv7l = "armv7l", Ppc = "ppc", Ppc64 = "ppc64", Ppc64le = "ppc64le", S390 = "s390",
        S390x = "s390x", Riscv64 = "riscv64",
    }

    /// `description@type`
    DescriptionType { Boot = "boot", System = "system" }

    /// `certificates@target_distribution`
    TargetDistribution { Suse = "suse", Redhat = "redhat", Debian = "debian", Archlinux = "archlinux" }

    /// `packagemanager`
    PackageManager {
        Apk = "apk", Apt = "apt", Zypper = "zypper", Dnf4 = "dnf4", Dnf5 = "dnf5", Microdnf = "microdnf",
        Pacman = "pacman",
    }

    /// `user@pwdformat`
    PwdFormat { Encrypted = "encrypted", Plain = "plain" }

    /// `strip@type`
    StripType { Delete = "delete", Tools = "tools", Libs = "libs" }

    /// `repository@type`
    RepositoryType {
        Apk = "apk", AptDeb = "apt-deb", AptRpm = "apt-rpm", DebDir = "deb-dir", Mirrors = "mirrors",
        RpmMd = "rpm-md",
    }

    /// `repository@sourcetype`
    SourceType { Baseurl = "baseurl", Metalink = "metalink", Mirrorlist = "mirrorlist" }

    /// `containers@backend`
    ContainerBackend { Podman = "podman", Docker = "docker", ContainerSnap = "container-snap" }

    /// `packages@type`
    PackagesType {
        Bootstrap = "bootstrap", Delete = "delete", Docker = "docker", Image = "image", Iso = "iso", Oem = "oem",
        Pxe = "pxe", Kis = "kis", Oci = "oci", Uninstall = "uninstall", Systemfiles = "systemfiles",
    }

    /// `packages@patternType`
    PatternType { OnlyRequired = "onlyRequired", PlusRecommended = "plusRecommended" }

    /// `type@image`
    ImageType {
        Btrfs = "btrfs", Cpio = "cpio", Docker = "docker", Ext2 = "ext2", Ext3 = "ext3", Ext4 = "ext4", Iso = "iso",
        Oem = "oem", Pxe = "pxe", Kis = "kis", Squashfs = "squashfs", Erofs = "erofs", Tbz = "tbz", Xfs = "xfs",
        Oci = "oci", Appx = "appx", Enclave = "enclave", Wsl = "wsl",
    }

    /// `type@firmware`
    Firmware {
        Bios = "bios", Ec2 = "ec2", Efi = "efi", Uefi = "uefi", Ofw = "ofw", Opal = "opal", Custom = "custom",
    }

    /// `type@efiparttable`
    EfiPartTable { Msdos = "msdos", Gpt = "gpt" }

    /// `type@devicepersistency`
    DevicePersistency { ByUuid = "by-uuid", ByLabel = "by-label", ByPartuuid = "by-partuuid" }

    /// `type@filesystem`
    RootFilesystem {
        Btrfs = "btrfs", Ext2 = "ext2", Ext3 = "ext3", Ext4 = "ext4", Squashfs = "squashfs", Erofs = "erofs",
        Xfs = "xfs",
    }

    /// `type@bootfilesystem`
    BootFilesystem {
        Btrfs = "btrfs", Ext2 = "ext2", Ext3 = "ext3", Ext4 = "ext4", Xfs = "xfs", Fat32 = "fat32", Fat16 = "fat16",
    }

    /// `type@flags`
    LiveFlags { Overlay = "overlay", Dmsquash = "dmsquash" }

    /// `type@enclave_format`
    EnclaveFormat { AwsNitro = "aws-nitro" }

    /// `type@format`, without the container that it may be in.
    DiskFormat {
        Raw = "raw", Gce = "gce", Ova = "ova", Qcow2 = "qcow2", Vagrant = "vagrant", Vmdk = "vmdk", Vdi = "vdi",
        Vhd = "vhd", Vhdx = "vhdx", VhdFixed = "vhd-fixed",
    }

    /// What a disk in a container is in.
    ContainerType { Oci = "oci", Docker = "docker" }

    /// `type@squashfscompression`
    SquashfsCompression {
        Uncompressed = "uncompressed", Gzip = "gzip", Lzo = "lzo", Lz4 = "lz4", Xz = "xz", Zstd = "zstd",
    }

    /// `type@hybridpersistent_filesystem`
    PersistentFilesystem { Ext4 = "ext4", Xfs = "xfs" }

    /// `type@initrd_system`
    InitrdSystem { Kiwi = "kiwi", Dracut = "dracut", None = "none" }

    /// `type@installboot`
    InstallBoot { FailsafeInstall = "failsafe-install", Harddisk = "harddisk", Install = "install" }

    /// `type@luks_version`
    LuksVersion { Luks = "luks", Luks1 = "luks1", Luks2 = "luks2" }

    /// `type@luksOS`
    LuksOs { Sle12 = "sle12" }

    /// `type@luks_pbkdf`
    LuksPbkdf { Pbkdf2 = "pbkdf2", Argon2i = "argon2i", Argon2id = "argon2id" }

    /// `type@mdraid`
    MdRaid { Mirroring = "mirroring", Striping = "striping" }

    /// `type@overlayroot_readonly_filesystem`
    OverlayFilesystem { Squashfs = "squashfs", Erofs = "erofs" }

    /// `type@spare_part_fs`
    SpareFilesystem { Btrfs = "btrfs", Ext2 = "ext2", Ext3 = "ext3", Ext4 = "ext4", Xfs = "xfs" }

    /// `type@spare_part_fs_attributes`
    FsAttribute { NoCopyOnWrite = "no-copy-on-write", SynchronousUpdates = "synchronous-updates" }

    /// `type@selinux_policy`
    SelinuxPolicy { Targeted = "targeted", Mls = "mls", Minimum = "minimum" }

    /// `bootloader@name`
    BootloaderName {
        Grub2 = "grub2", Grub2S390xEmu = "grub2_s390x_emu", SystemdBoot = "systemd_boot", Custom = "custom",
        Zipl = "zipl",
    }

    /// `bootloader@timeout_style`
    TimeoutStyle { Countdown = "countdown", Hidden = "hidden", Menu = "menu" }

    /// `bootloader@targettype`
    TargetType { Fba = "FBA", Scsi = "SCSI", Cdl = "CDL", Gpt = "GPT" }

    /// `bootloader@output_console`
    GrubOutput {
        None = "none", Console = "console", Gfxterm = "gfxterm", Serial = "serial", VgaText = "vga_text",
        MdaText = "mda_text", Morse = "morse", Spkmodem = "spkmodem",
    }

    /// `bootloader@input_console`
    GrubInput {
        None = "none", Console = "console", Serial = "serial", AtKeyboard = "at_keyboard",
        UsbKeyboard = "usb_keyboard",
    }

    /// `size@unit`
    SizeUnit { Mebibytes = "M", Gibibytes = "G" }

    /// `partition@partition_type`
    PartitionType { Linux = "t.linux", Raid = "t.raid" }

    /// `partition@filesystem`
    PartitionFilesystem {
        Btrfs = "btrfs", Ext2 = "ext2", Ext3 = "ext3", Ext4 = "ext4", Squashfs = "squashfs", Xfs = "xfs",
        Fat32 = "fat32", Fat16 = "fat16",
    }

    /// `vagrantconfig@provider`
    VagrantProvider { Libvirt = "libvirt", Virtualbox = "virtualbox" }

    /// `initrd@action`
    InitrdAction { Omit = "omit", Add = "add", Set = "set", Setup = "setup" }

    /// `machine@ovftype`
    OvfType { Vmware = "vmware" }

    /// `machine@arch`
    GuestArch { Ix86 = "ix86", X86_64 = "x86_64" }

    /// `machine@xen_loader`
    XenLoader { Hvmloader = "hvmloader", Pygrub = "pygrub", Pvgrub = "pvgrub" }

    /// `vmdisk@controller`
    DiskController {
        Ide = "ide", Buslogic = "buslogic", Lsilogic = "lsilogic", Lsisas1068 = "lsisas1068", LegacyEsx = "legacyESX",
        Pvscsi = "pvscsi",
    }

    /// `vmdisk@diskmode`
    DiskMode {
        MonolithicSparse = "monolithicSparse", MonolithicFlat = "monolithicFlat",
        TwoGbMaxExtentSparse = "twoGbMaxExtentSparse", TwoGbMaxExtentFlat = "twoGbMaxExtentFlat",
        StreamOptimized = "streamOptimized",
    }

    /// `vmdvd@controller`
    DvdController { Ide = "ide", Scsi = "scsi" }

    /// The transport of a port.
    Protocol { Udp = "udp", Tcp = "tcp" }
}

impl Firmware {
    /// Whether it starts files of an EFI system partition.
    pub fn is_efi(self) -> bool {
        matches!(self, Firmware::Efi | Firmware::Uefi)
    }
}
