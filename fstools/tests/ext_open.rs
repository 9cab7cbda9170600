//! The ext reader against what mke2fs, e2fsck, debugfs and the kernel write.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, clippy::unwrap_used)]

#[path = "../../formats/tests/oracle/mod.rs"]
mod oracle;

use diskwright_formats::fault::{Damage, DamageKind};
use diskwright_formats::layout::{OneFile, ReadAt};
use diskwright_fstools::registry::{MOST_DAMAGE, Opened, ROWS, Row, find};
use diskwright_fstools::tree::{Data, Kind, Tree, Xattrs};
use oracle::{Image, Numbers, run, tool, try_run};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

fn row() -> &'static Row {
    find("ext4").unwrap()
}

/// The tools of e2fsprogs.
struct Tools {
    mke2fs: PathBuf,
    e2fsck: PathBuf,
    debugfs: PathBuf,
}

fn tools(test: &str) -> Option<Tools> {
    let tool = |name| tool(test, name, "e2fsprogs");
    Some(Tools { mke2fs: tool("mke2fs")?, e2fsck: tool("e2fsck")?, debugfs: tool("debugfs")? })
}

fn words(text: &str) -> Vec<&OsStr> {
    text.split_whitespace().map(OsStr::new).collect()
}

/// A directory with a file of every kind that any user may make.
fn populate(top: &Path) {
    fs::create_dir_all(top.join("deep/er/and/deeper")).unwrap();
    fs::create_dir(top.join("many")).unwrap();
    for number in 0..700 {
        let name = format!("many/a long name, so that an index needs two levels {number}{}", "-".repeat(150));
        fs::write(top.join(name), format!("{number}")).unwrap();
    }
    fs::write(top.join("many/\u{e4}\u{f6}\u{fc} beyond ascii"), "x").unwrap();
    for size in [0usize, 1, 59, 60, 1024, 4096, 4097, 70_000, 300_000] {
        let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + at / 256) as u8 | 1).collect();
        fs::write(top.join(format!("deep/file{size}")), bytes).unwrap();
    }
    let sparse = fs::File::create(top.join("deep/er/sparse")).unwrap();
    sparse.set_len(900_001).unwrap();
    for at in [0u64, 65536, 500_000, 800_000] {
        sparse.write_all_at(&[7; 5000], at).unwrap();
    }
    // Every other block: more extents than an inode holds, more blocks than direct pointers reach.
    let holes = fs::File::create(top.join("deep/er/holes")).unwrap();
    for at in 0..400u64 {
        holes.write_all_at(&[at as u8 | 1; 4096], at * 8192).unwrap();
    }
    fs::hard_link(top.join("deep/file60"), top.join("deep/er/another name")).unwrap();
    symlink("short", top.join("deep/fast")).unwrap();
    symlink("x".repeat(59), top.join("deep/fast59")).unwrap();
    symlink("y".repeat(60), top.join("deep/slow60")).unwrap();
    symlink("z".repeat(900), top.join("deep/slow900")).unwrap();
    drop(std::os::unix::net::UnixListener::bind(top.join("deep/socket")));
    for (path, name, len) in ATTRIBUTES {
        let value: Vec<u8> = (0..*len).map(|at| at as u8).collect();
        match rustix::fs::setxattr(top.join(path), *name, &value, rustix::fs::XattrFlags::empty()) {
            // A file system without attributes, or a user without the right.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::PERM) => {}
            Err(error) => panic!("{path}: {name}: {error}"),
        }
    }
    fs::set_permissions(top.join("deep/file1"), PermissionsExt::from_mode(0o4711)).unwrap();
}

/// Attributes that fit beside any inode or into any block, some files' equal.
const ATTRIBUTES: &[(&str, &str, usize)] = &[
    ("deep", "user.on a directory", 3),
    ("deep/file0", "user.empty", 0),
    ("deep/file1", "user.shared", 300),
    ("deep/file59", "user.shared", 300),
    ("deep/file60", "user.\u{e4}", 5),
    ("deep/file60", "user.b", 200),
    ("deep/file60", "user.a", 201),
    ("deep/file1024", "trusted.mine", 64),
];

/// The attributes of a file as the kernel lists them.
fn attributes(path: &Path) -> Xattrs {
    let mut names = vec![0; 1 << 16];
    let len = rustix::fs::llistxattr(path, &mut names).unwrap_or(0);
    let names = names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let value = |name: &[u8]| {
        let mut value = vec![0; 1 << 16];
        let len = rustix::fs::lgetxattr(path, OsStr::from_bytes(name), &mut value).unwrap();
        (name.to_vec(), value[..len].to_vec())
    };
    names.map(value).collect()
}

/// In memory where that is possible: mke2fs syncs.
fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory).unwrap() } else { tempfile::tempdir().unwrap() }
}

fn dump(image: &dyn ReadAt) -> String {
    let mut text = String::new();
    (row().dump)(image, &mut text).unwrap_or_else(|damage| panic!("{damage}"));
    text
}

struct Made {
    image: PathBuf,
    source: PathBuf,
    _scratch: tempfile::TempDir,
}

/// An image as mke2fs makes it: `options size`.
fn make(tools: &Tools, invocation: &str) -> Made {
    let scratch = scratch();
    let (image, source) = (scratch.path().join("image"), scratch.path().join("source"));
    fs::create_dir(&source).unwrap();
    populate(&source);
    let (options, size) = invocation.rsplit_once(' ').unwrap();
    let mut arguments = words("-q -F -E root_owner=0:0 -d");
    arguments.push(source.as_os_str());
    arguments.extend(words(options));
    arguments.push(image.as_os_str());
    arguments.push(OsStr::new(size));
    run(&tools.mke2fs, &arguments);
    Made { image, source, _scratch: scratch }
}

fn open(image: &Path) -> Opened {
    (row().open)(&Image::open(image)).unwrap_or_else(|damage| panic!("{damage}"))
}

fn silent(image: &Path, when: &str) -> Opened {
    let opened = open(image);
    let text: Vec<String> = opened.damage.iter().take(20).map(ToString::to_string).collect();
    assert!(opened.damage.is_empty(), "{when}: {} damages\n{}", opened.damage.len(), text.join("\n"));
    opened
}

/// The tree is the source directory: data, kinds, modes, times, links.
fn check_tree(opened: &Opened, image: &Path, source: &Path, when: &str) {
    let image = Image::open(image);
    let contents = OneFile(&image);
    let tree = &opened.tree;
    let mut inodes = std::collections::BTreeMap::new();
    let mut count = 0;
    for step in tree.walk() {
        let path = source.join(OsStr::from_bytes(&step.path[1..]));
        if step.path.starts_with(b"/lost+found") || step.path.starts_with(b"/made") {
            continue;
        }
        count += 1;
        let (node, stat) = (tree.node(step.node), fs::symlink_metadata(&path).unwrap());
        let at = format!("{when}: {}", path.display());
        assert_eq!(u32::from(node.meta.mode), stat.mode() & 0o7777, "{at}");
        // Making lost+found changed the root.
        assert!(node.meta.mtime.sec == stat.mtime() || step.path == b"/", "{at}");
        assert_eq!((node.meta.uid, node.meta.gid), owner(&step.path, &stat), "{at}");
        // Revision 0 has no attributes, and neither has a file system that was told so.
        if !when.contains("none") && !when.contains("-r 0") {
            assert_eq!(*tree.xattrs(node.meta.xattrs), attributes(&path), "{at}");
        }
        assert_eq!(*inodes.entry(stat.ino()).or_insert(step.node), step.node, "{at}");
        match &node.kind {
            Kind::Directory(_) => assert!(stat.is_dir(), "{at}"),
            Kind::Symlink(target) => {
                assert_eq!(**target, *fs::read_link(&path).unwrap().as_os_str().as_bytes())
            }
            Kind::Socket => assert!(stat.file_type().is_socket(), "{at}"),
            Kind::File(data) => {
                assert_eq!(data.size(), stat.len(), "{at}");
                let Data::Content { id, runs, .. } = data else { panic!("{at}") };
                let layout = &opened.files[id.0 as usize];
                assert!(oracle::bytes(layout, &contents) == fs::read(&path).unwrap(), "{at}");
                let covered: Vec<_> = layout.covered().collect();
                assert_eq!(covered, data.runs().collect::<Vec<_>>(), "{at}");
                let has_holes = path.ends_with("sparse") || path.ends_with("holes");
                assert!(runs.is_some() == has_holes || when.contains("-b 65536"), "{at}");
            }
            other => panic!("{at}: {other:?}"),
        }
    }
    assert_eq!(count, walk(source), "{when}");
}

