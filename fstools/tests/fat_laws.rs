//! Laws of FAT: sizes are exact, what is laid is read back, equal inputs make equal images, and what does not fit says so.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod fat_support;

use diskwright_formats::fault::RefusalKind;
use diskwright_formats::layout::{ContentId, Memory, OneFile, ReadAt, Reader, Source};
use diskwright_fstools::registry::{Geometry, Laid};
use diskwright_fstools::tree::{Data, Kind, Meta, Node, ROOT, Time, Tree};
use fat_support::*;
use proptest::prelude::*;

fn big_files() -> Sample {
    (0..5).fold(Sample::new(), |sample, number| sample.content(&format!("big {number}"), 3_000_000))
}

fn small_files() -> Sample {
    (0..3000).fold(Sample::new(), |sample, number| sample.bytes(&format!("{}/{number}", number % 50), b"x"))
}

/// A tree that reaches over the border between FAT16 and FAT32.
fn thirty_three_megabytes() -> Sample {
    let mut sample = Sample::new();
    let data = Data::Content { id: ContentId(0), size: 33 * MIB, runs: Some(Box::default()) };
    sample.put("hole", Kind::File(data));
    sample
}

#[test]
fn measured_sizes_are_exact() {
    let all = ["", "-F 12", "-F 16", "-F 32", "-n LABEL -s 8", "-f 1 -a", "-R 40"];
    let samples = [
        ("empty", empty(), &all[..]),
        ("mixed", mixed(), &all),
        ("33 MiB", thirty_three_megabytes(), &all),
        ("crowded", crowded(), &all[..1]),
        ("big", big_files(), &all[..1]),
        ("small", small_files(), &all[..1]),
    ];
    let cases = samples.iter().flat_map(|(name, sample, options)| {
        options.iter().map(move |options| (name, &sample.tree, *options))
    });
    for (name, tree, options) in cases {
        for (sector_size, free) in [(512, 0), (4096, 0), (512, 777_777), (512, 300 * MIB)] {
            let case = format!("{name}, `{options}`, sectors of {sector_size}, {free} free");
            let Ok(len) = fat(options).measure(tree, free, sector_size) else {
                assert!(free > 0 && options == "-F 12", "{case}");
                continue;
            };
            let unit = u64::from(sector_size);
            assert_eq!(len % unit, 0, "{case}");
            let laid =
                lay(options, tree, len, sector_size).unwrap_or_else(|refusal| panic!("{case}: {refusal}"));
            assert!(laid.usage.free >= free, "{case}: {:?}", laid.usage);
            assert_eq!(laid.layout.len(), len);
            match lay(options, tree, len - unit, sector_size) {
                Ok(laid) => assert!(laid.usage.free < free, "{case}: {:?}", laid.usage),
                Err(refusal) if free == 0 => {
                    assert_eq!(
                        refusal.kind,
                        RefusalKind::TooSmall { needed: Some(len) },
                        "{case}: {refusal}"
                    );
                }
                Err(_) => {}
            }
            // Every length from here on does.
            for more in [unit, 100 * unit, MIB, 7 * MIB] {
                let larger = lay(options, tree, len + more, sector_size);
                let is_over = options.contains("-F 12") || options.contains("-F 16");
                assert!(larger.is_ok() || is_over, "{case}: {more} more");
            }
        }
    }
}

/// The number of clusters as an independent reader counts it stays 16 away from every border.
#[test]
fn types_keep_their_distance() {
    let tree = Sample::new().tree;
    let near = |border: u64| (border - 120..border + 120).map(|sectors| sectors * 512);
    // Borders: 512 to 1024-byte clusters, FAT12 to FAT16 of 1024, FAT16 of 2048 to FAT32, 512 to 4096-byte clusters.
    for len in [4_104, 8_230, 66_600, 532_480].into_iter().flat_map(near) {
        let laid = lay("", &tree, len, 512).unwrap();
        let image = head(&laid, 4 * MIB);
        let volume = fatfs::FileSystem::new(std::io::Cursor::new(image), fatfs::FsOptions::new()).unwrap();
        let clusters = volume.stats().unwrap().total_clusters();
        let range = match volume.fat_type() {
            fatfs::FatType::Fat12 => 1..=4_084 - 16,
            fatfs::FatType::Fat16 => 4_085 + 16..=65_524 - 16,
            fatfs::FatType::Fat32 => 65_525 + 16..=u32::MAX,
        };
        assert!(range.contains(&clusters), "{len}: {clusters} clusters as {:?}", volume.fat_type());
    }
}

