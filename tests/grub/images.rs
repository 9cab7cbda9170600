//! Images against `grub-mkimage`.

use super::support::*;
use super::tree::*;
use diskwright::boot::grub::{Platform, Room};
use diskwright::boot::grub::{Target, core_img, efi_image, place};
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_formats::layout::ContentId;
use diskwright_fstools::tree::{Data, Kind, Node, NodeId};
use std::io::Read;

/// The largest set that a core image is asked to hold: KIWI's for BIOS.
const KIWI: &str = "ext2 iso9660 linux echo configfile search_label search_fs_file search search_fs_uuid ls normal gzio \
    png fat gettext font minicmd gfxterm gfxmenu all_video xfs btrfs squash4 lvm luks gcry_rijndael gcry_sha256 \
    gcry_sha512 crypto cryptodisk test true loadenv multiboot part_gpt part_msdos biosdisk vga vbe chain boot";

#[test]
fn efi_images_are_those_of_grub_mkimage() {
    for release in releases("efi-image") {
        for target in EFI.into_iter().filter(|target| directory(&release, *target).is_some()) {
            let ours = efi_image(&platform(&release, target, &MODULES), &embedded()).unwrap();
            let theirs = mkimage(&release, target, &MODULES, &embedded());
            let differs = ours.iter().zip(&theirs).position(|(a, b)| a != b);
            assert_eq!((differs, ours.len()), (None, theirs.len()), "{} {target:?}", release.display());
        }
    }
}

/// Of a core image: diskboot.img, the decompressor, and what the stream behind it unpacks to.
fn parts(core: &[u8], decompressor: usize) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let (head, packed) = core[512..].split_at(decompressor);
    let field = |at: usize| u32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    assert_eq!(field(8) as usize, packed.len(), "the size that the decompressor is told");
    // The header of .lzma files in front: lc=3 lp=0 pb=2, dictionary, size.
    let header = [&[0x5D, 0, 0, 1, 0][..], &u64::from(field(12)).to_le_bytes()].concat();
    let file = [&header, packed].concat();
    let mut unpacked = Vec::new();
    lzma_rust2::LzmaReader::new_mem_limit(&file[..], 1 << 20, None)
        .unwrap()
        .read_to_end(&mut unpacked)
        .unwrap();
    let mut rest = head.to_vec();
    rest[8..12].fill(0);
    (core[..512].to_vec(), rest, unpacked)
}

#[test]
fn core_images_unpack_to_what_those_of_grub_mkimage_do() {
    for release in releases("core-image") {
        let decompressor = directory(&release, Target::I386Pc).unwrap().join("lzma_decompress.img");
        let decompressor = std::fs::metadata(decompressor).unwrap().len() as usize;
        let small: Vec<&str> = MODULES.into_iter().chain(["biosdisk"]).collect();
        for modules in [small, KIWI.split(' ').collect()] {
            let core = core_img(&platform(&release, Target::I386Pc, &modules), &embedded()).unwrap();
            let theirs = mkimage(&release, Target::I386Pc, &modules, &embedded());
            let (ours, mut expected) = (parts(core.bytes(), decompressor), parts(&theirs, decompressor));
            println!(
                "{} bytes, grub-mkimage's {}, equal: {}",
                core.bytes().len(),
                theirs.len(),
                core.bytes() == theirs
            );
            // The number of sectors is that of each.
            expected.0[0x1FC..0x1FE].copy_from_slice(&(core.sectors() as u16 - 1).to_le_bytes());
            assert!(ours == expected, "{}: {modules:?}", release.display());
            // No worse at packing than theirs, which its place is measured by.
            assert!(
                core.bytes().len() <= theirs.len() + theirs.len() / 50,
                "{} {}",
                core.bytes().len(),
                theirs.len()
            );
        }
    }
}

#[test]
fn xz_unpacks_the_core_image() {
    let Some(xz) = oracle("core-image-xz", "xz") else { return };
    for release in releases("core-image-xz") {
        let modules = ["biosdisk", "normal"];
        let core = core_img(&platform(&release, Target::I386Pc, &modules), &embedded()).unwrap();
        let decompressor =
            std::fs::read(directory(&release, Target::I386Pc).unwrap().join("lzma_decompress.img"));
        let start = 512 + decompressor.unwrap().len();
        let field = u32::from_le_bytes(core.bytes()[512 + 12..512 + 16].try_into().unwrap());
        let header = [&[0x5D, 0, 0, 1, 0][..], &u64::from(field).to_le_bytes()].concat();
        let work = tempfile::tempdir().unwrap();
        write(work.path().join("core.lzma"), [&header, &core.bytes()[start..]].concat());
        tool(&xz, ["-d".as_ref(), work.path().join("core.lzma").as_os_str()]);
        let unpacked = std::fs::read(work.path().join("core")).unwrap();
        assert_eq!(unpacked.len(), field as usize);
        assert!(unpacked.windows(10).any(|window| window == b"/boot/grub"));
    }
}