fn owner(path: &[u8], stat: &fs::Metadata) -> (u32, u32) {
    if path == b"/" { (0, 0) } else { (stat.uid(), stat.gid()) }
}

fn walk(dir: &Path) -> usize {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    1 + entries
        .map(|entry| if entry.file_type().unwrap().is_dir() { walk(&entry.path()) } else { 1 })
        .sum::<usize>()
}

/// What mke2fs -d cannot take from every user's directory.
fn add_by_debugfs(tools: &Tools, made: &Made) {
    let value = made.source.join("../value");
    fs::write(&value, [5; 300]).unwrap();
    let acl = made.source.join("../acl");
    fs::write(&acl, ACL).unwrap();
    let commands = format!(
        "mkdir /made\ncd /made\nmknod tty c 4 65\nmknod big c 259 60000\nmknod disk b 8 1\nmknod pipe p\n\
         write {0} small\nea_set small user.one 1\nea_set small security.two 22\n\
         write {0} large\nea_set -f {0} large user.large\nea_set large trusted.three 333\nea_set large user.\u{e4} x\n\
         write {0} list\nea_set -f {1} list system.posix_acl_access\nea_set . user.on a-directory\n\
         symlink link {2}\nea_set link trusted.t 1\n",
        value.display(),
        acl.display(),
        "t".repeat(70),
    );
    let script = made.source.join("../commands");
    fs::write(&script, commands).unwrap();
    run(&tools.debugfs, &["-w".as_ref(), "-f".as_ref(), script.as_os_str(), made.image.as_os_str()]);
}

/// Values of a block each, in inodes of their own; two inodes refer to equal ones. libext2fs (1.47) forgets to count them
/// in `i_blocks` of the owner: e2fsck, which has to run over it, puts that right.
fn add_values(tools: &Tools, made: &Made) {
    let (value, script) = (made.source.join("../value"), made.source.join("../commands"));
    let size = 1024 << fs::read(&made.image).unwrap()[1024 + 0x18];
    fs::write(&value, (0..size).map(|at| (at * 3 + 1) as u8).collect::<Vec<_>>()).unwrap();
    let value = value.display();
    let commands = format!(
        "cd /\nwrite {value} owner\nea_set -f {value} owner user.value\nea_set owner user.near 1\n\
         ea_set -f {value} owner trusted.second\n"
    );
    fs::write(&script, commands).unwrap();
    run(&tools.debugfs, &["-w".as_ref(), "-f".as_ref(), script.as_os_str(), made.image.as_os_str()]);
}

/// Owner rw, user 1000 r, group r, mask rw, others none, as getxattr gives it.
const ACL: [u8; 44] = [
    2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255, 2, 0, 4, 0, 232, 3, 0, 0, 4, 0, 4, 0, 255, 255, 255, 255, 16,
    0, 6, 0, 255, 255, 255, 255, 32, 0, 0, 0, 255, 255, 255, 255,
];

fn check_made(tree: &Tree, has_large: bool) {
    let node = |path: &str| {
        let id = tree.lookup(path.as_bytes()).unwrap_or_else(|| panic!("{path}"));
        (tree.node(id), tree.xattrs(tree.node(id).meta.xattrs))
    };
    assert_eq!(node("/made/tty").0.kind, Kind::CharDevice { major: 4, minor: 65 });
    assert_eq!(node("/made/big").0.kind, Kind::CharDevice { major: 259, minor: 60000 });
    assert_eq!(node("/made/disk").0.kind, Kind::BlockDevice { major: 8, minor: 1 });
    assert_eq!(node("/made/pipe").0.kind, Kind::Fifo);
    assert_eq!(node("/made/link").0.kind, Kind::Symlink([b't'; 70].into()));
    let check = |path: &str, expected: &[(&str, &[u8])]| {
        let expected = expected.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec()));
        assert_eq!(*node(path).1, expected.collect(), "{path}");
    };
    check("/made/small", &[("user.one", b"1"), ("security.two", b"22")]);
    if has_large {
        check("/made/large", &[("user.large", &[5; 300]), ("trusted.three", b"333"), ("user.\u{e4}", b"x")]);
    }
    check("/made/list", &[("system.posix_acl_access", &ACL)]);
    check("/made", &[("user.on", b"a-directory")]);
    check("/made/link", &[("trusted.t", b"1")]);
    check("/many", &[]);
}

/// Forms that mke2fs 1.47 gives to a file system.
const FEW: &[&str] = &[
    "-t ext4 -b 4096 64M",
    "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg 64M",
    "-t ext4 -b 4096 -O metadata_csum_seed,orphan_file,^64bit 128M",
    "-t ext3 -b 4096 64M",
    "-t ext2 -b 1024 -O ^resize_inode 32M",
    "-t ext4 -b 1024 -I 512 -O ea_inode,sparse_super2,metadata_csum_seed 64M",
    "-t ext4 -b 1024 -I 1024 -O sparse_super2,^flex_bg,^filetype -E num_backup_sb=0 64M",
    "-t ext4 -b 2048 -I 128 -O ^extent,^64bit,uninit_bg,^metadata_csum,sparse_super2 -E num_backup_sb=1 100M",
];

/// Sets of features, each crossed with block and inode sizes.
const FEATURES: &[&str] = &[
    "-t ext4",
    "-t ext4 -O ea_inode,orphan_file,metadata_csum_seed",
    "-t ext4 -O uninit_bg,^metadata_csum",
    "-t ext4 -O uninit_bg,^metadata_csum,^64bit,^flex_bg,^resize_inode",
    "-t ext4 -O ^metadata_csum,^64bit,sparse_super2 -E num_backup_sb=1",
    "-t ext4 -O sparse_super2,^flex_bg,ea_inode",
    "-t ext4 -O sparse_super2,^has_journal -E num_backup_sb=0",
    "-t ext4 -O ^sparse_super,^resize_inode,orphan_file",
    "-t ext4 -O ^filetype,^extent,^64bit,^flex_bg",
    "-t ext4 -O ^extent,^64bit,ea_inode,orphan_file",
    "-t ext4 -O ^dir_index,^large_file,^extra_isize",
    "-t ext3",
    "-t ext3 -O ^filetype,sparse_super2",
    "-t ext2",
    "-t ext2 -O ^sparse_super,^resize_inode,^dir_index,^filetype",
];

/// Features x blocks of 1, 2, 4 KiB x inodes of 128 bytes to a block.
fn product() -> impl Iterator<Item = String> {
    let sizes = [1024, 2048, 4096].into_iter().flat_map(|block| {
        [128, 256, 512, 1024, 4096]
            .into_iter()
            .filter(move |inode| *inode <= block)
            .map(move |inode| (block, inode))
    });
    sizes.flat_map(|(block, inode)| {
        let line = move |features: &&str| format!("{features} -b {block} -I {inode} -N 4000 {}M", block / 16);
        FEATURES.iter().map(line)
    })
}

