//! Loader files and configuration: what goes into the tree, onto the EFI system partition and in front of the partitions.
//!
//! GRUB 2 is in [`grub`] as values, and joined to a plan by [`boot_files`] and [`placed`].
//!
//! Growth at the first boot is in [`growth`](growth()).
//!
//! systemd-boot (its manual pages systemd-boot(7) and loader.conf(5)) and the Boot Loader Specification (UAPI.1). The
//! files are those that KIWI makes with `bootctl` (`bootloader/config/systemd_boot.py`). Two lines more in each entry,
//! `version` and `sort-key`, put the newest kernel first, and kernels lie where kernel-install(8) puts them and not in
//! `os/`, where it would never take one away: the running system's own tools go on with what they find. A random seed is
//! none: it would be the same on all disks that are made of the image, and `bootctl` makes one on each.
//!
//! ```text
//! EFI/BOOT/BOOTX64.EFI               systemd-boot, where firmware looks when it remembers nothing
//! EFI/systemd/systemd-bootx64.efi    the same, where `bootctl update` looks
//! loader/loader.conf                 timeout
//! loader/entries.srel                "type1": entries are files
//! loader/entries/TOKEN-VERSION.conf  one for each kernel
//! TOKEN/VERSION/linux                the kernel, and its initrd beside it under its own name
//!
//! /etc/kernel/entry-token            TOKEN, the distribution's id, as with `bootctl --entry-token=os-id`
//! /etc/kernel/cmdline                the kernel command line of entries that kernel-install makes
//! ```

mod growth;
pub mod grub;
mod install;
mod kernels;
mod version;

pub use growth::{Growing, Grows, Way, growth};
pub use kernels::{Kernel, find_kernels};
pub use version::compare as compare_versions;

use crate::model::{Arch, Loader};
pub use install::{BiosCore, placed};

use crate::plan::{BootPlan, ESP, Plan};
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_formats::layout::Contents;
use diskwright_fstools::tree::{Kind, Meta, Node, NodeId, ROOT, Time, Tree, components};

/// Most symbolic links that are followed on one way (Linux: `MAXSYMLINKS`).
const MOST_LINKS: usize = 40;

/// A boot entry that was written.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BootEntry {
    /// Its file on the ESP.
    pub file: String,
    /// Version of the kernel.
    pub version: String,
    /// Path of the kernel in the tree.
    pub kernel: String,
    /// Path of the initrd in the tree.
    pub initrd: Option<String>,
}

/// What a loader adds.
#[derive(Clone, Debug, Default)]
pub struct BootFiles {
    /// Absolute path in the tree, and what lies there.
    pub root: Vec<(String, Node)>,
    /// Path on the EFI system partition, and what lies there.
    pub esp: Vec<(String, Node)>,
    /// Entries, the default first.
    pub entries: Vec<BootEntry>,
    /// What lies in front of the partitions, for machines with BIOS.
    pub core: Option<BiosCore>,
    /// What was done another way than asked, for people.
    pub notes: Vec<String>,
}

/// What the loader of a plan needs, out of a tree. Refused: a loader or kernel that is asked for and missing.
pub fn boot_files(plan: &Plan, tree: &Tree, contents: &dyn Contents) -> Result<BootFiles, Refusal> {
    let Some(boot) = &plan.boot else { return Ok(BootFiles::default()) };
    match &boot.grub {
        Some(grub) => install::grub(plan, grub, tree, contents),
        None if boot.loader == Loader::Custom => {
            Ok(BootFiles { notes: unstarted(tree), ..BootFiles::default() })
        }
        None if plan.parts.iter().any(|part| part.role == ESP) => {
            esp_files(boot, plan.arch, plan.command_line.as_deref().unwrap_or(""), tree, plan.epoch)
        }
        None => Ok(BootFiles::default()),
    }
}

/// What is said of a system that nothing is installed for to start it. A tree without a kernel is none.
fn unstarted(tree: &Tree) -> Vec<String> {
    let has_kernel = find_kernels(tree).is_ok_and(|kernels| !kernels.is_empty());
    let note = "no loader is installed: what starts the disk has to be in the tree".to_owned();
    has_kernel.then_some(note).into_iter().collect()
}

/// systemd-boot, its configuration and kernels out of a tree.
pub fn esp_files(
    boot: &BootPlan,
    arch: Arch,
    command_line: &str,
    tree: &Tree,
    epoch: i64,
) -> Result<BootFiles, Refusal> {
    let Loader::SystemdBoot { timeout, initrd } = boot.loader else { return Ok(BootFiles::default()) };
    let loader = loader_of(tree, arch).ok_or_else(|| no_loader(arch))?;
    let mut kernels = find_kernels(tree)?;
    if kernels.is_empty() {
        return Err(no_kernel());
    }
    if !initrd {
        kernels.iter_mut().for_each(|kernel| kernel.initrd = None);
    }
    let suffix = arch.efi_suffix();
    let text = |text: String| Node {
        meta: Meta::of_root(0o644, Time::seconds(epoch)),
        kind: Kind::file(text.into_bytes()),
    };
    let mut files = vec![
        (format!("EFI/BOOT/BOOT{}.EFI", suffix.to_uppercase()), copy(tree, loader)),
        (format!("EFI/systemd/systemd-boot{suffix}.efi"), copy(tree, loader)),
        ("loader/loader.conf".to_owned(), text(format!("console-mode max\neditor no\ntimeout {timeout}\n"))),
        ("loader/entries.srel".to_owned(), text("type1\n".to_owned())),
    ];
    let mut entries = Vec::new();
    for kernel in kernels {
        let (token, version) = (&boot.token, &kernel.version);
        let entry = format!("loader/entries/{token}-{version}.conf");
        files.push((entry.clone(), text(entry_text(boot, &kernel, command_line))));
        files.push((format!("{token}/{version}/linux"), copy(tree, kernel.node)));
        if let Some((_, name, node)) = &kernel.initrd {
            files.push((format!("{token}/{version}/{name}"), copy(tree, *node)));
        }
        let initrd = kernel.initrd.map(|(path, ..)| path);
        entries.push(BootEntry { file: entry, version: kernel.version, kernel: kernel.path, initrd });
    }
    let root = vec![
        ("/etc/kernel/entry-token".to_owned(), text(format!("{}\n", boot.token))),
        ("/etc/kernel/cmdline".to_owned(), text(format!("{command_line}\n"))),
    ];
    Ok(BootFiles { root, esp: files, entries, ..BootFiles::default() })
}

