//! What lies in GRUB's own directory, `/boot/grub` or `/boot/grub2`, besides its configuration: modules, font, locales and
//! themes, all out of the tree. And which modules an image is made of.

use super::platform::platform_directory;
use super::settings::Theme;
use super::{Target, refused};
use crate::boot::follow;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_fstools::tree::{Kind, NodeId, Tree};

/// A file that goes into GRUB's directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootFile {
    /// Path below GRUB's directory: `i386-pc/normal.mod`.
    pub path: String,
    /// The file in the tree.
    pub node: NodeId,
}

/// Modules without which an image finds and starts nothing.
const NEEDED: &[&str] = &[
    "normal",
    "configfile",
    "linux",
    "search",
    "search_fs_uuid",
    "search_fs_file",
    "part_gpt",
    "part_msdos",
];
/// Those that KIWI puts into every image, and `serial`, which a configuration may ask for first of all. Not `vga`, nor
/// `all_video` for BIOS, which depends on it: that driver waits for ever where there is no display adapter.
const USUAL: &[&str] = &[
    "ext2",
    "iso9660",
    "echo",
    "search_label",
    "ls",
    "gzio",
    "png",
    "fat",
    "gettext",
    "font",
    "minicmd",
    "gfxterm",
    "gfxmenu",
    "xfs",
    "btrfs",
    "squash4",
    "lvm",
    "luks",
    "gcry_rijndael",
    "gcry_sha256",
    "gcry_sha512",
    "crypto",
    "cryptodisk",
    "test",
    "true",
    "loadenv",
    "serial",
];
const BIOS: &[&str] = &["vbe", "video_bochs", "video_cirrus", "chain", "boot", "multiboot"];
const EFI: &[&str] = &["all_video", "efi_gop", "linuxefi"];

/// Modules for an image, for [`Platform::load`](super::Platform::load): KIWI's list as far as the tree's GRUB has them, and
/// `extra` (`mdraid1x`, `luks2`), which it must have, as it must those without which nothing starts.
pub fn image_modules<'a>(tree: &Tree, target: Target, extra: &[&'a str]) -> Vec<&'a str> {
    let directory = platform_directory(tree, target);
    let is_there = |name: &&str| {
        let path = directory.as_ref().map(|at| format!("{at}/{name}.mod"));
        path.is_some_and(|path| follow(tree, path.as_bytes()).is_some())
    };
    let (needed, more): (&[&str], _) = match target {
        Target::I386Pc => (&["biosdisk"], BIOS),
        _ => (&[], EFI),
    };
    let usual = USUAL.iter().chain(more).copied().filter(is_there);
    NEEDED.iter().chain(needed).copied().chain(usual).chain(extra.iter().copied()).collect()
}

/// GRUB's directory in a tree: `/boot/grub2` where its tools are called so (Fedora, SUSE), else `/boot/grub`.
pub fn boot_directory(tree: &Tree) -> &'static str {
    match program_in(tree, "grub2-install").or_else(|| program_in(tree, "grub2-mkconfig")).is_some() {
        true => "/boot/grub2",
        false => "/boot/grub",
    }
}

/// A program of the tree.
pub fn program_in(tree: &Tree, name: &str) -> Option<NodeId> {
    let places = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(|directory| format!("{directory}/{name}"));
    places.iter().find_map(|path| follow(tree, path.as_bytes()).filter(|node| is_file(tree, *node)))
}

/// Whether the tree's GRUB makes its menu of boot entries of their own (Fedora, RHEL): it has the module, or the program
/// that turns it on, where an image that is complete is all there is. Elsewhere [`Settings::bls`](super::Settings::bls)
/// must be false: there would be no menu.
pub fn has_bls(tree: &Tree, target: Target) -> bool {
    let module = platform_directory(tree, target).map(|directory| format!("{directory}/blscfg.mod"));
    let programs = ["/usr/sbin/grub2-switch-to-blscfg", "/usr/bin/grub2-switch-to-blscfg"].map(str::to_owned);
    module.into_iter().chain(programs).any(|path| follow(tree, path.as_bytes()).is_some())
}

