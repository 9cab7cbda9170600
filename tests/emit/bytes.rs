//! What is written: the layout's bytes, whatever the number of threads and outputs.

use super::support::*;
use diskwright::emit::{Output, total};
use diskwright_formats::layout::{Bytes, Contents, Extent, Fill, Key, Layout, Made, Memory, Source};
use proptest::prelude::*;
use std::collections::BTreeSet;
use tempfile::tempdir;

const MIB: u64 = 1 << 20;

/// A gap and what follows it: kind, a number to choose with, length.
type Item = (u64, u8, u32, u64);

fn len() -> impl Strategy<Value = u64> {
    prop_oneof![
        6 => 1..9000u64,
        2 => (1..20u64).prop_map(|pages| pages * 4096),
        2 => 120_000..400_000u64,
        1 => 3 * MIB..10 * MIB,
    ]
}

fn gap() -> impl Strategy<Value = u64> {
    prop_oneof![4 => Just(0u64), 3 => 1..5000u64, 2 => (0..9u64).prop_map(|pages| pages * 4096), 1 => MIB..9 * MIB]
}

fn item() -> impl Strategy<Value = Item> {
    (gap(), 0..5u8, any::<u32>(), len())
}

/// Contents of different sizes; the last is larger than what one job holds.
fn contents() -> Vec<Bytes> {
    let lens = [1, 100, 4096, 5000, 70_000, 131_072, 200_001, 9_500_000];
    lens.iter().zip(1..).map(|(&len, seed)| noise(len, seed)).collect()
}

/// Items one after the other. Contents are shown whole, in part, or again.
fn lay(items: &[Item], contents: &[Bytes]) -> Layout {
    let mut at = 0;
    let mut extents: Vec<Extent> = Vec::new();
    for &(gap, kind, choice, len) in items {
        at += gap;
        let id = choice as usize % contents.len();
        let size = contents[id].len() as u64;
        let from = u64::from(choice / 64) % size;
        let new = match kind {
            0 => {
                let len = len.min(100_000);
                let source = Source::Bytes(noise(len as usize + 7, choice), 7);
                extent(at, len, source)
            }
            1 => extent(at, len, Source::Made(Made::new(Pattern(choice as u8)), u64::from(choice % 10_000))),
            2 => content(at, size, id as u32, 0),
            _ => content(at, len.min(size - from), id as u32, from),
        };
        at = new.end();
        extents.push(new);
    }
    let end = items.last().map_or(0, |item| item.0);
    layout(at + end, extents)
}

/// One to three outputs; the last may be the first one twice behind a header: a disk with a clone.
fn check_all(lists: &[Vec<Item>], with_clone: bool, contents: &dyn Contents, bytes: &[Bytes]) {
    let dir = tempdir().unwrap();
    let mut layouts: Vec<Layout> = lists.iter().map(|items| lay(items, bytes)).collect();
    if with_clone {
        let origin = layouts[0].clone();
        let mut disk = Layout::empty(origin.len() * 2 + 3 * 4096);
        disk.splice(4096, &origin, "origin").unwrap();
        disk.splice(origin.len() + 2 * 4096, &origin, "clone").unwrap();
        layouts.push(disk);
    }
    let name = |(number, layout)| output(dir.path(), &format!("image-{number}"), layout);
    let outputs: Vec<Output> = layouts.iter().enumerate().map(name).collect();
    for threads in [1, 2, 8] {
        check(&outputs, contents, threads);
    }
    let expected: Vec<String> = (0..outputs.len()).map(|number| format!("image-{number}")).collect();
    assert_eq!(names(dir.path()), expected);
}

fn lists() -> impl Strategy<Value = Vec<Vec<Item>>> {
    proptest::collection::vec(proptest::collection::vec(item(), 0..25), 1..3)
}

