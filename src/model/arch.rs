//! Machines.

use super::words::Machine;
use serde::Serialize;
use std::fmt;
use uuid::{Uuid, uuid};

/// A machine, in KIWI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Arch {
    /// 64-bit x86.
    #[serde(rename = "x86_64")]
    X86_64,
    /// 32-bit x86.
    Ix86,
    /// 64-bit ARM.
    Aarch64,
    /// 64-bit RISC-V.
    Riscv64,
    /// 64-bit little-endian POWER.
    Ppc64le,
    /// 64-bit IBM Z.
    S390x,
}

/// All machines.
pub const ARCHES: [Arch; 6] =
    [Arch::X86_64, Arch::Ix86, Arch::Aarch64, Arch::Riscv64, Arch::Ppc64le, Arch::S390x];

impl Arch {
    /// The machine of this name: as `uname -m` says it, or as a package manager does.
    pub fn from_name(name: &str) -> Option<Arch> {
        match name {
            "x86_64" | "amd64" => Some(Arch::X86_64),
            "ix86" | "i586" | "i686" | "x86" => Some(Arch::Ix86),
            "aarch64" | "arm64" => Some(Arch::Aarch64),
            "riscv64" => Some(Arch::Riscv64),
            "ppc64le" | "ppc64el" => Some(Arch::Ppc64le),
            "s390x" => Some(Arch::S390x),
            _ => None,
        }
    }

    /// The name that `uname -m` gives, which sections of a description are selected by.
    pub fn machine(self) -> Machine {
        match self {
            Arch::X86_64 => Machine::X86_64,
            Arch::Ix86 => Machine::I686,
            Arch::Aarch64 => Machine::Aarch64,
            Arch::Riscv64 => Machine::Riscv64,
            Arch::Ppc64le => Machine::Ppc64le,
            Arch::S390x => Machine::S390x,
        }
    }

    /// The name in file names.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Ix86 => "ix86",
            Arch::Aarch64 => "aarch64",
            Arch::Riscv64 => "riscv64",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
        }
    }

    /// The part of EFI file names that names the machine (UEFI specification 2.10, section 3.5.1.1), in lower case;
    /// machines without UEFI have their name, of which there are no files.
    pub fn efi_suffix(self) -> &'static str {
        match self {
            Arch::X86_64 => "x64",
            Arch::Ix86 => "ia32",
            Arch::Aarch64 => "aa64",
            Arch::Riscv64 => "riscv64",
            Arch::Ppc64le | Arch::S390x => self.name(),
        }
    }

    /// Type GUID of a root partition (Discoverable Partitions Specification).
    pub fn root_guid(self) -> Uuid {
        match self {
            Arch::X86_64 => uuid!("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"),
            Arch::Ix86 => uuid!("44479540-f297-41b2-9af7-d131d5f0458a"),
            Arch::Aarch64 => uuid!("b921b045-1df0-41c3-af44-4c6f280d3fae"),
            Arch::Riscv64 => uuid!("72ec70a6-cf74-40e6-bd49-4bda08e8f224"),
            Arch::Ppc64le => uuid!("c31c45e6-3f39-412e-80fb-4809c4980599"),
            Arch::S390x => uuid!("5eead9a9-fe09-4a1e-a1d7-520d00531306"),
        }
    }

    /// Type GUID of a `/usr` partition (Discoverable Partitions Specification).
    pub fn usr_guid(self) -> Uuid {
        match self {
            Arch::X86_64 => uuid!("8484680c-9521-48c6-9c11-b0720656f69e"),
            Arch::Ix86 => uuid!("75250d76-8cc6-458e-bd66-bd47cc81a812"),
            Arch::Aarch64 => uuid!("b0e01050-ee5f-4390-949a-9101b17104e9"),
            Arch::Riscv64 => uuid!("beaec34b-8442-439b-a40b-984381ed097d"),
            Arch::Ppc64le => uuid!("15bb03af-77e7-4d4a-b12b-c0d084f7491c"),
            Arch::S390x => uuid!("8a4f5770-50aa-4ed3-874a-99b710db6fea"),
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