/// Modules and lists of these platforms, the font and the locales: what `grub-install` copies, sorted.
pub fn boot_files(tree: &Tree, targets: &[Target]) -> Vec<BootFile> {
    let mut files = Vec::new();
    for &target in targets {
        let Some(directory) = platform_directory(tree, target) else { continue };
        for (name, node) in children(tree, &directory) {
            let is_wanted =
                [".mod", ".lst", ".o"].iter().any(|end| name.ends_with(end)) || name == "boot.img";
            if is_wanted && is_file(tree, node) {
                files.push(BootFile { path: format!("{}/{name}", target.name()), node });
            }
        }
    }
    for directory in ["/usr/share/grub2", "/usr/share/grub"] {
        let font = follow(tree, format!("{directory}/unicode.pf2").as_bytes());
        if let Some(node) = font.filter(|node| is_file(tree, *node)) {
            files.push(BootFile { path: "fonts/unicode.pf2".to_owned(), node });
            break;
        }
    }
    for (locale, _) in children(tree, "/usr/share/locale") {
        for name in ["grub2.mo", "grub.mo"] {
            let path = format!("/usr/share/locale/{locale}/LC_MESSAGES/{name}");
            let node = follow(tree, path.as_bytes()).filter(|node| is_file(tree, *node));
            if let Some(node) = node {
                files.push(BootFile { path: format!("locale/{locale}.mo"), node });
                break;
            }
        }
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

/// A theme of the tree and the files of its directory, links followed, directories below it not. Refused: a theme that is
/// asked for and not there.
pub fn find_theme(tree: &Tree, name: &str) -> Result<(Theme, Vec<BootFile>), Refusal> {
    let places =
        ["/boot/grub2/themes", "/boot/grub/themes", "/usr/share/grub2/themes", "/usr/share/grub/themes"];
    let places = places.map(|place| format!("{place}/{name}"));
    let is_name = !name.is_empty() && !name.contains('/') && !name.starts_with('.');
    let is_theme = |place: &&String| {
        is_name
            && follow(tree, format!("{place}/theme.txt").as_bytes()).is_some_and(|node| is_file(tree, node))
    };
    let place = places.iter().find(is_theme).ok_or_else(|| {
        let reason =
            format!("a theme that is not in the tree: looked for theme.txt in {}", places.join(", "));
        refused(RefusalKind::Missing, "bootloader-theme", reason)
            .hint("install the theme's package into the tree, or leave bootloader-theme out")
    })?;
    let all = children(tree, place).into_iter().filter(|(_, node)| is_file(tree, *node));
    let all: Vec<(String, NodeId)> = all.collect();
    let fonts = all.iter().map(|(name, _)| name).filter(|name| name.ends_with(".pf2")).cloned().collect();
    let background = all.iter().any(|(name, _)| name == "background.png");
    let theme = Theme { name: name.to_owned(), background, fonts };
    let file = |(file, node)| BootFile { path: format!("themes/{name}/{file}"), node };
    Ok((theme, all.into_iter().map(file).collect()))
}

/// Names that are text, and what they lead to.
fn children(tree: &Tree, directory: &str) -> Vec<(String, NodeId)> {
    let at = follow(tree, directory.as_bytes());
    let names = at.into_iter().flat_map(|node| tree.children(node)).map(|(name, _)| name);
    let text = names.filter(|name| name.iter().all(u8::is_ascii_graphic)).map(escaped);
    let found =
        text.filter_map(|name| Some((name.clone(), follow(tree, format!("{directory}/{name}").as_bytes())?)));
    found.collect()
}

fn is_file(tree: &Tree, node: NodeId) -> bool {
    matches!(tree.node(node).kind, Kind::File(_))
}
