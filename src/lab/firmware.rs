//! UEFI firmware for QEMU, as distributions install it.
//!
//! They describe it in JSON files (QEMU, `docs/interop/firmware.json`): a file in a directory that comes earlier replaces
//! one of the same name, and of those that fit, the first by name is taken. Where no description fits, the paths are asked
//! that were usual before there were descriptions.

use crate::model::Arch;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Firmware in flash: its code, and the variables that a machine begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uefi {
    /// The code, and its format in QEMU's words.
    pub code: (PathBuf, String),
    /// The variables, which must not be written, and their format.
    pub variables: (PathBuf, String),
    /// Whether it wants system management mode, and flash that can be written only there.
    pub smm: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Description {
    #[serde(default)]
    interface_types: Vec<String>,
    mapping: Mapping,
    #[serde(default)]
    targets: Vec<Target>,
    #[serde(default)]
    features: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Mapping {
    device: String,
    executable: Option<File>,
    nvram_template: Option<File>,
}

#[derive(Clone, Deserialize)]
struct File {
    filename: PathBuf,
    format: String,
}

#[derive(Deserialize)]
struct Target {
    architecture: String,
    #[serde(default)]
    machines: Vec<String>,
}

/// The firmware for a machine: with Microsoft's keys enrolled and Secure Boot enforced, or without. `directories` with
/// descriptions in the order of their rank; those that are not there are passed over.
pub fn find_uefi(arch: Arch, secure_boot: bool, directories: &[PathBuf]) -> Option<Uefi> {
    let described = descriptions(directories).into_iter().filter_map(|it| fitting(it, arch, secure_boot));
    let usual = usual(arch, secure_boot).iter().map(|&[code, variables]| Uefi {
        code: (code.into(), "raw".to_owned()),
        variables: (variables.into(), "raw".to_owned()),
        smm: secure_boot,
    });
    described.chain(usual).find(|uefi| uefi.code.0.is_file() && uefi.variables.0.is_file())
}

/// All descriptions, those without Secure Boot first: they ask least of the machine.
fn descriptions(directories: &[PathBuf]) -> Vec<Description> {
    let mut files: BTreeMap<_, PathBuf> = BTreeMap::new();
    for path in directories.iter().flat_map(|directory| listed(directory)) {
        if let Some(name) = path.file_name().map(ToOwned::to_owned) {
            files.entry(name).or_insert(path);
        }
    }
    let texts = files.values().filter_map(|path| fs_err::read(path).ok());
    let mut found: Vec<Description> = texts.filter_map(|text| serde_json::from_slice(&text).ok()).collect();
    found.sort_by_key(|it| it.features.iter().any(|feature| feature == "requires-smm"));
    found
}

#[allow(clippy::disallowed_methods)] // a map sorts them
fn listed(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|it| it == "json")).collect()
}

fn fitting(description: Description, arch: Arch, secure_boot: bool) -> Option<Uefi> {
    let (architecture, machine) = match arch {
        Arch::X86_64 => ("x86_64", "pc-q35"),
        Arch::Ix86 => ("i386", "pc-q35"),
        Arch::Aarch64 => ("aarch64", "virt"),
        Arch::Riscv64 => ("riscv64", "virt"),
        Arch::Ppc64le | Arch::S390x => return None,
    };
    let Description { interface_types, mapping, targets, features } = description;
    let has = |feature: &str| features.iter().any(|it| it == feature);
    let fits = targets.iter().any(|target| {
        target.architecture == architecture && target.machines.iter().any(|it| it.starts_with(machine))
    });
    let uefi = interface_types.iter().any(|it| it == "uefi") && mapping.device == "flash";
    let enforced = has("secure-boot") && has("enrolled-keys");
    if !(uefi && fits && enforced == secure_boot) {
        return None;
    }
    let (code, variables) = (mapping.executable?, mapping.nvram_template?);
    Some(Uefi {
        code: (code.filename, code.format),
        variables: (variables.filename, variables.format),
        smm: has("requires-smm"),
    })
}

