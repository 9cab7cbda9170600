//! GRUB's files for one platform, out of a tree: kernel, modules with what they depend on, the images for BIOS.

use super::{elf, refused};
use crate::boot::follow;
use crate::model::Arch;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_fstools::tree::{Data, Kind, NodeId, Tree};
use std::collections::{BTreeMap, BTreeSet};

/// Where distributions keep the directory of a platform: SUSE, Fedora, Debian and Arch.
const DIRECTORIES: [&str; 4] = ["/usr/share/grub2", "/usr/lib/grub2", "/usr/share/grub", "/usr/lib/grub"];
/// Longest file of a platform in bytes; GRUB's largest module has 300 KiB.
const MOST_FILE: u64 = 8 << 20;
/// Most bytes of all modules of an image: memory below 1 MiB holds 500 KiB, compressed; firmware takes any size.
const MOST_MODULES: usize = 64 << 20;

/// A platform that GRUB is built for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// PC with BIOS.
    I386Pc,
    /// UEFI, 32-bit x86.
    I386Efi,
    /// UEFI, 64-bit x86.
    X86_64Efi,
    /// UEFI, 64-bit ARM.
    Arm64Efi,
    /// UEFI, 64-bit RISC-V.
    Riscv64Efi,
}

impl Target {
    /// The platform of machines with UEFI; `None`: the machine has none.
    pub fn efi(arch: Arch) -> Option<Target> {
        match arch {
            Arch::X86_64 => Some(Target::X86_64Efi),
            Arch::Ix86 => Some(Target::I386Efi),
            Arch::Aarch64 => Some(Target::Arm64Efi),
            Arch::Riscv64 => Some(Target::Riscv64Efi),
            Arch::Ppc64le | Arch::S390x => None,
        }
    }

    /// GRUB's name, which the directory of its files has, too.
    pub fn name(self) -> &'static str {
        match self {
            Target::I386Pc => "i386-pc",
            Target::I386Efi => "i386-efi",
            Target::X86_64Efi => "x86_64-efi",
            Target::Arm64Efi => "arm64-efi",
            Target::Riscv64Efi => "riscv64-efi",
        }
    }

    /// Packages that bring its files, for hints.
    fn packages(self) -> &'static str {
        match self {
            Target::I386Pc => "Debian: grub-pc-bin; Fedora: grub2-pc-modules; SUSE: grub2-i386-pc",
            Target::I386Efi => {
                "Debian: grub-efi-ia32-bin; Fedora: grub2-efi-ia32-modules; SUSE: grub2-i386-efi"
            }
            Target::X86_64Efi => {
                "Debian: grub-efi-amd64-bin; Fedora: grub2-efi-x64-modules; SUSE: grub2-x86_64-efi"
            }
            Target::Arm64Efi => {
                "Debian: grub-efi-arm64-bin; Fedora: grub2-efi-aa64-modules; SUSE: grub2-arm64-efi"
            }
            Target::Riscv64Efi => "Debian: grub-efi-riscv64-bin; SUSE: grub2-riscv64-efi",
        }
    }

    pub(super) fn machine(self) -> u16 {
        match self {
            Target::I386Pc | Target::I386Efi => elf::machine::I386,
            Target::X86_64Efi => elf::machine::X86_64,
            Target::Arm64Efi => elf::machine::AARCH64,
            Target::Riscv64Efi => elf::machine::RISCV,
        }
    }

    /// Bytes of an address.
    pub(super) fn word(self) -> usize {
        match self {
            Target::I386Pc | Target::I386Efi => 4,
            _ => 8,
        }
    }

    /// Files that an image is made of, besides the modules.
    fn images(self) -> &'static [&'static str] {
        match self {
            Target::I386Pc => &["boot.img", "diskboot.img", "lzma_decompress.img", "kernel.img"],
            _ => &["kernel.img"],
        }
    }
}

/// A module and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// The files of a platform that an image is made of, and no others: a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    target: Target,
    images: BTreeMap<&'static str, Vec<u8>>,
    modules: Vec<Module>,
}

/// The directory of a platform's files in a tree, with symbolic links followed.
pub fn platform_directory(tree: &Tree, target: Target) -> Option<String> {
    let all = DIRECTORIES.iter().map(|directory| format!("{directory}/{}", target.name()));
    let mut all = all.filter(|path| follow(tree, format!("{path}/moddep.lst").as_bytes()).is_some());
    all.next()
}