/// All of them, and some sizes.
const MANY: &[&str] = &[
    "-t ext4 64M",
    "-t ext4 -b 2048 64M",
    "-t ext4 -b 1024 -O ^has_journal 10M",
    "-t ext4 -b 4096 -O ^64bit 128M",
    "-t ext4 -b 1024 -O ^64bit 64M",
    "-t ext4 -b 4096 -O ^metadata_csum 128M",
    "-t ext4 -b 1024 -O ^metadata_csum,uninit_bg,^64bit 64M",
    "-t ext4 -b 4096 -O ^flex_bg 300M",
    "-t ext4 -b 1024 -O ^flex_bg,^resize_inode 64M",
    "-t ext4 -b 1024 -O ^resize_inode,meta_bg 64M",
    "-t ext4 -b 1024 -O ^resize_inode,meta_bg,^64bit,^flex_bg 100M",
    "-t ext4 -b 4096 -O sparse_super2 600M",
    "-t ext4 -b 1024 -O sparse_super2 -E num_backup_sb=1 100M",
    "-t ext4 -b 1024 -O ^sparse_super,^resize_inode 100M",
    "-t ext4 -b 1024 -I 128 64M",
    "-t ext4 -b 4096 -I 1024 64M",
    "-t ext4 -b 4096 -O mmp,quota,project 64M",
    "-t ext4 -b 1024 -O ^dir_index,^huge_file,^dir_nlink,^extra_isize 64M",
    "-t ext4 -b 1024 -O ^extent,^64bit 64M",
    "-t ext4 -b 4096 -E packed_meta_blocks=1 -G 64 400M",
    "-t ext4 -b 1024 -g 1024 -N 5000 64M",
    "-t ext4 -b 1024 -O large_dir,fast_commit,stable_inodes,verity -E lazy_itable_init=0 64M",
    "-t ext4 -b 65536 -N 2000 500M",
    "-t ext4 3G",
    "-t ext4 20G",
    "-t ext3 -b 4096 -I 128 128M",
    "-t ext3 -b 4096 2G",
    "-t ext2 16M",
    "-t ext2 -b 1024 -r 0 32M",
    "-t ext2 -b 2048 -O ^filetype,^sparse_super,^resize_inode 64M",
    "-t ext2 -b 4096 -I 128 -m 0 64M",
    "-t ext2 -b 1024 -O none 64M",
    "-t ext2 -b 1024 -E resize=4000000 64M",
];

fn all() -> bool {
    std::env::var_os("DISKWRIGHT_ALL").is_some_and(|value| value == "1")
}

/// The long list only if it is asked for.
fn invocations() -> impl Iterator<Item = String> {
    let many = MANY.iter().map(|line| (*line).to_owned()).chain(product());
    FEW.iter().map(|line| (*line).to_owned()).chain(many.filter(|_| all()))
}

#[test]
fn silent_on_what_mke2fs_and_e2fsck_make() {
    let Some(tools) = tools("silent_on_what_mke2fs_and_e2fsck_make") else { return };
    for invocation in invocations() {
        eprintln!("{invocation}");
        let invocation = invocation.as_str();
        let made = make(&tools, invocation);
        let opened = silent(&made.image, invocation);
        check_tree(&opened, &made.image, &made.source, invocation);
        assert_eq!(ROWS.iter().filter(|row| (row.recognise)(&Image::open(&made.image))).count(), 1);
        let has_xattrs = !invocation.contains("none") && !invocation.contains("-r 0");
        if has_xattrs {
            add_by_debugfs(&tools, &made);
            silent(&made.image, &format!("{invocation}, debugfs"));
        }
        let (code, text) = try_run(&tools.e2fsck, &["-fyD".as_ref(), made.image.as_os_str()]);
        assert!(code.is_some_and(|code| code <= 1), "{invocation}: {text}");
        let opened = silent(&made.image, &format!("{invocation}, e2fsck -fyD"));
        oracle::check_dump(&dump(&Image::open(&made.image)), fs::metadata(&made.image).unwrap().len());
        check_tree(&opened, &made.image, &made.source, invocation);
        if has_xattrs {
            check_made(&opened.tree, true);
        }
    }
}

/// Exactly one row takes an image, and damage has the name that blkid has for it.
#[test]
fn an_image_has_the_name_that_blkid_gives_it() {
    const TEST: &str = "an_image_has_the_name_that_blkid_gives_it";
    let (Some(tools), Some(blkid)) = (tools(TEST), tool(TEST, "blkid", "util-linux")) else { return };
    for options in [
        "-t ext2 -b 1024",
        "-t ext2 -b 4096 -I 128",
        "-t ext2 -O none",
        "-t ext2 -O sparse_super2,^resize_inode",
        "-t ext2 -O extra_isize",
        "-t ext2 -O uninit_bg",
        "-t ext3 -b 1024",
        "-t ext3 -b 4096 -O orphan_file",
        "-t ext3 -O huge_file",
        "-t ext3 -O ea_inode",
        "-t ext3 -O meta_bg,^resize_inode",
        "-t ext4",
        "-t ext4 -O ^has_journal",
        "-t ext4 -O ^extent,^64bit,^flex_bg,^metadata_csum,^huge_file,^dir_nlink,^extra_isize",
        "-t ext4 -O ^has_journal,^extent,^64bit,^flex_bg,^metadata_csum,^huge_file,^dir_nlink,^extra_isize",
    ] {
        let scratch = scratch();
        let image = scratch.path().join("image");
        let mut arguments = words("-q -F");
        arguments.extend(words(options));
        arguments.extend([image.as_os_str(), "16M".as_ref()]);
        run(&tools.mke2fs, &arguments);
        let named = run(&blkid, &[words("-p -s TYPE -o value"), vec![image.as_os_str()]].concat());
        let mut bytes = fs::read(&image).unwrap();
        let takers = ROWS.iter().filter(|row| (row.recognise)(&bytes)).count();
        assert_eq!(takers, 1, "{options}");
        bytes.truncate(15 << 20);
        let damage = damages(&bytes).remove(0);
        assert_eq!(damage.spot.format, named.trim(), "{options}: {damage}");
        // The magic number is gone, the name is not.
        bytes[1024 + 0x38] ^= 1;
        assert_eq!(ROWS.iter().filter(|row| (row.recognise)(&bytes)).count(), 0, "{options}");
        let takers = ROWS.iter().filter(|row| (row.resembles)(&bytes)).count();
        let names_it = damages(&bytes)[0].spot.format == named.trim();
        assert!(options == "-t ext2 -O none" || takers == 1 && names_it, "{options}");
    }
}

/// A structure in a dump: where, how long, its name.
#[derive(Clone, Debug)]
struct Line {
    at: u64,
    len: u64,
    name: String,
    fields: String,
}

fn lines(dump: &str) -> Vec<Line> {
    let line = |text: &str| {
        let mut parts = text.splitn(3, ' ');
        let mut number = || parts.next().unwrap().parse().unwrap();
        let (at, len) = (number(), number());
        let (name, fields) = parts.next().unwrap().split_once(": ").unwrap_or_default();
        Line { at, len, name: name.to_owned(), fields: fields.to_owned() }
    };
    dump.lines().map(line).collect()
}

/// What is damaged, without its path.
fn object(damage: &Damage) -> &str {
    let object = &damage.spot.object;
    object.split_once(" of /").map_or(object, |(object, _)| object)
}

/// The damages of an image, the one that ends the reading too.
fn damages(image: &dyn ReadAt) -> Vec<Damage> {
    (row().open)(image).map_or_else(|damage| vec![damage], |opened| opened.damage)
}

