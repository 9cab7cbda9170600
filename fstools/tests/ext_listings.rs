//! What dumpe2fs and debugfs list is what is in the tree; resize2fs, tune2fs and e2fsck change an image and leave it clean,
//! with the same files.
#![allow(clippy::disallowed_methods)]

#[path = "ext_support/mod.rs"]
mod kit;

use diskwright_fstools::registry::{Geometry, Laid};
use diskwright_fstools::tree::{Data, Kind, NodeId, ROOT, Step};
use kit::contents::{attributes, make};
use kit::formats::{Format, every};
use kit::same::read_same;
use kit::{Disk, Image, Sample, all, all_of, fsck, have, identity, run};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const MIB: u64 = 1 << 20;

fn lay(format: &Format, sample: &Sample, free: u64) -> (Laid, Image) {
    let filesystem = format.filesystem();
    let len = filesystem.measure(&sample.tree, free, 512).expect("measured");
    let place = Geometry { len, sector_size: 512, hidden_sectors: 0 };
    let laid = filesystem.lay(&sample.tree, &place, &identity()).expect("measured");
    let image = Image::write(&laid.layout.poisoned(0xF5), &sample.contents);
    (laid, image)
}

fn text(image: &Image) -> &str {
    image.path.to_str().expect("a plain path")
}

/// The answers of debugfs to several requests.
fn debugfs(image: &Image, requests: &[String]) -> Vec<String> {
    let script = image.path.with_file_name("requests");
    std::fs::write(&script, requests.join("\n") + "\n").expect("room for a script");
    let (code, text) = run("debugfs", &["-f", script.to_str().expect("a plain path"), text(image)]);
    assert_eq!(code, 0, "{text}");
    let mut answers: Vec<String> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("debugfs: ") {
            Some(request) => {
                assert_eq!(
                    Some(request),
                    requests.get(answers.len()).map(String::as_str),
                    "the next request"
                );
                answers.push(String::new());
            }
            // Its version comes last.
            None if answers.is_empty() || line.starts_with("debugfs 1.") => {}
            None => writeln!(answers.last_mut().expect("not empty"), "{line}").expect("memory"),
        }
    }
    assert_eq!(answers.len(), requests.len(), "{text}");
    answers
}

/// Paths that can be written into a request: the others are for the kernel and our reader.
fn speakable(sample: &Sample) -> Vec<Step> {
    let plain = |step: &Step| {
        step.path.len() < 4000
            && step.path.iter().all(|byte| (b' '..0x7F).contains(byte) && !b"\"\\".contains(byte))
    };
    sample.tree.walk().filter(plain).collect()
}

fn quoted(step: &Step) -> String {
    format!("\"{}\"", String::from_utf8(step.path.clone()).expect("it is plain"))
}

/// The value behind `key` up to the next blank.
fn field<'a>(text: &'a str, key: &str) -> &'a str {
    let at = text.find(key).unwrap_or_else(|| panic!("no `{key}` in:\n{text}"));
    text[at + key.len()..].split_whitespace().next().unwrap_or_default()
}

fn number(text: &str, key: &str) -> u64 {
    let value = field(text, key);
    value.parse().unwrap_or_else(|_| panic!("{key} {value} in:\n{text}"))
}

