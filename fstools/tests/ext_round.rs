//! What the ext4 writer lays, the ext reader finds clean and reads back.
#![allow(clippy::disallowed_methods)]

mod ext_support;

use diskwright_formats::layout::{Contents, Layout, OneFile, ReadAt, Reader};
use diskwright_fstools::ext::disk::{self, LATEST_SAFE_TIME};
use diskwright_fstools::registry::find;
use diskwright_fstools::tree::{Data, Kind, NodeId, ROOT, Time, Tree, Xattrs};
use ext_support::{
    Sample, attributes, bytes_of, deep, filesystem, holes, identity, kinds, lay_with, subdirectories, wide,
};
use std::collections::BTreeMap;
use std::ops::Range;

/// A file without its place in a tree: what is compared.
#[derive(Debug, PartialEq)]
struct Seen {
    meta: String,
    xattrs: Xattrs,
    kind: String,
    /// Length and data of a file; the data of large ones as a digest of each run.
    data: Vec<(Range<u64>, Vec<u8>)>,
    /// The first path of the same node.
    first: Vec<u8>,
}

fn seen(tree: &Tree, data: impl Fn(&Data) -> Vec<(Range<u64>, Vec<u8>)>) -> BTreeMap<Vec<u8>, Seen> {
    let mut first: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
    let steps = tree.walk().filter(|step| !step.path.starts_with(b"/lost+found"));
    let file = |step: diskwright_fstools::tree::Step| {
        let node = tree.node(step.node);
        let meta = &node.meta;
        let (kind, data) = match &node.kind {
            Kind::File(of) => (format!("file of {}", of.size()), data(of)),
            Kind::Directory(_) => ("directory".to_owned(), vec![]),
            other => (format!("{other:?}"), vec![]),
        };
        // Times that the format has not become the nearest one.
        let range = disk::MIN_TIME..=disk::LATEST_SAFE_TIME;
        let sec = meta.mtime.sec.clamp(*range.start(), *range.end());
        let nsec = if range.contains(&meta.mtime.sec) { meta.mtime.nsec } else { 0 };
        let meta_text = format!("{:o} {} {} {sec}.{nsec}", meta.mode, meta.uid, meta.gid);
        let first = first.entry(step.node).or_insert(step.path.clone()).clone();
        (step.path, Seen { meta: meta_text, xattrs: tree.xattrs(meta.xattrs).clone(), kind, data, first })
    };
    steps.map(file).collect()
}

/// The runs of a layout that are not zero, in whole windows, with their bytes.
fn runs(layout: &Layout, contents: &dyn Contents) -> Vec<(Range<u64>, Vec<u8>)> {
    let covered = layout.covered().map(|run| run.start..run.end);
    let bytes = |run: Range<u64>| (run.clone(), bytes_of(&layout.window(run), contents));
    covered.map(bytes).collect()
}

/// The data of a tree that was laid, run by run.
fn laid_data(sample: &Sample, of: &Data) -> Vec<(Range<u64>, Vec<u8>)> {
    let whole = match of {
        Data::Bytes(bytes) => bytes.to_vec(),
        Data::Content { id, .. } => sample.contents.0[id.0 as usize].to_vec(),
    };
    // A run may be longer than what the sample keeps of it: the rest is zero.
    let bytes = |run: Range<u64>| {
        let mut bytes: Vec<u8> =
            whole.iter().skip(run.start as usize).take((run.end - run.start) as usize).copied().collect();
        bytes.resize((run.end - run.start) as usize, 0);
        (run, bytes)
    };
    of.runs().map(bytes).collect()
}

#[test]
fn what_is_laid_is_read_back() {
    let cases: [(&str, Sample, u64, &str); 9] = [
        ("kinds", kinds(), 64 << 20, ""),
        ("kinds, no journal", kinds(), 64 << 20, "-O ^has_journal,^resize_inode"),
        ("kinds, seed and label", kinds(), 3 << 30, "-O metadata_csum_seed -L label -m 3"),
        ("wide", wide(9000), 256 << 20, ""),
        ("deep", deep(400), 64 << 20, ""),
        ("subdirectories", subdirectories(3000), 256 << 20, ""),
        ("attributes", attributes(), 64 << 20, ""),
        ("holes", holes(), 64 << 20, ""),
        ("holes, many groups", holes(), 20 << 30, "-N 20000"),
    ];
    for (name, mut sample, len, options) in cases {
        let laid = lay_with(&sample, len, options).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
        let image = Reader::new(&laid.layout, &sample.contents);
        let row = find("ext4").expect("a row");
        assert!((row.recognise)(&image));
        let mut opened = (row.open)(&image).unwrap_or_else(|damage| panic!("{name}: {damage}"));
        let damage: Vec<String> = opened.damage.iter().take(9).map(ToString::to_string).collect();
        assert!(damage.is_empty(), "{name}:\n{}", damage.join("\n"));
        assert_eq!(opened.usage, laid.usage, "{name}");
        assert_eq!(opened.id, filesystem(options).id(&identity()), "{name}");
        assert_eq!(opened.label, filesystem(options).label().unwrap_or_default().as_bytes(), "{name}");
        assert_eq!(opened.len, image.len() / 4096 * 4096, "{name}");
        assert!(opened.tree.remove(ROOT, b"lost+found"), "{name}");
        let whole = OneFile(&image);
        let read = |of: &Data| match of {
            Data::Content { id, .. } => runs(&opened.files[id.0 as usize], &whole),
            Data::Bytes(_) => panic!("the reader makes no bytes"),
        };
        // e2fsck takes later times for times before 1970 that were written wrongly.
        let steps: Vec<_> = sample.tree.walk().map(|step| step.node).collect();
        for node in steps {
            let mtime = &mut sample.tree.meta_mut(node).mtime;
            if mtime.sec > LATEST_SAFE_TIME {
                *mtime = Time::seconds(LATEST_SAFE_TIME);
            }
        }
        let (before, after) = (seen(&sample.tree, |of| laid_data(&sample, of)), seen(&opened.tree, read));
        assert!(before.keys().eq(after.keys()), "{name}: other names");
        for (path, file) in &before {
            assert!(
                *file == after[path],
                "{name}: {}:\n{file:.300?}\n{:.300?}",
                path.escape_ascii(),
                after[path]
            );
        }
        let mut text = String::new();
        (row.dump)(&image, &mut text).unwrap_or_else(|damage| panic!("{name}: {damage}"));
        check_tiles(&text, image.len());
    }
}

fn check_tiles(dump: &str, len: u64) {
    let end = dump.lines().fold(0, |at, line| {
        let mut numbers = line.split(' ').map(|word| word.parse::<u64>().expect("a number"));
        assert_eq!(numbers.next(), Some(at), "{line}");
        at + numbers.next().expect("a length")
    });
    assert_eq!(end, len);
}