/// An entry of type 1 (UAPI.1, section on type #1 boot loader specification entries).
fn entry_text(boot: &BootPlan, kernel: &Kernel, command_line: &str) -> String {
    let BootPlan { title, token, .. } = boot;
    let Kernel { version, initrd, .. } = kernel;
    let mut text = format!(
        "title {title}\nversion {version}\nsort-key {token}\noptions {command_line}\nlinux /{token}/{version}/linux\n"
    );
    if let Some((_, name, _)) = initrd {
        text.push_str(&format!("initrd /{token}/{version}/{name}\n"));
    }
    text
}

/// The file of a node for a file system without owners.
fn copy(tree: &Tree, node: NodeId) -> Node {
    let Node { meta, kind } = tree.node(node);
    Node { meta: Meta::of_root(0o644, meta.mtime), kind: kind.clone() }
}

/// Puts a file at a path of a tree whose file system takes no notice of case: a directory that is there keeps its name.
pub(crate) fn put_folded(tree: &mut Tree, path: &str, node: Node, directory: Meta) -> Result<(), Refusal> {
    let mut at = Some(ROOT);
    let mut folded: Vec<Vec<u8>> = Vec::new();
    for name in components(path.as_bytes()) {
        let there = at.and_then(|at| tree.children(at).find(|(child, _)| child.eq_ignore_ascii_case(name)));
        at = there.map(|(_, node)| node);
        folded.push(there.map_or(name, |(child, _)| child).to_vec());
    }
    tree.put(&folded.join(&b'/'), node, directory).map(|_| ())
}

fn loader_paths(arch: Arch) -> [String; 2] {
    let path = format!("/usr/lib/systemd/boot/efi/systemd-boot{}.efi", arch.efi_suffix());
    // bootctl(1): a signed one is taken first.
    [format!("{path}.signed"), path]
}

fn loader_of(tree: &Tree, arch: Arch) -> Option<NodeId> {
    loader_paths(arch).iter().find_map(|path| file_at(tree, path.as_bytes()))
}

/// systemd-boot in a tree: for which machine, and the file.
pub fn find_loader(tree: &Tree) -> Option<(Arch, NodeId)> {
    crate::model::ARCHES.into_iter().find_map(|arch| Some((arch, loader_of(tree, arch)?)))
}

fn no_loader(arch: Arch) -> Refusal {
    let paths = loader_paths(arch).join(", ");
    let reason = format!("systemd-boot is asked for and not in the tree; looked for: {paths}");
    Refusal::new(RefusalKind::Missing, Spot::new("boot", ""), reason).hint(
        "install systemd-boot into the tree (Debian: systemd-boot-efi), or give bootloader name=\"custom\" or --no-boot",
    )
}

fn no_kernel() -> Refusal {
    let paths = kernels::PATTERNS.join(", ");
    let reason = format!("a kernel is asked for and not in the tree; looked for: {paths}");
    let hint = "install a kernel into the tree (Debian: linux-image-amd64; Fedora: kernel; SUSE: kernel-default), or give bootloader name=\"custom\" or --no-boot";
    Refusal::new(RefusalKind::Missing, Spot::new("boot", ""), reason).hint(hint)
}

/// The regular file at a path, through symbolic links.
fn file_at(tree: &Tree, path: &[u8]) -> Option<NodeId> {
    follow(tree, path).filter(|&node| matches!(tree.node(node).kind, Kind::File(_)))
}

/// The node at a path, through symbolic links, which never leave the tree: `/` is its root and `..` stops there.
pub(crate) fn follow(tree: &Tree, path: &[u8]) -> Option<NodeId> {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> { components(path).map(<[u8]>::to_vec).collect() };
    let mut way = vec![ROOT];
    let mut waiting: Vec<Vec<u8>> = parts(path).into_iter().rev().collect();
    let mut links = 0;
    while let Some(name) = waiting.pop() {
        if name == b".." {
            way.truncate(way.len().saturating_sub(1).max(1));
            continue;
        }
        let next = tree.child(*way.last()?, &name)?;
        let Kind::Symlink(target) = &tree.node(next).kind else {
            way.push(next);
            continue;
        };
        links += 1;
        if links > MOST_LINKS {
            return None;
        }
        if target.starts_with(b"/") {
            way.truncate(1);
        }
        waiting.extend(parts(target).into_iter().rev());
    }
    way.last().copied()
}
