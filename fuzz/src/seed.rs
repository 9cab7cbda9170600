//! Images that our writers make: bases to mutate, and the first inputs of a corpus.

use super::files::{Endless, Holds, holds};
use super::image::Base;
use arbitrary::Unstructured;
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{ContentId, Extent, Layout, What};
use diskwright_formats::{registry, table};
use diskwright_fstools::registry::{Filesystem, Geometry};
use diskwright_fstools::tree::{Data, HOLE_WINDOW, Kind, Meta, Node, ROOT, Time, Tree, Xattrs};

/// Longest base: larger ones only cost time.
const LONGEST: u64 = 96 << 20;

/// Option lists for a row, in the spelling of the format's own tool. Those that a row refuses are passed over.
pub fn options(row: &str) -> &'static [&'static [&'static str]] {
    match row {
        "ext4" => &[
            &[],
            &["-O", "^has_journal"],
            &["-O", "^has_journal", "-b", "1024"],
            &["-O", "^has_journal,^metadata_csum"],
            &["-O", "^has_journal,^64bit", "-I", "128"],
            &["-O", "^has_journal,ea_inode,metadata_csum_seed", "-b", "1024", "-I", "512"],
            &["-O", "orphan_file,sparse_super2", "-b", "1024"],
            &["-O", "^has_journal,^metadata_csum,uninit_bg,^flex_bg", "-b", "2048"],
            &["-O", "^has_journal,^extent,^64bit,^filetype,^resize_inode", "-b", "1024"],
        ],
        "vfat" => &[&[], &["-F", "12"], &["-F", "16"], &["-F", "32"]],
        "swap" => &[&[], &["-L", "label"], &["-p", "65536"], &["-U", "clear", "-p", "16384"]],
        "qcow2" => {
            &[&[], &["cluster_size=512"], &["cluster_size=4096"], &["cluster_size=2M"], &["refcount_bits=1"]]
        }
        _ => &[&[]],
    }
}

fn owned(options: &[&str]) -> Vec<String> {
    options.iter().map(|&option| option.to_owned()).collect()
}

/// The file system of a row under each of its option lists.
pub fn configured(name: &str) -> Vec<Box<dyn Filesystem>> {
    let row = diskwright_fstools::registry::find(name).expect("a row");
    let configured: Vec<_> =
        options(name).iter().filter_map(|options| (row.configure)(&owned(options)).ok()).collect();
    assert!(!configured.is_empty(), "{name} takes some of the options");
    configured
}

/// More lines for the writers of the ext family than readers need images of: row and options.
const EXT: &[(&str, &[&str])] = &[
    ("ext4", &["-O", "metadata_csum_seed,orphan_file,ea_inode", "-I", "512"]),
    ("ext4", &["-O", "metadata_csum_seed,orphan_file,ea_inode", "-b", "1024", "-G", "4"]),
    ("ext4", &["-O", "^extent,^64bit,ea_inode", "-b", "1024"]),
    ("ext4", &["-O", "^extent,^64bit,^metadata_csum,uninit_bg", "-b", "2048"]),
    ("ext4", &["-O", "^metadata_csum,uninit_bg,^64bit", "-b", "1024", "-m", "5"]),
    ("ext4", &["-O", "^metadata_csum,^flex_bg,^resize_inode,^sparse_super", "-b", "2048"]),
    ("ext4", &["-O", "sparse_super2,^filetype,^dir_index", "-i", "4096"]),
    (
        "ext4",
        &["-O", "sparse_super2,^resize_inode,^flex_bg", "-E", "num_backup_sb=1", "-b", "1024", "-g", "2048"],
    ),
    ("ext4", &["-O", "^huge_file,^large_file,^dir_nlink,^extra_isize", "-N", "2000"]),
    ("ext3", &[]),
    ("ext3", &["-b", "1024"]),
    ("ext3", &["-b", "2048", "-I", "128", "-J", "size=4"]),
    ("ext2", &[]),
    ("ext2", &["-b", "1024", "-O", "ea_inode"]),
    ("ext2", &["-b", "1024", "-I", "128", "-O", "none"]),
    ("ext2", &["-b", "2048", "-I", "1024", "-O", "^resize_inode,^dir_index,^ext_attr,^sparse_super"]),
];