/// `stat` of every kind of object.
fn check_stat(format: &Format, sample: &Sample, image: &Image) {
    let steps = speakable(sample);
    assert!(steps.len() * 10 > sample.tree.nodes() * 8, "most can be asked for");
    let requests: Vec<String> = steps.iter().map(|step| format!("stat {}", quoted(step))).collect();
    let links = sample.tree.links();
    let mut numbers: BTreeMap<NodeId, u64> = BTreeMap::new();
    for (step, text) in steps.iter().zip(debugfs(image, &requests)) {
        let node = sample.tree.node(step.node);
        let meta = &node.meta;
        let inode = number(&text, "Inode: ");
        assert_eq!(*numbers.entry(step.node).or_insert(inode), inode, "names of one node\n{text}");
        // It prints large ids as negative numbers.
        let owner = (field(&text, "User: "), field(&text, "Group: "));
        let expected = [meta.uid, meta.gid].map(|id| (id as i32).to_string());
        assert_eq!(owner, (&expected[0][..], &expected[1][..]), "{text}");
        assert_eq!(field(&text, "Mode:  "), format!("0{:03o}", meta.mode), "{text}");
        check_time(format, sample, step.node, &text);
        let (kind, size) = match &node.kind {
            Kind::Directory(_) => ("directory", None),
            Kind::File(data) => ("regular", Some(data.size())),
            Kind::Symlink(target) => ("symlink", Some(target.len() as u64)),
            Kind::CharDevice { .. } => ("character special", Some(0)),
            Kind::BlockDevice { .. } => ("block special", Some(0)),
            Kind::Fifo => ("FIFO", Some(0)),
            Kind::Socket => ("socket", Some(0)),
        };
        assert!(text.contains(&format!("Type: {kind} ")), "{kind}:\n{text}");
        if let Some(size) = size {
            assert_eq!(number(&text, "Size: "), size, "{text}");
            assert_eq!(number(&text, "Links: "), links[step.node.0 as usize].into(), "{text}");
        } else {
            let subdirectories = sample.tree.children(step.node);
            let subdirectories =
                subdirectories.filter(|(_, node)| matches!(sample.tree.node(*node).kind, Kind::Directory(_)));
            let ours = step.node == ROOT && sample.tree.lookup(b"lost+found").is_none();
            let links = 2 + subdirectories.count() as u64 + u64::from(ours);
            assert_eq!(number(&text, "Links: "), links, "{text}");
        }
        check_body(format, &node.kind, &text);
    }
    assert_eq!(numbers.values().collect::<BTreeSet<_>>().len(), numbers.len(), "each node has its own inode");
}

fn check_time(format: &Format, sample: &Sample, node: NodeId, text: &str) {
    let time = format.time(sample.tree.node(node).meta.mtime);
    let low = time.sec as u32;
    let found = field(text, "mtime: ");
    if format.inode == 128 {
        assert_eq!(found, format!("{low:#010x}"), "{text}");
        return;
    }
    // Bits of the epoch: seconds are signed 32 bits plus so many times 2^32.
    let epoch = ((time.sec - i64::from(low as i32)) >> 32) as u32;
    assert_eq!(found, format!("{low:#010x}:{:08x}", time.nsec << 2 | epoch & 3), "{text}");
}

fn check_body(format: &Format, kind: &Kind, text: &str) {
    match kind {
        &Kind::CharDevice { major, minor } | &Kind::BlockDevice { major, minor } => {
            // For debugfs, a device that is all zero has no old form.
            let old = major < 256 && minor < 256 && (major, minor) != (0, 0);
            let style = if old { "" } else { "(New-style) " };
            let line = format!("{style}Device major/minor number: {major:02}:{minor:02} ");
            assert!(text.lines().any(|found| found.starts_with(&line)), "{line}:\n{text}");
        }
        Kind::Symlink(target) if target.len() < 60 => {
            let target = String::from_utf8_lossy(target);
            assert!(text.contains(&format!("Fast link dest: \"{target}\"")), "{text}");
            assert_eq!(field(text, "Flags: "), "0x0", "{text}");
        }
        Kind::Symlink(_) | Kind::File(_) | Kind::Directory(_) => {
            assert_eq!(text.contains("EXTENTS:"), format.has("extent"), "{text}");
        }
        Kind::Fifo | Kind::Socket => assert_eq!(field(text, "Flags: "), "0x0", "{text}"),
    }
}

