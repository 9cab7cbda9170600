//! Reading takes memory in proportion to the image, whatever the image says.
//!
//! One test: the limit counts what the whole process has.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

#[path = "../../formats/tests/oracle/mod.rs"]
mod oracle;

use diskwright_fstools::registry::find;
use oracle::{run, tool, try_run};
use std::alloc::System;
use std::ffi::OsStr;
use std::fmt::Write;
use std::fs;

/// Fails every request beyond its limit, which aborts the test.
#[global_allocator]
static ALLOCATOR: cap::Cap<System> = cap::Cap::new(System, usize::MAX);

/// Bytes that reading may take for each byte of the image, and for any image.
const TIMES: usize = 48;
const ALWAYS: usize = 16 << 20;

/// Reads and dumps within the limit; gives what was wrong.
fn read(image: &[u8], what: &str) -> Vec<String> {
    struct Nowhere;
    impl Write for Nowhere {
        fn write_str(&mut self, _: &str) -> std::fmt::Result {
            Ok(())
        }
    }
    println!("{what}: {} bytes", image.len());
    let image = image.to_vec();
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + TIMES * image.len() + ALWAYS).unwrap();
    let row = find("ext4").unwrap();
    let opened = (row.open)(&image);
    let _ = (row.dump)(&image, &mut Nowhere);
    ALLOCATOR.set_limit(usize::MAX).unwrap();
    opened
        .map_or_else(|damage| vec![damage], |opened| opened.damage)
        .iter()
        .map(ToString::to_string)
        .collect()
}

fn word(image: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(image[at..at + 4].try_into().unwrap())
}

#[test]
fn memory_is_bounded_by_the_image() {
    const TEST: &str = "memory_is_bounded_by_the_image";
    let find = |name| tool(TEST, name, "e2fsprogs");
    let (Some(mke2fs), Some(debugfs), Some(e2fsck)) = (find("mke2fs"), find("debugfs"), find("e2fsck"))
    else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let [path, script, value] = ["image", "script", "value"].map(|name| scratch.path().join(name));
    fs::write(&value, [7; 1024]).unwrap();
    let make = |options: &str, size: &str, commands: &str| {
        let mut arguments: Vec<&OsStr> = options.split_whitespace().map(OsStr::new).collect();
        arguments.extend([path.as_os_str(), size.as_ref()]);
        run(&mke2fs, &arguments);
        fs::write(&script, commands.replace("VALUE", &value.display().to_string())).unwrap();
        run(&debugfs, &["-w".as_ref(), "-f".as_ref(), script.as_os_str(), path.as_os_str()]);
        let (code, text) = try_run(&e2fsck, &["-fy".as_ref(), path.as_os_str()]);
        assert!(code.is_some_and(|code| code <= 1), "{text}");
        fs::read(&path).unwrap()
    };
    let plain = "-q -F -b 1024 -O ^has_journal,^metadata_csum,^resize_inode";

    // Directories in directories, every one of them with something wrong: their paths add up to a multiple of the image.
    let name = "n".repeat(255);
    let deep = format!("mkdir {name}\ncd {name}\n").repeat(700);
    let mut image = make(&format!("{plain} -t ext4 -I 128 -N 800"), "1400", &deep);
    assert!(read(&image, "deep").is_empty());
    let table = word(&image, 2048 + 8) as usize * 1024;
    (11..711).for_each(|ino| image[table + ino * 128 + 26] = 9);
    assert!(read(&image, "deep and wrong").len() >= 700);

    // One long value that all inodes share, each beside an attribute of its own.
    let one = "write VALUE owner\nea_set -f VALUE owner user.value\nea_set owner user.near 1234\n";
    let mut image = make(&format!("{plain} -t ext4 -O ea_inode -I 256 -N 2000"), "2M", one);
    assert!(read(&image, "shared").is_empty());
    let table = word(&image, 2048 + 8) as usize * 1024;
    let inode = |ino: usize| table + (ino - 1) * 256..table + ino * 256;
    let near = image[inode(12)].windows(4).position(|bytes| bytes == b"1234").unwrap();
    // The value grows to what lies behind it.
    image[inode(13)][4..8].copy_from_slice(&(900u32 << 10).to_le_bytes());
    image[inode(13)][28..32].copy_from_slice(&1800u32.to_le_bytes());
    let entry = image[inode(12)].windows(5).position(|bytes| bytes == b"value").unwrap() - 16;
    image[inode(12)][entry + 8..entry + 12].copy_from_slice(&(900u32 << 10).to_le_bytes());
    let blocks = word(&image, inode(12).start + 28) + 1798;
    image[inode(12)][28..32].copy_from_slice(&blocks.to_le_bytes());
    image[inode(13)][40 + 12 + 4..40 + 12 + 6].copy_from_slice(&900u16.to_le_bytes());
    for ino in 14..1900 {
        image.copy_within(inode(12), inode(ino).start);
        image[inode(ino)][near..near + 4].copy_from_slice(&(ino as u32).to_le_bytes());
    }
    let damage = read(&image, "shared by all");
    let said = damage.iter().any(|line| line.contains("of attributes that others share"));
    assert!(said, "{}", damage[..20].join("\n"));

    // One block of attributes that all inodes share, in the largest blocks that there are.
    let many: String = (0..400).map(|number| format!("ea_set owner user.{number} {number}\n")).collect();
    let options = "-q -F -b 65536 -I 256 -N 1500 -t ext4 -O ^has_journal,^metadata_csum,^resize_inode";
    let mut image = make(options, "4M", &format!("write VALUE owner\nea_set owner user.near 1234\n{many}"));
    assert!(read(&image, "a block").is_empty());
    let table = word(&image, 65536 + 8) as usize * 65536;
    let inode = |ino: usize| table + (ino - 1) * 256..table + ino * 256;
    let near = image[inode(12)].windows(4).position(|bytes| bytes == b"1234").unwrap();
    for ino in 13..1500 {
        image.copy_within(inode(12), inode(ino).start);
        image[inode(ino)][near..near + 4].copy_from_slice(&(ino as u32).to_le_bytes());
    }
    assert!(!read(&image, "a block for all").is_empty());
}