fn cases(few: u32) -> ProptestConfig {
    let all = std::env::var_os("DISKWRIGHT_ALL").is_some_and(|all| all == "1");
    ProptestConfig {
        cases: if all { 40 * few } else { few },
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn from_memory(lists in lists(), with_clone: bool) {
        let bytes = contents();
        check_all(&lists, with_clone, &Memory(bytes.clone()), &bytes);
    }

    #[test]
    fn from_files(lists in lists(), with_clone: bool) {
        let bytes = contents();
        let sources = tempdir().unwrap();
        check_all(&lists, with_clone, &Files::write(sources.path(), &bytes), &bytes);
    }
}

/// Many small files, as in a tree, in two outputs that show them in opposite order.
#[test]
fn many_small_contents_in_two_orders() {
    let bytes: Vec<Bytes> = (0..5000).map(|number| noise(number as usize % 3000 + 1, number + 1)).collect();
    let place = |number: u32, at: u64| content(at * 4096, bytes[number as usize].len() as u64, number, 0);
    let forth = (0..5000).map(|number| place(number, u64::from(number))).collect();
    let back = (0..5000).map(|number| place(number, u64::from(4999 - number))).collect();
    let dir = tempdir().unwrap();
    let outputs = [
        output(dir.path(), "forth", &layout(5000 * 4096, forth)),
        output(dir.path(), "back", &layout(5000 * 4096, back)),
    ];
    let (_, calls) = check(&outputs, &Memory(bytes), 2);
    // 20 MB in each of two outputs: a handful of calls, not one for each file.
    assert!(calls.writes < 100, "{calls:?}");
    assert_eq!((calls.opens, calls.reads), (5000, 5000));
}

struct Zeros;

impl Fill for Zeros {
    fn key(&self) -> Key {
        Key { format: "zeros", digest: [0; 32] }
    }
    fn fill(&self, _: u64, buffer: &mut [u8]) {
        buffer.fill(0);
    }
}

/// Only what is not zero takes room on the host.
#[test]
fn holes_stay_holes() {
    const GIB: u64 = 1 << 30;
    let dir = tempdir().unwrap();
    let sparse = layout(
        8 * GIB,
        vec![
            Extent::of_bytes(0, noise(4096, 1).to_vec(), diskwright_formats::layout::What::new(&"head")),
            made(MIB, 64 * MIB, Zeros),
            made(GIB, 24 * MIB, Pattern(0)),
            content(8 * GIB - 300_000, 300_000, 0, 0),
        ],
    );
    let outputs = [output(dir.path(), "sparse", &sparse)];
    let (written, calls) = check_without_reading(&outputs, &Memory(vec![noise(300_000, 2)]));
    let used = 4096 + 24 * MIB / 3 + 300_000;
    let slack = 256 * 1024 + 24 * MIB / 3 / 4096 * 64; // block maps of the host
    assert!((used..used + slack).contains(&written), "allocated {written}, used {used}");
    assert!(calls < used + 3 * 8192, "written {calls}, used {used}");
}

/// Like [`check`] for images that take too long to read whole: compares around the extents only.
fn check_without_reading(outputs: &[Output], contents: &dyn Contents) -> (u64, u64) {
    use std::os::unix::fs::FileExt;
    let (written, calls) = run(outputs, contents, &QUICK).unwrap();
    let reader = diskwright_formats::layout::Reader::new(&outputs[0].layout, contents);
    let file = std::fs::File::open(&outputs[0].path).unwrap();
    assert_eq!(file.metadata().unwrap().len(), outputs[0].layout.len());
    for run in outputs[0].layout.covered() {
        let (start, end) = (run.start.saturating_sub(9000), (run.end + 9000).min(outputs[0].layout.len()));
        let mut expected = vec![0; (end - start) as usize];
        let mut found = expected.clone();
        diskwright_formats::layout::ReadAt::read_exact_at(&reader, start, &mut expected).unwrap();
        file.read_exact_at(&mut found, start).unwrap();
        assert!(expected == found, "around {run:?}");
    }
    (written[0].allocated, calls.bytes_written)
}

/// A generator that leaves bytes of its buffer alone does not get what another content left there.
#[test]
fn nothing_of_a_batch_shows_in_the_next() {
    struct Careless;
    impl Fill for Careless {
        fn key(&self) -> Key {
            Key { format: "careless", digest: [0; 32] }
        }
        fn fill(&self, _: u64, buffer: &mut [u8]) {
            buffer[0] = 1;
        }
    }
    let dir = tempdir().unwrap();
    let image = layout(
        40 * MIB,
        vec![
            content(0, 20 * MIB, 0, 0),
            made(21 * MIB, 9 * MIB, Careless),
            content(30 * MIB + 5, 4097, 0, 3),
            content(30 * MIB + 5 + 4100, 4097, 0, 9),
        ],
    );
    let outputs = [output(dir.path(), "image", &image)];
    let bytes: Bytes = vec![0xf5; 20 * MIB as usize].into();
    run(&outputs, &Memory(vec![bytes]), &QUICK).unwrap();
    let found = std::fs::read(&outputs[0].path).unwrap();
    let seen =
        |from: u64, to: u64| found[from as usize..to as usize].iter().copied().collect::<BTreeSet<u8>>();
    assert_eq!(seen(20 * MIB, 30 * MIB + 5), BTreeSet::from([0, 1]));
    assert_eq!(seen(30 * MIB + 5 + 4097, 30 * MIB + 5 + 4100), BTreeSet::from([0]));
}

#[test]
fn empty_things() {
    let dir = tempdir().unwrap();
    let none = Memory(vec![]);
    assert_eq!(run(&[], &none, &QUICK).unwrap().0, []);
    let outputs =
        [output(dir.path(), "no bytes", &Layout::empty(0)), output(dir.path(), "zeros", &Layout::empty(MIB))];
    assert_eq!(total(&outputs), 0);
    let (written, _) = check(&outputs, &none, 0);
    assert!(written.iter().all(|written| written.allocated == 0), "{written:?}");
}
