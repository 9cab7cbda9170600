//! Options mean what they mean to mke2fs: the same command lines through both, and dumpe2fs asked what came out.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

#[path = "ext_support/mod.rs"]
mod support;

use diskwright_formats::fault::RefusalKind;
use diskwright_fstools::registry::{BootReader, Geometry, Release, Target, find};
use diskwright_fstools::tree::ROOT;
use std::path::Path;
use std::process::Command;
use support::{Image, Sample, fsck, have, identity, run, skip, tool};

const LEN: u64 = 64 << 20;

/// The defaults of both sides: those of the profile `default`, and 4 KiB blocks at any size.
const CONF: &str = "[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
    default_mntopts = acl,user_xattr
    blocksize = 4096
    inode_size = 256
    inode_ratio = 16384
    reserved_ratio = 0
[fs_types]
    ext3 = {
        features = has_journal
    }
    ext4 = {
        features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
    }
    small = {
        blocksize = 1024
        inode_ratio = 4096
    }
    news = {
        inode_ratio = 4096
    }
    largefile = {
        inode_ratio = 1048576
    }
    hurd = {
        inode_size = 128
    }
";

/// What dumpe2fs says that a command line decides.
const FIELDS: &[&str] = &[
    "Filesystem volume name",
    "Last mounted on",
    "Filesystem features",
    "Default mount options",
    "Errors behavior",
    "Inode count",
    "Block count",
    "Reserved block count",
    "First block",
    "Block size",
    "Group descriptor size",
    "Blocks per group",
    "Inodes per group",
    "RAID stride",
    "RAID stripe width",
    "Flex block group size",
    "First inode",
    "Inode size",
    "Required extra isize",
    "Total journal blocks",
    "Backup block groups",
];