#[test]
fn a_flipped_bit_is_reported_where_it_is() {
    let Some(tools) = tools("a_flipped_bit_is_reported_where_it_is") else { return };
    let mut seen = BTreeSet::new();
    for (invocation, classes) in [
        ("-t ext4 -b 1024 -O orphan_file 20M", CHECKED),
        ("-t ext4 -b 4096 -O metadata_csum_seed,^64bit 140M", CHECKED),
        ("-t ext4 -b 1024 -I 128 -O ea_inode,orphan_file,sparse_super2,^flex_bg 40M", CHECKED),
        (
            "-t ext4 -b 1024 -I 1024 -O ea_inode,metadata_csum_seed,sparse_super2 -E num_backup_sb=1 40M",
            CHECKED,
        ),
        ("-t ext4 -b 1024 -O uninit_bg,^metadata_csum,^64bit 20M", DESCRIPTORS),
        ("-t ext4 -b 4096 -O uninit_bg,^metadata_csum,ea_inode 200M", DESCRIPTORS),
    ]
    .into_iter()
    .take(if all() { 9 } else { 3 })
    {
        let made = make(&tools, invocation);
        add_by_debugfs(&tools, &made);
        if invocation.contains("ea_inode") {
            add_values(&tools, &made);
        }
        try_run(&tools.e2fsck, &["-fyD".as_ref(), made.image.as_os_str()]);
        let mut bytes = fs::read(&made.image).unwrap();
        let lines = lines(&dump(&bytes));
        let mut numbers = Numbers(7);
        let mut left: BTreeMap<String, u32> = BTreeMap::new();
        for line in &lines {
            let class: String = line.name.chars().filter(|char| !char.is_ascii_digit()).collect();
            let left = left.entry(class.clone()).or_insert(4);
            if !is_checked(classes, &class, line) || *left == 0 {
                continue;
            }
            *left -= 1;
            let (first, end) = extent_of(&lines, line);
            for _ in 0..4 {
                let (at, bit) = (line.at + numbers.below(line.len), numbers.below(8));
                bytes[at as usize] ^= 1 << bit;
                let found = damages(&bytes);
                let names =
                    |damage: &Damage| object(damage) == line.name && (first..end).contains(&damage.offset);
                let text: Vec<String> = found.iter().take(9).map(ToString::to_string).collect();
                assert!(
                    found.iter().any(names),
                    "{invocation}: byte {at} bit {bit} of {line:?}, {first}..{end}:\n{}",
                    text.join("\n")
                );
                bytes[at as usize] ^= 1 << bit;
            }
            seen.insert(class);
        }
        assert!(damages(&bytes).is_empty());
    }
    let expected = CHECKED.iter().map(|class| (*class).to_owned()).collect();
    assert_eq!(seen, expected, "a kind of structure was not tried");
}

/// Structures whose every bit is checked where `metadata_csum` is on, without their numbers.
const CHECKED: &[&str] = &[
    "superblock",
    "group /superblock backup",
    "group /descriptor",
    "group /descriptor backup of group ",
    "group /reserved descriptor blocks",
    "group /block bitmap",
    "group /inode bitmap",
    "inode ",
    "inode /extent node",
    "inode /indirect block",
    "inode /directory block ",
    "inode /htree root",
    "inode /htree node ",
    "inode /xattr block",
    "inode /xattr value block ",
    "orphan file block ",
];

/// Those that have a checksum with `uninit_bg`.
const DESCRIPTORS: &[&str] = &["group /descriptor", "group /descriptor backup of group "];

fn is_checked(classes: &[&str], class: &str, line: &Line) -> bool {
    // Behind the used entries of an index node nothing is checked; bitmaps that are not initialised are not read; reserved
    // descriptors are checked in group 0 alone.
    let exempt = line.fields == "unused entries" && class.contains("htree")
        || line.fields == "unused"
        || line.fields == "an empty entry"
        || class.contains("bitmap") && !line.name.starts_with("group 0/")
        || class.contains("reserved") && !line.name.starts_with("group 0/");
    classes.contains(&class) && !exempt
}

/// The bytes of the structure that a line is a part of.
fn extent_of(lines: &[Line], line: &Line) -> (u64, u64) {
    let at = lines.iter().position(|other| other.at == line.at).unwrap();
    let same = |other: &&Line| other.name == line.name;
    let before = lines[..at].iter().rev().take_while(same).last().unwrap_or(line);
    let after = lines[at..].iter().take_while(same).last().unwrap();
    (before.at, after.at + after.len)
}

/// Faults with correct checksums, as debugfs makes them.
#[test]
fn a_contradiction_is_reported() {
    use DamageKind::{Mismatch, Value};
    let Some(tools) = tools("a_contradiction_is_reported") else { return };
    let file = "/deep/file4096";
    let ext4: &[(&str, &str, DamageKind)] = &[
        ("sif {file} links_count 5", "inode {ino}", Mismatch),
        ("sif {file} blocks 100", "inode {ino}", Mismatch),
        ("sif {file} size 10", "inode {ino}", Mismatch),
        ("sif {file} mode 0", "inode {ino}", Value),
        ("sif {file} dtime 5", "inode {ino}", Value),
        ("sif {file} file_acl 99999999", "inode {ino}", Value),
        ("sif {file} flags 0x81000", "inode {ino}", Value),
        ("sif {file} flags 0", "inode {ino}", Value),
        ("sif /deep size 5000", "inode {deep}", Mismatch),
        ("sif /deep links_count 7", "inode {deep}", Mismatch),
        ("sif /deep/fast size 4", "inode {fast}", Value),
        ("ln {file} /deep/extra", "inode {ino}", Mismatch),
        ("ln /deep /deep/er/loop", "inode {er}/directory block 0", Mismatch),
        ("ln <8> /deep/journal", "inode {deep}/directory block 0", Mismatch),
        ("ln <900> /deep/nobody", "inode {deep}/directory block 0", Mismatch),
        ("unlink {file}", "inode {ino}", Mismatch),
        ("clri {file}", "inode {deep}/directory block 0", Mismatch),
        ("unlink /lost+found", "inode 11", Mismatch),
        ("freei {file}", "group 0/inode bitmap", Mismatch),
        ("seti <1500>", "group 0/inode bitmap", Mismatch),
        ("freeb 40", "group 0/block bitmap", Mismatch),
        ("setb 7000", "group 0/block bitmap", Mismatch),
        ("ssv free_blocks_count 5", "superblock", Mismatch),
        ("ssv free_inodes_count 5", "superblock", Mismatch),
        ("ssv last_orphan 5", "superblock", Value),
        ("ssv state 3", "superblock", Value),
        ("ssv inodes_count 8", "superblock", Value),
        ("ssv reserved_gdt_blocks 3", "inode 7/indirect block", Mismatch),
        ("set_bg 0 free_inodes_count 3\nset_bg 0 checksum calc", "group 0/descriptor", Mismatch),
        ("set_bg 0 free_blocks_count 3\nset_bg 0 checksum calc", "group 0/descriptor", Mismatch),
        ("set_bg 0 used_dirs_count 77\nset_bg 0 checksum calc", "group 0/descriptor", Mismatch),
        ("set_bg 0 itable_unused 60000\nset_bg 0 checksum calc", "group 0/descriptor", Value),
        ("set_bg 1 inode_table 99\nset_bg 1 checksum calc", "group 1/inode table", Mismatch),
        ("set_bg 1 block_bitmap 999999\nset_bg 1 checksum calc", "group 1/descriptor", Value),
        ("set_bg 1 flags 2\nset_bg 1 checksum calc", "group 1/descriptor", Mismatch),
    ];
    let ext2: &[(&str, &str, DamageKind)] = &[
        ("sif {file} block[0] 99999999", "inode {ino}", Value),
        ("sif {file} block[0] 1", "inode {ino}/data block 0", Mismatch),
        ("sif {file} block[0] 0", "inode {ino}", Mismatch),
        ("sif /deep/file300000 block[IND] 99999999", "inode {large}", Value),
        ("sif /deep/file300000 block[DIND] 3", "inode {large}/indirect block", Mismatch),
        ("sif /deep block[0] 0", "inode {deep}", Mismatch),
        ("sif <7> block[DIND] 0", "inode 7", Value),
    ];
    let cases = [("-t ext4 -b 1024 20M", ext4), ("-t ext2 -b 1024 20M", ext2)];
    for (invocation, faults) in cases {
        let made = make(&tools, invocation);
        let paths = [
            ("ino", file),
            ("deep", "/deep"),
            ("er", "/deep/er"),
            ("fast", "/deep/fast"),
            ("large", "/deep/file300000"),
        ];
        let inodes = paths.map(|(name, path)| (name, inode_of(&tools, &made.image, path)));
        let pristine = fs::read(&made.image).unwrap();
        for (commands, object, kind) in faults {
            let object = inodes
                .iter()
                .fold((*object).to_owned(), |text, (name, ino)| text.replace(&format!("{{{name}}}"), ino));
            let script = made.source.join("../commands");
            fs::write(&script, commands.replace("{file}", file) + "\n").unwrap();
            fs::write(&made.image, &pristine).unwrap();
            run(&tools.debugfs, &["-w".as_ref(), "-f".as_ref(), script.as_os_str(), made.image.as_os_str()]);
            let found = damages(&Image::open(&made.image));
            let text: Vec<String> =
                found.iter().take(9).map(|damage| format!("{:?} {damage}", damage.kind)).collect();
            let is_it = |damage: &Damage| self::object(damage) == object && damage.kind == *kind;
            assert!(found.iter().any(is_it), "{invocation}: {commands}: no {object} in\n{}", text.join("\n"));
            let (code, text) = try_run(&tools.e2fsck, &["-fn".as_ref(), made.image.as_os_str()]);
            // It does mind wrong free counts of the superblock, and still says 0.
            let minds = code != Some(0) || text.contains("count wrong");
            let ours_alone = ["ssv state", "ssv last_orphan"].iter().any(|start| commands.starts_with(start));
            assert!(minds || ours_alone, "{invocation}: {commands}: e2fsck does not mind\n{text}");
        }
    }
}