#[test]
fn what_does_not_fit_names_both_sizes() {
    for release in releases("no-room") {
        let platform = platform(&release, Target::I386Pc, &["biosdisk", "normal", "part_msdos", "ext2"]);
        let core = core_img(&platform, &embedded()).unwrap();
        let sectors = core.sectors();
        for (room, there) in [
            (Room::Gap { end: 63 }, 62),
            (Room::Gap { end: 0 }, 0),
            (Room::Gap { end: sectors }, sectors - 1),
            (Room::Partition { start: 2048, sectors: sectors - 1 }, sectors - 1),
        ] {
            let refusal = place(&platform, &core, room, 512).unwrap_err();
            assert_eq!(refusal.kind, RefusalKind::TooSmall { needed: Some(sectors * 512) });
            assert!(refusal.reason.contains(&format!("{} bytes", sectors * 512)), "{refusal}");
            assert!(refusal.reason.contains(&format!("{} bytes", there * 512)), "{refusal}");
        }
        for room in [Room::Gap { end: sectors + 1 }, Room::Partition { start: 2048, sectors }] {
            let [boot, placed] = place(&platform, &core, room, 512).unwrap();
            assert_eq!((boot.start, boot.bytes.len()), (0, 440));
            assert_eq!(placed.bytes.len() as u64, sectors * 512);
        }
        assert_eq!(
            place(&platform, &core, Room::Gap { end: 2048 }, 4096).unwrap_err().kind,
            RefusalKind::Unsupported
        );
    }
}

#[test]
fn what_the_tree_lacks_is_refused_with_the_package() {
    let unread = |_| -> Result<Vec<u8>, diskwright_formats::fault::Refusal> { panic!("all is in memory") };
    let refusal = Platform::load(&empty(), Target::I386Pc, &["normal"], unread).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Missing);
    assert!(refusal.hint.unwrap().contains("grub-pc-bin"));
    for release in releases("missing-files") {
        let tree = tree(&release, Target::I386Pc);
        let refusal = Platform::load(&tree, Target::I386Pc, &["no_such"], unread).unwrap_err();
        assert_eq!(refusal.kind, RefusalKind::Missing);
        assert!(refusal.to_string().contains("no_such.mod"), "{refusal}");
    }
}

#[test]
fn files_are_read_once_and_only_those_that_are_needed() {
    for release in releases("grub-reads") {
        let whole = tree(&release, Target::X86_64Efi);
        let mut contents = Vec::new();
        let mut tree = empty();
        for step in whole.walk() {
            if let Kind::File(data) = &whole.node(step.node).kind {
                let Data::Bytes(bytes) = data else { panic!("all is in memory") };
                let id = ContentId(contents.len() as u32);
                let kind = Kind::File(Data::Content { id, size: bytes.len() as u64, runs: None });
                let meta = whole.node(step.node).meta;
                let path = String::from_utf8(step.path.clone()).unwrap();
                tree.put(path.as_bytes(), Node { meta, kind }, meta).unwrap();
                contents.push(bytes.clone());
            }
        }
        let mut asked = Vec::new();
        let mut read = |node: NodeId, cut: usize| {
            let Kind::File(Data::Content { id, .. }) = tree.node(node).kind else { panic!("a file") };
            asked.push(id);
            Ok::<_, Refusal>(contents[id.0 as usize][cut..].to_vec())
        };
        let loaded = Platform::load(&tree, Target::X86_64Efi, &["normal"], |node| read(node, 0)).unwrap();
        let refusal =
            Platform::load(&tree, Target::X86_64Efi, &["normal"], |node| read(node, 1)).unwrap_err();
        assert!(refusal.reason.contains("changed"), "{refusal}");
        assert_eq!(loaded, platform(&release, Target::X86_64Efi, &["normal"]));
        // Kernel, dependencies, modules; and one more that was refused.
        assert_eq!(asked.len(), 2 + loaded.modules().count() + 1);
        let failed = |_| Err::<Vec<u8>, _>(Fails::Io);
        assert_eq!(Platform::load(&tree, Target::X86_64Efi, &["normal"], failed), Err(Fails::Io));
    }
}

/// What a reader fails with comes back as it is.
#[derive(Debug, PartialEq, Eq)]
enum Fails {
    Io,
    Refused,
}

impl From<Refusal> for Fails {
    fn from(_: Refusal) -> Fails {
        Fails::Refused
    }
}
