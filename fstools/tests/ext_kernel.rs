//! The kernel mounts what we lay, finds everything as it was in the tree, and goes on writing.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_fstools::registry::Geometry;
use diskwright_fstools::tree::{Data, Kind, NodeId, ROOT, Step, Tree};
use kit::contents::{Make, asked, contents};
use kit::formats::{Format, every};
use kit::{Image, Sample, all, all_of, fsck, have, identity, lay_with, run, skip};
use rustix::fs::{XattrFlags, setxattr};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// A mount that ends with the value: the image and the mount point.
struct Mounted(PathBuf, PathBuf);

impl Mounted {
    /// `None` where this process may not mount.
    fn new(image: &Image) -> Option<Mounted> {
        let at = image.path.with_file_name("mnt");
        fs::create_dir(&at).expect("a new directory");
        let (code, text) = run("mount", &["-o", "loop", image.path.to_str()?, at.to_str()?]);
        match code {
            0 => Some(Mounted(image.path.clone(), at)),
            _ if text.contains("wrong fs type") => panic!("the kernel refuses it: {text}"),
            _ => None,
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let (code, text) = run("umount", &[self.1.to_str().expect("a plain path")]);
        assert!(code == 0 || std::thread::panicking(), "{text}");
        // Who copied our mounts into a namespace of its own meanwhile holds the file system for a while.
        let image = self.0.to_str().expect("a plain path");
        for _ in 0..600 {
            if run("losetup", &["-j", image]).1.is_empty() && !needs_recovery(&self.0) {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
        assert!(std::thread::panicking(), "{image} is still in use after it was unmounted");
    }
}

/// `needs_recovery` in `s_feature_incompat`: the file system is in use.
fn needs_recovery(image: &Path) -> bool {
    let mut word = [0; 4];
    let file = File::open(image).expect("an image");
    file.read_exact_at(&mut word, 1024 + 0x60).expect("a superblock");
    u32::from_le_bytes(word) & diskwright_fstools::ext::disk::incompat::RECOVER != 0
}

/// Lays, mounts, compares, changes, and asks e2fsck; `false` where mounting is not possible.
fn check(name: &str, sample: &Sample, len: u64, format: &Format) -> bool {
    let name = format!("{name}, {}, {len} bytes", format.line);
    let place = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    let laid = format.filesystem().lay(&sample.tree, &place, &identity());
    let laid = laid.unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    let image = Image::write(&laid.layout.poisoned(0xF5), &sample.contents);
    let Some(mounted) = Mounted::new(&image) else {
        skip(&name, "mounting needs root and loop devices");
        return false;
    };
    compare(format, sample, &mounted.1);
    change(format, sample, &mounted.1);
    drop(mounted);
    fsck(&image.path, &format!("{name}, after the kernel wrote to it"));
    true
}

#[test]
fn the_kernel_finds_and_keeps_everything() {
    const TEST: &str = "the_kernel_finds_and_keeps_everything";
    if !["mount", "losetup", "e2fsck"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let cells = [
        ("empty", Sample::default(), 48 * MIB, ""),
        ("kinds, large", kit::kinds(), 5 << 30, "-O metadata_csum_seed"),
        ("wide", kit::wide(40_000), 200 * MIB, "-i 4096"),
        ("wide, linear", kit::wide(3000), 64 * MIB, "-O ^dir_index -i 4096"),
        ("deep", kit::deep(400), 64 * MIB, "-i 4096"),
        ("attributes", kit::attributes(), 64 * MIB, "-i 4096"),
        ("holes", kit::holes(), 128 * MIB, ""),
        ("subdirectories", kit::subdirectories(1000), 64 * MIB, "-i 4096"),
    ];
    all_of(
        cells,
        |cell| cell.0.to_owned(),
        |(name, sample, len, options)| {
            check(name, &sample, len, &Format::of(options));
        },
    );
    if kit::all() {
        check("many subdirectories", &kit::subdirectories(65_000), 2 << 30, &Format::of("-i 4096"));
    }
}

/// Each format with one of the contents; with `DISKWRIGHT_ALL=1` with each.
#[test]
fn the_kernel_mounts_every_format() {
    const TEST: &str = "the_kernel_mounts_every_format";
    if !["mount", "losetup", "e2fsck"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let formats = every();
    // By default each line at one size of blocks: three neighbours are one line.
    let cells = formats.iter().enumerate().filter(|(at, _)| all() || at % 3 == at / 3 % 3);
    let cells = cells.flat_map(|(at, format)| {
        let contents = contents(format).filter(move |row| asked(at, row.0));
        contents.map(move |(_, name, make)| (name, format, make))
    });
    let mut possible = true;
    let called = |cell: &(&str, &Format, Make)| format!("{}, {}", cell.0, cell.1.line);
    all_of(cells, called, |(name, format, make)| {
        if possible {
            // Inodes for all that is made in it, too.
            let line = if format.line.contains("-N") || format.line.contains("-i ") {
                format.line.clone()
            } else {
                format!("{} -i 4096", format.line)
            };
            let (format, sample) = (Format::of(&line), make(format));
            let len = format.filesystem().measure(&sample.tree, 60 * MIB, 512).expect("measured");
            possible = check(name, &sample, len, &format);
        }
    });
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
        let path = mounted.1.to_str().expect("a plain path");
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
        compare(&Format::of(""), &sample, &mounted.1);
        change(&Format::of(""), &sample, &mounted.1);
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

fn compare(format: &Format, sample: &Sample, mount: &Path) {
    let links = sample.tree.links();
    let mut seen = 0;
    for step in sample.tree.walk() {
        let path = at(mount, &step.path);
        compare_node(format, sample, &step, &path, links[step.node.0 as usize]);
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

fn compare_node(format: &Format, sample: &Sample, step: &Step, path: &Path, links: u32) {
    let name = step.path.escape_ascii();
    let node = sample.tree.node(step.node);
    let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!((found.uid(), found.gid()), (node.meta.uid, node.meta.gid), "{name}: owner");
    assert_eq!(found.mode() & 0o7777, u32::from(node.meta.mode), "{name}: mode");
    let mtime = format.time(node.meta.mtime);
    assert_eq!((found.mtime(), found.mtime_nsec()), (mtime.sec, i64::from(mtime.nsec)), "{name}: time");
    let kind = found.file_type();
    match &node.kind {
        Kind::Directory(_) => {
            let subdirectories = subdirectories(&sample.tree, step.node);
            let expected = if subdirectories > 64_998 { 1 } else { 2 + subdirectories };
            assert_eq!((kind.is_dir(), found.nlink()), (true, expected), "{name}");
        }
        Kind::File(data) => {
            assert_eq!((kind.is_file(), found.len()), (true, data.size()), "{name}");
            let xattrs = sample.tree.xattrs(node.meta.xattrs).values();
            let values: u64 = xattrs.map(|value| (value.len() as u64).div_ceil(format.block)).sum();
            compare_data(format, sample, data, path, if format.has("ea_inode") { values } else { 0 });
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
    let ours = node == ROOT && tree.lookup(b"lost+found").is_none();
    directories.count() as u64 + u64::from(ours)
}

fn compare_data(format: &Format, sample: &Sample, data: &Data, path: &Path, values: u64) {
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
    // Holes are holes: as many blocks as the runs need, and some for the map and for attributes.
    let used: u64 = data.runs().map(|run| (run.end - run.start).div_ceil(format.block)).sum();
    let runs = data.runs().count() as u64;
    let map = if format.has("extent") { 1 + runs / 80 + 3 } else { used / (format.block / 4) + 3 * runs + 3 };
    let blocks = fs::metadata(path).expect("a file").blocks() * 512 / format.block;
    assert!(
        (used..=used + map + 1 + values).contains(&blocks),
        "{}: {blocks} blocks for {used}",
        path.display()
    );
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
fn change(format: &Format, sample: &Sample, mount: &Path) {
    for step in sample.tree.walk() {
        let path = at(mount, &step.path);
        let fails = |error: std::io::Error| -> ! { panic!("{}: {error}", path.display()) };
        match &sample.tree.node(step.node).kind {
            Kind::Directory(_) => {
                change_directory(format, sample, step.node, &path).unwrap_or_else(|error| fails(error))
            }
            Kind::File(data) if (1..100_000).contains(&data.size()) && path.exists() => {
                let file = File::options().write(true).open(&path).expect("a file");
                file.write_all_at(b"changed", data.size() + 5000).unwrap_or_else(|error| fails(error));
            }
            _ => {}
        }
    }
    change_largely(format, mount).unwrap_or_else(|error| panic!("{}: {error}", format.line));
}

fn change_directory(format: &Format, sample: &Sample, node: NodeId, path: &Path) -> std::io::Result<()> {
    // So many that leaves and nodes of an index must be split.
    let many = if sample.tree.children(node).len() > 500 { 3000 } else { 1 };
    for number in 0..many {
        fs::write(path.join(format!("made by the test {number}")), b"0123456789")?;
    }
    // Without filetype, Linux 6.18 leaves the type byte of `.` as it was in a block that it had read ahead as something else.
    if format.has("filetype") {
        fs::create_dir(path.join("a directory"))?;
    }
    let first = sample.tree.children(node).next();
    let is_file = |node: NodeId| !matches!(sample.tree.node(node).kind, Kind::Directory(_));
    if let Some((name, _)) = first.filter(|&(_, node)| is_file(node)) {
        fs::remove_file(path.join(OsStr::from_bytes(name)))?;
    }
    if many > 1 {
        // Every other name of a large directory goes, so that whole blocks of it become empty.
        for (name, _) in sample.tree.children(node).step_by(2).filter(|&(_, node)| is_file(node)) {
            match fs::remove_file(path.join(OsStr::from_bytes(name))) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                other => other?,
            }
        }
    }
    Ok(())
}

/// A large file, a sparse one, links, attributes inside and outside of the inode, an ACL.
fn change_largely(format: &Format, mount: &Path) -> std::io::Result<()> {
    let at = if format.has("filetype") { mount.join("changed by the test") } else { mount.to_owned() };
    fs::create_dir_all(&at)?;
    let large = kit::noise(77, 12 << 20);
    fs::write(at.join("large"), &large)?;
    let sparse = File::create(at.join("sparse"))?;
    for place in [0, 1 << 20, 100 << 20, (1 << 31) - 10_000] {
        sparse.write_all_at(b"something", place)?;
    }
    std::os::unix::fs::symlink("x".repeat(300), at.join("symlink"))?;
    fs::hard_link(at.join("large"), at.join("hard link"))?;
    fs::rename(at.join("sparse"), mount.join("renamed by the test"))?;
    if format.has("ext_attr") {
        let file = at.join("large");
        setxattr(&file, "user.small", b"small", XattrFlags::empty())?;
        setxattr(&file, "user.larger", &large[..600], XattrFlags::empty())?;
        let acl = kit::acl(&[
            (1, 7, u32::MAX),
            (2, 5, 1000),
            (4, 5, u32::MAX),
            (0x10, 7, u32::MAX),
            (0x20, 4, u32::MAX),
        ]);
        setxattr(&at, "system.posix_acl_access", &acl, XattrFlags::empty())?;
        if format.has("ea_inode") {
            setxattr(&file, "user.large", &large[..20_000], XattrFlags::empty())?;
        }
        setxattr(mount, "user.of the root", b"value", XattrFlags::empty())?;
    }
    assert!(fs::read(at.join("hard link"))? == large, "{}: what was just written", format.line);
    Ok(())
}