/// Faults in values, orphan files and the superblock's younger fields, below correct checksums. `{value}` is the inode of a
/// value that `{owner}` refers to.
#[test]
fn a_fault_in_younger_structures_is_reported() {
    use DamageKind::{Checksum, Mismatch, Value};
    let Some(tools) = tools("a_fault_in_younger_structures_is_reported") else { return };
    let faults: &[(&str, &str, DamageKind)] = &[
        ("sif <{value}> version 5", "inode {value}", Mismatch),
        ("sif <{value}> ctime 1", "inode {value}", Mismatch),
        ("sif <{value}> links_count 2", "inode {value}", Mismatch),
        ("sif <{value}> atime 77", "inode {value}/xattr value block 0", Checksum),
        ("sif <{value}> atime 77", "{entry}", Checksum),
        ("sif <{value}> size 1000", "{entry}", Mismatch),
        ("sif <{value}> size 20000000", "inode {value}", Value),
        ("sif <{value}> size 3000", "inode {value}", Mismatch),
        ("sif <{value}> flags 0x80000", "{entry}", Mismatch),
        ("sif <{value}> flags 0x80000", "inode {value}", Mismatch),
        ("sif <{value}> mode 040600", "inode {value}", Value),
        ("clri <{value}>", "{entry}", Mismatch),
        ("punch <{value}> 0 0", "inode {value}", Mismatch),
        ("ln <{value}> /deep/value", "inode {deep}/directory block 0", Mismatch),
        ("zap_block -f <{value}> -o 10 -l 4 -p 170 0", "inode {value}/xattr value block 0", Checksum),
        ("sif /owner blocks 4", "inode {owner}", Mismatch),
        ("clri /owner", "inode {value}", Mismatch),
        ("sif /deep/file1 flags 0x280000", "inode {file}", Mismatch),
        ("feature -ea_inode", "{entry}", Value),
        ("feature -ea_inode", "inode {value}", Value),
        ("zap_block -f <12> -o 1016 -l 4 -p 7 0", "orphan file block 0", Value),
        ("zap_block -f <12> -o 1020 -l 4 -p 7 3", "orphan file block 3", Checksum),
        ("zap_block -f <12> -o 8 -l 1 -p 33 5", "orphan file block 5", Mismatch),
        ("zap_block -f <12> -o 8 -l 1 -p 5 5", "orphan file block 5", Value),
        ("zap_block -f <12> -o 8 -l 4 -p 170 5", "orphan file block 5", Value),
        ("punch <12> 2 2", "inode 12", Value),
        ("sif <12> size 5000", "inode 12", Value),
        ("sif <12> mode 040600", "inode 12", Value),
        ("ln <12> /deep/orphans", "inode {deep}/directory block 0", Mismatch),
        ("ssv orphan_file_inum 900", "superblock", Mismatch),
        ("feature -orphan_file orphan_present", "superblock", Value),
        ("ssv backup_bgs[0] 99", "superblock", Value),
        ("ssv backup_bgs[1] 1", "superblock", Value),
        ("ssv backup_bgs[0] 2", "group 2/superblock backup", Mismatch),
        ("zap_block -o 100 -l 4 -p 7 8193", "group 1/superblock backup", Mismatch),
        ("zap_block -o 8 -l 4 -p 7 8194", "group 1/descriptor backup of group 0", Mismatch),
        ("ssv want_extra_isize 2000", "superblock", Value),
        ("ssv min_extra_isize 1000", "superblock", Value),
        ("ssv jnl_blocks[3] 7", "superblock", Mismatch),
        ("ssv last_orphan 5", "superblock", Value),
        ("feature -has_journal needs_recovery", "superblock", Value),
        ("zap_block -f <8> -o 42 -l 1 -p 64 0", "journal block 0", DamageKind::Unsupported),
        ("sif <7> block[DIND] 0", "inode 7", Value),
    ];
    for inode_size in [128, 256] {
        let options = format!("-t ext4 -b 1024 -I {inode_size} -O ea_inode,orphan_file,sparse_super2 40M");
        let made = make(&tools, &options);
        add_values(&tools, &made);
        let (code, text) = try_run(&tools.e2fsck, &["-fy".as_ref(), made.image.as_os_str()]);
        assert!(code.is_some_and(|code| code <= 1), "{text}");
        let sound = silent(&made.image, &options);
        let owner = sound.tree.lookup(b"/owner").unwrap();
        assert_eq!(sound.tree.xattrs(sound.tree.node(owner).meta.xattrs).len(), 3);
        let dumped = dump(&Image::open(&made.image));
        let value =
            lines(&dumped).into_iter().find(|line| line.name.ends_with("/xattr value block 0")).unwrap();
        let value = value.name.split(['/', ' ']).nth(1).unwrap().to_owned();
        let [owner, deep, file] =
            ["/owner", "/deep", "/deep/file1"].map(|path| inode_of(&tools, &made.image, path));
        // An inode of 128 bytes has its attributes in a block.
        let entry = format!("inode {owner}{}", if inode_size == 128 { "/xattr block" } else { "" });
        let names =
            [("value", &value), ("entry", &entry), ("owner", &owner), ("deep", &deep), ("file", &file)];
        let filled = |text: &str| {
            names.iter().fold(text.to_owned(), |text, (name, by)| text.replace(&format!("{{{name}}}"), by))
        };
        let pristine = fs::read(&made.image).unwrap();
        for (commands, object, kind) in faults {
            let (commands, object) = (filled(commands), filled(object));
            let script = made.source.join("../commands");
            fs::write(&script, commands.clone() + "\n").unwrap();
            fs::write(&made.image, &pristine).unwrap();
            run(&tools.debugfs, &["-w".as_ref(), "-f".as_ref(), script.as_os_str(), made.image.as_os_str()]);
            assert!(fs::read(&made.image).unwrap() != pristine, "{commands}: changes nothing");
            let found = damages(&Image::open(&made.image));
            let text: Vec<String> =
                found.iter().take(9).map(|damage| format!("{:?} {damage}", damage.kind)).collect();
            let is_it = |damage: &Damage| self::object(damage) == object && damage.kind == *kind;
            assert!(
                found.iter().any(is_it),
                "-I {inode_size}: {commands}: no {object} in\n{}",
                text.join("\n")
            );
        }
    }
}

