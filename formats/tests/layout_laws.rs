//! The laws of the core value, against a plain model: one byte of a vector for each byte of the layout.

#![allow(clippy::unwrap_used)]
use diskwright_formats::layout::{
    Bytes, ContentId, Extent, Fill, Key, Layout, LayoutError, Made, Memory, Patch, ReadAt, Reader, Source,
    What, differences,
};
use proptest::collection::vec;
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use std::ops::Range;

const CONTENT: u64 = 4096;

/// Bytes that tell their position.
struct Pattern(u8);

fn pattern(seed: u8, at: u64) -> u8 {
    (at as u8).wrapping_mul(31).wrapping_add(seed)
}

impl Fill for Pattern {
    fn key(&self) -> Key {
        Key { format: "pattern", digest: [self.0; 32] }
    }
    fn fill(&self, argument: u64, buffer: &mut [u8]) {
        buffer.iter_mut().zip(argument..).for_each(|(byte, at)| *byte = pattern(self.0, at));
    }
}

fn contents() -> Memory {
    let content = |id: u8| (0..CONTENT).map(|at| pattern(id, at) | 1).collect::<Vec<u8>>();
    Memory((0..3).map(|id| Bytes::from(content(id))).collect())
}

fn digest_of(id: ContentId) -> [u8; 32] {
    Sha256::digest(&*contents().0[id.0 as usize]).into()
}

/// What a run of bytes is.
#[derive(Clone, Debug)]
enum Run {
    Gap(u64),
    Free(u64),
    Bytes(Vec<u8>),
    Made(u64, u8, u64),
    Content(u64, u32, u64),
}

impl Run {
    fn len(&self) -> u64 {
        match self {
            Run::Bytes(bytes) => bytes.len() as u64,
            Run::Gap(len) | Run::Free(len) | Run::Made(len, ..) | Run::Content(len, ..) => *len,
        }
    }

    fn source(&self) -> Option<Source> {
        match self {
            Run::Gap(_) | Run::Free(_) => None,
            Run::Bytes(bytes) => Some(Source::Bytes(bytes.clone().into(), 0)),
            Run::Made(_, seed, argument) => Some(Source::Made(Made::new(Pattern(*seed)), *argument)),
            Run::Content(_, id, offset) => Some(Source::Content(ContentId(*id), *offset)),
        }
    }

    fn model(&self) -> Vec<u8> {
        match self {
            Run::Bytes(bytes) => bytes.clone(),
            Run::Gap(len) | Run::Free(len) => vec![0; *len as usize],
            Run::Made(len, seed, argument) => (0..*len).map(|at| pattern(*seed, argument + at)).collect(),
            Run::Content(len, id, from) => (0..*len).map(|at| pattern(*id as u8, from + at) | 1).collect(),
        }
    }
}

/// Bytes with zero runs around the length at which the normal form cuts.
fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0u8), 1u8..];
    vec((byte, 1usize..40), 1..8)
        .prop_map(|runs| runs.into_iter().flat_map(|(byte, len)| vec![byte; len]).collect())
}

fn run() -> impl Strategy<Value = Run> {
    prop_oneof![
        (1u64..80).prop_map(Run::Gap),
        (1u64..80).prop_map(Run::Free),
        some_bytes().prop_map(Run::Bytes),
        (1u64..80, 0u8..2, 0u64..100).prop_map(|(len, seed, from)| Run::Made(len, seed, from)),
        (1u64..80, 0u32..3, 0u64..100).prop_map(|(len, id, from)| Run::Content(len, id, from)),
    ]
}

fn runs() -> impl Strategy<Value = Vec<Run>> {
    vec(run(), 0..12)
}

fn positioned(runs: &[Run]) -> impl Iterator<Item = (u64, &Run)> {
    runs.iter().scan(0, |at, run| {
        let start = *at;
        *at += run.len();
        Some((start, run))
    })
}

