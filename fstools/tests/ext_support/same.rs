//! Whether an image, read by our reader, is the tree that was laid.

use super::formats::Format;
use super::{Sample, bytes_of, identity};
use diskwright_formats::layout::{Contents, Layout, OneFile, ReadAt, Reader};
use diskwright_fstools::registry::{Laid, Opened, ROWS, Row, find};
use diskwright_fstools::tree::{Data, Kind, NodeId, ROOT, Step, Tree, Xattrs};
use std::collections::BTreeMap;
use std::ops::Range;

/// A file without its place in a tree: what is compared.
#[derive(Debug, PartialEq)]
struct Seen {
    meta: String,
    xattrs: Xattrs,
    kind: String,
    /// The runs of a file that are not holes, with their bytes.
    data: Vec<(Range<u64>, Vec<u8>)>,
    /// The first path of the same node.
    first: Vec<u8>,
}

fn seen(
    tree: &Tree,
    format: &Format,
    data: impl Fn(&Data) -> Vec<(Range<u64>, Vec<u8>)>,
) -> BTreeMap<Vec<u8>, Seen> {
    let mut first: BTreeMap<NodeId, Vec<u8>> = BTreeMap::new();
    let file = |step: Step| {
        let node = tree.node(step.node);
        let meta = &node.meta;
        let (kind, data) = match &node.kind {
            Kind::File(of) => (format!("file of {}", of.size()), data(of)),
            Kind::Directory(_) => ("directory".to_owned(), vec![]),
            other => (format!("{other:?}"), vec![]),
        };
        let meta_text = format!("{:o} {} {} {:?}", meta.mode, meta.uid, meta.gid, format.time(meta.mtime));
        let first = first.entry(step.node).or_insert(step.path.clone()).clone();
        (step.path, Seen { meta: meta_text, xattrs: tree.xattrs(meta.xattrs).clone(), kind, data, first })
    };
    tree.walk().map(file).collect()
}

/// The runs of a layout that are not zero, with their bytes.
fn runs(layout: &Layout, contents: &dyn Contents) -> Vec<(Range<u64>, Vec<u8>)> {
    let covered = layout.covered().map(|run| run.start..run.end);
    let bytes = |run: Range<u64>| (run.clone(), bytes_of(&layout.window(run), contents));
    covered.map(bytes).collect()
}

/// The data of a tree that was laid, run by run.
fn laid_data(sample: &Sample, of: &Data) -> Vec<(Range<u64>, Vec<u8>)> {
    let whole = match of {
        Data::Bytes(bytes) => bytes,
        Data::Content { id, .. } => &sample.contents.0[id.0 as usize],
    };
    // A run may be longer than what the sample keeps of it: the rest is zero.
    let bytes = |run: Range<u64>| {
        let kept = whole.get(run.start as usize..).unwrap_or_default();
        let mut bytes = kept[..kept.len().min((run.end - run.start) as usize)].to_vec();
        bytes.resize((run.end - run.start) as usize, 0);
        (run, bytes)
    };
    // Runs that touch are one.
    let mut data: Vec<(Range<u64>, Vec<u8>)> = Vec::new();
    for (run, bytes) in of.runs().map(bytes) {
        match data.last_mut() {
            Some((last, all)) if last.end == run.start => {
                last.end = run.end;
                all.extend(bytes);
            }
            _ => data.push((run, bytes)),
        }
    }
    data
}

/// Our reader finds no damage, the promised room and the tree; its dump accounts for every byte.
pub fn same(name: &str, format: &Format, sample: &Sample, laid: &Laid, layout: &Layout) {
    let image = Reader::new(layout, &sample.contents);
    let opened = read_same(name, format, sample, &image);
    assert_eq!(opened.usage, laid.usage, "{name}");
    let filesystem = format.filesystem();
    assert_eq!(opened.id, filesystem.id(&identity()), "{name}");
    assert_eq!(opened.label, filesystem.label().unwrap_or_default().as_bytes(), "{name}");
    let mut text = String::new();
    (find("ext4").expect("a row").dump)(&image, &mut text)
        .unwrap_or_else(|damage| panic!("{name}: {damage}"));
    check_tiles(&text, image.len());
}

/// Our reader finds no damage and the tree.
pub fn read_same(name: &str, format: &Format, sample: &Sample, image: &dyn ReadAt) -> Opened {
    let recognised: Vec<&Row> = ROWS.iter().filter(|row| (row.recognise)(image)).collect();
    let [row] = recognised[..] else { panic!("{name}: recognised by {} rows", recognised.len()) };
    let mut opened = (row.open)(image).unwrap_or_else(|damage| panic!("{name}: {damage}"));
    let damage: Vec<String> = opened.damage.iter().take(9).map(ToString::to_string).collect();
    assert!(damage.is_empty(), "{name}:\n{}", damage.join("\n"));
    assert!(opened.len <= image.len(), "{name}: {} bytes in an image of {}", opened.len, image.len());
    if sample.tree.lookup(b"lost+found").is_none() {
        assert!(opened.tree.remove(ROOT, b"lost+found"), "{name}: no lost+found");
    }
    let whole = OneFile(image);
    let read = |of: &Data| match of {
        Data::Content { id, .. } => runs(&opened.files[id.0 as usize], &whole),
        Data::Bytes(_) => panic!("the reader makes no bytes"),
    };
    let before = seen(&sample.tree, format, |of| laid_data(sample, of));
    let after = seen(&opened.tree, format, read);
    assert!(before.keys().eq(after.keys()), "{name}: other names");
    for (path, file) in &before {
        let found = &after[path];
        assert!(file == found, "{name}: {}:\n{file:.300?}\n{found:.300?}", path.escape_ascii());
    }
    opened
}

fn check_tiles(dump: &str, len: u64) {
    let end = dump.lines().fold(0, |at, line| {
        let mut numbers = line.split(' ').map(|word| word.parse::<u64>().expect("a number"));
        assert_eq!(numbers.next(), Some(at), "{line}");
        at + numbers.next().expect("a length")
    });
    assert_eq!(end, len);
}
