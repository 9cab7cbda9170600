//! Random trees in random formats at random sizes: e2fsck is silent, readers find them again.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_formats::fault::RefusalKind;
use diskwright_fstools::registry::Geometry;
use diskwright_fstools::tree::{HOLE_WINDOW, Kind, Meta, Node, NodeId, ROOT, Time, Xattrs};
use kit::formats::{Format, every};
use kit::same::same;
use kit::{Image, Sample, all, fsck, have, identity};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

/// A file to be: its parent (any directory made before it), its name, what it is.
type Plan = (prop::sample::Index, Vec<u8>, Shape, Meta, Xattrs);

#[derive(Clone, Debug)]
enum Shape {
    Directory,
    File(usize),
    Sparse(u64, Vec<u64>),
    Symlink(usize),
    Device(u32, u32),
    Fifo,
    Link,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        4 => Just(Shape::Directory),
        6 => prop_oneof![0..20_000usize, 0..300_000usize].prop_map(Shape::File),
        1 => (1..40 * HOLE_WINDOW, prop::collection::btree_set(0..40u64, 0..12)).prop_map(|(size, windows)| {
            let within = windows.into_iter().filter(|at| at * HOLE_WINDOW < size);
            Shape::Sparse(size, within.collect())
        }),
        2 => (1..4096usize).prop_map(Shape::Symlink),
        1 => (0..4096u32, 0..1_048_576u32).prop_map(|(major, minor)| Shape::Device(major, minor)),
        1 => Just(Shape::Fifo),
        2 => Just(Shape::Link),
    ]
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 1..8), vec(any::<u8>(), 1..256)].prop_map(|mut name| {
        name.iter_mut().filter(|byte| [0, b'/'].contains(byte)).for_each(|byte| *byte = b'_');
        if name.iter().all(|&byte| byte == b'.') { vec![b'n'] } else { name }
    })
}

fn meta() -> impl Strategy<Value = Meta> {
    (0..0o10_000u16, any::<u32>(), any::<u32>(), any::<i64>(), 0..1_000_000_000u32).prop_map(
        |(mode, uid, gid, sec, nsec)| Meta {
            uid,
            gid,
            ..Meta::of_root(mode, Time { sec: sec % (1 << 34), nsec })
        },
    )
}

fn xattrs() -> impl Strategy<Value = Xattrs> {
    let name = ("(user|trusted|security)", vec(1..255u8, 1..40))
        .prop_map(|(space, name)| [space.as_bytes(), b".", &name].concat());
    prop_oneof![6 => Just(Xattrs::new()), 1 => btree_map(name, vec(any::<u8>(), 0..200), 1..8)]
}

fn build(plans: Vec<Plan>, format: &Format) -> Sample {
    let mut sample = Sample::default();
    let mut directories = vec![ROOT];
    let mut files: Vec<NodeId> = Vec::new();
    for (at, (parent, name, shape, meta, xattrs)) in plans.into_iter().enumerate() {
        let parent = *parent.get(&directories);
        if sample.tree.child(parent, &name).is_some() {
            continue;
        }
        let kind = match shape {
            Shape::Link => {
                if let Some(&node) = files.last() {
                    sample.tree.link(parent, &name, node).expect("a good name");
                }
                continue;
            }
            Shape::File(len) if at % 2 == 0 => {
                let node = sample.content(parent, &name, kit::noise(at as u64, len));
                files.push(node);
                continue;
            }
            Shape::Sparse(size, windows) => {
                files.push(sample.sparse(parent, &name, size, &windows));
                continue;
            }
            Shape::Directory => Kind::directory(),
            Shape::File(len) => Kind::file(kit::noise(at as u64, len)),
            // Components stay short: the reader takes no longer ones.
            Shape::Symlink(len) => {
                let len = len.min(format.block as usize - 1);
                Kind::Symlink((0..len).map(|at| if at % 50 == 49 { b'/' } else { b'l' }).collect())
            }
            Shape::Device(major, minor) => Kind::CharDevice { major, minor },
            Shape::Fifo => Kind::Fifo,
        };
        let is_directory = matches!(kind, Kind::Directory(_));
        let xattrs = sample.tree.intern(if format.has("ext_attr") { xattrs } else { Xattrs::new() });
        let node = Node { meta: Meta { xattrs, ..meta }, kind };
        let node = sample.tree.add(parent, &name, node).expect("a good name");
        if is_directory { directories.push(node) } else { files.push(node) }
    }
    sample
}

/// What is laid is clean and the same, at the smallest size and at any other; what is too little is refused.
fn check(sample: &Sample, format: &Format, more: u64) {
    let fs = format.filesystem();
    let lay = |len| fs.lay(&sample.tree, &Geometry { len, sector_size: 512, hidden_sectors: 0 }, &identity());
    let smallest = match fs.measure(&sample.tree, 0, 512) {
        Ok(smallest) => smallest,
        // Attributes of up to two KiB are too many for the smaller blocks.
        Err(refusal) => {
            assert!(
                format.block < 4096 && refusal.reason.contains("attribute"),
                "{}: {refusal}",
                format.line
            );
            assert_eq!(lay(1 << 30).expect_err("refused before").reason, refusal.reason);
            return;
        }
    };
    let less = lay(smallest - format.block).expect_err("one block less");
    assert_eq!(less.kind, RefusalKind::TooSmall { needed: Some(smallest) }, "{}", format.line);
    for len in [smallest, smallest + more % (format.block * 40), smallest + more] {
        let laid = lay(len).unwrap_or_else(|refusal| panic!("{} at {len}: {refusal}", format.line));
        assert_eq!(laid.layout.len(), len);
        let (name, poisoned) = (format!("random, {}, {len}", format.line), laid.layout.poisoned(0xF5));
        if have("random_trees_are_clean", "e2fsck") {
            fsck(&Image::write(&poisoned, &sample.contents).path, &name);
        }
        same(&name, format, sample, &laid, &poisoned);
    }
    let free = fs.measure(&sample.tree, more, 512).expect("measured");
    assert!(lay(free).expect("it fits").usage.free >= more, "{}", format.line);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: if all() { 1500 } else { 40 }, ..ProptestConfig::default() })]

    #[test]
    fn random_trees_are_clean(
        plans in vec((any::<prop::sample::Index>(), name(), shape(), meta(), xattrs()), 0..120),
        more in 0..200u64 << 20,
        format in prop::sample::select(every()),
    ) {
        check(&build(plans, &format), &format, more);
    }

    #[test]
    fn another_reader_finds_random_trees(
        plans in vec((any::<prop::sample::Index>(), name(), shape(), meta(), xattrs()), 0..120),
        more in 0..200u64 << 20,
    ) {
        kit::view("random", build(plans, &Format::of("")), (16 << 20) + more);
    }
}