impl Platform {
    /// Reads what an image of these modules needs. `read` gives the bytes of a regular file of the tree whose size was
    /// looked at before; its errors come back as they are. Refused: files that are missing, too large, or not of the
    /// platform's machine, and modules that depend on each other in a circle.
    ///
    /// The order of modules is that of `grub-mkimage`: each behind what it depends on.
    pub fn load<E: From<Refusal>>(
        tree: &Tree,
        target: Target,
        modules: &[&str],
        mut read: impl FnMut(NodeId) -> Result<Vec<u8>, E>,
    ) -> Result<Platform, E> {
        let directory = platform_directory(tree, target).ok_or_else(|| no_platform(target))?;
        let mut file = |name: &str| {
            let path = format!("{directory}/{name}");
            match checked(tree, &path, target)? {
                Found::Bytes(bytes) => Ok(bytes),
                Found::Content(node, size) => {
                    let bytes = read(node)?;
                    match bytes.len() as u64 == size {
                        true => Ok(bytes),
                        false => Err(E::from(refused(RefusalKind::Invalid, &path, "its size has changed"))),
                    }
                }
            }
        };
        let dependencies = Dependencies::parse(&file("moddep.lst")?)?;
        let mut images = BTreeMap::new();
        for image in target.images() {
            images.insert(*image, file(image)?);
        }
        let mut loaded = Vec::new();
        let mut total = 0;
        for name in dependencies.order(modules)? {
            let bytes = file(&format!("{name}.mod"))?;
            if !elf::is_for(&bytes, target.machine()) {
                let reason = format!("no module of {}", target.name());
                return Err(refused(RefusalKind::Invalid, &format!("{name}.mod"), reason).into());
            }
            total += bytes.len();
            if total > MOST_MODULES {
                let reason = format!("more than {MOST_MODULES} bytes of modules");
                return Err(refused(RefusalKind::Limit, &name, reason).into());
            }
            loaded.push(Module { name, bytes });
        }
        Ok(Platform { target, images, modules: loaded })
    }

    /// What it is for.
    pub fn target(&self) -> Target {
        self.target
    }

    /// Names of the modules, each behind what it depends on.
    pub fn modules(&self) -> impl Iterator<Item = &str> {
        self.modules.iter().map(|module| module.name.as_str())
    }

    pub(super) fn module_files(&self) -> &[Module] {
        &self.modules
    }

    /// An image that the platform has.
    pub(super) fn image(&self, name: &str) -> &[u8] {
        self.images.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Where the bytes of a file are.
enum Found {
    Bytes(Vec<u8>),
    Content(NodeId, u64),
}

fn checked(tree: &Tree, path: &str, target: Target) -> Result<Found, Refusal> {
    let missing = || {
        let hint = format!("the package that brings it ({}) is in the tree in part", target.packages());
        refused(RefusalKind::Missing, path, "a file of GRUB's that is not in the tree").hint(hint)
    };
    let node = follow(tree, path.as_bytes()).ok_or_else(missing)?;
    let Kind::File(data) = &tree.node(node).kind else { return Err(missing()) };
    if data.size() > MOST_FILE {
        let reason = format!("a file of {} bytes, where GRUB's have at most {MOST_FILE}", data.size());
        return Err(refused(RefusalKind::Limit, path, reason));
    }
    Ok(match data {
        Data::Bytes(bytes) => Found::Bytes(bytes.to_vec()),
        Data::Content { size, .. } => Found::Content(node, *size),
    })
}

fn no_platform(target: Target) -> Refusal {
    let places: Vec<String> = DIRECTORIES.iter().map(|at| format!("{at}/{}", target.name())).collect();
    let reason = format!("GRUB is asked for and not in the tree; looked for: {}", places.join(", "));
    let hint = format!("install GRUB's files for {} into the tree ({})", target.name(), target.packages());
    refused(RefusalKind::Missing, target.name(), reason).hint(hint)
}

/// `moddep.lst`: a line for each module, `name: dependency dependency`.
struct Dependencies(BTreeMap<String, Vec<String>>);

impl Dependencies {
    fn parse(bytes: &[u8]) -> Result<Dependencies, Refusal> {
        let bad = |line: &[u8]| {
            let reason =
                format!("a line that is no `module: modules`: {}", escaped(&line[..line.len().min(80)]));
            refused(RefusalKind::Invalid, "moddep.lst", reason)
        };
        let mut all = BTreeMap::new();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let text = std::str::from_utf8(line).map_err(|_| bad(line))?;
            let (name, list) = text.split_once(':').ok_or_else(|| bad(line))?;
            // grub-mkimage takes them from the last to the first, and the last line of a module.
            let list: Vec<String> = list.split_ascii_whitespace().rev().map(str::to_owned).collect();
            if !list.iter().map(String::as_str).chain([name]).all(is_name) {
                return Err(bad(line));
            }
            all.insert(name.to_owned(), list);
        }
        Ok(Dependencies(all))
    }

    /// These modules and all that they depend on, each behind its dependencies.
    fn order(&self, modules: &[&str]) -> Result<Vec<String>, Refusal> {
        const NONE: &[String] = &[];
        let of = |name: &str| self.0.get(name).map_or(NONE, Vec::as_slice).iter();
        let (mut order, mut done, mut open) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
        for &wanted in modules {
            if !is_name(wanted) {
                return Err(refused(
                    RefusalKind::Invalid,
                    &escaped(wanted.as_bytes()),
                    "no name of a module",
                ));
            }
            if done.contains(wanted) {
                continue;
            }
            open.insert(wanted);
            let mut way = vec![(wanted, of(wanted))];
            while let Some((name, rest)) = way.last_mut() {
                match rest.next() {
                    Some(next) if done.contains(next.as_str()) => {}
                    Some(next) if !open.insert(next) => {
                        return Err(refused(RefusalKind::Invalid, next, "a module that depends on itself"));
                    }
                    Some(next) => way.push((next, of(next))),
                    None => {
                        order.push((*name).to_owned());
                        done.insert(*name);
                        open.remove(*name);
                        way.pop();
                    }
                }
            }
        }
        Ok(order)
    }
}

/// Names of modules are names of files.
fn is_name(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"_-+.".contains(&byte);
    !name.is_empty() && name.len() <= 64 && !name.starts_with('.') && name.bytes().all(good)
}