fn layout(runs: &[Run]) -> Layout {
    let what = What::new(&"run");
    let extents = positioned(runs)
        .filter_map(|(start, run)| Some(Extent { start, len: run.len(), source: run.source()?, what }));
    let free = positioned(runs).filter(|(_, run)| matches!(run, Run::Free(_)));
    let free = free.map(|(start, run)| start..start + run.len()).collect();
    Layout::new(runs.iter().map(Run::len).sum(), extents.collect(), free).unwrap()
}

fn model(runs: &[Run]) -> Vec<u8> {
    runs.iter().flat_map(Run::model).collect()
}

/// One bool a byte: whether a range claims it.
fn marked(len: u64, ranges: impl Iterator<Item = Range<u64>>) -> Vec<bool> {
    let mut marks = vec![false; len as usize];
    for range in ranges {
        for at in range {
            assert!(!std::mem::replace(&mut marks[at as usize], true), "byte {at} twice");
        }
    }
    marks
}

fn free_model(runs: &[Run]) -> Vec<bool> {
    runs.iter().flat_map(|run| vec![matches!(run, Run::Free(_)); run.len() as usize]).collect()
}

fn covered_model(runs: &[Run]) -> Vec<bool> {
    runs.iter().flat_map(|run| vec![run.source().is_some(); run.len() as usize]).collect()
}

fn read(layout: &Layout, range: Range<u64>) -> Vec<u8> {
    let mut buffer = vec![0xaa; (range.end - range.start) as usize];
    Reader::new(layout, &contents()).read_exact_at(range.start, &mut buffer).unwrap();
    buffer
}

fn whole(layout: &Layout) -> Vec<u8> {
    read(layout, 0..layout.len())
}

/// The structure that every reader of a layout relies on.
fn check_structure(layout: &Layout) {
    let mut end = 0;
    for extent in layout.extents() {
        assert!(extent.len > 0 && extent.start >= end && extent.end() <= layout.len(), "{layout:?}");
        end = extent.end();
    }
    for ranges in [layout.covered().collect::<Vec<_>>(), layout.free().collect()] {
        assert!(ranges.iter().all(|range| range.start < range.end && range.end <= layout.len()));
        assert!(ranges.is_sorted_by(|a, b| a.end < b.start), "neighbours are joined: {ranges:?}");
    }
    let both = layout.covered().chain(layout.free());
    marked(layout.len(), both);
}

/// The same layout from pieces: cut at `cuts`, relabelled, spliced in an order of its own, some parts nested deeper.
fn shattered(layout: &Layout, cuts: &[u64]) -> Layout {
    let mut cuts: Vec<u64> = cuts.iter().map(|cut| cut % (layout.len() + 1)).collect();
    cuts.extend([0, layout.len()]);
    cuts.sort_unstable();
    let mut parts: Vec<(u64, u64)> = cuts.windows(2).map(|pair| (pair[0], pair[1])).collect();
    parts.rotate_left(cuts.len() / 2);
    parts.into_iter().enumerate().fold(Layout::empty(layout.len()), |mut whole, (n, (from, to))| {
        let window = layout.window(from..to);
        let part = match n % 3 {
            0 => window,
            1 => relabelled(&window),
            _ => split_bytes(&window),
        };
        whole.splice(from, &part, ["", "a", "b/c"][n % 3]).unwrap();
        whole
    })
}

fn relabelled(layout: &Layout) -> Layout {
    let extents = layout.extents().map(|extent| Extent {
        start: extent.start,
        len: extent.len,
        source: extent.source,
        what: What::numbered(&"other", extent.start as u32),
    });
    Layout::new(layout.len(), extents.collect(), layout.free().collect()).unwrap()
}

