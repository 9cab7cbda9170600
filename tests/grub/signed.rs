//! The distributions' own images: found where each has them, put where firmware and shim look, started with Secure Boot.

use super::support::listing;
use super::tree::*;
use diskwright::boot::grub::*;
use diskwright::model::Arch;
use diskwright_formats::fault::RefusalKind;
use diskwright_fstools::tree::{Data, Kind, Tree};
use std::path::Path;

/// Paths in a tree of each distribution, the vendor to ask for, and what the EFI system partition then holds.
type Case = (&'static [&'static str], &'static str, &'static [(&'static str, &'static str)]);
const CASES: &[Case] = &[
    (
        &[
            "/usr/lib/shim/shimx64.efi.signed",
            "/usr/lib/shim/mmx64.efi.signed",
            "/usr/lib/shim/fbx64.efi.signed",
            "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
            "/usr/lib/grub/x86_64-efi-signed/gcdx64.efi.signed",
        ],
        "debian",
        &[
            ("EFI/BOOT/BOOTX64.EFI", "/usr/lib/shim/shimx64.efi.signed"),
            ("EFI/BOOT/grubx64.efi", "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
            ("EFI/BOOT/mmx64.efi", "/usr/lib/shim/mmx64.efi.signed"),
            ("EFI/debian/grubx64.efi", "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
            ("EFI/debian/mmx64.efi", "/usr/lib/shim/mmx64.efi.signed"),
            ("EFI/debian/shimx64.efi", "/usr/lib/shim/shimx64.efi.signed"),
        ],
    ),
    (
        &[
            "/usr/lib/shim/shimx64.efi.signed.latest",
            "/usr/lib/shim/shimx64.efi.signed",
            "/usr/lib/shim/mmx64.efi",
            "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed",
        ],
        "ubuntu",
        &[
            ("EFI/BOOT/BOOTX64.EFI", "/usr/lib/shim/shimx64.efi.signed.latest"),
            ("EFI/BOOT/grubx64.efi", "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
            ("EFI/BOOT/mmx64.efi", "/usr/lib/shim/mmx64.efi"),
            ("EFI/ubuntu/grubx64.efi", "/usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed"),
            ("EFI/ubuntu/mmx64.efi", "/usr/lib/shim/mmx64.efi"),
            ("EFI/ubuntu/shimx64.efi", "/usr/lib/shim/shimx64.efi.signed.latest"),
        ],
    ),
    (
        &[
            "/usr/share/efi/x86_64/shim.efi",
            "/usr/share/efi/x86_64/grub.efi",
            "/usr/share/efi/x86_64/MokManager.efi",
            "/usr/share/grub2/x86_64-efi/grub.efi",
        ],
        "opensuse",
        &[
            ("EFI/BOOT/BOOTX64.EFI", "/usr/share/efi/x86_64/shim.efi"),
            ("EFI/BOOT/MokManager.efi", "/usr/share/efi/x86_64/MokManager.efi"),
            ("EFI/BOOT/grub.efi", "/usr/share/efi/x86_64/grub.efi"),
            ("EFI/opensuse/MokManager.efi", "/usr/share/efi/x86_64/MokManager.efi"),
            ("EFI/opensuse/grub.efi", "/usr/share/efi/x86_64/grub.efi"),
            ("EFI/opensuse/shim.efi", "/usr/share/efi/x86_64/shim.efi"),
        ],
    ),
    (
        &[
            "/boot/efi/EFI/BOOT/BOOTX64.EFI",
            "/boot/efi/EFI/BOOT/fbx64.efi",
            "/boot/efi/EFI/fedora/shimx64.efi",
            "/boot/efi/EFI/fedora/shim.efi",
            "/boot/efi/EFI/fedora/grubx64.efi",
            "/boot/efi/EFI/fedora/mmx64.efi",
        ],
        "fedora",
        &[
            ("EFI/BOOT/BOOTX64.EFI", "/boot/efi/EFI/fedora/shimx64.efi"),
            ("EFI/BOOT/grubx64.efi", "/boot/efi/EFI/fedora/grubx64.efi"),
            ("EFI/BOOT/mmx64.efi", "/boot/efi/EFI/fedora/mmx64.efi"),
            ("EFI/fedora/grubx64.efi", "/boot/efi/EFI/fedora/grubx64.efi"),
            ("EFI/fedora/mmx64.efi", "/boot/efi/EFI/fedora/mmx64.efi"),
            ("EFI/fedora/shimx64.efi", "/boot/efi/EFI/fedora/shimx64.efi"),
        ],
    ),
    (
        &["/boot/efi/EFI/redhat/grubx64.efi"],
        "redhat",
        &[
            ("EFI/BOOT/BOOTX64.EFI", "/boot/efi/EFI/redhat/grubx64.efi"),
            ("EFI/redhat/grubx64.efi", "/boot/efi/EFI/redhat/grubx64.efi"),
        ],
    ),
];

#[test]
fn every_distribution_has_its_images_where_firmware_looks() {
    for (paths, vendor, expected) in CASES {
        let mut tree = empty();
        paths.iter().for_each(|path| put(&mut tree, path, path));
        let signed = find_signed(&tree, Arch::X86_64).unwrap();
        let in_tree = paths.iter().any(|path| path.starts_with("/boot/efi"));
        assert_eq!(signed.vendor(), in_tree.then_some(*vendor));
        let mut files = signed.files(Some(vendor));
        files.sort_by(|a, b| a.path.cmp(&b.path));
        let found: Vec<(&str, String)> =
            files.iter().map(|file| (file.path.as_str(), text(&tree, file))).collect();
        let expected: Vec<(&str, String)> = expected.iter().map(|(at, of)| (*at, (*of).to_owned())).collect();
        assert_eq!(found, expected);
        let beside = signed.files(None);
        assert!(beside.iter().all(|file| file.path.starts_with("EFI/BOOT/")) && !beside.is_empty());
        let refusal = find_signed(&tree, Arch::Aarch64).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Missing);
    }
    let hint = find_signed(&empty(), Arch::X86_64).unwrap_err().hint.unwrap();
    assert!(hint.contains("grub-efi-amd64-signed") && hint.contains("firmware=\"efi\""), "{hint}");
}

/// The bytes of a small file.
fn text(tree: &Tree, file: &EspFile) -> String {
    String::from_utf8(bytes(tree, file)).unwrap()
}

fn bytes(tree: &Tree, file: &EspFile) -> Vec<u8> {
    match &tree.node(file.node).kind {
        Kind::File(Data::Bytes(bytes)) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn images_that_nobody_signed() {
    for (path, arch, at) in [
        ("/usr/share/grub2/x86_64-efi/grub.efi", Arch::X86_64, "EFI/BOOT/BOOTX64.EFI"),
        ("/usr/lib/grub/x86_64-efi/monolithic/grubx64.efi", Arch::X86_64, "EFI/BOOT/BOOTX64.EFI"),
        ("/boot/efi/EFI/fedora/grubaa64.efi", Arch::Aarch64, "EFI/BOOT/BOOTAA64.EFI"),
        ("/usr/lib/grub/riscv64-efi/monolithic/grubriscv64.efi", Arch::Riscv64, "EFI/BOOT/BOOTRISCV64.EFI"),
    ] {
        let mut tree = empty();
        put(&mut tree, path, path);
        let found = find_unsigned(&tree, arch).unwrap();
        assert_eq!((found.path.as_str(), text(&tree, &found)), (at, path.to_owned()));
        assert!(find_unsigned(&tree, Arch::Ix86).is_none());
    }
}

#[test]
fn the_vendor_that_an_image_was_made_for() {
    for (image, vendor) in [
        (&b"x/EFI/debian\0y"[..], Some("debian")),
        (b"/EFI/BOOT\0/EFI/fedora\0", Some("fedora")),
        (b"/EFI/with space\0", None),
        (b"/EFI/", None),
        (b"/EFI/no-end", None),
        (b"", None),
    ] {
        assert_eq!(vendor_of_image(image).as_deref(), vendor);
    }
    for release in releases("grub-vendor") {
        let image = release.join("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed");
        assert_eq!(vendor_of_image(&std::fs::read(image).unwrap()).as_deref(), Some("debian"));
    }
}

/// A tree with the signed images of a release.
pub fn tree(release: &Path) -> Tree {
    let mut tree = empty();
    for directory in ["usr/lib/shim", "usr/lib/grub/x86_64-efi-signed"] {
        for name in listing(&release.join(directory)) {
            let at = release.join(directory).join(&name);
            if at.is_file() {
                put(&mut tree, &format!("{directory}/{name}"), std::fs::read(at).unwrap());
            }
        }
    }
    tree
}

/// The EFI system partition of a disk that starts with Secure Boot: paths and bytes.
pub fn esp(release: &Path, start: &Start) -> Vec<(String, Vec<u8>)> {
    let tree = tree(release);
    let signed = find_signed(&tree, Arch::X86_64).unwrap();
    let image = bytes(&tree, &EspFile { path: String::new(), node: signed.grub() });
    let vendor = vendor_of_image(&image).unwrap();
    let mut files: Vec<(String, Vec<u8>)> =
        signed.files(Some(&vendor)).iter().map(|file| (file.path.clone(), bytes(&tree, file))).collect();
    for directory in ["BOOT", &vendor] {
        files.push((format!("EFI/{directory}/grub.cfg"), start.stub().unwrap().into_bytes()));
    }
    files
}

#[test]
fn what_grub_install_copies() {
    for release in releases("boot-files") {
        let mut tree = super::tree::tree(&release, Target::I386Pc);
        put(&mut tree, "usr/share/grub/unicode.pf2", "font");
        put(&mut tree, "usr/share/locale/de/LC_MESSAGES/grub.mo", "de");
        put(&mut tree, "usr/share/locale/fr/LC_MESSAGES/other.mo", "fr");
        let files = boot_files(&tree, &[Target::I386Pc, Target::X86_64Efi]);
        let has = |path: &str| files.iter().any(|file| file.path == path);
        for path in ["i386-pc/normal.mod", "i386-pc/moddep.lst", "fonts/unicode.pf2", "locale/de.mo"] {
            assert!(has(path), "{path}");
        }
        assert!(!has("locale/fr.mo") && !has("i386-pc/kernel.img") && files.len() > 200);
        assert!(!has_bls(&tree, Target::I386Pc), "Debian's has none");
        let modules = image_modules(&tree, Target::I386Pc, &["mdraid1x"]);
        assert!(modules.contains(&"biosdisk") && modules.contains(&"mdraid1x"));
        let platform = platform(&release, Target::I386Pc, &modules);
        let core = core_img(&platform, &embedded()).unwrap();
        assert!(place(&platform, &core, Room::Gap { end: 2048 }, 512).is_ok(), "{} sectors", core.sectors());
    }
    let mut tree = empty();
    assert_eq!(boot_directory(&tree), "/boot/grub");
    assert!(!has_bls(&tree, Target::X86_64Efi));
    put(&mut tree, "usr/sbin/grub2-switch-to-blscfg", "");
    assert!(has_bls(&tree, Target::X86_64Efi));
    put(&mut tree, "usr/sbin/grub2-install", "");
    assert_eq!(boot_directory(&tree), "/boot/grub2");
    for name in ["theme.txt", "background.png", "a.pf2", "b.png"] {
        put(&mut tree, &format!("usr/share/grub2/themes/star/{name}"), name);
    }
    let (theme, files) = find_theme(&tree, "star").unwrap();
    assert_eq!(theme, Theme { name: "star".to_owned(), background: true, fonts: vec!["a.pf2".to_owned()] });
    assert_eq!(files.len(), 4);
    for name in ["moon", "../star", ""] {
        assert_eq!(find_theme(&tree, name).unwrap_err().kind, RefusalKind::Missing);
    }
}