fn inode_of(tools: &Tools, image: &Path, path: &str) -> String {
    let text = run(&tools.debugfs, &["-R".as_ref(), format!("stat {path}").as_ref(), image.as_os_str()]);
    let number = text.split("Inode: ").nth(1).unwrap_or_else(|| panic!("{path}: {text}"));
    number.split_whitespace().next().unwrap().to_owned()
}

#[test]
fn what_cannot_be_read_is_named() {
    let Some(tools) = tools("what_cannot_be_read_is_named") else { return };
    for (invocation, feature) in [
        ("-t ext4 -O inline_data 16M", "inline_data"),
        ("-t ext4 -O encrypt 16M", "encrypt"),
        ("-t ext4 -O bigalloc -b 4096 16M", "bigalloc"),
    ] {
        let scratch = scratch();
        let image = scratch.path().join("image");
        let mut arguments = words("-q -F");
        let (options, size) = invocation.rsplit_once(' ').unwrap();
        arguments.extend(words(options));
        arguments.extend([image.as_os_str(), size.as_ref()]);
        run(&tools.mke2fs, &arguments);
        let image = Image::open(&image);
        assert!((row().recognise)(&image));
        let damage = (row().open)(&image).err().unwrap_or_else(|| panic!("{invocation} was read"));
        assert_eq!(damage.kind, DamageKind::Unsupported, "{damage}");
        assert!(damage.found.contains(feature) && damage.spot.object == "superblock", "{damage}");
        assert!((1024..2048).contains(&damage.offset), "{damage}");
    }
    for image in [vec![], vec![0; 1024], vec![0; 5000], vec![0xFF; 70_000]] {
        assert!(!(row().recognise)(&image));
        assert!((row().open)(&image).is_err());
    }
}

/// An image of 1 to 2 MiB with some of everything.
fn small(tools: &Tools, options: &str) -> Vec<u8> {
    let scratch = scratch();
    let (image, source) = (scratch.path().join("image"), scratch.path().join("source"));
    fs::create_dir_all(source.join("many")).unwrap();
    for number in 0..90 {
        let name = format!("many/{number}{}", "n".repeat(200));
        fs::write(source.join(name), vec![1; number * 3]).unwrap();
    }
    symlink("z".repeat(100), source.join("slow")).unwrap();
    let holes = fs::File::create(source.join("holes")).unwrap();
    for at in 0..90u64 {
        holes.write_all_at(&[1; 1024], at * 8192).unwrap();
    }
    let mut arguments = words("-q -F -E root_owner=0:0 -b 1024 -N 160 -d");
    arguments.push(source.as_os_str());
    arguments.extend(words(options));
    arguments.extend([image.as_os_str(), "1400".as_ref()]);
    run(&tools.mke2fs, &arguments);
    let made = Made { image: image.clone(), source, _scratch: scratch };
    add_by_debugfs(tools, &made);
    let (code, text) = try_run(&tools.e2fsck, &["-fyD".as_ref(), image.as_os_str()]);
    assert!(code.is_some_and(|code| code <= 1), "{text}");
    silent(&image, options);
    fs::read(&image).unwrap()
}

/// Whatever the bytes are, reading and dumping end, and the dump tiles the image.
fn survives(image: &impl ReadAt) {
    if let Ok(opened) = (row().open)(image) {
        assert!(opened.damage.len() <= MOST_DAMAGE);
        for file in &opened.files {
            assert!(file.extents().all(|extent| extent.end() <= file.len()));
        }
        assert!(opened.tree.walk().count() <= 1 << 20);
    }
    let mut text = String::new();
    if (row().dump)(image, &mut text).is_ok() {
        let mut at = 0;
        for line in lines(&text) {
            assert_eq!(line.at, at);
            at += line.len;
        }
        assert_eq!(at, image.len());
    }
}

#[test]
fn hostile_images_are_survived() {
    let Some(tools) = tools("hostile_images_are_survived") else { return };
    let rounds = if all() { 20_000 } else { 150 };
    let mut numbers = Numbers(1);
    for options in ["-t ext4 -O ^has_journal", "-t ext4 -O ^metadata_csum,^has_journal", "-t ext2 -I 128"] {
        let image = small(&tools, options);
        let metadata: Vec<Line> = lines(&dump(&image)).into_iter().filter(is_metadata).collect();
        for _ in 0..rounds {
            let mut image = image.clone();
            for _ in 0..1 + numbers.below(6) {
                mutate(&mut image, &metadata, &mut numbers);
            }
            survives(&image);
        }
        for len in (0..image.len()).step_by(image.len() / 60) {
            survives(&image[..len].to_vec());
        }
    }
}

/// Without checksums, so that every change has to be noticed by what it contradicts: what e2fsck minds, this reader reports.
/// (It reports more: values that do not have their hash, device numbers with something behind them.)
#[test]
fn what_e2fsck_minds_is_reported() {
    let Some(tools) = tools("what_e2fsck_minds_is_reported") else { return };
    let (rounds, mut numbers) = (if all() { 8000 } else { 120 }, Numbers(3));
    let mut missed = Vec::new();
    for options in [
        "-t ext4 -O ^has_journal,^metadata_csum",
        "-t ext4 -O ^has_journal,^metadata_csum,uninit_bg,ea_inode,sparse_super2 -g 512",
        "-t ext2 -I 128",
        "-t ext2 -O ^filetype,^dir_index,^resize_inode",
    ] {
        let image = small(&tools, options);
        let metadata: Vec<Line> = lines(&dump(&image)).into_iter().filter(is_metadata).collect();
        let scratch = scratch();
        let path = scratch.path().join("image");
        let mut silences = 0;
        for _ in 0..rounds {
            let mut changed = image.clone();
            mutate(&mut changed, &metadata, &mut numbers);
            let is_silent = |opened: Opened| opened.damage.is_empty() && opened.pending.is_empty();
            if changed == image || !(row().open)(&changed).is_ok_and(is_silent) {
                continue;
            }
            silences += 1;
            fs::write(&path, &changed).unwrap();
            let (code, text) = try_run(&tools.e2fsck, &["-fn".as_ref(), path.as_os_str()]);
            let said: Vec<&str> = text.lines().filter(|line| !is_usual(line)).collect();
            if code != Some(0) || !said.is_empty() {
                let line =
                    metadata.iter().rfind(|line| changed[..line.at as usize] == image[..line.at as usize]);
                missed.push(format!("{options}: in {line:?}: {said:#?}"));
            }
        }
        assert!(silences > 0, "{options}: nothing was left to compare");
    }
    let first = missed.iter().take(12).map(String::as_str).collect::<Vec<_>>();
    assert!(missed.is_empty(), "{} of them:\n{}", missed.len(), first.join("\n"));
}

/// What e2fsck prints of a sound file system; and what depends on the clock.
fn is_usual(line: &str) -> bool {
    let starts = ["e2fsck 1.", "Pass "].iter().any(|start| line.starts_with(start));
    starts || line.is_empty() || line.contains(" files (") || line.contains("in the future")
}

fn is_metadata(line: &Line) -> bool {
    let dull = ["unused", "values", "zeros"];
    !line.name.is_empty() && !line.name.contains("data block") && !dull.contains(&line.fields.as_str())
}

/// Changes a structure: a bit, a word, or the bytes of another one.
fn mutate(image: &mut [u8], metadata: &[Line], numbers: &mut Numbers) {
    const WORDS: [u32; 8] = [0, 1, u32::MAX, 0x8000_0000, 0x7FFF_FFFF, 0x1_0000, 0xFFFF, 12];
    let line = |numbers: &mut Numbers| &metadata[numbers.below(metadata.len() as u64) as usize];
    let (to, from) = (line(numbers), line(numbers));
    let at = (to.at + numbers.below(to.len)) as usize;
    match numbers.below(4) {
        0 => image[at] ^= 1 << numbers.below(8),
        1 => image[at] = numbers.below(256) as u8,
        2 => {
            let at = at & !3;
            image[at..at + 4].copy_from_slice(&WORDS[numbers.below(8) as usize].to_le_bytes());
        }
        _ => {
            let len = to.len.min(from.len) as usize;
            image.copy_within(from.at as usize..from.at as usize + len, to.at as usize);
        }
    }
}