/// Every extent in halves, zeros of computed bytes as gaps.
fn split_bytes(layout: &Layout) -> Layout {
    let what = What::new(&"half");
    let mut extents = Vec::new();
    for extent in layout.extents() {
        let middle = extent.len / 2;
        for (from, to) in [(0, middle), (middle, extent.len)] {
            let zero = matches!(extent.source, Source::Bytes(..))
                && read(layout, extent.start + from..extent.start + to).iter().all(|&byte| byte == 0);
            if from < to && !zero {
                let (start, source) = (extent.start + from, extent.source.skip(from));
                extents.push(Extent { start, len: to - from, source, what });
            }
        }
    }
    Layout::new(layout.len(), extents, layout.free().collect()).unwrap()
}

proptest! {
    #[test]
    fn a_layout_reads_as_its_model(runs in runs(), a in any::<u64>(), b in any::<u64>()) {
        let (layout, model) = (layout(&runs), model(&runs));
        check_structure(&layout);
        let (a, b) = (a % (layout.len() + 1), b % (layout.len() + 1));
        let range = a.min(b)..a.max(b);
        prop_assert_eq!(read(&layout, range.clone()), &model[range.start as usize..range.end as usize]);
        prop_assert_eq!(layout.digest(&contents()).unwrap(), <[u8; 32]>::from(Sha256::digest(&model)));
        prop_assert_eq!(marked(layout.len(), layout.covered()), covered_model(&runs));
        prop_assert_eq!(marked(layout.len(), layout.free()), free_model(&runs));
    }

    #[test]
    fn how_it_is_put_together_does_not_show(runs in runs(), cuts in vec(any::<u64>(), 0..6)) {
        let layout = layout(&runs);
        let other = shattered(&layout, &cuts);
        check_structure(&other);
        prop_assert_eq!(whole(&other), model(&runs));
        prop_assert_eq!(layout.normal(), other.normal());
        prop_assert_eq!(&layout, &other);
        prop_assert_eq!(layout.id(digest_of), other.id(digest_of));
        // Zeros of computed bytes may have become gaps, but nothing else may.
        prop_assert_eq!(marked(layout.len(), other.free()), free_model(&runs));
        prop_assert_eq!(layout.poisoned(9), other.poisoned(9));
    }

    #[test]
    fn the_normal_form_is_its_own(runs in runs()) {
        let normal = layout(&runs).normal();
        let what = What::new(&"normal");
        let extents = normal.extents.iter().map(|e| Extent { start: e.start, len: e.len, source: e.source.clone(), what });
        let again = Layout::new(normal.len, extents.collect(), vec![]).unwrap();
        prop_assert_eq!(whole(&again), model(&runs));
        prop_assert_eq!(again.normal(), normal);
    }

    #[test]
    fn one_other_byte_is_another_image(runs in runs(), at in any::<prop::sample::Index>(), by in 1u8..) {
        let mut changed = runs.clone();
        let computed: Vec<&mut Vec<u8>> =
            changed.iter_mut().filter_map(|run| if let Run::Bytes(bytes) = run { Some(bytes) } else { None }).collect();
        prop_assume!(!computed.is_empty());
        let mut computed = computed.into_iter().flatten().collect::<Vec<&mut u8>>();
        let at = at.index(computed.len());
        *computed[at] = computed[at].wrapping_add(by);
        let (one, other) = (layout(&runs), layout(&changed));
        prop_assert_ne!(&one, &other);
        prop_assert_ne!(one.id(digest_of), other.id(digest_of));
        prop_assert_ne!(&one, &one.resized(one.len() + 1));
    }

    #[test]
    fn splice_is_a_copy_into_gaps(outer in runs(), inner in runs(), at in any::<u64>(), wild in any::<bool>()) {
        let mut bytes = model(&outer);
        let mut layout = layout(&outer);
        let at = if wild { at } else { at % (layout.len() + 10) };
        let part = self::layout(&inner);
        let before = layout.clone();
        let end = at.checked_add(part.len()).filter(|&end| end <= layout.len());
        let covered = covered_model(&outer);
        let Some(end) = end else {
            let expected = LayoutError::Outside { start: at, len: part.len(), within: layout.len() };
            prop_assert_eq!(layout.splice(at, &part, "part"), Err(expected));
            return Ok(());
        };
        let (from, to) = (at as usize, end as usize);
        if let Some(hit) = covered[from..to].iter().position(|&covered| covered) {
            let expected = LayoutError::Overlap { at: at + hit as u64, what: "part".to_owned() };
            prop_assert_eq!(layout.splice(at, &part, "part"), Err(expected));
            prop_assert_eq!(&layout, &before);
            return Ok(());
        }
        layout.splice(at, &part, "part").unwrap();
        check_structure(&layout);
        bytes[from..to].copy_from_slice(&model(&inner));
        prop_assert_eq!(whole(&layout), bytes);
        let mut free = free_model(&outer);
        free[from..to].copy_from_slice(&free_model(&inner));
        prop_assert_eq!(marked(layout.len(), layout.free()), free);
        prop_assert!(layout.extents_in(at..end).all(|extent| extent.label() == "part/run"));
    }

    #[test]
    fn a_window_is_a_slice(runs in runs(), a in any::<u64>(), b in any::<u64>(), more in 0u64..50) {
        let (layout, model) = (layout(&runs), model(&runs));
        let (a, b) = (a % (layout.len() + 1), b % (layout.len() + 1));
        let range = a.min(b)..a.max(b);
        let window = layout.window(range.clone());
        check_structure(&window);
        let slice = range.start as usize..range.end as usize;
        prop_assert_eq!(whole(&window), &model[slice.clone()]);
        prop_assert_eq!(marked(window.len(), window.free()), &free_model(&runs)[slice]);
        let mut longer = model.clone();
        longer.resize(model.len() + more as usize, 0);
        prop_assert_eq!(whole(&layout.resized(longer.len() as u64)), longer);
        prop_assert_eq!(layout.resized(range.end), layout.window(0..range.end));
    }

    #[test]
    fn poison_reaches_free_bytes_alone(runs in runs(), cuts in vec(any::<u64>(), 0..4), byte in 1u8..) {
        let layout = shattered(&layout(&runs), &cuts);
        let poisoned = layout.poisoned(byte);
        check_structure(&poisoned);
        let expected: Vec<u8> = model(&runs).into_iter().zip(free_model(&runs))
            .map(|(plain, free)| if free { byte } else { plain }).collect();
        prop_assert_eq!(whole(&poisoned), expected);
        prop_assert_eq!(poisoned.free().count(), 0);
    }

    #[test]
    fn a_patch_replaces_bytes(
        runs in runs(),
        cuts in vec(any::<u64>(), 0..4),
        wanted in vec((any::<u64>(), some_bytes()), 0..5),
        order in any::<prop::sample::Index>(),
    ) {
        let base = shattered(&layout(&runs), &cuts);
        let (mut bytes, mut free) = (model(&runs), free_model(&runs));
        let mut patches: Vec<Patch> = Vec::new();
        for (at, new) in wanted {
            let start = at % (base.len() + 1);
            let patch = Patch { start, bytes: new.into(), what: What::new(&"patch") };
            let range = patch.range();
            let apart = patches.iter().all(|other| range.end <= other.start || other.range().end <= range.start);
            if apart && range.end <= base.len() {
                bytes[range.start as usize..range.end as usize].copy_from_slice(&patch.bytes);
                free[range.start as usize..range.end as usize].fill(false);
                patches.push(patch);
            } else {
                // Behind the end, or on another: refused, and with the others, too.
                let mut all = patches.clone();
                all.push(patch);
                prop_assert!(base.patched(&all).is_err());
            }
        }
        if !patches.is_empty() {
            let turn = order.index(patches.len());
            patches.rotate_left(turn);
        }
        let patched = base.patched(&patches).unwrap();
        check_structure(&patched);
        prop_assert_eq!(&whole(&patched), &bytes);
        prop_assert_eq!(marked(patched.len(), patched.free()), free);
        prop_assert_eq!(&base.patched(&[]).unwrap(), &base);
        // It holds where the result is laid into something else.
        let mut outer = Layout::empty(base.len() + 7);
        outer.splice(7, &patched, "inner").unwrap();
        let shifted: Vec<Patch> = patches.iter().cloned().map(|patch| patch.shifted(7)).collect();
        let mut plain = Layout::empty(base.len() + 7);
        plain.splice(7, &base, "inner").unwrap();
        prop_assert_eq!(outer, plain.patched(&shifted).unwrap());
    }

    #[test]
    fn what_differs_is_what_bytes_say(
        runs in runs(),
        others in runs(),
        cuts in vec(any::<u64>(), 0..4),
        wanted in vec((any::<u64>(), some_bytes()), 0..4),
        alike in any::<bool>(),
    ) {
        let one = layout(&runs);
        // Much the same from other pieces with a few bytes changed, or something else altogether.
        let other = match alike {
            false => layout(&others),
            true => wanted.into_iter().fold(shattered(&one, &cuts), |layout, (at, new)| {
                let start = at % (layout.len() + 1);
                let patch = Patch { start, bytes: new.into(), what: What::new(&"patch") };
                layout.patched(&[patch]).unwrap_or(layout)
            }),
        };
        let found = differences(&one, &other);
        prop_assert!(found.iter().all(|run| !run.is_empty()) && found.is_sorted_by(|a, b| a.end < b.start));
        prop_assert_eq!(&found, &differences(&other, &one));
        let marks = marked(one.len().max(other.len()), found.into_iter());
        let (a, b) = (whole(&one), whole(&other));
        let content = |layout: &Layout, at: u64| layout.extents_in(at..at + 1).next().and_then(|extent| match extent.source {
            Source::Content(id, offset) => Some((id, offset)),
            _ => None,
        });
        for (at, marked) in (0..).zip(marks) {
            let differs = a.get(at) != b.get(at);
            // Contents are not read: what comes from another place counts as other bytes.
            let apart = content(&one, at as u64) != content(&other, at as u64);
            prop_assert_eq!(marked, differs || apart, "byte {}", at);
        }
    }

    #[test]
    fn what_makes_one_of_another(old in vec(any::<bool>(), 0..200), flips in vec(any::<u64>(), 0..9)) {
        let old: Vec<u8> = old.into_iter().map(u8::from).collect();
        let mut new = old.clone();
        flips.iter().filter(|_| !old.is_empty()).for_each(|at| new[*at as usize % old.len()] ^= 1);
        let patches = Patch::between(100, &old, &new, What::new(&"change"));
        let mut made = vec![0; 100];
        made.extend(&old);
        for patch in &patches {
            let range = patch.range().start as usize..patch.range().end as usize;
            let ends = [range.start, range.end - 1];
            prop_assert!(ends.iter().all(|&at| old[at - 100] != new[at - 100]), "no patch begins or ends with what is there");
            made[range].copy_from_slice(&patch.bytes);
        }
        prop_assert_eq!(&made[100..], new);
        prop_assert!(patches.is_sorted_by(|a, b| a.range().end + 8 <= b.start));
    }

    #[test]
    fn any_range_may_be_asked_for(runs in runs(), a in any::<u64>(), b in any::<u64>(), near in any::<bool>()) {
        let layout = layout(&runs);
        let (a, b) = if near { (a % (layout.len() + 9), b % (layout.len() + 9)) } else { (a, b) };
        for extent in layout.extents_in(a..b) {
            prop_assert!(extent.len > 0 && extent.start >= a && extent.end() <= b.min(layout.len()));
        }
        let found: u64 = layout.extents_in(a..b).map(|extent| extent.len).sum();
        let (from, to) = (a.min(layout.len()) as usize, b.min(layout.len()) as usize);
        let expected = covered_model(&runs).get(from..to).map_or(0, |part| part.iter().filter(|&&c| c).count());
        prop_assert_eq!(found, expected as u64);
    }

    #[test]
    fn no_input_panics(
        len in edge(),
        extents in vec((edge(), edge(), 0u8..3, edge()), 0..4),
        free in vec((edge(), edge()), 0..3),
    ) {
        let what = What::new(&"wild");
        let bytes = Bytes::from(vec![1; 8]);
        let wild: Vec<Extent> = extents.into_iter().map(|(start, len, kind, from)| {
            let source = match kind {
                0 => Source::Bytes(bytes.clone(), from),
                1 => Source::Made(Made::new(Pattern(1)), from),
                _ => Source::Content(ContentId(0), from),
            };
            Extent { start, len, source, what }
        }).collect();
        let free: Vec<Range<u64>> = free.into_iter().map(|(start, end)| start..end).collect();
        let valid = is_valid(len, &wild, &free);
        let made = Layout::new(len, wild, free);
        prop_assert_eq!(made.is_ok(), valid, "{:?}", made);
        if let Ok(layout) = made {
            layout.normal();
            layout.id(|_| [0; 32]);
            prop_assert!(layout.extents().all(|extent| extent.end() <= len));
            prop_assert!(Layout::empty(len).splice(1, &layout, "").is_err());
        }
    }
}

