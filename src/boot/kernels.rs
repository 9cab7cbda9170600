//! Kernels in a tree, and the initrd of each.

use super::{file_at, follow, version};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use diskwright_fstools::tree::{NodeId, Tree};
use std::collections::BTreeMap;

/// Where kernels are looked for, for messages.
pub(super) const PATTERNS: [&str; 3] =
    ["/boot/vmlinuz-VERSION", "/boot/Image-VERSION", "/usr/lib/modules/VERSION/vmlinuz"];

/// A kernel in a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// What `uname -r` will say, as its file name gives it.
    pub version: String,
    /// Its path in the tree.
    pub path: String,
    /// Its file name on the boot partition.
    pub name: String,
    /// The file.
    pub node: NodeId,
    /// Path in the tree, file name and file of its initrd.
    pub initrd: Option<(String, String, NodeId)>,
}

/// All kernels, the newest first. Refused: a version that cannot be part of a file name on FAT.
pub fn find_kernels(tree: &Tree) -> Result<Vec<Kernel>, Refusal> {
    let mut kernels: BTreeMap<String, Kernel> = BTreeMap::new();
    for (version, path, name) in candidates(tree) {
        let Some(node) = file_at(tree, &path) else { continue };
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"._+~-".contains(&byte);
        if version.is_empty() || !version.iter().all(|&byte| good(byte)) {
            let reason = "a kernel whose version is no name for a boot entry: letters, digits, `.`, `_`, `+`, `~`, `-`";
            return Err(Refusal::new(RefusalKind::Invalid, Spot::new("boot", escaped(&path)), reason));
        }
        let version = escaped(&version);
        let initrd = initrd(tree, &version);
        let kernel =
            Kernel { path: escaped(&path), name: escaped(&name), node, initrd, version: version.clone() };
        kernels.entry(version).or_insert(kernel);
    }
    let mut kernels: Vec<Kernel> = kernels.into_values().collect();
    kernels.sort_by(|a, b| version::compare(&b.version, &a.version));
    Ok(kernels)
}

/// Version, path and name of what may be a kernel; the first of a version counts.
fn candidates(tree: &Tree) -> Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    for (name, _) in follow(tree, b"boot").into_iter().flat_map(|boot| tree.children(boot)) {
        let version = [&b"vmlinuz-"[..], b"Image-"].iter().find_map(|prefix| name.strip_prefix(*prefix));
        let is_backup = name.ends_with(b".old") || name.ends_with(b".bak");
        if let Some(version) = version.filter(|_| !is_backup) {
            found.push((version.to_vec(), [b"/boot/", name].concat(), name.to_vec()));
        }
    }
    for directory in ["/usr/lib/modules", "/lib/modules"] {
        for (version, _) in
            follow(tree, directory.as_bytes()).into_iter().flat_map(|node| tree.children(node))
        {
            let path = [directory.as_bytes(), b"/", version, b"/vmlinuz"].concat();
            found.push((version.to_vec(), path, [b"vmlinuz-", version].concat()));
        }
    }
    found
}

/// The initrd of a kernel under the names of Debian, SUSE, Fedora and Arch, and of kernel-install(8).
fn initrd(tree: &Tree, version: &str) -> Option<(String, String, NodeId)> {
    let in_boot = [
        format!("initrd.img-{version}"),
        format!("initrd-{version}"),
        format!("initramfs-{version}.img"),
        format!("initrd-{version}.img"),
        format!("initramfs-{version}"),
    ];
    let in_boot = in_boot.into_iter().map(|name| (format!("/boot/{name}"), name));
    let beside = (format!("/usr/lib/modules/{version}/initrd"), format!("initrd-{version}"));
    let mut all = in_boot.chain([beside]);
    all.find_map(|(path, name)| file_at(tree, path.as_bytes()).map(|node| (path, name, node)))
}