#[test]
fn silent_on_what_the_kernel_writes() {
    const TEST: &str = "silent_on_what_the_kernel_writes";
    let Some(tools) = tools(TEST) else { return };
    let (Some(mount), Some(umount)) = (tool(TEST, "mount", "mount"), tool(TEST, "umount", "mount")) else {
        return;
    };
    let many = product().filter(|_| all());
    for invocation in KERNEL.iter().map(|line| (*line).to_owned()).chain(many) {
        eprintln!("{invocation}");
        let made = make(&tools, &invocation);
        let at = made.source.join("../mount");
        fs::create_dir(&at).unwrap();
        let mounting = ["-o".as_ref(), "loop".as_ref(), made.image.as_os_str(), at.as_os_str()];
        let (code, text) = try_run(&mount, &mounting);
        if code != Some(0) {
            println!("SKIP {TEST}: a loop mount needs root and loop devices: {}", text.trim());
            return;
        }
        write_by_kernel(&at, invocation.contains("ea_inode"));
        let listed = listed(&at);
        unmount(&umount, &at);
        mend_references(&tools, &made.image, &invocation);
        let opened = silent(&made.image, &invocation);
        let names = opened.tree.children(opened.tree.lookup(b"/crowd").unwrap()).count();
        assert_eq!(names, 1500 - 1500 / 3, "{invocation}");
        for (path, attributes) in listed {
            let node = opened.tree.lookup(&path).unwrap_or_else(|| panic!("{invocation}: {path:?}"));
            let read = opened.tree.xattrs(opened.tree.node(node).meta.xattrs);
            assert!(*read == attributes, "{invocation}: attributes of {}", String::from_utf8_lossy(&path));
        }
        oracle::check_dump(&dump(&Image::open(&made.image)), fs::metadata(&made.image).unwrap().len());
    }
}