/// `ea_list` and `ea_get` give every attribute and its bytes.
fn check_attributes(sample: &Sample, image: &Image) {
    let xattrs = |step: &Step| sample.tree.xattrs(sample.tree.node(step.node).meta.xattrs).clone();
    let steps: Vec<Step> = speakable(sample).into_iter().filter(|step| !xattrs(step).is_empty()).collect();
    // Of thousands that share a set, a few will do.
    let steps: Vec<Step> = steps.into_iter().filter(|step| !step.path.starts_with(b"/many/0")).collect();
    assert!(steps.len() > 30, "attributes to list");
    let requests: Vec<String> = steps.iter().map(|step| format!("ea_list {}", quoted(step))).collect();
    let (mut values, mut expected) = (Vec::new(), Vec::new());
    for (step, text) in steps.iter().zip(debugfs(image, &requests)) {
        assert!(text.starts_with("Extended attributes:\n"), "{}: {text}", step.path.escape_ascii());
        let xattrs = xattrs(step);
        // Values may have line breaks in them.
        let listed = text.lines().filter(|line| line.starts_with("  ") && line.contains(" (")).count();
        assert_eq!(listed, xattrs.len(), "{}: {text}", step.path.escape_ascii());
        for (name, value) in xattrs {
            // Other names are listed as numbers.
            let Some(name) = String::from_utf8(name).ok().filter(|name| name.is_ascii()) else { continue };
            // ACLs are listed as they lie on the disk: entries without an id are half as long.
            let len = match name.starts_with("system.posix_acl") {
                true => {
                    4 + value[4..]
                        .chunks(8)
                        .map(|entry| if [2, 8].contains(&entry[0]) { 8 } else { 4 })
                        .sum::<usize>()
                }
                false => value.len(),
            };
            assert!(text.contains(&format!("  {name} ({len})")), "{name}, {len}: {text}");
            let file = image.path.with_file_name(format!("value-{}", values.len()));
            values.push(format!("ea_get -f {} {} {name}", file.display(), quoted(step)));
            // Where an entry has no id, the kernel gives all ones and debugfs zeros.
            let mut value = value;
            let entries = if name.starts_with("system.posix_acl") { &mut value[4..] } else { &mut [][..] };
            entries
                .chunks_mut(8)
                .filter(|entry| ![2, 8].contains(&entry[0]))
                .for_each(|entry| entry[4..].fill(0));
            expected.push((file, value));
        }
    }
    for text in debugfs(image, &values) {
        assert_eq!(text, "");
    }
    for ((file, value), request) in expected.into_iter().zip(values) {
        // Nothing is written for an empty value.
        assert!(std::fs::read(&file).unwrap_or_default() == value, "{request}");
    }
}

/// `ls -l` of every directory.
fn check_directories(format: &Format, sample: &Sample, image: &Image) {
    let mut steps = speakable(sample);
    steps.retain(|step| matches!(sample.tree.node(step.node).kind, Kind::Directory(_)));
    let requests: Vec<String> = steps.iter().map(|step| format!("ls -p {}", quoted(step))).collect();
    for (step, text) in steps.iter().zip(debugfs(image, &requests)) {
        // /inode/mode/uid/gid/name/size/
        let found: BTreeSet<String> = text
            .lines()
            .filter(|line| !line.is_empty())
            .map(|line| line.split('/').skip(2).take(4).collect::<Vec<_>>().join("/"))
            .filter(|line| !line.ends_with("/lost+found") && !line.ends_with("/.") && !line.ends_with("/.."))
            .collect();
        let expected: BTreeSet<String> = sample
            .tree
            .children(step.node)
            .filter(|(name, _)| name.iter().all(|byte| (b' '..0x7F).contains(byte)))
            .map(|(name, node)| (String::from_utf8_lossy(name).into_owned(), sample.tree.node(node)))
            .filter(|(name, _)| name != "lost+found")
            .map(|(name, node)| {
                let kind = match node.kind {
                    Kind::Directory(_) => 0o04,
                    Kind::File(_) => 0o10,
                    Kind::Symlink(_) => 0o12,
                    Kind::CharDevice { .. } => 0o02,
                    Kind::BlockDevice { .. } => 0o06,
                    Kind::Fifo => 0o01,
                    Kind::Socket => 0o14,
                };
                let mode = kind << 12 | u32::from(node.meta.mode);
                format!("{mode:06o}/{}/{}/{name}", node.meta.uid as i32, node.meta.gid as i32)
            })
            .collect();
        let missing: Vec<_> = expected.difference(&found).collect();
        assert!(missing.is_empty(), "{}: {missing:?}\n{text:.2000}", format.line);
    }
}