/// Numbers where arithmetic breaks.
fn edge() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..20, (u64::MAX - 20)..=u64::MAX, Just(1 << 63), any::<u64>()]
}

/// The definition, in numbers that do not overflow.
fn is_valid(len: u64, extents: &[Extent], free: &[Range<u64>]) -> bool {
    let of = |start: u64, len: u64| u128::from(start)..u128::from(start) + u128::from(len);
    let mut claims: Vec<Range<u128>> = extents.iter().map(|e| of(e.start, e.len)).collect();
    let exists = extents.iter().all(|e| match &e.source {
        Source::Bytes(bytes, from) => of(*from, e.len).end <= bytes.len() as u128,
        Source::Made(_, from) | Source::Content(_, from) => of(*from, e.len).end <= u128::from(u64::MAX),
    });
    let solid = claims.iter().all(|claim| !claim.is_empty());
    claims.extend(free.iter().filter(|f| !f.is_empty()).map(|f| u128::from(f.start)..u128::from(f.end)));
    claims.sort_by_key(|claim| claim.start);
    let apart = claims.windows(2).all(|pair| pair[0].end <= pair[1].start);
    exists && solid && apart && claims.iter().all(|claim| claim.end <= u128::from(len))
}

#[test]
fn labels_name_all_scopes() {
    let part = Layout::new(4, vec![Extent::of_bytes(0, vec![1; 4], What::numbered(&"table", 3))], vec![]);
    let mut root = Layout::empty(8);
    root.splice(4, &part.unwrap(), "ext4").unwrap();
    let mut disk = Layout::empty(32);
    disk.splice(16, &root, "root").unwrap();
    let label = disk.extents().next().unwrap().label();
    assert_eq!(label, "root/ext4/table 3");
    assert!(format!("{disk:?}").contains("4 bytes"), "{disk:?}");
}

#[test]
fn a_content_that_is_missing_or_short_is_an_error() {
    let layout = Layout::of_content(ContentId(7), 10);
    let error = Reader::new(&layout, &contents()).read_exact_at(0, &mut [0; 10]).unwrap_err();
    assert!(error.to_string().contains("content 7"), "{error}");
    let layout = Layout::of_content(ContentId(0), CONTENT + 1);
    let mut buffer = vec![0; CONTENT as usize + 1];
    assert!(Reader::new(&layout, &contents()).read_exact_at(0, &mut buffer).is_err());
    assert!(Reader::new(&layout, &contents()).read_exact_at(u64::MAX, &mut buffer).is_err());
    assert!(layout.digest(&contents()).is_err());
}
