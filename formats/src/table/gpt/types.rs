//! PartitionTypeGUID values: UEFI 2.10 table 5-7, the Discoverable Partitions Specification (`uapi-group.org`), and the
//! older Linux ones that `sgdisk --list-types` knows.

use uuid::{Uuid, uuid};

/// EFI system partition.
pub const ESP: Uuid = uuid!("c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
/// GRUB's core image on disks that boot by BIOS.
pub const BIOS_BOOT: Uuid = uuid!("21686148-6449-6e6f-744e-656564454649");
/// PowerPC reference platform boot.
pub const PREP: Uuid = uuid!("9e1a2d38-c612-4316-aa26-8b49521e5a8b");
/// Extended boot loader partition: kernels and loader entries.
pub const XBOOTLDR: Uuid = uuid!("bc13c2ff-59e6-4262-a352-b275fd6f7172");

/// Linux file system of no particular purpose.
pub const LINUX: Uuid = uuid!("0fc63daf-8483-4772-8e79-3d69d8477de4");
/// Linux swap.
pub const SWAP: Uuid = uuid!("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
/// LVM physical volume.
pub const LVM: Uuid = uuid!("e6d6d379-f507-44c2-a23c-238f2a3df928");
/// MD RAID member.
pub const RAID: Uuid = uuid!("a19d880f-05fc-4d3b-a006-743f0f84911e");
/// LUKS container.
pub const LUKS: Uuid = uuid!("ca7d7ccb-63ed-4c53-861c-1742536059cc");
/// Microsoft basic data: FAT, exFAT, NTFS.
pub const BASIC_DATA: Uuid = uuid!("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7");

/// Root of a 32-bit x86 system.
pub const ROOT_X86: Uuid = uuid!("44479540-f297-41b2-9af7-d131d5f0458a");
/// Root of an x86-64 system.
pub const ROOT_X86_64: Uuid = uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709");
/// Root of a 32-bit Arm system.
pub const ROOT_ARM: Uuid = uuid!("69dad710-2ce4-4e3c-b16c-21a1d49abed3");
/// Root of a 64-bit Arm system.
pub const ROOT_ARM64: Uuid = uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae");
/// Root of a 64-bit RISC-V system.
pub const ROOT_RISCV64: Uuid = uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224");

/// `/usr` of an x86-64 system.
pub const USR_X86_64: Uuid = uuid!("8484680c-9521-48c6-9c11-b0720656f69e");
/// `/usr` of a 64-bit Arm system.
pub const USR_ARM64: Uuid = uuid!("b0e01050-ee5f-4390-949a-9101b17104e9");
/// `/usr` of a 64-bit RISC-V system.
pub const USR_RISCV64: Uuid = uuid!("beaec34b-8442-439b-a40b-984381ed097d");

/// `/home`.
pub const HOME: Uuid = uuid!("933ac7e1-2eb4-4f13-b844-0e14e2aef915");
/// `/srv`.
pub const SRV: Uuid = uuid!("3b8f8425-20e0-4f3b-907f-1a25a76f98e8");
/// `/var`.
pub const VAR: Uuid = uuid!("4d21b016-b534-45c2-a9fb-5c16e091fd2d");
/// `/var/tmp`.
pub const TMP: Uuid = uuid!("7ec6f557-3bc5-4aca-b293-16ef5df639d1");
/// The home directory of one user.
pub const USER_HOME: Uuid = uuid!("773f91ef-66d4-49b5-bd83-d683bf40ad16");

/// All of them with their names, for plans and dumps.
pub const ALL: &[(Uuid, &str)] = &[
    (ESP, "efi system"),
    (BIOS_BOOT, "bios boot"),
    (PREP, "prep boot"),
    (XBOOTLDR, "extended boot loader"),
    (LINUX, "linux data"),
    (SWAP, "swap"),
    (LVM, "lvm"),
    (RAID, "md raid"),
    (LUKS, "luks"),
    (BASIC_DATA, "basic data"),
    (ROOT_X86, "root x86"),
    (ROOT_X86_64, "root x86-64"),
    (ROOT_ARM, "root arm"),
    (ROOT_ARM64, "root arm64"),
    (ROOT_RISCV64, "root riscv64"),
    (USR_X86_64, "usr x86-64"),
    (USR_ARM64, "usr arm64"),
    (USR_RISCV64, "usr riscv64"),
    (HOME, "home"),
    (SRV, "srv"),
    (VAR, "var"),
    (TMP, "tmp"),
    (USER_HOME, "user home"),
];

/// The name of a type, where it is known.
pub fn name(type_guid: &Uuid) -> Option<&'static str> {
    ALL.iter().find(|(guid, _)| guid == type_guid).map(|(_, name)| *name)
}