/// `ex`, or `bmap` where there are no extents: data where the tree has data, holes where it has holes.
fn check_maps(format: &Format, sample: &Sample, image: &Image) {
    let steps: Vec<(Step, &Data)> = speakable(sample)
        .into_iter()
        .filter_map(|step| match &sample.tree.node(step.node).kind {
            Kind::File(data) => Some((step, data)),
            _ => None,
        })
        .collect();
    // Runs that touch are one.
    let blocks = |data: &Data| {
        data.runs().fold(Vec::<(u64, u64)>::new(), |mut all, run| {
            let (start, end) = (run.start / format.block, run.end.div_ceil(format.block));
            match all.last_mut() {
                Some(last) if last.1 == start => last.1 = end,
                _ => all.push((start, end)),
            }
            all
        })
    };
    if !format.has("extent") {
        let (mut requests, mut expected) = (Vec::new(), Vec::new());
        for (step, data) in &steps {
            for (start, end) in blocks(data) {
                for (at, mapped) in [(start, true), (end - 1, true), (end, false)] {
                    requests.push(format!("bmap {} {at}", quoted(step)));
                    expected.push(mapped);
                }
            }
        }
        for ((request, mapped), text) in requests.iter().zip(expected).zip(debugfs(image, &requests)) {
            assert_eq!(text.trim() != "0", mapped, "{}: {request}: {text}", format.line);
        }
        return;
    }
    let requests: Vec<String> = steps.iter().map(|(step, _)| format!("ex {}", quoted(step))).collect();
    for ((step, data), text) in steps.iter().zip(debugfs(image, &requests)) {
        let mut found: Vec<(u64, u64)> = Vec::new();
        for line in text.lines().filter(|line| line.contains('/')) {
            // Level, entries, logical start and end, physical ...: ` 1/ 1   3/ 85   128 -   143  8241 -  8256 16`
            let line = line.replace(['/', '-'], " ");
            let words: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
            if words[0] == words[1] {
                match found.last_mut() {
                    Some((_, end)) if *end == words[4] => *end = words[5] + 1,
                    _ => found.push((words[4], words[5] + 1)),
                }
            }
        }
        assert_eq!(found, blocks(data), "{}: {}\n{text}", format.line, step.path.escape_ascii());
    }
}

/// `htree_dump` of a directory: every name once, and as many levels as expected.
fn check_index(format: &Format, sample: &Sample, image: &Image, path: &str, levels: u32) {
    let text = debugfs(image, &[format!("htree_dump {path}")]).remove(0);
    assert_eq!(number(&text, "Indirect levels: "), levels.into(), "{}: {text:.600}", format.line);
    assert_eq!(number(&text, "Hash Version: "), 1, "{text:.600}");
    let tail = u64::from(format.has("metadata_csum"));
    let limit = (format.block - 32) / 8 - tail;
    assert_eq!(number(&text, "Number of entries (limit): "), limit, "{}: {text:.600}", format.line);
    let dir = sample.tree.lookup(path.as_bytes()).expect("a directory");
    for (name, _) in sample.tree.children(dir) {
        let name = String::from_utf8_lossy(name);
        // `inode 0xhash-minor (length) name`
        assert_eq!(text.matches(&format!(") {name}   ")).count(), 1, "{}: {name}", format.line);
    }
}

/// `rdump` writes the files that the tree has.
fn check_dumped(sample: &Sample, image: &Image) {
    let to = tempfile::tempdir().expect("a directory");
    debugfs(image, &[format!("rdump / {}", to.path().display())]);
    let mut seen = 0;
    for step in speakable(sample) {
        let path = to.path().join(std::str::from_utf8(&step.path[1..]).expect("it is plain"));
        match &sample.tree.node(step.node).kind {
            Kind::File(data) => {
                // Modes are dumped, too: an ordinary user may not read all of them.
                let readable = std::os::unix::fs::PermissionsExt::from_mode(0o600);
                std::fs::set_permissions(&path, readable).expect("a file of ours");
                let found =
                    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert!(found == sample.data(data), "{}", path.display());
            }
            Kind::Symlink(target) => {
                let found = std::fs::read_link(&path).expect("a symlink");
                assert_eq!(found.as_os_str().as_encoded_bytes(), &target[..]);
            }
            Kind::Directory(_) => assert!(path.is_dir(), "{}", path.display()),
            _ => continue,
        }
        seen += 1;
    }
    assert!(seen > 20, "files to compare");
}

