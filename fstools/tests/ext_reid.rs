//! A new identity for images that mke2fs made: checkers stay silent, nothing but the id shows, and the bytes are those that
//! `tune2fs -U` writes. What must keep its identity is refused by name.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::fault::ReidError;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{ContentId, Layout, OneFile, Patch, ReadAt};
use diskwright_fstools::ext::disk::{MAGIC, Superblock};
use diskwright_fstools::registry::ROWS;
use kit::{Disk, Image, all_of, bytes_of, fsck, have, identity, run, skip};
use std::mem::offset_of;
use std::path::Path;
use std::process::Command;

const LEN: u64 = 48 << 20;

/// As mke2fs takes them. Of sizes of blocks and features that our writer does not make, too.
const LINES: &[&str] = &[
    "-t ext2",
    "-t ext2 -b 1024 -O ^resize_inode",
    "-t ext3 -b 1024",
    "-t ext4",
    "-t ext4 -b 1024 -I 128",
    "-t ext4 -b 2048 -O ea_inode -I 256",
    "-t ext4 -O metadata_csum_seed,orphan_file,ea_inode",
    "-t ext4 -O orphan_file,sparse_super2 -b 1024",
    "-t ext4 -O ^metadata_csum,uninit_bg",
    "-t ext4 -O ^metadata_csum,uninit_bg,^64bit,^flex_bg -b 1024",
    "-t ext4 -O ^metadata_csum,ea_inode -b 1024",
    "-t ext4 -O meta_bg,^resize_inode -b 1024 -g 512",
    "-t ext4 -O mmp,quota,project -b 2048",
    "-t ext4 -O ^has_journal,large_dir,verity -g 2048 -b 1024",
];

/// A folder with files of many extents, attributes near and far (`longest` bytes), a directory with an index.
fn fill(folder: &Path, longest: usize) {
    let file =
        |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).expect("room in the folder");
    (0..900).for_each(|n| file(&format!("a rather long name of a file {n}"), &[7; 3][..n % 4]));
    std::fs::create_dir_all(folder.join("deep/er/still")).expect("room in the folder");
    file("deep/er/still/large", &kit::noise(1, 3 << 20));
    let sparse = std::fs::File::create(folder.join("sparse")).expect("room in the folder");
    (0..600)
        .for_each(|n| std::os::unix::fs::FileExt::write_all_at(&sparse, &[1; 4096], n * 8192).expect("room"));
    std::os::unix::fs::symlink("x".repeat(200), folder.join("link")).expect("room in the folder");
    file("near", b"near");
    file("far", b"far");
    file("farther", b"farther");
    let set = |name: &str, key: &str, len: usize| {
        rustix::fs::setxattr(folder.join(name), key, &vec![b'v'; len], rustix::fs::XattrFlags::empty())
    };
    // Where the host has none, the images have none, and all else is still judged.
    let attributes =
        [("near", 20), ("far", 800), ("farther", longest)].map(|(name, len)| set(name, "user.a", len));
    if attributes.iter().any(Result::is_err) {
        skip("ext_reid", "attributes: the host's file system has none");
    }
}

fn made(line: &str, folder: &Path) -> Image {
    let image = Image::write(&Layout::empty(LEN), &OneFile(&Vec::new()));
    let words = ["-q", "-F", "-E", "hash_seed=6f1c6d6c-0000-4000-8000-000000000001"];
    let mut mke2fs = Command::new(kit::tool("mke2fs").expect("it was looked up"));
    mke2fs.args(words).args(line.split_whitespace()).args(["-U", "6f1c6d6c-1111-4111-8111-111111111111"]);
    let output = mke2fs.arg("-d").arg(folder).arg(&image.path).output().expect("it runs");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    // mke2fs counts the blocks of values in inodes of their own wrongly.
    let (code, said) = run("e2fsck", &["-fy", image.path.to_str().expect("a plain path")]);
    assert!(code <= 1, "{line}: {said}");
    // It lets copies of superblock and descriptors fall behind; this program writes all of them.
    if tune2fs_can(line) {
        set_uuid("6f1c6d6c-2222-4222-8222-222222222222", &image);
    }
    image
}

/// tune2fs 1.47.0 forgets the checksums of the orphan file and that of mmp.
fn tune2fs_can(line: &str) -> bool {
    line.contains("metadata_csum_seed") || !line.contains("orphan_file") && !line.contains("mmp")
}

fn set_uuid(id: &str, image: &Image) {
    // Without -f it asks for a file system that was checked just now.
    let (code, said) = run("tune2fs", &["-f", "-U", id, image.path.to_str().expect("a plain path")]);
    assert_eq!(code, 0, "{said}");
}

fn reid(image: &dyn ReadAt, identity: &Identity) -> Result<Vec<Patch>, ReidError> {
    let row = ROWS.iter().find(|row| (row.recognise)(image)).expect("ext");
    (row.reid)(image, identity)
}

/// The image with another identity, in a file of its own.
fn changed(image: &Image, identity: &Identity) -> Image {
    let disk = Disk::open(&image.path);
    let patches = reid(&disk, identity).unwrap_or_else(|error| panic!("{error}"));
    let layout =
        Layout::of_content(ContentId(0), disk.len()).patched(&patches).expect("apart from each other");
    let copy = image.copy();
    let bytes = bytes_of(&layout, &OneFile(&disk));
    let file = std::fs::File::options().write(true).open(&copy.path).expect("a copy");
    for patch in &patches {
        let range = patch.range().start as usize..patch.range().end as usize;
        std::os::unix::fs::FileExt::write_all_at(&file, &bytes[range], patch.start)
            .expect("room on the disk");
    }
    copy
}