/// Everything that the writers behind a row are asked for.
pub fn laid_as(name: &str) -> Vec<Box<dyn Filesystem>> {
    let more = EXT.iter().filter(|_| name == "ext4").map(|(row, options)| {
        let row = diskwright_fstools::registry::find(row).expect("a row");
        (row.configure)(&owned(options)).unwrap_or_else(|refusal| panic!("{options:?}: {refusal}"))
    });
    configured(name).into_iter().chain(more).collect()
}

/// The identity of everything here.
pub fn identity() -> Identity {
    Identity::new(b"fuzz", 1_700_000_000)
}

/// Images of the file system `name`.
pub fn filesystems(name: &str) -> Vec<Base> {
    let trees = [Tree::new(Meta::of_root(0o755, Time::seconds(1_600_000_000))), rich_tree(holds(name))];
    let laid = configured(name).into_iter().flat_map(|filesystem| {
        trees.each_ref().map(|tree| {
            let len = filesystem.measure(tree, 0, 512).ok().filter(|&len| len <= LONGEST)?;
            let geometry = Geometry { len, sector_size: 512, hidden_sectors: 0 };
            let laid = filesystem.lay(tree, &geometry, &identity()).ok()?;
            Some(Base::new(&laid.layout, &Endless))
        })
    });
    let foreign = FOREIGN.iter().filter(|(row, _)| *row == name).map(|(_, stored)| Base::sparse(stored));
    laid.flatten().chain(foreign).collect()
}

/// Images of other programs: what our writers never leave. `fuzz/seeds/README.md` says how they were made.
const FOREIGN: &[(&str, &[u8])] = &[
    ("ext4", include_bytes!("../seeds/open_ext/values-in-inodes")),
    ("ext4", include_bytes!("../seeds/open_ext/ext3-to-be-recovered")),
    ("ext4", include_bytes!("../seeds/open_ext/orphan-file-to-be-recovered")),
    ("ext4", include_bytes!("../seeds/open_ext/ext2-without-types")),
];

/// One of every kind of file that the file system holds.
pub fn rich_tree(holds: Holds) -> Tree {
    let time = Time::seconds(1_600_000_000);
    let mut tree = Tree::new(Meta::of_root(0o755, time));
    if holds == Holds::Nothing {
        return tree;
    }
    let node = |kind| Node { meta: Meta::of_root(0o640, time), kind };
    let content = |id, size, runs: Option<Vec<_>>| {
        Kind::File(Data::Content { id: ContentId(id), size, runs: runs.map(Vec::into_boxed_slice) })
    };
    let window = |n: u64| n * HOLE_WINDOW..(n + 1) * HOLE_WINDOW;
    let many = tree.add(ROOT, b"many", node(Kind::directory())).expect("a new name");
    for number in 0..300 {
        let name = format!("a rather long name of a file {number:04}.txt");
        tree.add(many, name.as_bytes(), node(Kind::file(vec![b'x'; number % 7]))).expect("a new name");
    }
    let plain = [
        (&b"empty"[..], Kind::file(vec![])),
        (b"deep/er/file", Kind::file(b"text\n".to_vec())),
        (b"large", content(0, 300_000, None)),
        (b"MiXed Case.Text", content(1, 5000, None)),
    ];
    let special = [
        (&b"sparse"[..], content(2, 40 * HOLE_WINDOW, Some((1..20).map(|n| window(2 * n)).collect()))),
        (b"short link", Kind::Symlink(Box::from(&b"deep/er/file"[..]))),
        (b"long link", Kind::Symlink(vec![b'l'; 100].into())),
        (b"tty", Kind::CharDevice { major: 4, minor: 64 }),
        (b"disk", Kind::BlockDevice { major: 259, minor: 1 << 12 }),
        (b"fifo", Kind::Fifo),
        (b"socket", Kind::Socket),
    ];
    let special = special.into_iter().filter(|_| holds == Holds::All);
    for (path, kind) in plain.into_iter().chain(special) {
        tree.put(path, node(kind), Meta::of_root(0o755, time)).expect("a new name");
    }
    if holds == Holds::All {
        let file = tree.lookup(b"deep/er/file").expect("just made");
        tree.link(ROOT, b"hard link", file).expect("a new name");
        let small = tree.intern(Xattrs::from([(b"user.small".to_vec(), b"1".to_vec())]));
        let large = tree.intern(Xattrs::from([
            (b"security.capability".to_vec(), vec![1; 20]),
            (b"user.large".to_vec(), vec![7; 800]),
        ]));
        tree.meta_mut(file).xattrs = small;
        for path in [&b"empty"[..], b"large"] {
            let node = tree.lookup(path).expect("just made");
            tree.meta_mut(node).xattrs = large;
        }
    }
    tree
}