/// Code and variables where no description says so.
fn usual(arch: Arch, secure_boot: bool) -> &'static [[&'static str; 2]] {
    match (arch, secure_boot) {
        (Arch::X86_64, false) => &[
            ["/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"],
            ["/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"],
            ["/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"],
            ["/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"],
            ["/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"],
            ["/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"],
        ],
        (Arch::X86_64, true) => &[
            ["/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"],
            ["/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd"],
            ["/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd"],
            ["/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin"],
        ],
        (Arch::Aarch64, false) => &[
            ["/usr/share/AAVMF/AAVMF_CODE.no-secboot.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"],
            ["/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"],
        ],
        _ => &[],
    }
}

/// Who brings it: packages of Debian, Fedora and SUSE; none for machines without UEFI.
pub fn firmware_package(arch: Arch) -> Option<[&'static str; 3]> {
    Some(match arch {
        Arch::X86_64 => ["ovmf", "edk2-ovmf", "qemu-ovmf-x86_64"],
        Arch::Ix86 => ["ovmf-ia32", "edk2-ovmf-ia32", "qemu-ovmf-ia32"],
        Arch::Aarch64 => ["qemu-efi-aarch64", "edk2-aarch64", "qemu-uefi-aarch64"],
        Arch::Riscv64 => ["qemu-efi-riscv64", "edk2-riscv64", "qemu-uefi-riscv64"],
        Arch::Ppc64le | Arch::S390x => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A description whose files are beside it.
    fn described(at: &Path, name: &str, architecture: &str, features: &str) {
        let text = format!(
            r#"{{"interface-types": ["uefi"], "tags": [], "features": [{features}],
                "mapping": {{"device": "flash",
                    "executable": {{"filename": "{0}/{name}.code", "format": "qcow2"}},
                    "nvram-template": {{"filename": "{0}/{name}.vars", "format": "raw"}}}},
                "targets": [{{"architecture": "{architecture}", "machines": ["pc-q35-*", "virt-*"]}}]}}"#,
            at.display()
        );
        fs_err::create_dir_all(at).expect("a directory");
        for (ending, text) in [("json", text.as_str()), ("code", ""), ("vars", "")] {
            fs_err::write(at.join(format!("{name}.{ending}")), text).expect("a file");
        }
    }

    fn found(secure_boot: bool, directories: &[PathBuf]) -> Option<(PathBuf, bool)> {
        let uefi = find_uefi(Arch::Riscv64, secure_boot, directories)?;
        assert_eq!((uefi.code.1.as_str(), uefi.variables.1.as_str()), ("qcow2", "raw"));
        assert_eq!(uefi.variables.0, uefi.code.0.with_extension("vars"));
        Some((uefi.code.0, uefi.smm))
    }

    #[test]
    fn the_first_that_fits_is_taken() {
        let work = tempfile::tempdir().expect("a directory");
        let [one, two, absent] = ["1", "2", "3"].map(|name| work.path().join(name));
        let directories = [absent, one.clone(), two.clone()];
        assert_eq!(found(false, &directories), None);
        described(&two, "30-enrolled", "riscv64", r#""secure-boot", "enrolled-keys", "requires-smm""#);
        described(&two, "40-keyless", "riscv64", r#""secure-boot", "requires-smm""#);
        described(&two, "50-plain", "riscv64", "");
        described(&two, "10-other", "aarch64", "");
        fs_err::write(one.parent().expect("a parent").join("x"), "").expect("a file");
        let at = |directory: &Path, name: &str| directory.join(format!("{name}.code"));
        assert_eq!(found(false, &directories), Some((at(&two, "50-plain"), false)));
        assert_eq!(found(true, &directories), Some((at(&two, "30-enrolled"), true)));
        // The administrator's word is above the distribution's.
        described(&one, "50-plain", "riscv64", "");
        assert_eq!(found(false, &directories), Some((at(&one, "50-plain"), false)));
        // An empty file switches a description off; what is left without keys asks for more of the machine.
        fs_err::write(one.join("50-plain.json"), "").expect("a file");
        assert_eq!(found(false, &directories), Some((at(&two, "40-keyless"), true)));
        fs_err::remove_file(at(&two, "40-keyless")).expect("it is there");
        assert_eq!(found(false, &directories), None);
    }
}
