//! The kernel mounts what we lay, finds everything as it was in the tree, and goes on writing.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_fstools::ext::disk::LATEST_SAFE_TIME;
use diskwright_fstools::tree::{Data, Kind, NodeId, Step, Tree};
use kit::{Image, Sample, fsck, have, lay_with, run, skip};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// A mount that ends with the value.
struct Mounted(PathBuf);

impl Mounted {
    /// `None` where this process may not mount.
    fn new(image: &Image) -> Option<Mounted> {
        let at = image.path.with_file_name("mnt");
        fs::create_dir(&at).expect("a new directory");
        let (code, text) = run("mount", &["-o", "loop", image.path.to_str()?, at.to_str()?]);
        match code {
            0 => Some(Mounted(at)),
            _ if text.contains("wrong fs type") => panic!("the kernel refuses it: {text}"),
            _ => None,
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let (code, text) = run("umount", &[self.0.to_str().expect("a plain path")]);
        assert!(code == 0 || std::thread::panicking(), "{text}");
    }
}

fn check(name: &str, sample: &Sample, len: u64, options: &str) {
    let laid = lay_with(sample, len, options).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let image = Image::write(&laid.layout.poisoned(0xF5), &sample.contents);
    let Some(mounted) = Mounted::new(&image) else {
        skip(name, "mounting needs root and loop devices");
        return;
    };
    compare(sample, &mounted.0);
    change(sample, &mounted.0);
    drop(mounted);
    fsck(&image.path, &format!("{name}, after the kernel wrote to it"));
}

#[test]
fn the_kernel_finds_and_keeps_everything() {
    const TEST: &str = "the_kernel_finds_and_keeps_everything";
    if !["mount", "e2fsck"].iter().all(|program| have(TEST, program)) {
        return;
    }
    for (name, sample, len, options) in [
        ("empty", Sample::default(), 16 * MIB, ""),
        ("kinds", kit::kinds(), 24 * MIB, ""),
        ("kinds, large", kit::kinds(), 5 << 30, "-O metadata_csum_seed"),
        ("kinds, no journal", kit::kinds(), 24 * MIB, "-O ^has_journal,^resize_inode"),
        ("wide", kit::wide(40_000), 200 * MIB, "-i 4096"),
        ("wide, linear", kit::wide(3000), 64 * MIB, "-O ^dir_index -i 4096"),
        ("deep", kit::deep(400), 32 * MIB, "-i 4096"),
        ("attributes", kit::attributes(), 64 * MIB, "-i 4096"),
        ("holes", kit::holes(), 64 * MIB, ""),
        ("subdirectories", kit::subdirectories(1000), 64 * MIB, "-i 4096"),
    ] {
        check(name, &sample, len, options);
    }
    if kit::all() {
        check("many subdirectories", &kit::subdirectories(65_000), 2 << 30, "-i 4096");
    }
}

/// What an image does on its first boot on a larger disk.
#[test]
fn it_grows_while_it_is_mounted() {
    const TEST: &str = "it_grows_while_it_is_mounted";
    if !["mount", "losetup", "resize2fs"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let sample = kit::kinds();
    for (len, larger) in [(24 * MIB, 3 << 30), (1 << 30, 40 << 30)] {
        let laid = lay_with(&sample, len, "").expect("it fits");
        let image = Image::write(&laid.layout.poisoned(0xF5), &sample.contents);
        let Some(mounted) = Mounted::new(&image) else {
            skip(TEST, "mounting needs root and loop devices");
            return;
        };
        File::options()
            .write(true)
            .open(&image.path)
            .and_then(|file| file.set_len(larger))
            .expect("a larger file");
        let mounts = fs::read_to_string("/proc/mounts").expect("a list");
        let path = mounted.0.to_str().expect("a plain path");
        let mount = mounts.lines().find(|line| line.split(' ').nth(1) == Some(path)).expect("it is mounted");
        let device = mount.split(' ').next().expect("a device");
        let (code, text) = run("losetup", &["-c", device]);
        assert_eq!(code, 0, "{text}");
        let (code, text) = run("resize2fs", &[device]);
        if text.contains("Permission denied") {
            skip(TEST, "resizing while mounted needs CAP_SYS_RESOURCE");
            return;
        }
        assert_eq!(code, 0, "{text}");
        compare(&sample, &mounted.0);
        change(&sample, &mounted.0);
        drop(mounted);
        fsck(&image.path, &format!("{len} bytes grown online to {larger}"));
        let (_, text) = run("dumpe2fs", &["-h", image.path.to_str().expect("a plain path")]);
        assert!(text.contains(&format!("{}\n", larger / 4096)), "{text}");
    }
}

fn at(mount: &Path, path: &[u8]) -> PathBuf {
    let path: OsString = OsString::from_vec([mount.as_os_str().as_bytes(), path].concat());
    path.into()
}

fn compare(sample: &Sample, mount: &Path) {
    let links = sample.tree.links();
    let mut seen = 0;
    for step in sample.tree.walk() {
        let path = at(mount, &step.path);
        compare_node(sample, &step, &path, links[step.node.0 as usize]);
        seen += 1;
    }
    let found = count(mount) - usize::from(sample.tree.lookup(b"lost+found").is_none());
    assert_eq!(found, seen, "as many names as in the tree");
}

fn count(directory: &Path) -> usize {
    let entries = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry"));
    1 + entries
        .map(|entry| if entry.file_type().expect("a type").is_dir() { count(&entry.path()) } else { 1 })
        .sum::<usize>()
}

fn compare_node(sample: &Sample, step: &Step, path: &Path, links: u32) {
    let name = step.path.escape_ascii();
    let node = sample.tree.node(step.node);
    let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((found.uid(), found.gid()), (node.meta.uid, node.meta.gid), "{name}: owner");
    assert_eq!(found.mode() & 0o7777, u32::from(node.meta.mode), "{name}: mode");
    let mtime = node.meta.mtime;
    match mtime.sec.clamp(i32::MIN.into(), LATEST_SAFE_TIME) {
        sec if sec == mtime.sec => {
            assert_eq!((found.mtime(), found.mtime_nsec()), (sec, i64::from(mtime.nsec)), "{name}")
        }
        sec => assert_eq!((found.mtime(), found.mtime_nsec()), (sec, 0), "{name}: a clamped time"),
    }
    let kind = found.file_type();
    match &node.kind {
        Kind::Directory(_) => {
            let subdirectories = subdirectories(&sample.tree, step.node);
            let expected = if subdirectories > 64_998 { 1 } else { 2 + subdirectories };
            assert_eq!((kind.is_dir(), found.nlink()), (true, expected), "{name}");
        }
        Kind::File(data) => {
            assert_eq!((kind.is_file(), found.len()), (true, data.size()), "{name}");
            compare_data(sample, data, path);
        }
        Kind::Symlink(target) => {
            assert_eq!(fs::read_link(path).expect("a symlink").as_os_str().as_bytes(), &target[..], "{name}");
        }
        &Kind::CharDevice { major, minor } | &Kind::BlockDevice { major, minor } => {
            let rdev = u64::from(minor & 0xFF) | u64::from(major) << 8 | u64::from(minor >> 8) << 20;
            assert_eq!(found.rdev(), rdev, "{name}");
            assert_eq!(kind.is_char_device(), matches!(node.kind, Kind::CharDevice { .. }), "{name}");
        }
        Kind::Fifo => assert!(kind.is_fifo(), "{name}"),
        Kind::Socket => assert!(kind.is_socket(), "{name}"),
    }
    if !kind.is_dir() {
        assert_eq!(found.nlink(), u64::from(links), "{name}: links");
    }
    compare_attributes(sample, step, path, kind.is_symlink());
}

fn subdirectories(tree: &Tree, node: NodeId) -> u64 {
    let directories =
        tree.children(node).filter(|(_, child)| matches!(tree.node(*child).kind, Kind::Directory(_)));
    let ours = node == diskwright_fstools::tree::ROOT && tree.lookup(b"lost+found").is_none();
    directories.count() as u64 + u64::from(ours)
}

fn compare_data(sample: &Sample, data: &Data, path: &Path) {
    let bytes = match data {
        Data::Bytes(bytes) => bytes,
        Data::Content { id, .. } => &sample.contents.0[id.0 as usize],
    };
    let file = File::open(path).expect("a file");
    let mut found = vec![0; bytes.len()];
    file.read_exact_at(&mut found, 0).expect("as long as its data");
    assert!(found == bytes[..], "{}: data", path.display());
    let rest = data.size() - bytes.len() as u64;
    let mut found = vec![1; rest.min(100_000) as usize];
    let start = data.size() - found.len() as u64;
    file.read_exact_at(&mut found, start).expect("as long as it says");
    assert!(found.iter().all(|&byte| byte == 0), "{}: the hole at the end", path.display());
    // Holes are holes: as many blocks as the runs need, and some for the extent tree.
    let used: u64 = data.runs().map(|run| (run.end - run.start).div_ceil(4096)).sum();
    let blocks = fs::metadata(path).expect("a file").blocks() / 8;
    assert!((used..=used + 4).contains(&blocks), "{}: {blocks} blocks for {used}", path.display());
}

fn compare_attributes(sample: &Sample, step: &Step, path: &Path, symlink: bool) {
    let expected = sample.tree.xattrs(sample.tree.node(step.node).meta.xattrs);
    let mut names = vec![0; 65_536];
    let len = rustix::fs::llistxattr(path, &mut names).expect("a list");
    let found: Vec<&[u8]> = names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
    // The kernel shows no user attributes of symlinks.
    if !symlink {
        assert_eq!(found.len(), expected.len(), "{}", path.display());
    }
    for (name, value) in expected.iter().filter(|_| !symlink) {
        let mut buffer = vec![0; 65_536];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut buffer)
            .unwrap_or_else(|error| panic!("{} {}: {error}", path.display(), name.escape_ascii()));
        assert_eq!(&buffer[..len], &value[..], "{} {}", path.display(), name.escape_ascii());
    }
}

/// Creates, changes and deletes files in every directory.
fn change(sample: &Sample, mount: &Path) {
    for step in sample.tree.walk() {
        let path = at(mount, &step.path);
        match &sample.tree.node(step.node).kind {
            Kind::Directory(_) => {
                let many = if sample.tree.children(step.node).len() > 2000 { 3000 } else { 1 };
                for number in 0..many {
                    fs::write(path.join(format!("made by the test {number}")), b"0123456789")
                        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                }
                fs::create_dir(path.join("a directory"))
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let first = sample.tree.children(step.node).next();
                let is_file = |node: NodeId| !matches!(sample.tree.node(node).kind, Kind::Directory(_));
                if let Some((name, _)) = first.filter(|&(_, node)| is_file(node)) {
                    fs::remove_file(path.join(OsStr::from_bytes(name))).expect("it was there");
                }
            }
            Kind::File(data) if (1..100_000).contains(&data.size()) && path.exists() => {
                let file = File::options().write(true).open(&path).expect("a file");
                file.write_all_at(b"changed", data.size() + 5000)
                    .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            }
            _ => {}
        }
    }
}