fn text(program: &str, image: &Image, arguments: &[&str]) -> String {
    let path = image.path.to_str().expect("a plain path");
    let (code, text) = run(program, &[arguments, &[path]].concat());
    assert_eq!(code, 0, "{program}: {text}");
    // Programs name the image, and mmp the last one that it was.
    text.lines()
        .filter(|line| !line.contains("mmp_device_name"))
        .map(|line| line.replace(path, "IMAGE") + "\n")
        .collect()
}

#[test]
fn images_of_mke2fs_stay_clean_and_change_in_their_id_alone() {
    const TEST: &str = "images_of_mke2fs_stay_clean_and_change_in_their_id_alone";
    if !["mke2fs", "e2fsck", "dumpe2fs", "tune2fs", "blkid"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a temporary directory"));
    fill(folders[0].path(), 30);
    fill(folders[1].path(), 3000);
    let check = |line: &str| {
        let origin = made(line, folders[usize::from(line.contains("ea_inode"))].path());
        let clone = identity().clone_as("fs/copy");
        let id = clone.uuid("uuid").to_string();
        let copy = changed(&origin, &clone);
        fsck(&copy.path, line);
        assert!(text("blkid", &copy, &["-p"]).contains(&format!(" UUID=\"{id}\"")), "{line}");
        // Of all that dumpe2fs says, only the id and checksums differ.
        let (before, after) = (text("dumpe2fs", &origin, &[]), text("dumpe2fs", &copy, &[]));
        assert_eq!(before.lines().count(), after.lines().count());
        for (before, after) in before.lines().zip(after.lines()).filter(|(before, after)| before != after) {
            let is_id = before.starts_with("Filesystem UUID:") && after.ends_with(&id);
            let is_sum = ["checksum", "csum"].iter().any(|sum| after.to_lowercase().contains(sum));
            assert!(is_id || is_sum, "{line}: {before} became {after}");
        }
        if tune2fs_can(line) {
            compare_with_tune2fs(line, &origin, &copy, &id);
        }
    };
    let lines = LINES.iter().enumerate().filter(|(at, _)| kit::all() || at % 2 == 1);
    all_of(lines.map(|(_, line)| *line), |line| (*line).to_owned(), check);
}

/// `tune2fs -U` writes the same bytes but for what it counts of itself in the superblocks: time and bytes of writing.
fn compare_with_tune2fs(line: &str, origin: &Image, copy: &Image, id: &str) {
    let theirs = origin.copy();
    set_uuid(id, &theirs);
    let read = |image: &Image| std::fs::read(&image.path).expect("an image");
    let (theirs, ours) = (read(&theirs), read(copy));
    let counted = [
        offset_of!(Superblock, s_wtime)..offset_of!(Superblock, s_wtime) + 4,
        offset_of!(Superblock, s_wtime_hi)..offset_of!(Superblock, s_wtime_hi) + 1,
        offset_of!(Superblock, s_kbytes_written)..offset_of!(Superblock, s_kbytes_written) + 8,
        offset_of!(Superblock, s_checksum)..offset_of!(Superblock, s_checksum) + 4,
    ];
    for (start, (theirs, ours)) in (0..).step_by(1024).zip(theirs.chunks(1024).zip(ours.chunks(1024))) {
        let is_superblock = ours[0x38..0x3A] == MAGIC.to_le_bytes();
        let differs = |at: &usize| theirs[*at] != ours[*at];
        let is_counted = |at: usize| is_superblock && counted.iter().any(|range| range.contains(&at));
        let strange = (0..ours.len()).filter(differs).find(|&at| !is_counted(at));
        assert_eq!(strange.map(|at| start + at), None, "{line}: another byte than tune2fs writes");
    }
}

/// What must keep its identity: option lines, what is done to the image, and what is said.
#[test]
fn what_is_in_use_is_refused() {
    const TEST: &str = "what_is_in_use_is_refused";
    if !["mke2fs", "debugfs", "e2fsck", "tune2fs"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary directory");
    let cases = [
        ("-t ext4", "set_super_value s_feature_incompat 0x2c6", "ext4: superblock: it was not unmounted"),
        ("-t ext2", "set_super_value s_state 0", "ext2: superblock: it was not unmounted"),
        ("-t ext3", "set_super_value s_journal_inum 0", "ext3: superblock: its journal is on another device"),
        ("-t ext4", "set_super_value s_feature_compat 0x83c", "ext4: superblock: stable_inodes"),
    ];
    for (line, done, expected) in cases {
        let image = made(line, folder.path());
        let (code, said) = run("debugfs", &["-w", "-R", done, image.path.to_str().expect("a plain path")]);
        assert_eq!(code, 0, "{said}");
        match reid(&Disk::open(&image.path), &identity()) {
            Err(ReidError::Refusal(refusal)) => {
                assert!(refusal.to_string().starts_with(expected), "{line}: {refusal}");
                assert!(refusal.hint.is_some(), "{line}");
            }
            other => panic!("{line}: {other:?}"),
        }
    }
}

/// What cannot be trusted is damage, and nothing is written.
#[test]
fn damage_is_no_reason_to_write() {
    let sample = kit::attributes();
    let laid = kit::lay(&sample, 16 << 20).expect("it fits");
    let sound = bytes_of(&laid.layout, &sample.contents);
    assert!(reid(&sound, &identity()).expect("sound").is_empty(), "it has this identity already");
    for (at, what) in [(1024 + 0x18, "superblock"), (4096 + 0x1e, "descriptor"), (4096 + 2, "bitmap")] {
        let mut image = sound.clone();
        image[at] ^= 0x55;
        match reid(&image, &identity().clone_as("fs/copy")) {
            Err(ReidError::Damage(_)) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
}