/// While another thread starts a program, that has our open files for a moment.
fn unmount(umount: &Path, at: &Path) {
    for _ in 0..50 {
        if try_run(umount, &[at.as_os_str()]).0 == Some(0) {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    run(umount, &[at.as_os_str()]);
}

/// A file system as a power failure leaves it: the journal is not in place, deleted files are still there because a program
/// has them open. Read as the next mount would leave it, it is sound.
#[test]
fn what_waits_for_the_next_mount_is_no_damage() {
    const TEST: &str = "what_waits_for_the_next_mount_is_no_damage";
    let Some(tools) = tools(TEST) else { return };
    let (Some(mount), Some(umount)) = (tool(TEST, "mount", "mount"), tool(TEST, "umount", "mount")) else {
        return;
    };
    for (invocation, options) in [
        ("-t ext4 -b 4096 -O orphan_file,metadata_csum_seed 64M", "loop"),
        ("-t ext4 -b 1024 64M", "loop"),
        ("-t ext4 -b 1024 -O ^64bit,uninit_bg,^metadata_csum 64M", "loop"),
        ("-t ext3 -b 1024 64M", "loop"),
        ("-t ext4 -b 4096 -O fast_commit 64M", "loop,journal_checksum"),
    ]
    .into_iter()
    .take(if all() { 9 } else { 2 })
    {
        let made = make(&tools, invocation);
        let at = made.source.join("../mount");
        fs::create_dir(&at).unwrap();
        let mounting = ["-o".as_ref(), options.as_ref(), made.image.as_os_str(), at.as_os_str()];
        let (code, text) = try_run(&mount, &mounting);
        if code != Some(0) {
            println!("SKIP {TEST}: a loop mount needs root and loop devices: {}", text.trim());
            return;
        }
        write_by_kernel(&at, false);
        // Two deleted files, one of them large, that are open; and blocks that are freed and used again.
        let held: Vec<fs::File> = ["deep/er/holes", "deep/file300000"]
            .iter()
            .map(|name| {
                let file = fs::File::open(at.join(name)).unwrap();
                fs::remove_file(at.join(name)).unwrap();
                file
            })
            .collect();
        for round in 0..3 {
            fs::create_dir(at.join("again")).unwrap();
            for number in 0..60 {
                fs::write(at.join(format!("again/{number}{}", "-".repeat(100))), vec![round; 3000]).unwrap();
            }
            fs::File::open(at.join("again")).unwrap().sync_all().unwrap();
            fs::remove_dir_all(at.join("again")).unwrap();
        }
        rustix::fs::syncfs(fs::File::open(&at).unwrap()).unwrap();
        let crashed = made.source.join("../crashed");
        fs::copy(&made.image, &crashed).unwrap();
        drop(held);
        unmount(&umount, &at);
        let unmounted = silent(&made.image, invocation);
        assert!(unmounted.pending.is_empty(), "{invocation}: {:?}", unmounted.pending);
        let opened = silent(&crashed, &format!("{invocation}, crashed"));
        let has = |what: &str| opened.pending.iter().any(|line| line.contains(what));
        assert!(has("needs_recovery: ") && !has("needs_recovery: 0 blocks"), "{:?}", opened.pending);
        assert!(has("orphans: inodes "), "{invocation}: {:?}", opened.pending);
        let names = |opened: &Opened| opened.tree.walk().map(|step| step.path).collect::<BTreeSet<_>>();
        assert_eq!(names(&opened), names(&unmounted), "{invocation}");
        oracle::check_dump(&dump(&Image::open(&crashed)), fs::metadata(&crashed).unwrap().len());
        // What e2fsck makes of it is the same tree.
        let (code, text) = try_run(&tools.e2fsck, &["-fy".as_ref(), crashed.as_os_str()]);
        assert!(code.is_some_and(|code| code <= 1), "{invocation}: {text}");
        let recovered = silent(&crashed, &format!("{invocation}, recovered"));
        assert!(recovered.pending.is_empty(), "{invocation}: {:?}", recovered.pending);
        assert_eq!(names(&recovered), names(&unmounted), "{invocation}");
    }
    // The kernel sets the feature before it writes anything.
    let made = make(&tools, "-t ext4 -b 1024 16M");
    let state = ["-w".as_ref(), "-R".as_ref(), "feature needs_recovery".as_ref(), made.image.as_os_str()];
    run(&tools.debugfs, &state);
    let opened = silent(&made.image, "ext4 with an empty journal");
    assert!(opened.pending[0].contains("needs_recovery: the journal was not closed"), "{:?}", opened.pending);
    // Without a journal nothing can be read as it will be; that it was not unmounted is said.
    let made = make(&tools, "-t ext2 -b 1024 16M");
    let state = ["-w".as_ref(), "-R".as_ref(), "ssv state 0".as_ref(), made.image.as_os_str()];
    run(&tools.debugfs, &state);
    let opened = silent(&made.image, "ext2 that was not unmounted");
    assert!(opened.pending[0].contains("was not unmounted"), "{:?}", opened.pending);
}

/// Linux (6.18 at least) loses count of the entries that refer to a value when it moves them between inode and block. What
/// e2fsck says of it is what we say of it, word for number; then it may mend it.
fn mend_references(tools: &Tools, image: &Path, when: &str) {
    let (code, text) = try_run(&tools.e2fsck, &["-fn".as_ref(), image.as_os_str()]);
    if code == Some(0) {
        return;
    }
    let theirs = text.lines().filter_map(|line| {
        let (ino, rest) = line.strip_prefix("Extended attribute inode ")?.split_once(" ref count is ")?;
        let (found, rest) = rest.split_once(", should be ")?;
        let expected = rest.split_once('.')?.0;
        Some(format!("inode {ino}: {expected} references, {found}"))
    });
    let ours = open(image).damage.into_iter();
    let ours = ours.map(|damage| format!("{}: {}, {}", object(&damage), damage.expected, damage.found));
    let known = |line: &str| {
        line.starts_with("Extended attribute inode ") || line.contains("WARNING: Filesystem still")
    };
    let strange = text.lines().find(|line| !is_usual(line) && !known(line));
    assert_eq!(strange, None, "{when}: {text}");
    assert_eq!(ours.collect::<BTreeSet<_>>(), theirs.collect::<BTreeSet<_>>(), "{when}: {text}");
    let (code, text) = try_run(&tools.e2fsck, &["-fy".as_ref(), image.as_os_str()]);
    assert_eq!(code, Some(1), "{when}: {text}");
}

/// Forms that the kernel is let write to.
const KERNEL: &[&str] = &[
    "-t ext4 -b 4096 -O orphan_file,metadata_csum_seed 64M",
    "-t ext4 -b 1024 -I 256 64M",
    "-t ext4 -b 4096 -O ^metadata_csum,uninit_bg 200M",
    "-t ext3 -b 1024 64M",
    "-t ext2 -b 4096 64M",
    "-t ext4 -b 4096 -O ea_inode,orphan_file 64M",
    "-t ext4 -b 1024 -I 128 -O ea_inode,^metadata_csum,sparse_super2 64M",
    "-t ext2 -b 4096 -I 128 -O ^filetype,^dir_index,^sparse_super,^resize_inode 64M",
];

/// All files below a directory, with their attributes.
fn listed(top: &Path) -> Vec<(Vec<u8>, Xattrs)> {
    let mut all = Vec::new();
    let mut queue = vec![top.to_owned()];
    while let Some(dir) = queue.pop() {
        for entry in fs::read_dir(dir).unwrap().map(|entry| entry.unwrap()) {
            let path = entry.path();
            all.push((path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec(), attributes(&path)));
            if entry.file_type().unwrap().is_dir() {
                queue.push(path);
            }
        }
    }
    all
}

/// Grows and shrinks directories and files, so that indexes split, extents break and inodes are freed.
fn write_by_kernel(top: &Path, has_values: bool) {
    fs::create_dir(top.join("crowd")).unwrap();
    let name = |number: u32| top.join(format!("crowd/{number} \u{fc}{}", "-".repeat(60)));
    for number in 0..1500 {
        fs::write(name(number), vec![1; number as usize % 700]).unwrap();
    }
    for number in (0..1500).step_by(3) {
        fs::remove_file(name(number)).unwrap();
    }
    fs::remove_dir_all(top.join("deep/er/and")).unwrap();
    let broken = fs::File::create(top.join("broken")).unwrap();
    for at in 0..900u64 {
        broken.write_all_at(&[9; 1000], at * 10_000).unwrap();
    }
    broken.set_len(5_000_001).unwrap();
    fs::rename(top.join("deep/file4097"), top.join("crowd/moved")).unwrap();
    fs::remove_file(top.join("crowd/moved")).unwrap();
    symlink("k".repeat(400), top.join("deep/by kernel")).unwrap();
    attributes_by_kernel(top, has_values);
}

/// Attributes of many sizes, shared and alone, changed and removed; `has_values`: larger than a block, too.
fn attributes_by_kernel(top: &Path, has_values: bool) {
    let dir = top.join("attributes");
    fs::create_dir(&dir).unwrap();
    let set = |path: &Path, name: &str, value: &[u8]| {
        rustix::fs::lsetxattr(path, name, value, rustix::fs::XattrFlags::empty())
            .unwrap_or_else(|error| panic!("{}: {name}: {error}", path.display()));
    };
    for number in 0..40usize {
        let path = dir.join(format!("{number}"));
        fs::write(&path, "text").unwrap();
        // Equal ones share a block, a few of them with something of their own in the inode.
        set(&path, "user.shared", &[number as u8 / 10; 600]);
        if number % 3 == 0 {
            set(&path, "user.own", format!("{number}").as_bytes());
        }
        if number % 5 == 0 {
            set(&path, "security.capability", &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        if number % 7 == 0 {
            set(&path, "system.posix_acl_access", &ACL);
        }
        if has_values && number % 2 == 0 {
            set(&path, "user.value", &vec![number as u8 / 8; 5000 + 5000 * (number / 8)]);
            set(&path, "trusted.second", &[7; 4097]);
        }
        if has_values && number % 8 == 0 {
            set(&path, "user.value", &[9; 60_000]);
            rustix::fs::lremovexattr(&path, "trusted.second").unwrap();
        }
    }
    for number in (0..40).step_by(9) {
        fs::remove_file(dir.join(format!("{number}"))).unwrap();
    }
    set(&dir, "system.posix_acl_default", &ACL);
    let link = dir.join("link");
    symlink("target", &link).unwrap();
    set(&link, "trusted.of a link", &[3; 100]);
    fs::write(dir.join("inherits"), "").unwrap();
    for number in 0..60 {
        fs::hard_link(dir.join("1"), dir.join(format!("hard {number}"))).unwrap();
    }
}

/// Numbers that ask for the impossible end in a damage, soon.
#[test]
fn giant_numbers_are_refused_soon() {
    let Some(tools) = tools("giant_numbers_are_refused_soon") else { return };
    let image = small(&tools, "-t ext4 -O ^has_journal,^metadata_csum");
    let at = |offset: usize, value: u32| (1024 + offset, value);
    let cases: &[&[(usize, u32)]] = &[
        &[at(0x04, u32::MAX)],
        &[at(0x04, u32::MAX), at(0x150, 0xFFFF)],
        &[at(0x20, 8), at(0x24, 8), at(0x28, 8), at(0x04, u32::MAX)],
        &[at(0x64, 0), at(0x20, 8), at(0x28, 8), at(0x04, 300_000)],
        &[at(0x28, 8192)],
        &[at(0x60, 0x2D2), at(0x104, 0), at(0x04, 40_000_000)],
        &[at(0xCC, 0xFFFF_0000)],
        // A block bitmap that is not initialised at the last of all block numbers.
        &[at(0x64, 0x46B), at(1024, u32::MAX), at(1024 + 0x20, u32::MAX), at(1024 + 0x10, 2 << 16)],
    ];
    for words in cases {
        let mut image = image.clone();
        for (at, value) in *words {
            image[*at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        assert!(!damages(&image).is_empty(), "{words:?}");
        survives(&image);
    }
}

/// Directories that share their blocks, and a tree of extents that leads back into itself, are followed once.
#[test]
fn knots_are_followed_once() {
    let Some(tools) = tools("knots_are_followed_once") else { return };
    let image = small(&tools, "-t ext4 -O ^has_journal,^metadata_csum");
    let all = lines(&dump(&image));
    let inode = |name: &str| all.iter().find(|line| line.name == name).unwrap().clone();
    let many = all.iter().find(|line| line.name.ends_with("/htree root")).unwrap();
    let crowd = inode(many.name.strip_suffix("/htree root").unwrap());
    // Every inode becomes the crowded directory.
    let mut knotted = image.clone();
    for line in all.iter().filter(|line| line.fields.starts_with("mode=0o100644")) {
        knotted.copy_within(crowd.at as usize..(crowd.at + crowd.len) as usize, line.at as usize);
    }
    let found = damages(&knotted);
    assert!(found.iter().any(|damage| damage.expected.ends_with("used once")));
    survives(&knotted);
    // The only child of the root of an extent tree becomes its own child.
    let node = all.iter().find(|line| line.name.ends_with("/extent node")).unwrap();
    let owner = inode(node.name.strip_suffix("/extent node").unwrap());
    let mut knotted = image;
    let root = owner.at as usize + 40;
    knotted.copy_within(root..root + 60, node.at as usize);
    knotted[node.at as usize + 6] = 2;
    knotted[root + 6] = 3;
    let found = damages(&knotted);
    assert!(found.iter().any(|damage| object(damage) == node.name), "{found:?}");
    survives(&knotted);
}