fn fields(image: &Path, more: &[&str]) -> Vec<String> {
    let (code, text) = run("dumpe2fs", &["-h", image.to_str().unwrap()]);
    assert_eq!(code, 0, "{text}");
    let wanted = |line: &&str| FIELDS.iter().chain(more).any(|field| line.starts_with(&format!("{field}:")));
    text.lines().filter(wanted).map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

/// The image that mke2fs makes, or its words.
fn theirs(kind: &str, line: &[&str], len: u64) -> Result<Image, String> {
    let directory = tempfile::tempdir().unwrap();
    let conf = directory.path().join("mke2fs.conf");
    std::fs::write(&conf, CONF).unwrap();
    let image = Image::write(&diskwright_formats::layout::Layout::empty(len), &Sample::default().contents);
    let output = Command::new(tool("mke2fs").unwrap())
        .args(["-q", "-F", "-t", kind])
        // Otherwise mke2fs chooses a usage by the size.
        .args(["-T", "default"].iter().filter(|_| !line.contains(&"-T")))
        .args(line)
        .arg(&image.path)
        .env("MKE2FS_CONFIG", &conf)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    match output.status.success() {
        true => Ok(image),
        false => Err(String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()),
    }
}

/// Ours of an empty tree, or the refusal.
fn ours(kind: &str, line: &[&str], len: u64) -> Result<Image, String> {
    let sample = Sample::default();
    let arguments: Vec<String> = line.iter().map(|&it| it.to_owned()).collect();
    let filesystem = (find(kind).unwrap().configure)(&arguments).map_err(|refusal| refusal.to_string())?;
    let place = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    let laid = filesystem.lay(&sample.tree, &place, &identity()).map_err(|refusal| refusal.to_string())?;
    Ok(Image::write(&laid.layout, &sample.contents))
}

/// Both make the same of a command line, or both refuse it.
fn compare(kind: &str, line: &[&str], len: u64, more: &[&str]) {
    let name = format!("mke2fs -t {kind} {line:?}");
    match (ours(kind, line, len), theirs(kind, line, len)) {
        (Ok(ours), Ok(theirs)) => {
            assert_eq!(fields(&ours.path, more), fields(&theirs.path, more), "{name}");
            fsck(&ours.path, &name);
        }
        (Err(_), Err(_)) => {}
        (Ok(_), Err(words)) => panic!("{name}: mke2fs refuses: {words}"),
        (Err(refusal), Ok(_)) => panic!("{name}: {refusal}"),
    }
}

fn tools(test: &str) -> bool {
    ["mke2fs", "dumpe2fs", "e2fsck"].into_iter().all(|program| have(test, program))
}

/// Every feature, on and off, alone, in every generation.
#[test]
fn every_feature_does_as_with_mke2fs() {
    if !tools("every_feature_does_as_with_mke2fs") {
        return;
    }
    let features = [
        "64bit",
        "dir_index",
        "dir_nlink",
        "ea_inode",
        "ext_attr",
        "extent",
        "extents",
        "extra_isize",
        "filetype",
        "flex_bg",
        "has_journal",
        "huge_file",
        "large_file",
        "metadata_csum",
        "metadata_csum_seed",
        "orphan_file",
        "resize_inode",
        "sparse_super",
        "sparse_super2",
        "uninit_bg",
        "uninit_groups",
    ];
    let known = run("mke2fs", &["-V"]).1;
    let old = ["1.42", "1.43", "1.44", "1.45", "1.46"].iter().any(|version| known.contains(version));
    for kind in ["ext2", "ext3", "ext4"] {
        for feature in features {
            if old && feature == "orphan_file" {
                skip("every_feature_does_as_with_mke2fs", "an mke2fs before 1.47 knows no orphan_file");
                continue;
            }
            for sign in ["", "^"] {
                compare(kind, &["-O", &format!("{sign}{feature}")], LEN, &[]);
            }
        }
    }
}

#[test]
fn options_do_as_with_mke2fs() {
    if !tools("options_do_as_with_mke2fs") {
        return;
    }
    let lines: &[&[&str]] = &[
        &[],
        &["-L", "root", "-M", "/mnt", "-e", "remount-ro"],
        &["-Lroot", "-m5", "-b1024"],
        &["-m", "2.5", "-b", "2048", "-I", "128"],
        &["-b", "1k", "-I", "1024", "-i", "8192"],
        &["-I", "512", "-N", "3000"],
        &["-N", "1"],
        &["-I", "2048"],
        &["-i", "65536"],
        &["-i", "0x4000", "-G", "4"],
        &["-T", "small"],
        &["-T", "small", "-b", "2048"],
        &["-T", "news,largefile"],
        &["-T", "hurd,default"],
        &["-g", "8192"],
        &["-b", "1024", "-g", "4096", "-O", "^flex_bg"],
        &["-J", "size=8"],
        &["-b", "1024", "-J", "size=1"],
        &["-J", "size=0"],
        &["-j", "-v", "-D", "-c", "-K"],
        &["-o", "linux", "-r", "1"],
        &["-E", "stride=4,stripe_width=16,nodiscard,lazy_itable_init=1"],
        &["-E", "stride=4,stripe-width=16,discard,lazy_journal_init"],
        &["-O", "sparse_super2", "-E", "num_backup_sb=0"],
        &["-b", "1024", "-O", "sparse_super2", "-E", "num_backup_sb=1"],
        &["-b", "1024", "-O", "sparse_super2,^resize_inode"],
        &["-O", "none"],
        &["-O", "none,filetype,ext_attr"],
        &["-O", "HAS_JOURNAL,-large_file"],
        &["-O", "has_journal ^dir_index"],
        &["-O", "+dir_index", "-O", "^ext_attr"],
        &["-O", "FEATURE_C3,^FEATURE_R3"],
        &["-O", "^metadata_csum,uninit_bg", "-b", "1024"],
        &["-O", "^metadata_csum,uninit_bg,^64bit"],
        &["-O", "metadata_csum,uninit_bg,extent"],
        &["-O", "^has_journal", "-J", "size=4"],
        // Refused by both.
        &["-O", "metadata_csum_seed,^metadata_csum"],
        &["-O", "orphan_file,^has_journal"],
        &["-O", "extent,64bit,^extent"],
        &["-O", "^flex_bg", "-G", "4"],
        &["-O", "resize_inode,^sparse_super"],
        &["-O", "^64bit", "-E", "desc_size=64"],
        &["-O", "read-only"],
        &["-O", "^shared_blocks"],
        &["-O", "nonsense"],
        &["-E", "nonsense"],
        &["-E", "resize"],
        &["-E", "resize=1000"],
        &["-E", "num_backup_sb=3"],
        &["-E", "hash_seed=1"],
        &["-J", "nonsense"],
        &["-J", "size=1"],
        &["-J", "size=80"],
        &["-b", "1024", "-I", "2048"],
        &["-I", "64"],
        &["-g", "100"],
        &["-g", "260"],
        &["-g", "40000"],
        &["-G", "3"],
        &["-i", "1000"],
        &["-i", "128m"],
        &["-N", "4294967296"],
        &["-N", "300000"],
        &["-m", "51"],
        &["-m", "5%"],
        &["-e", "never"],
        &["-b", "512"],
        &["-C", "16384"],
        &["-U", "nonsense"],
    ];
    for kind in ["ext2", "ext3", "ext4"] {
        for line in lines {
            compare(kind, line, LEN, &[]);
        }
    }
    // Ids, where they are given.
    let id = "01234567-89ab-cdef-0123-456789abcdef";
    compare("ext4", &["-U", id], LEN, &["Filesystem UUID"]);
    compare("ext4", &["-U", id, "-O", "metadata_csum_seed"], LEN, &["Filesystem UUID", "Checksum seed"]);
    compare("ext4", &["-E", &format!("hash_seed={id}")], LEN, &["Directory Hash Seed"]);
    compare("ext4", &["-E", "resize=8388608"], LEN, &["Reserved GDT blocks"]);
    compare("ext2", &["-E", "resize=64g"], LEN, &["Reserved GDT blocks"]);
}

/// What mke2fs takes and we refuse: by name, and with a way out.
#[test]
fn what_is_not_made_is_refused_by_name_and_with_a_hint() {
    let lines: &[&[&str]] = &[
        &["-O", "bigalloc"],
        &["-O", "casefold"],
        &["-O", "encrypt"],
        &["-O", "fast_commit"],
        &["-O", "inline_data"],
        &["-O", "journal_dev"],
        &["-O", "large_dir"],
        &["-O", "^resize_inode,meta_bg"],
        &["-O", "mmp"],
        &["-O", "project"],
        &["-O", "quota"],
        &["-O", "stable_inodes"],
        &["-O", "verity"],
        &["-b", "65536"],
        &["-E", "encoding=utf8"],
        &["-E", "offset=1024"],
        &["-E", "packed_meta_blocks=1"],
        &["-E", "quotatype=usrquota"],
        &["-E", "revision=0"],
        &["-E", "root_owner"],
        &["-E", "root_selinux=system_u:object_r:root_t:s0"],
        &["-E", "test_fs"],
        &["-E", "mmp_update_interval=5"],
        &["-E", "no_copy_xattrs"],
        &["-E", "desc_size=128"],
        &["-J", "location=1000"],
        &["-J", "v1_superblock"],
        &["-o", "hurd"],
        &["-U", "random"],
        &["-U", "time"],
        &["-S"],
        &["-n"],
        &["-T", "nonsense"],
    ];
    let judge = tools("what_is_not_made_is_refused_by_name_and_with_a_hint");
    for line in lines {
        let arguments: Vec<String> = line.iter().map(|&it| it.to_owned()).collect();
        let refusal = (find("ext4").unwrap().configure)(&arguments).expect_err(&format!("{line:?}"));
        let word = line.last().unwrap().split([',', '=']).next_back().unwrap();
        let named = refusal.reason.contains(word)
            || refusal.reason.contains(line.last().unwrap().split('=').next().unwrap());
        assert!(named && refusal.hint.is_some(), "{line:?}: {refusal:?}");
        assert!(matches!(refusal.kind, RefusalKind::Unsupported | RefusalKind::Invalid), "{line:?}");
        // Otherwise it should be in the table of what both refuse.
        let beyond = ["-T", "-o", "-n", "-S"].contains(&line[0])
            || ["65536", "journal_dev", "revision=0"].contains(line.last().unwrap())
            // Older than this option.
            || word == "system_u:object_r:root_t:s0";
        assert!(!judge || beyond || theirs("ext4", line, LEN).is_ok(), "{line:?}: mke2fs refuses it, too");
    }
}

/// More inodes than groups hold are no silent fewer.
#[test]
fn as_many_inodes_as_were_asked_for() {
    for (line, len) in
        [("-N 60000", 128 << 20), ("-N 60000", 512 << 20), ("-N 5000 -b 1024", 64 << 20), ("-N 1", 8 << 20)]
    {
        let words: Vec<&str> = line.split(' ').collect();
        let arguments: Vec<String> = words.iter().map(|&it| it.to_owned()).collect();
        let wanted: u64 = words[1].parse().unwrap();
        let filesystem = (find("ext4").unwrap().configure)(&arguments).unwrap();
        let tree = Sample::default().tree;
        let place = |len| Geometry { len, sector_size: 512, hidden_sectors: 0 };
        match filesystem.lay(&tree, &place(len), &identity()) {
            Ok(laid) => {
                let (used, free) = laid.usage.inodes.unwrap();
                assert!(used + free >= wanted, "{line}: {used} + {free}");
            }
            Err(refusal) => {
                let RefusalKind::TooSmall { needed: Some(needed) } = refusal.kind else {
                    panic!("{line}: {refusal}")
                };
                assert!(needed > len, "{line}");
                filesystem.lay(&tree, &place(needed), &identity()).unwrap();
            }
        }
    }
}

/// The profile decides what nobody else did; what comes out is sound, and e2fsck of the release would know it.
#[test]
fn a_target_decides_what_is_left_open() {
    let row = find("ext4").unwrap();
    let release = |id: &str, version: &str| Target {
        release: Some(Release { id: id.to_owned(), version: Some(version.to_owned()), ..Release::default() }),
        ..Target::default()
    };
    let features = |target: &Target, line: &[&str]| {
        let arguments: Vec<String> = line.iter().map(|&it| it.to_owned()).collect();
        let aimed = (row.configure)(&arguments).unwrap().aimed(target).unwrap().unwrap();
        let mut sample = Sample::default();
        sample.content(ROOT, "file", vec![7; 5000]);
        let place = Geometry { len: LEN, sector_size: 512, hidden_sectors: 0 };
        let laid = aimed.filesystem.lay(&sample.tree, &place, &identity()).unwrap();
        let image = Image::write(&laid.layout, &sample.contents);
        (image, aimed.profile)
    };
    if !tools("a_target_decides_what_is_left_open") {
        return;
    }
    let said = |image: &Image| {
        let all = fields(&image.path, &[]);
        all.into_iter().find(|line| line.starts_with("Filesystem features")).unwrap()
    };
    let (image, profile) = features(&release("debian", "13"), &[]);
    assert!(said(&image).contains("orphan_file") && said(&image).contains("metadata_csum_seed"));
    assert_eq!((profile.name.as_str(), profile.evidence.as_str()), ("debian-13", "measured"));
    fsck(&image.path, "debian-13");
    let (image, _) = features(&release("sles", "12.5"), &[]);
    assert!(said(&image).contains("uninit_bg") && !said(&image).contains("metadata_csum"));
    fsck(&image.path, "sles-12");
    let (image, profile) = features(&release("debian", "11"), &["-O", "orphan_file"]);
    assert!(said(&image).contains("orphan_file"));
    assert!(
        profile.warnings.iter().any(|line| line.contains("orphan_file") && line.contains("e2fsck 1.46.2")),
        "{profile:?}"
    );
    let boot = Target { boot: Some(BootReader::Grub), ..release("fedora", "40") };
    let (image, profile) = features(&boot, &[]);
    assert!(!said(&image).contains("metadata_csum_seed"));
    assert_eq!(profile.warnings, Vec::<String>::new());
}

/// The numbers that dumpe2fs finds behind a field.
fn counted(image: &Image, field: &str) -> u64 {
    let all = fields(&image.path, &[field]);
    let line = all.iter().find(|line| line.starts_with(&format!("{field}:"))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// What a size promises: the smallest succeeds and one block less is refused, saying it; free and reserved blocks and
/// inodes are those that dumpe2fs counts, and free is at least what was asked for.
#[test]
fn sizes_come_out_as_promised() {
    let judge = tools("sizes_come_out_as_promised");
    let mut files = Sample::default();
    for at in 0..40 {
        let dir = files.directory(ROOT, format!("dir{at}"));
        files.content(dir, "file", support::noise(at, 50_000 + at as usize * 1000));
    }
    let lines = [
        ("ext4", ""),
        ("ext4", "-m 5"),
        ("ext4", "-b 1024 -m 2.5"),
        ("ext4", "-b 2048 -I 512 -O orphan_file,metadata_csum_seed"),
        ("ext4", "-N 3000 -J size=8 -m 1"),
        ("ext4", "-g 4096 -O sparse_super2,^resize_inode"),
        ("ext4", "-i 2048 -O ^metadata_csum,uninit_bg"),
        ("ext3", "-m 0.5"),
        ("ext2", "-b 1024 -I 128"),
    ];
    for (kind, line) in lines {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let filesystem = (find(kind).unwrap().configure)(&arguments).unwrap();
        let block =
            if line.contains("-b 1024") { 1024 } else { if line.contains("-b 2048") { 2048 } else { 4096 } };
        for (name, sample) in [("empty", &Sample::default()), ("files", &files)] {
            let lay = |len| {
                filesystem.lay(
                    &sample.tree,
                    &Geometry { len, sector_size: 512, hidden_sectors: 0 },
                    &identity(),
                )
            };
            let what = format!("mkfs {kind} {line}: {name}");
            let smallest = filesystem.measure(&sample.tree, 0, 512).unwrap();
            lay(smallest).unwrap_or_else(|refusal| panic!("{what}: {refusal}"));
            let refusal = lay(smallest - block).expect_err(&what);
            assert_eq!(refusal.kind, RefusalKind::TooSmall { needed: Some(smallest) }, "{what}");
            assert!(
                refusal.hint.as_ref().unwrap().contains(&format!("--size {smallest}B")),
                "{what}: {refusal:?}"
            );
            for free in [1, 1 << 20, 20 << 20, 300 << 20] {
                let len = filesystem.measure(&sample.tree, free, 512).unwrap();
                let laid = lay(len).unwrap_or_else(|refusal| panic!("{what} + {free}: {refusal}"));
                assert!(laid.usage.free >= free, "{what} + {free}: {:?}", laid.usage);
                if judge && free > 1 << 20 {
                    let image = Image::write(&laid.layout, &sample.contents);
                    fsck(&image.path, &what);
                    let (blocks, reserved) =
                        (counted(&image, "Block count"), counted(&image, "Reserved block count"));
                    let percent: f64 = line
                        .split("-m ")
                        .nth(1)
                        .map_or(0.0, |rest| rest.split(' ').next().unwrap().parse().unwrap());
                    assert_eq!(reserved, (blocks as f64 * percent / 100.0) as u64, "{what} + {free}");
                    assert_eq!(
                        (counted(&image, "Free blocks") - reserved) * block,
                        laid.usage.free,
                        "{what} + {free}"
                    );
                    let (used, unused) = laid.usage.inodes.unwrap();
                    assert_eq!(counted(&image, "Free inodes"), unused, "{what} + {free}");
                    assert_eq!(counted(&image, "Inode count"), used + unused, "{what} + {free}");
                }
            }
        }
    }
}