/// The first bytes of an image.
fn head(laid: &Laid, most: u64) -> Vec<u8> {
    let mut bytes = vec![0; most.min(laid.layout.len()) as usize];
    Reader::new(&laid.layout, &Memory::default()).read_exact_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn file_data_lies_where_it_can_be_cloned() {
    for (options, len, sector_size) in
        [("", 300 * MIB, 512), ("", 40 * MIB, 4096), ("-s 8", 40 * MIB, 512), ("-F 16 -s 16", 100 * MIB, 512)]
    {
        let laid = lay(options, &mixed().tree, len, sector_size).unwrap();
        let contents = laid.layout.extents().filter(|extent| matches!(extent.source, Source::Content(..)));
        let starts: Vec<u64> = contents.map(|extent| extent.start).collect();
        assert!(starts.len() > 10);
        assert!(starts.iter().all(|start| start % 4096 == 0), "`{options}`, sectors of {sector_size}");
    }
}

#[test]
fn holes_and_unused_clusters_are_gaps() {
    let sample = Sample::new().sparse("sparse").bytes("short", b"12345");
    let laid = lay("", &sample.tree, 20 * MIB, 512).unwrap();
    let covered: u64 = laid.layout.covered().map(|run| run.end - run.start).sum();
    assert!(covered < 5000, "{covered} bytes are covered");
    let free: u64 = laid.layout.free().map(|run| run.end - run.start).sum();
    // Free clusters and less than one more behind the last.
    assert!((laid.usage.free..laid.usage.free + 2048).contains(&free));
    assert_eq!(laid.usage.free + laid.usage.used, 20 * MIB);
}

#[test]
fn the_order_of_making_a_tree_does_not_matter() {
    let names: Vec<String> =
        (0..200).map(|number| format!("a long file name {}", number * 7919 % 1000)).collect();
    let build = |names: &mut dyn Iterator<Item = &String>| {
        let mut tree = Tree::new(Meta::of_root(0o755, Time::seconds(EPOCH)));
        for name in names {
            let node =
                Node { meta: Meta::of_root(0o644, Time::seconds(EPOCH)), kind: Kind::file(name.as_bytes()) };
            tree.add(ROOT, name.as_bytes(), node).unwrap();
        }
        lay("-r 1000", &tree, 8 * MIB, 512).unwrap().layout
    };
    assert_eq!(build(&mut names.iter()), build(&mut names.iter().rev()));
}

#[test]
fn a_clone_differs_in_its_volume_id_alone() {
    let (sample, geometry) = (mixed(), geometry(40 * MIB, 512));
    let image =
        |identity| image(&fat("").lay(&sample.tree, &geometry, &identity).unwrap().layout, &sample.contents);
    let (origin, clone) = (image(identity()), image(identity().clone_as("fs/clone")));
    let other: Vec<usize> = (0..origin.len()).filter(|&at| origin[at] != clone[at]).collect();
    assert!(!other.is_empty() && other.iter().all(|at| (67..71).contains(&(at % 3072))), "{other:?}");
    let id = fat("").id(&identity());
    assert_eq!(open(&origin).id, id);
    assert_eq!(fat("-i 1234abcd").id(&identity()), "1234-ABCD");
    assert!(id.len() == 9 && id.as_bytes()[4] == b'-');
}

#[test]
fn labels_ids_and_hidden_sectors_are_read_back() {
    let len = 20 * MIB;
    let bare = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    for (options, geometry, label, hidden) in [
        ("-n My-ESP", bare, "My-ESP", 0),
        ("", geometry(len, 512), "", 2048),
        ("-h 77 -n X", geometry(len, 512), "X", 77),
    ] {
        let laid = fat(options).lay(&mixed().tree, &geometry, &identity()).unwrap();
        let image = image(&laid.layout, &mixed().contents);
        let opened = open(&image);
        assert_eq!((opened.label, opened.len), (label.as_bytes().to_vec(), len));
        assert_eq!(u32::from_le_bytes(image[28..32].try_into().unwrap()), hidden);
        assert_eq!(fat(options).label().unwrap_or(""), label);
        assert_eq!(opened.usage, laid.usage);
    }
}

/// mtools 4.0 cannot read these.
#[test]
fn names_beyond_the_basic_plane() {
    let sample = pairs();
    let laid = lay("", &sample.tree, MIB, 512).unwrap();
    let image = image(&laid.layout, &sample.contents);
    same_lines("ours", &read_back(&open(&image), &image), &expected(&sample));
    let volume = fatfs::FileSystem::new(std::io::Cursor::new(image), fatfs::FsOptions::new()).unwrap();
    let names: Vec<String> = volume.root_dir().iter().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["plain", "𝕏", "😀 smile 🎉.txt"]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let kind = |kind: Kind| {
        let mut sample = Sample::new();
        sample.put("dir/odd one", kind);
        sample
    };
    let sized = |size| kind(Kind::File(Data::Content { id: ContentId(0), size, runs: Some(Box::default()) }));
    let twins = Sample::new().bytes("dir/Readme", b"").bytes("dir/README", b"");
    let crowd = (0..600).fold(Sample::new(), |sample, number| sample.bytes(&format!("N{number}"), b""));
    let mut bad_name = Sample::new();
    let node = Node { meta: Meta::of_root(0o644, Time::default()), kind: Kind::file(&b""[..]) };
    bad_name.tree.add(ROOT, b"\xff", node).unwrap();
    use RefusalKind as K;
    let cases: &[(Sample, &str, u64, K, &str, &str)] = &[
        (kind(Kind::Symlink(Box::from(&b"x"[..]))), "", 40 * MIB, K::Kind, "/dir/odd one", "symlink"),
        (kind(Kind::Fifo), "", 40 * MIB, K::Kind, "/dir/odd one", "fifo"),
        (kind(Kind::Socket), "", 40 * MIB, K::Kind, "/dir/odd one", "socket"),
        (
            kind(Kind::CharDevice { major: 1, minor: 3 }),
            "",
            40 * MIB,
            K::Kind,
            "/dir/odd one",
            "character device",
        ),
        (sized(4 << 30), "", 8 << 30, K::Limit, "/dir/odd one", "4294967296 bytes: at most 4294967295"),
        (twins, "", MIB, K::Invalid, "/dir/Readme", "upper and lower case only: README"),
        (Sample::new().bytes("dir/a:b", b""), "", MIB, K::Invalid, "/dir/a:b", "':'"),
        (Sample::new().bytes("dir./x", b""), "", MIB, K::Invalid, "/dir.", "dot"),
        (bad_name, "", MIB, K::Invalid, "/\\xff", "UTF-8"),
        (
            crowd.clone(),
            "-F 16",
            20 * MIB,
            K::Limit,
            "/",
            "600 entries, counting those of long names: fat16 has room for 512",
        ),
        (Sample::new(), "-F 12", 2 << 30, K::Limit, "", "too many for fat12"),
        (Sample::new(), "", 3 << 40, K::Limit, "", "too many"),
    ];
    for (sample, options, len, kind, object, reason) in cases {
        let refusal = lay(options, &sample.tree, *len, 512).unwrap_err();
        assert_eq!((refusal.kind, &*refusal.spot.object), (*kind, *object), "{refusal}");
        assert!(refusal.reason.contains(reason), "{refusal}");
    }
    let too_small: &[(Sample, &str, u64, &str)] = &[
        (Sample::new(), "-F 32", 20 * MIB, "20971520 bytes make too few clusters for fat32: at least 65541"),
        (Sample::new(), "", 8 * KIB, "too few"),
        (sized(21 * MIB), "", 20 * MIB, "the tree needs 43009 clusters of 512 bytes"),
        // Without a type that is asked for, a length that makes FAT32 has room for any root directory.
        (crowd, "", 20 * MIB, "the root directory needs 600 entries"),
    ];
    for (sample, options, len, reason) in too_small {
        let refusal = lay(options, &sample.tree, *len, 512).unwrap_err();
        assert!(refusal.reason.contains(reason), "{refusal}");
        let RefusalKind::TooSmall { needed: Some(needed) } = refusal.kind else { panic!("{refusal:?}") };
        assert!(needed > *len && lay(options, &sample.tree, needed, 512).is_ok(), "{refusal}");
    }
    let hidden = Geometry { len: MIB, sector_size: 512, hidden_sectors: 1 << 32 };
    assert_eq!(fat("").lay(&empty().tree, &hidden, &identity()).unwrap_err().kind, RefusalKind::Limit);
    assert!(fat("-h 0").lay(&empty().tree, &hidden, &identity()).is_ok());
    assert!(lay("-r 700 -F 16", &cases[9].0.tree, 20 * MIB, 512).is_ok());
    assert!(lay("", &sized((4 << 30) - 1).tree, 5 << 30, 512).is_ok());
}

#[test]
fn many_small_files_get_smaller_clusters_than_the_tables() {
    let sample = small_files();
    // The table says 4096 bytes from 260 MiB on.
    let laid = lay("", &sample.tree, 261 * MIB, 512).unwrap();
    let image = head(&laid, 512);
    assert_eq!(image[13], 8);
    let many = (0..70_000)
        .fold(Sample::new(), |sample, number| sample.bytes(&format!("{}/{number}", number % 50), b"x"));
    let laid = lay("", &many.tree, 261 * MIB, 512).unwrap();
    assert_eq!(head(&laid, 512)[13], 4);
}

/// Lines of a dump tile the image.
fn check_dump(case: &str, image: &[u8]) {
    let mut text = String::new();
    (row().dump)(&image.to_vec(), &mut text).unwrap();
    let mut end = 0;
    for line in text.lines().filter(|line| !line.starts_with("damage: ")) {
        let mut words = line.split_whitespace().map(|word| word.parse::<u64>());
        let (start, len) = (words.next().unwrap().unwrap(), words.next().unwrap().unwrap());
        assert_eq!(start, end, "{case}: {line}");
        assert!(len > 0 && line.len() > 28, "{case}: {line}");
        end += len;
    }
    assert_eq!(end, image.len() as u64, "{case}");
}

#[test]
fn dumps_account_for_every_byte() {
    for (options, len, sector_size) in [
        ("-n LABEL", MIB, 512),
        ("", 20 * MIB, 512),
        ("-n ESP", 40 * MIB, 512),
        ("-f 1", 40 * MIB + 100, 4096),
        ("-f 4", 36 * MIB + 512, 512),
    ] {
        let sample = mixed();
        let laid = lay(options, &sample.tree, len, sector_size).unwrap();
        check_dump(options, &image(&laid.layout, &sample.contents));
    }
    let sample = Sample::new().bytes("hello world.txt", b"x");
    let laid = lay("-n ESP", &sample.tree, MIB, 512).unwrap();
    let mut text = String::new();
    (row().dump)(&image(&laid.layout, &sample.contents), &mut text).unwrap();
    for part in [
        "boot sector: bytes per sector 512",
        "label ESP",
        "part 1 of a long name, checksum",
        "file HELLOW~1.TXT, 1 bytes, cluster 2",
        "cluster 2: /hello world.txt",
        "entries 2 to 2, a chain, then the end of a chain",
        ": free",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[derive(Clone, Debug)]
struct RandomFile {
    path: Vec<String>,
    size: usize,
    sec: i64,
    is_directory: bool,
}

fn random_file() -> impl Strategy<Value = RandomFile> {
    let name = prop_oneof![
        "[A-Z0-9]{1,8}",
        "[A-Z]{1,8}\\.[A-Z]{1,3}",
        "[a-z]{1,3}\\.[a-z]{1,3}",
        "[a-zA-Z0-9 ._+,;=\\[\\]~äß日😀-]{0,40}[a-zA-Z0-9ü]",
        "[a-z]{200,240}",
    ];
    let size = prop_oneof![Just(0usize), 1usize..2000, Just(512), Just(4096), 0usize..70_000];
    let time = prop_oneof![any::<i32>().prop_map(i64::from), 0i64..5_000_000_000];
    (prop::collection::vec(name, 1..4), size, time, prop::bool::weighted(0.1))
        .prop_map(|(path, size, sec, is_directory)| RandomFile { path, size, sec, is_directory })
}

/// A tree of the files that do not contradict each other.
fn random_sample(files: &[RandomFile]) -> Sample {
    let mut sample = Sample::new();
    for file in files {
        let path = file.path.join("/");
        let meta = |mode| Meta::of_root(mode, Time { sec: file.sec, nsec: 999_999_999 });
        let kind = match file.is_directory {
            true => Kind::directory(),
            false => Kind::File(sample.add_content(noise(&path, file.size), None)),
        };
        let _ = sample.tree.put(path.as_bytes(), Node { meta: meta(0o644), kind }, meta(0o755));
    }
    sample
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_laid_is_read_back(
        files in prop::collection::vec(random_file(), 0..40),
        which in 0usize..6,
        slack in 0u64..100_000,
    ) {
        let sample = random_sample(&files);
        let (options, sector_size) =
            [("", 512), ("-F 16 -n LABEL", 512), ("-s 8", 512), ("", 4096), ("-F 12", 512), ("-F 32 -f 1", 512)][which];
        let len = match fat(options).measure(&sample.tree, 0, sector_size) {
            Ok(len) => len + slack,
            Err(refusal) => {
                prop_assert!(refusal.reason.contains("case only") || refusal.kind == RefusalKind::Limit, "{}", refusal);
                return Ok(());
            }
        };
        let laid = lay(options, &sample.tree, len, sector_size).unwrap();
        let image = image(&laid.layout.poisoned(0xf5), &sample.contents);
        prop_assert!((row().recognise)(&image));
        let opened = open(&image);
        prop_assert_eq!(&opened.damage, &vec![]);
        prop_assert_eq!(opened.usage, laid.usage);
        same_lines("random", &read_back(&opened, &image), &expected(&sample));
        let times = |tree: &Tree| -> Vec<i64> {
            tree.walk().skip(1).map(|step| tree.node(step.node).meta.mtime.sec.clamp(315_532_800, 4_354_819_199) / 2 * 2).collect()
        };
        prop_assert_eq!(times(&opened.tree), times(&sample.tree));
        check_dump(options, &image);
        // What was read can be laid again, and makes the same image.
        let again = lay(options, &opened.tree, len, sector_size).unwrap();
        let files = Files { layouts: &opened.files, image: &image };
        let copy = fat_support::image(&again.layout.poisoned(0xf5), &files);
        let differ = image.chunks(512).zip(copy.chunks(512)).enumerate().filter(|(_, (image, copy))| image != copy)
            .flat_map(|(number, _)| number * 512..(number + 1) * 512)
            .find(|&at| image[at] != copy[at] && !is_time(&image, at));
        prop_assert_eq!(differ, None);
    }
}

/// What is not read back: when something was created, and the time of the root in its label and in `..`.
fn is_time(image: &[u8], at: usize) -> bool {
    let slot = &image[at / 32 * 32..][..32];
    let is_root = slot.starts_with(b"..   ") || slot[11] == 0x08;
    at % 32 == 13 || (14..18).contains(&(at % 32)) || is_root && (14..26).contains(&(at % 32))
}

/// The files of an opened image as contents.
struct Files<'a> {
    layouts: &'a [diskwright_formats::layout::Layout],
    image: &'a Vec<u8>,
}

impl diskwright_formats::layout::Contents for Files<'_> {
    fn open(
        &self,
        id: ContentId,
    ) -> Result<Box<dyn diskwright_formats::layout::Content + '_>, diskwright_formats::layout::ContentError>
    {
        let layout = &self.layouts[id.0 as usize];
        let mut bytes = vec![0; layout.len() as usize];
        Reader::new(layout, &OneFile(self.image)).read_exact_at(0, &mut bytes).unwrap();
        Ok(Box::new(Whole(bytes)))
    }
}

struct Whole(Vec<u8>);

impl diskwright_formats::layout::Content for Whole {
    fn read_exact_at(
        &self,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<(), diskwright_formats::layout::ContentError> {
        self.0.read_exact_at(offset, buffer).map_err(|error| panic!("{error}"))
    }
}