/// `dumpe2fs`: features, counts, and each group; the copies of the superblock say the same.
fn check_superblock(format: &Format, laid: &Laid, image: &Image) {
    let (code, text) = run("dumpe2fs", &[text(image)]);
    assert_eq!(code, 0, "{text}");
    let line = |key: &str| -> String {
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        line.unwrap_or_else(|| panic!("no {key} in:\n{text}")).trim().to_owned()
    };
    let count =
        |key: &str| -> u64 { line(key).split(' ').next().unwrap_or_default().parse().expect("a number") };
    let features = line("Filesystem features:");
    let features: BTreeSet<&str> = features.split_whitespace().filter(|name| *name != "(none)").collect();
    // There is no journal, and so nothing that needs it, in what is too small for one.
    let small = count("Block count:") < 2048;
    let expected = format.features().filter(|name| !(small && ["has_journal", "orphan_file"].contains(name)));
    assert_eq!(features, expected.collect::<BTreeSet<_>>(), "{}", format.line);
    assert_eq!(line("Filesystem state:"), "clean");
    assert_eq!(line("Filesystem UUID:"), format.filesystem().id(&identity()));
    assert_eq!((count("Block size:"), count("Inode size:")), (format.block, format.inode));
    assert_eq!(count("First block:"), u64::from(format.block == 1024));
    let (used, free) = laid.usage.inodes.expect("ext has inodes");
    assert_eq!((count("Inode count:"), count("Free inodes:")), (used + free, free), "{}", format.line);
    let (all, free, reserved) =
        (count("Block count:"), count("Free blocks:"), count("Reserved block count:"));
    assert_eq!((all - free) * format.block, laid.usage.used, "{}", format.line);
    assert_eq!(free.saturating_sub(reserved) * format.block, laid.usage.free, "{}", format.line);
    assert_eq!(
        text.contains("Journal inode:"),
        features.contains("has_journal"),
        "{}: {all} blocks",
        format.line
    );
    check_groups(format, &text, all, free, laid);
    check_copies(format, image, &text);
}

fn check_groups(format: &Format, text: &str, all: u64, free: u64, laid: &Laid) {
    let per_group: u64 = number(text, "Blocks per group:");
    let first = u64::from(format.block == 1024);
    let groups =
        text.matches("\nGroup ").count() as u64 - text.matches("\nGroup descriptor size").count() as u64;
    assert_eq!(groups, (all - first).div_ceil(per_group), "{}", format.line);
    // `  7019 free blocks, 2031 free inodes, 2 directories`
    let sums = text.lines().filter(|line| line.contains(" free blocks, ")).fold([0u64; 3], |sums, line| {
        let words: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        [sums[0] + words[0], sums[1] + words[1], sums[2] + words[2]]
    });
    assert_eq!((sums[0], sums[1]), (free, laid.usage.inodes.expect("inodes").1), "{}", format.line);
    // What the bitmaps say, range by range.
    let listed = |key: &str| -> u64 {
        let lists = text.lines().filter_map(|line| line.strip_prefix(key));
        let ranges: Vec<&str> = lists.flat_map(|list| list.split(',')).map(str::trim).collect();
        ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .map(|range| match range.split_once('-') {
                Some((from, to)) => {
                    let [from, to]: [u64; 2] = [from, to].map(|text| text.parse().expect("a number"));
                    to - from + 1
                }
                None => 1,
            })
            .sum()
    };
    assert_eq!((listed("  Free blocks: "), listed("  Free inodes: ")), (sums[0], sums[1]), "{}", format.line);
}

/// Every copy of the superblock, but for its group, its checksum and what a reader of copies makes up.
fn check_copies(format: &Format, image: &Image, text: &str) {
    let header = |text: &str| -> Vec<String> {
        let lines = text.lines().skip(1).take_while(|line| !line.starts_with("Group 0"));
        let differ = [
            "dumpe2fs 1.",
            "Filesystem state:",
            "Checksum:",
            "Journal",
            "Total journal",
            "Max transaction",
            "Fast commit",
        ];
        lines
            .filter(|line| !line.is_empty() && !differ.iter().any(|key| line.starts_with(key)))
            .map(str::to_owned)
            .collect()
    };
    let copies = text.lines().filter_map(|line| line.trim().strip_prefix("Backup superblock at "));
    let copies: Vec<&str> = copies.filter_map(|rest| rest.split(',').next()).collect();
    for at in copies.iter().take(4) {
        let option = format!("superblock={at}");
        let size = format!("blocksize={}", format.block);
        let path = image.path.to_str().expect("a plain path");
        let (code, copy) = run("dumpe2fs", &["-h", "-o", &option, "-o", &size, path]);
        assert_eq!(code, 0, "{}: {copy}", format.line);
        let (copy, primary) = (header(&copy), header(text));
        let other: Vec<_> = copy.iter().filter(|line| !primary.contains(line)).collect();
        assert!(
            other.is_empty() && copy.len() == primary.len(),
            "{}: the copy at {at}: {other:?}",
            format.line
        );
    }
}

/// By default a line is tried at one size of blocks (three neighbours in the table are one line), with one of three parts.
fn chosen(at: usize) -> Option<usize> {
    let line = at / 3;
    (at % 3 == line % 3).then_some(line / 3 % 3)
}

fn called(cell: &(usize, &Format)) -> String {
    cell.1.line.clone()
}