/// A disk of a few extents, contents and computed bytes.
pub fn guest() -> Layout {
    const WHAT: What = What::new(&"guest");
    let mut extents: Vec<Extent> =
        (0..6).map(|n: u64| Extent::of_bytes(n * n * 100_000, vec![n as u8 + 1; 700 << n], WHAT)).collect();
    let source = diskwright_formats::layout::Source::Content(ContentId(9), 77);
    extents.push(Extent { start: 7 << 20, len: 200_000, source, what: WHAT });
    Layout::new(8 << 20, extents, std::iter::once(3 << 20..4 << 20).collect()).expect("disjoint extents")
}

/// Images of the container `name`.
pub fn disks(name: &str) -> Vec<Base> {
    let row = registry::find_disk(name).expect("a row");
    let guests = [Layout::empty(0), Layout::empty(1 << 20), guest()];
    let laid = options(name).iter().flat_map(|options| {
        guests.each_ref().map(|guest| (row.lay)(guest, &identity(), &owned(options)).ok())
    });
    laid.flatten().map(|layout| Base::new(&layout, &Endless)).collect()
}

/// Disks with a GPT, one of them with a hybrid MBR.
pub fn gpts(_: &str) -> Vec<Base> {
    let disk = |sector_size: u32, count: u32, repeated: &[u32]| {
        let len: u64 = 4 << 20;
        let partition = |number: u32| {
            let id = identity().role(&number.to_string()).uuid("guid");
            let partition = table::gpt::Partition {
                number: number * number,
                type_guid: id,
                unique_guid: id,
                name: format!("part \u{e9} {number}"),
                attributes: u64::from(number),
                start: u64::from(number) << 18,
                len: 1 << 18,
            };
            (partition, Layout::empty(1 << 18))
        };
        let partitions: Vec<_> = (1..=count).map(partition).collect();
        let hybrid = repeated.iter().map(|&number| table::gpt::HybridEntry {
            number,
            kind: 0x83,
            active: number == 1,
        });
        let options = table::gpt::Options {
            hybrid: hybrid.collect(),
            disk_signature: repeated.first().copied(),
            ..table::gpt::Options::new(len, sector_size)
        };
        table::gpt::lay(&partitions, &options, &identity())
    };
    let laid = [
        disk(512, 0, &[]),
        disk(512, 3, &[]),
        disk(512, 11, &[]),
        disk(4096, 0, &[]),
        disk(4096, 3, &[]),
        disk(512, 3, &[4, 1, 9]),
    ];
    laid.into_iter().flatten().map(|layout| Base::new(&layout, &Endless)).collect()
}

