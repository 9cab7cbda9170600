//! GRUB's files of a release, as trees.

use super::support::*;
use diskwright::boot::grub::{Embedded, Platform, Target};
use diskwright_fstools::tree::{Kind, Meta, Node, Time, Tree};
use std::path::{Path, PathBuf};

pub const EFI: [Target; 4] = [Target::I386Efi, Target::X86_64Efi, Target::Arm64Efi, Target::Riscv64Efi];
/// Enough to find a configuration and say something.
pub const MODULES: [&str; 12] = [
    "part_gpt",
    "part_msdos",
    "fat",
    "ext2",
    "normal",
    "configfile",
    "linux",
    "search",
    "search_fs_uuid",
    "serial",
    "terminal",
    "echo",
];

/// Directories that `tests/fixtures/grub-files` made: one for each release.
pub fn releases(test: &str) -> Vec<PathBuf> {
    let list = std::env::var_os("DISKWRIGHT_GRUB").unwrap_or_default();
    let found: Vec<PathBuf> = std::env::split_paths(&list).filter(|path| path.is_dir()).collect();
    if found.is_empty() {
        skip(
            test,
            "no files of GRUB (tests/run --install gets them; DISKWRIGHT_GRUB names their directories)",
        );
    }
    found
}

/// One release, for tests that take their time; all of them with the slow tests.
pub fn some_releases(test: &str) -> Vec<PathBuf> {
    let mut found = releases(test);
    if !all() {
        found.truncate(1);
    }
    found
}

/// The directory of a platform in a release, if the release has it.
pub fn directory(release: &Path, target: Target) -> Option<PathBuf> {
    Some(release.join("usr/lib/grub").join(target.name())).filter(|path| path.is_dir())
}

pub fn file(bytes: impl AsRef<[u8]>) -> Node {
    Node { meta: Meta::of_root(0o644, Time::seconds(0)), kind: Kind::file(bytes.as_ref().to_vec()) }
}

pub fn empty() -> Tree {
    Tree::new(Meta::of_root(0o755, Time::seconds(0)))
}

pub fn put(tree: &mut Tree, path: &str, bytes: impl AsRef<[u8]>) {
    tree.put(path.as_bytes(), file(bytes), Meta::of_root(0o755, Time::seconds(0))).unwrap();
}

/// A tree with the files of a platform where Debian has them.
pub fn tree(release: &Path, target: Target) -> Tree {
    let mut tree = empty();
    let directory = directory(release, target).unwrap();
    for name in listing(&directory).into_iter().filter(|name| directory.join(name).is_file()) {
        let bytes = std::fs::read(directory.join(&name)).unwrap();
        put(&mut tree, &format!("usr/lib/grub/{}/{name}", target.name()), bytes);
    }
    tree
}

/// A platform with these modules.
pub fn platform(release: &Path, target: Target, modules: &[&str]) -> Platform {
    let tree = tree(release, target);
    let unread = |_| -> Result<Vec<u8>, diskwright_formats::fault::Refusal> { panic!("all is in memory") };
    Platform::load(&tree, target, modules, unread).unwrap()
}

pub fn embedded() -> Embedded {
    let config = "search.fs_uuid 11111111-2222-3333-4444-555555555555 root\nset prefix=($root)/boot/grub\n";
    Embedded { prefix: "/boot/grub".to_owned(), config: config.to_owned() }
}

/// What the release's own `grub-mkimage` makes of the same.
pub fn mkimage(release: &Path, target: Target, modules: &[&str], embedded: &Embedded) -> Vec<u8> {
    let work = tempfile::tempdir().unwrap();
    write(work.path().join("early.cfg"), &embedded.config);
    let mut command = std::process::Command::new(release.join("mkimage"));
    command.args(["-O", target.name(), "-p", &embedded.prefix]);
    command.arg("-d").arg(directory(release, target).unwrap());
    command.arg("-c").arg(work.path().join("early.cfg")).arg("-o").arg(work.path().join("out")).args(modules);
    run(&mut command).ends(0);
    std::fs::read(work.path().join("out")).unwrap()
}