#[test]
fn listings_are_the_tree() {
    const TEST: &str = "listings_are_the_tree";
    if !["debugfs", "dumpe2fs"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let formats = every();
    let cells = formats.iter().enumerate().filter(|(at, _)| chosen(*at) == Some(0) || all());
    all_of(cells, called, |(_, format)| {
        let sample = make("kinds")(format);
        let (laid, image) = lay(format, &sample, 30 * MIB);
        check_superblock(format, &laid, &image);
        check_stat(format, &sample, &image);
        check_directories(format, &sample, &image);
        check_maps(format, &sample, &image);
        check_dumped(&sample, &image);
    });
    let cells = formats.iter().enumerate().filter(|(at, _)| chosen(*at) == Some(1) || all());
    all_of(cells.filter(|(_, format)| format.has("ext_attr")), called, |(at, format)| {
        let sample = attributes(format);
        let (laid, image) = lay(format, &sample, MIB);
        check_superblock(format, &laid, &image);
        check_stat(format, &sample, &image);
        check_attributes(&sample, &image);
        for name in ["maps", "holes", "hard links"].into_iter().skip(at % 3).take(if all() { 3 } else { 1 }) {
            let sample = make(name)(format);
            let (laid, image) = lay(format, &sample, 0);
            check_superblock(format, &laid, &image);
            check_maps(format, &sample, &image);
        }
    });
    let cells = formats.iter().enumerate().filter(|(at, _)| chosen(*at) == Some(2) || all());
    all_of(cells.filter(|(_, format)| format.has("dir_index")), called, |(_, format)| {
        let sample = kit::wide(3000);
        let (_, image) = lay(format, &sample, 0);
        check_directories(format, &sample, &image);
        // 3000 entries of 40 bytes: more blocks than the root of a small index lists.
        check_index(format, &sample, &image, "/wide", u32::from(format.block == 1024));
    });
}

/// Programs that change an image: what they find, they keep.
#[test]
fn what_others_change_stays_clean_and_the_same() {
    const TEST: &str = "what_others_change_stays_clean_and_the_same";
    if !["resize2fs", "tune2fs", "e2fsck"].iter().all(|program| have(TEST, program)) {
        return;
    }
    let formats = every();
    let contents = ["kinds", "wide", "attributes", "deep", "holes"];
    let cells = formats.iter().enumerate().filter(|(at, _)| chosen(*at) == Some(at / 9 % 2) || all());
    all_of(cells, called, |(at, format)| {
        let name = contents[at / 3 % contents.len()];
        let name = if format.has("ext_attr") { name } else { "kinds" };
        let sample = make(name)(format);
        let (laid, image) = lay(format, &sample, 20 * MIB);
        let changed = |how: &str, program: &str, before: &[&str], after: &[&str]| {
            let name = format!("{name}, {}, {how}", format.line);
            let copy = image.copy();
            let (code, said) = run(program, &[before, &[text(&copy)], after].concat());
            assert!(code == 0 || program == "e2fsck" && code == 1, "{name}: {said}");
            fsck(&copy.path, &name);
            read_same(&name, format, &sample, &Disk::open(&copy.path));
            said
        };
        let len = laid.layout.len();
        let larger = format!("{}K", len * 3 / 1024);
        let much_larger = format!("{}K", (len + (3 << 30)) / 1024);
        changed("grown", "resize2fs", &[], &[&larger]);
        changed("grown by gigabytes", "resize2fs", &[], &[&much_larger]);
        changed("shrunk", "resize2fs", &["-M"], &[]);
        // tune2fs 1.47.0 forgets the checksums of the orphan file, which depend on the UUID without metadata_csum_seed.
        if !format.has("orphan_file") || format.has("metadata_csum_seed") {
            changed("with another UUID", "tune2fs", &["-U", "random"], &[]);
        }
        let said = changed("its directories optimised", "e2fsck", &["-fyD"], &[]);
        let words = ["Pass ", "e2fsck 1.", text(&image)];
        let other = said.lines().find(|line| {
            let known =
                line.is_empty() || line.contains("FILE SYSTEM WAS MODIFIED") || line.contains(" files (");
            !known && !words.iter().any(|word| line.starts_with(word))
        });
        assert_eq!(other, None, "{name}, {}: {said}", format.line);
        let (code, said) = run("tune2fs", &["-l", text(&image)]);
        let expected = format!("Filesystem UUID:          {}\n", format.filesystem().id(&identity()));
        assert!(code == 0 && said.contains(&expected), "{said}");
    });
}