/// Disks with an MBR.
pub fn mbrs(_: &str) -> Vec<Base> {
    let disk = |sector_size: u32, numbers: &[u32]| {
        const MIB: u64 = 1 << 20;
        let partition = |(number, at): (u32, u64)| {
            let partition = table::mbr::Partition {
                number,
                kind: 0x90 + number as u8,
                active: number == 1,
                start: 2 * at * MIB,
                len: MIB,
            };
            (partition, Layout::empty(MIB))
        };
        let partitions: Vec<_> = numbers.iter().copied().zip(1..).map(partition).collect();
        let options = table::mbr::Options { len: 20 * MIB, sector_size, disk_id: None };
        table::mbr::lay(&partitions, &options, &identity())
    };
    let laid = [
        disk(512, &[]),
        disk(512, &[2, 1, 4, 3]),
        disk(512, &[1, 2, 3, 5, 6, 7]),
        disk(512, &[5, 6, 7, 8, 9, 10, 11, 12]),
        disk(4096, &[1]),
        disk(4096, &[1, 2, 5, 6]),
    ];
    laid.into_iter().map(|layout| Base::new(&layout.expect("a sound table"), &Endless)).collect()
}

/// The first inputs of a corpus, the same on every run. For readers: every base as it is, and with one byte of its metadata changed. For writers: bytes.
pub fn inputs(target: &str) -> Vec<Vec<u8>> {
    if target == "open_record" {
        let text = |holds| super::open::assert_recorded(&rich_tree(holds));
        let texts = [text(Holds::All), text(Holds::NamesAndData)].into_iter();
        return texts.chain((0..12).map(|n| noise(n, 40 << (n % 6)))).collect();
    }
    if target == "open_repository" {
        return super::repository::inputs();
    }
    if target.starts_with("open_") {
        let changed = |n: u8| vec![n, n.wrapping_mul(37), n, 0, 0, 1, 0xff];
        return (0..24).map(|n| vec![n]).chain((0..24).map(changed)).collect();
    }
    if target == "describe" {
        let example = include_bytes!("../../examples/first/config.xml");
        let written = (0..24).map(|n| [vec![1], noise(n, 200)].concat());
        let forms = (0..24).map(|n| [vec![5], noise(n + 50, 600)].concat());
        let other: [&[u8]; 4] = [
            b"\x02image:\n  \"@schemaversion\": \"7.4\"\n  \"@name\": &n x\n  preferences:\n    - version: 1.10\n      type: {<<: *n, \"@image\": oem}\n",
            b"\x03{\"image\": {\"@name\": \"x\", \"preferences\": [{\"version\": 1.0, \"type\": {\"@image\": \"ext4\"}}]}}",
            b"\x04[image]\n\"@name\" = \"x\"\n[[image.preferences]]\nversion = 1.0\ntype = {\"@image\" = 'ext4'}\n",
            b"\x00<image schemaversion=\"6.0\" name=\"a\"><description type=\"system\"><author>A</author><contact>a@b</contact><specification>S</specification></description><include from=\"b\"/><extension><x:y xmlns:x=\"z\"/></extension></image>",
        ];
        let other = other.map(<[u8]>::to_vec);
        return std::iter::once([&[0], &example[..]].concat())
            .chain(written)
            .chain(forms)
            .chain(other)
            .collect();
    }
    if target == "survey_tar" {
        let archive = |n| super::survey::archive(&mut Unstructured::new(&noise(n, 2000))).unwrap_or_default();
        let whole = (0..6).map(|n| [vec![0], archive(n)].concat());
        return whole.chain((6..24).map(|n| [vec![1], noise(n, 2000)].concat())).collect();
    }
    (0..24u64).map(|n| noise(n, 40 << (n % 6))).collect()
}

/// Bytes of Marsaglia's xorshift64 generator, many of them small.
fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; len];
    for byte in &mut bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        *byte = (state >> 32) as u8 >> (state & 7);
    }
    bytes
}
