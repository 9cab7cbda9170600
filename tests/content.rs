//! What is in a disk, read by programs of others: file by file, the same as what went in.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod support;

use rustix::fs as sys;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{Cursor, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::Command;
use support::*;

/// The latest time in an image unless something else is said.
const EPOCH: i64 = 1_577_836_800;

/// A file as a reader sees it; what a reader cannot see is `None`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// As in `st_mode`, with its type.
    mode: u32,
    owner: (u32, u32),
    time: Option<(i64, u32)>,
    /// Content, target, or device number in text.
    data: Option<Vec<u8>>,
    xattrs: Option<BTreeMap<String, Vec<u8>>>,
    links: Option<u64>,
    /// The same for names of the same file, else different.
    inode: Option<u64>,
}

type Files = BTreeMap<Vec<u8>, Seen>;

/// The attribute form of a list with two named users, a mask and the rest.
fn acl() -> Vec<u8> {
    let entries: [(u16, u16, u32); 6] =
        [(1, 6, !0), (2, 4, 1000), (2, 6, 70_000), (4, 4, !0), (16, 6, !0), (32, 4, !0)];
    let entry = |(tag, rights, id): (u16, u16, u32)| {
        [&tag.to_le_bytes()[..], &rights.to_le_bytes(), &id.to_le_bytes()].concat()
    };
    [2u32.to_le_bytes().to_vec(), entries.map(entry).concat()].concat()
}

/// Something of everything that an ext4 can hold.
fn members() -> Vec<Member> {
    let mut holes = vec![0; (3 << 20) + 77];
    holes[1 << 20..][..70_000].copy_from_slice(&noise(3, 70_000));
    holes[2 << 20] = 1;
    let capability: &[u8] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let mut members = boot_members();
    members.extend([
        Member::directory("boot/efi"),
        Member::directory("rich").mode(0o2775).owner(5, 70_000).time(1_400_000_000, 1),
        Member::file("rich/setuid", noise(1, 10_000)).mode(0o4755),
        Member::file("rich/setgid", "x").mode(0o2711).owner(0, 42),
        Member::directory("rich/sticky").mode(0o1777),
        Member::file("rich/closed", "secret").mode(0).owner(1000, 1000),
        Member::file("rich/large-owner", "").owner(4_000_000_000, 3_999_999_999),
        Member::file("rich/nanoseconds", "n").time(1_234_567_890, 123_456_789),
        Member::file("rich/before 1970", "o").time(-1_000_000, 250_000_000),
        Member::file("rich/before 1902", "o").time(-2_140_000_000, 0),
        Member::file("rich/after the epoch", "f").time(4_000_000_000, 5),
        Member::file("rich/holes", holes),
        Member::file("rich/all hole", vec![0; 1 << 20]),
        Member::file("rich/one block", noise(2, 4096)),
        Member::file("rich/one more", noise(2, 4097)),
        Member::file("rich/large", noise(6, 3_000_001)),
        Member::new("rich/null", What::Device(b'c', 1, 3)).mode(0o666),
        Member::new("rich/disk", What::Device(b'b', 259, 70_000)).mode(0o660).owner(0, 6),
        Member::new("rich/fifo", What::Fifo).mode(0o622),
        Member::new("rich/link", What::Symlink(b"nowhere/at all".to_vec())).mode(0o777),
        Member::new("rich/long link", What::Symlink([b'l'; 60].to_vec())).mode(0o777).owner(9, 9),
        Member::new("rich/longest link", What::Symlink("longest/".repeat(512)[..4095].into())).mode(0o777),
        Member::file("rich/attributes", "a")
            .xattr("user.one", "1")
            .xattr("user.bytes", b"\0\xff\n=")
            .xattr("user.empty", ""),
        Member::file("rich/many attributes", "a")
            .xattr("user.long", [b'v'; 2000])
            .xattr("user.other", [b'w'; 900])
            .xattr("trusted.t", "t"),
        Member::file("rich/capable", noise(5, 100)).mode(0o755).xattr("security.capability", capability),
        Member::file("rich/labelled", "l").xattr("security.selinux", "system_u:object_r:etc_t:s0\0"),
        Member::file("rich/listed", "l").mode(0o664).xattr("system.posix_acl_access", acl()),
        Member::directory("rich/list for all")
            .xattr("system.posix_acl_default", acl())
            .xattr("user.of-a-directory", [b'd'; 300]),
        Member::file([b"rich/".as_slice(), &[b'n'; 255]].concat(), "long"),
        Member::file(b"rich/not \xff\xfe utf-8 \xc3", "bytes"),
        Member::file("rich/\u{e4} \u{1f600} 'quoted' \\ back", "text"),
        Member::new("rich/again", What::Hard(b"rich/setuid".to_vec())),
        Member::new("rich/sticky/and again", What::Hard(b"rich/setuid".to_vec())),
        Member::new("rich/null too", What::Hard(b"rich/null".to_vec())),
        Member::directory("etc/kernel"),
        Member::directory("rich/a"),
        Member::directory("rich/a/b"),
        Member::directory("rich/a/b/c"),
        Member::directory("rich/crowd"),
    ]);
    let crowd = if all() { 40_000 } else { 1200 };
    members.extend((0..crowd).map(|number| {
        let name = format!("rich/crowd/number {number:05} of many");
        Member::file(name, if number % 3 == 0 { number.to_string() } else { String::new() })
    }));
    members
}

/// What a reader must see of these members.
fn expected(members: &[Member]) -> Files {
    let mut files = Files::new();
    for (number, member) in members.iter().enumerate() {
        let (kind, data) = match &member.what {
            What::File(data) => (0o100_000, Some(data.clone())),
            What::Directory => (0o040_000, None),
            What::Symlink(target) => (0o120_000, Some(target.clone())),
            What::Fifo => (0o010_000, None),
            What::Device(b'c', major, minor) => (0o020_000, Some(device(*major, *minor))),
            What::Device(_, major, minor) => (0o060_000, Some(device(*major, *minor))),
            What::Hard(target) => {
                let first = files[target].clone();
                files.insert(member.name.clone(), first);
                continue;
            }
        };
        let time = if member.time >= (EPOCH, 0) { (EPOCH, 0) } else { member.time };
        let seen = Seen {
            mode: kind | member.mode,
            owner: member.owner,
            time: Some(time),
            data,
            xattrs: Some(member.xattrs.iter().cloned().collect()),
            links: None,
            inode: Some(number as u64),
        };
        files.insert(member.name.clone(), seen);
    }
    // A directory is named by its parent, by itself, and by each directory in it; a file by its names.
    let mut names = BTreeMap::<u64, u64>::new();
    let mut inside = BTreeMap::<&[u8], u64>::new();
    for (path, seen) in &files {
        *names.entry(seen.inode.expect("numbered above")).or_default() += 1;
        if let (0o4, Some(parent)) = (seen.mode >> 12, path.rsplitn(2, |&byte| byte == b'/').nth(1)) {
            *inside.entry(parent).or_default() += 1;
        }
    }
    let counts = |path: &[u8], seen: &Seen| match seen.mode >> 12 {
        0o4 => 2 + inside.get(path).copied().unwrap_or(0),
        _ => names[&seen.inode.expect("numbered above")],
    };
    let links: Vec<u64> = files.iter().map(|(path, seen)| counts(path, seen)).collect();
    files.values_mut().zip(links).for_each(|(seen, links)| seen.links = Some(links));
    files
}

fn device(major: u32, minor: u32) -> Vec<u8> {
    format!("{major}:{minor}").into_bytes()
}

/// Panics unless everything that `reader` saw is as expected.
fn compare(reader: &str, found: &Files, expected: &Files) {
    let shown = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
    for (path, want) in expected {
        let seen = found.get(path).unwrap_or_else(|| panic!("{reader}: {} is missing", shown(path)));
        let want = Seen {
            time: want.time.filter(|_| seen.time.is_some()),
            data: want.data.clone().filter(|_| seen.data.is_some()),
            xattrs: want.xattrs.clone().filter(|_| seen.xattrs.is_some()),
            links: want.links.filter(|_| seen.links.is_some()),
            inode: seen.inode,
            ..want.clone()
        };
        let brief = |seen: &Seen| Seen { data: None, ..seen.clone() };
        assert!(*seen == want, "{reader}: {}\n{:?}\n{:?}", shown(path), brief(seen), brief(&want));
    }
    // Names of one file stay names of one file, and no others become it.
    let groups = |files: &Files| {
        let mut groups = BTreeMap::<u64, Vec<Vec<u8>>>::new();
        for (path, seen) in files.iter().filter(|(path, _)| expected.contains_key(*path)) {
            groups.entry(seen.inode.unwrap()).or_default().push(path.clone());
        }
        let mut groups: Vec<_> = groups.into_values().collect();
        groups.sort();
        groups
    };
    assert!(groups(found) == groups(expected), "{reader}: hard links");
    let more: Vec<String> =
        found.keys().filter(|path| !expected.contains_key(*path)).map(|path| shown(path)).collect();
    let added = [
        "boot/mbrid",
        "config.bootoptions",
        "config.partids",
        "etc/fstab",
        "etc/kernel/cmdline",
        "etc/kernel/entry-token",
        "lost+found",
    ];
    assert!(more.iter().all(|path| added.contains(&path.as_str())), "{reader}: {more:?}");
}

/// A partition of the raw disk.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: u64,
    len: u64,
}

/// Both disks of one description and the tree they were made from.
struct Made {
    at: tempfile::TempDir,
    raw: PathBuf,
    qcow2: PathBuf,
    esp: Part,
    root: Part,
    expected: Files,
}

fn make(sector_size: u32) -> Made {
    let at = tempfile::tempdir().unwrap();
    let members = members();
    write(at.path().join("tree.tar"), tar(&members));
    let attributes = format!(
        r#"image="oem" firmware="uefi" filesystem="ext4" format="qcow2" efipartsize="{}" target_blocksize="{sector_size}""#,
        // FAT32 is the only type for an ESP, and with sectors of 4096 bytes it is no smaller than this.
        if sector_size == 512 { 40 } else { 300 }
    );
    description(&at.path().join("d"), &attributes, r#"<bootloader name="systemd_boot"/>"#);
    let formats = ["--format", "raw", "--format", "qcow2"];
    let create = ["create", "d", "--root", "tree.tar", "-o", "out"];
    run(command(create.iter().chain(&formats)).current_dir(at.path())).ends(0);
    let out = at.path().join("out");
    let named = |end: &str| out.join(listing(&out).into_iter().find(|name| name.ends_with(end)).unwrap());
    let (raw, qcow2) = (named(".raw"), named(".qcow2"));
    let table = gptman::GPT::find_from(&mut File::open(&raw).unwrap()).unwrap();
    assert_eq!(table.sector_size, u64::from(sector_size));
    let part = |name: &str| {
        let (_, entry) =
            table.iter().find(|(_, entry)| entry.partition_name.as_str() == name).expect("a partition");
        let len = entry.size().unwrap() * table.sector_size;
        Part { start: entry.starting_lba * table.sector_size, len }
    };
    let (esp, root) = (part("p.UEFI"), part("p.lxroot"));
    Made { raw, qcow2, esp, root, expected: expected(&members), at }
}

/// e2fsprogs at the file system in the middle of the disk.
fn within(path: &Path, part: Part) -> String {
    format!("{}?offset={}", path.display(), part.start)
}

/// Everything through debugfs.
fn by_debugfs(made: &Made, debugfs: &Path) -> Files {
    let quoted = |path: &[u8]| [b"\"/".as_slice(), path, b"\""].concat();
    let talk = |commands: Vec<Vec<u8>>| -> Vec<Vec<u8>> {
        let script = made.at.path().join("script");
        write(&script, commands.join(&b'\n'));
        let output =
            Command::new(debugfs).arg("-f").arg(&script).arg(within(&made.raw, made.root)).output().unwrap();
        // Each command is repeated, then answered.
        let mut answers = split(&output.stdout, b"debugfs: ");
        answers.remove(0);
        assert_eq!(answers.len(), commands.len(), "{}", String::from_utf8_lossy(&output.stderr));
        answers
    };
    let paths: Vec<&Vec<u8>> = made.expected.keys().collect();
    let stats = talk(paths.iter().map(|path| [b"stat ".to_vec(), quoted(path)].concat()).collect());
    let lists = talk(paths.iter().map(|path| [b"ea_list ".to_vec(), quoted(path)].concat()).collect());
    let at = |number: usize| made.at.path().join(format!("data-{number}"));
    talk(
        (paths.iter().enumerate())
            .map(|(number, path)| {
                [b"dump ".to_vec(), quoted(path), format!(" {}", at(number).display()).into_bytes()].concat()
            })
            .collect(),
    );
    let mut files = Files::new();
    for (number, path) in paths.iter().enumerate() {
        let stat = String::from_utf8_lossy(&stats[number]).into_owned();
        let after = |word: &str| {
            let rest = stat.split_once(word).unwrap_or_else(|| panic!("{word:?} in {stat}")).1.trim_start();
            rest.split([' ', '\n']).next().unwrap().to_owned()
        };
        let decimal =
            |word: &str| after(word).parse::<i64>().unwrap_or_else(|error| panic!("{word} {error}: {stat}"));
        let kind = match after("Type:").as_str() {
            "regular" => 0o100_000,
            "directory" => 0o040_000,
            "symlink" => 0o120_000,
            "FIFO" => 0o010_000,
            "character" => 0o020_000,
            "block" => 0o060_000,
            kind => panic!("{kind}"),
        };
        let dumped = || std::fs::read(at(number)).unwrap();
        let data = match kind {
            0o100_000 => Some(dumped()),
            0o120_000 => Some(match stat.split_once("Fast link dest: \"") {
                Some((_, rest)) => rest.split('"').next().unwrap().into(),
                None => dumped(),
            }),
            0o020_000 | 0o060_000 => {
                let number = after("Device major/minor number:");
                let (major, minor) = number.split_once(':').unwrap();
                Some(device(major.parse().unwrap(), minor.parse().unwrap()))
            }
            _ => None,
        };
        // The low bits of the second word are the 33rd and 34th of the seconds.
        let time = after("mtime: 0x");
        let (seconds, extra) = time.split_once(':').unwrap();
        let (seconds, extra) =
            (u32::from_str_radix(seconds, 16).unwrap() as i32, u32::from_str_radix(extra, 16).unwrap());
        let time = (i64::from(seconds) + (i64::from(extra & 3) << 32), extra >> 2);
        let list = String::from_utf8_lossy(&lists[number]).into_owned();
        let names: Vec<String> = list
            .lines()
            .skip(1)
            .filter_map(|line| Some(line.trim_start().split_once(" (")?.0.to_owned()))
            .collect();
        let values = at(number).with_extension("value");
        let value = |name: &String| {
            let to = format!("ea_get -f {} ", values.display()).into_bytes();
            talk(vec![[to, quoted(path), format!(" {name}").into_bytes()].concat()]);
            let value = std::fs::read(&values).unwrap();
            (name.clone(), if name.starts_with("system.posix_acl_") { nobody(value) } else { value })
        };
        let seen = Seen {
            mode: kind | u32::from_str_radix(&after("Mode:"), 8).unwrap(),
            owner: (decimal("User:") as u32, decimal("Group:") as u32),
            time: Some(time),
            data,
            xattrs: Some(names.iter().map(value).collect()),
            links: Some(decimal("Links:") as u64),
            inode: Some(decimal("Inode:") as u64),
        };
        files.insert((*path).clone(), seen);
    }
    files
}

/// libext2fs says 0 where an entry of a list is nobody's in particular; the kernel says -1.
fn nobody(mut list: Vec<u8>) -> Vec<u8> {
    let (users, groups) = ([2, 0], [8, 0]);
    let general = |entry: &&mut [u8]| !entry.starts_with(&users) && !entry.starts_with(&groups);
    list[4..].chunks_mut(8).filter(general).for_each(|entry| entry[4..].fill(255));
    list
}

/// The parts between separators, the separators gone.
fn split(bytes: &[u8], at: &[u8]) -> Vec<Vec<u8>> {
    let mut parts = vec![vec![]];
    let mut rest = bytes;
    while let Some(&byte) = rest.first() {
        if rest.starts_with(at) {
            parts.push(vec![]);
            rest = &rest[at.len()..];
        } else {
            parts.last_mut().expect("one at least").push(byte);
            rest = &rest[1..];
        }
    }
    parts
}

/// A part of a file for ext4-view.
struct Slice(File, u64);

impl ext4_view::Ext4Read for Slice {
    fn read(&mut self, at: u64, into: &mut [u8]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        Ok(self.0.read_exact_at(into, self.1 + at)?)
    }
}

/// Everything through the crate ext4-view. It has neither attributes nor inode numbers, and no times before 1970: files
/// with such times it cannot open at all.
fn by_ext4_view(made: &Made) -> Files {
    let slice = Slice(File::open(&made.raw).unwrap(), made.root.start);
    let fs = ext4_view::Ext4::load(Box::new(slice)).unwrap();
    let mut files = Files::new();
    let mut left = vec![Vec::new()];
    while let Some(directory) = left.pop() {
        let path = [b"/", directory.as_slice()].concat();
        for entry in fs.read_dir(path.as_slice()).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().as_ref().to_vec();
            if [b".".as_slice(), b".."].contains(&name.as_slice()) {
                continue;
            }
            let inner = if directory.is_empty() { name } else { [&directory[..], b"/", &name].concat() };
            let path = [b"/", inner.as_slice()].concat();
            let known = made.expected.get(&inner);
            if known.is_some_and(|known| known.time < Some((0, 0))) {
                assert!(fs.symlink_metadata(path.as_slice()).is_err(), "it learnt to read such times");
                files.insert(inner, Seen { xattrs: None, links: None, ..known.unwrap().clone() });
                continue;
            }
            let seen = fs.symlink_metadata(path.as_slice()).unwrap();
            let kind = seen.file_type();
            let (bits, data) = match () {
                () if kind.is_regular_file() => (0o100_000, Some(fs.read(path.as_slice()).unwrap())),
                () if kind.is_dir() => {
                    left.push(inner.clone());
                    (0o040_000, None)
                }
                () if kind.is_symlink() => {
                    let target = fs.read_link(path.as_slice()).unwrap();
                    (0o120_000, Some(<_ as AsRef<[u8]>>::as_ref(&target).to_vec()))
                }
                () if kind.is_fifo() => (0o010_000, None),
                () if kind.is_char_dev() => (0o020_000, None),
                () => (0o060_000, None),
            };
            let time = (seen.modified().seconds(), seen.modified().nanoseconds());
            let seen = Seen {
                mode: bits | u32::from(seen.mode()),
                owner: (seen.uid(), seen.gid()),
                time: Some(time),
                data,
                xattrs: None,
                links: None,
                inode: known.and_then(|known| known.inode).or(Some(u64::MAX)),
            };
            files.insert(inner, seen);
        }
    }
    files
}

/// Everything through the kernel, from where it is mounted.
fn by_kernel(top: &Path) -> Files {
    let mut files = Files::new();
    let mut left = vec![top.to_owned()];
    while let Some(directory) = left.pop() {
        for name in std::fs::read_dir(&directory).unwrap() {
            let path = name.unwrap().path();
            let seen = path.symlink_metadata().unwrap();
            let kind = seen.mode() >> 12;
            let data = match kind {
                0o10 => Some(std::fs::read(&path).unwrap()),
                0o12 => Some(std::fs::read_link(&path).unwrap().as_os_str().as_bytes().to_vec()),
                0o2 | 0o6 => Some(device(sys::major(seen.rdev()), sys::minor(seen.rdev()))),
                _ => None,
            };
            if kind == 0o4 {
                left.push(path.clone());
            }
            let mut names = vec![0; 4096];
            let len = sys::llistxattr(&path, &mut names).unwrap();
            let value = |name: &[u8]| {
                let mut value = vec![0; 65536];
                let len = sys::lgetxattr(&path, OsStr::from_bytes(name), &mut value).unwrap();
                value.truncate(len);
                (String::from_utf8(name.to_vec()).unwrap(), value)
            };
            let xattrs = names[..len].split(|&byte| byte == 0).filter(|name| !name.is_empty()).map(value);
            let seen = Seen {
                mode: seen.mode(),
                owner: (seen.uid(), seen.gid()),
                time: Some((seen.mtime(), seen.mtime_nsec() as u32)),
                data,
                xattrs: Some(xattrs.collect()),
                links: Some(seen.nlink()),
                inode: Some(seen.ino()),
            };
            let inner = path.strip_prefix(top).unwrap().as_os_str().as_bytes().to_vec();
            files.insert(inner, seen);
        }
    }
    files
}

/// A mount that ends with the test.
struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).output();
    }
}

fn through_the_kernel(made: &Made) {
    if !root() {
        return inapplicable("kernel mount", "needs root; the run as root covers it");
    }
    let at = made.at.path().join("mount");
    std::fs::create_dir(&at).unwrap();
    let options = format!("loop,ro,offset={},sizelimit={}", made.root.start, made.root.len);
    let mount = run(Command::new("mount").args(["-t", "ext4", "-o", &options]).args([&made.raw, &at]));
    if mount.code != Some(0) {
        return inapplicable("kernel mount", &format!("no loop devices here: {}", mount.stderr.trim()));
    }
    let mounted = Mounted(at);
    compare("kernel", &by_kernel(&mounted.0), &made.expected);
}

/// The ESP through mtools and the crate fatfs.
fn esp(made: &Made, test: &str) {
    let of = |name: &str| made.expected[name.as_bytes()].data.clone().unwrap();
    let loader = of("usr/lib/systemd/boot/efi/systemd-bootx64.efi");
    let (kernel, initrd) = (of("boot/vmlinuz-6.1.0-9-test"), of("boot/initrd.img-6.1.0-9-test"));
    let is_complete = |reader: &str, files: &BTreeMap<String, Vec<u8>>| {
        let has = |end: &str, data: &[u8]| {
            let found = files.iter().find(|(path, _)| path.to_lowercase().ends_with(end));
            let found = found.unwrap_or_else(|| panic!("{reader}: {end} in {:?}", files.keys()));
            assert!(found.1 == data, "{reader}: {}", found.0);
        };
        has("efi/boot/bootx64.efi", &loader);
        has("efi/systemd/systemd-bootx64.efi", &loader);
        assert!(files.values().any(|data| *data == kernel), "{reader}: the kernel");
        assert!(files.values().any(|data| *data == initrd), "{reader}: the initrd");
        let entry = files.iter().find(|(path, _)| path.contains("loader/entries/")).expect("an entry").1;
        let entry = String::from_utf8(entry.clone()).unwrap();
        for word in ["linux", "initrd"] {
            let line = entry.lines().find(|line| line.starts_with(word)).unwrap_or_else(|| panic!("{entry}"));
            let path = line.split_whitespace().nth(1).unwrap().trim_start_matches('/');
            assert!(files.contains_key(path), "{reader}: {path} in {:?}", files.keys());
        }
        assert!(entry.contains("root=UUID="), "{entry}");
    };

    let mut bytes = vec![0; usize::try_from(made.esp.len).unwrap()];
    File::open(&made.raw).unwrap().read_exact_at(&mut bytes, made.esp.start).unwrap();
    let fs = fatfs::FileSystem::new(Cursor::new(&mut bytes), fatfs::FsOptions::new()).unwrap();
    let mut by_fatfs = BTreeMap::new();
    let mut left = vec![(String::new(), fs.root_dir())];
    while let Some((path, directory)) = left.pop() {
        for entry in directory.iter().map(Result::unwrap) {
            let inner = format!("{path}{}", entry.file_name());
            if entry.is_dir() && ![".", ".."].contains(&entry.file_name().as_str()) {
                left.push((inner + "/", entry.to_dir()));
            } else if entry.is_file() {
                let mut data = Vec::new();
                entry.to_file().read_to_end(&mut data).unwrap();
                by_fatfs.insert(inner, data);
            }
        }
    }
    is_complete("fatfs", &by_fatfs);

    let (Some(mcopy), Some(mdir)) = (oracle(test, "mcopy"), oracle(test, "mdir")) else { return };
    let drive = format!("{}@@{}", made.raw.display(), made.esp.start);
    let to = made.at.path().join("esp");
    std::fs::create_dir(&to).unwrap();
    tool(mcopy, ["-s", "-n", "-i", &drive, "::/", to.to_str().unwrap()]);
    let mut by_mtools = BTreeMap::new();
    let mut left = vec![to.clone()];
    while let Some(directory) = left.pop() {
        for entry in std::fs::read_dir(&directory).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.is_dir() {
                true => left.push(path),
                false => {
                    let inner = path.strip_prefix(&to).unwrap().to_str().unwrap().to_owned();
                    by_mtools.insert(inner, std::fs::read(path).unwrap());
                }
            }
        }
    }
    assert_eq!(by_mtools, by_fatfs);
    let listed = tool(mdir, ["-/", "-b", "-i", &drive, "::/"]);
    for path in by_mtools.keys() {
        assert!(listed.contains(&format!("::/{path}")), "{path} in {listed}");
    }
}

/// Two readers of partition tables, and what `inspect` says.
fn table(made: &Made, sector_size: u32) {
    let inspected = diskwright(["inspect".as_ref(), "--json".as_ref(), made.qcow2.as_os_str()]).ends(0);
    let ours: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
    assert_eq!((&ours["faults"], &ours["table"]["sector_bytes"]), (&0.into(), &sector_size.into()));
    let gptman = gptman::GPT::find_from(&mut File::open(&made.raw).unwrap()).unwrap();
    let size = match sector_size {
        512 => gpt::disk::LogicalBlockSize::Lb512,
        _ => gpt::disk::LogicalBlockSize::Lb4096,
    };
    let gpt = gpt::GptConfig::new().logical_block_size(size).open(&made.raw).unwrap();
    assert!(gpt.primary_header().is_ok() && gpt.backup_header().is_ok());
    let volumes = ours["volumes"].as_array().unwrap();
    assert_eq!(volumes.len(), gpt.partitions().len());
    for volume in volumes {
        let ours = &volume["partition"];
        let number = u32::try_from(ours["number"].as_u64().unwrap()).unwrap();
        let (one, other) = (&gpt.partitions()[&number], &gptman[number]);
        assert_eq!(ours["start"], one.bytes_start(size).unwrap());
        assert_eq!(ours["bytes"], one.bytes_len(size).unwrap());
        assert_eq!(ours["start"], other.starting_lba * u64::from(sector_size));
        assert_eq!(ours["name"], one.name.as_str());
        assert_eq!(ours["name"], other.partition_name.as_str());
        assert_eq!(ours["guid"], one.part_guid.to_string());
    }
}

/// The checkers of each format have nothing to say.
fn checkers(made: &Made, sector_size: u32, test: &str) {
    let raw = made.raw.to_str().unwrap();
    if let Some(e2fsck) = oracle(test, "e2fsck") {
        tool(e2fsck, ["-fn", &within(&made.raw, made.root)]);
    }
    if let (Some(fsck), Some(mut bytes)) = (oracle(test, "fsck.fat"), Some(vec![0; made.esp.len as usize])) {
        File::open(&made.raw).unwrap().read_exact_at(&mut bytes, made.esp.start).unwrap();
        let esp = made.at.path().join("esp.img");
        write(&esp, bytes);
        tool(fsck, ["-n", esp.to_str().unwrap()]);
    }
    // Neither of the two can be told of larger sectors in a file.
    if sector_size == 512 {
        if let Some(sgdisk) = oracle(test, "sgdisk") {
            let text = tool(sgdisk, ["-v", raw]);
            assert!(text.contains("No problems found"), "{text}");
        }
        if let Some(sfdisk) = oracle(test, "sfdisk") {
            let text = tool(sfdisk, ["--verify", raw]);
            assert!(text.contains("No errors detected"), "{text}");
        }
    }
    if let Some(qemu_img) = oracle(test, "qemu-img") {
        let text = tool(&qemu_img, ["check", made.qcow2.to_str().unwrap()]);
        assert!(text.contains("No errors were found"), "{text}");
        let back = made.at.path().join("back.raw");
        let arguments = ["convert", "-f", "qcow2", "-O", "raw"].map(OsStr::new);
        tool(&qemu_img, arguments.into_iter().chain([made.qcow2.as_os_str(), back.as_os_str()]));
        same_bytes(&back, &made.raw);
    }
    for image in [&made.raw, &made.qcow2] {
        let text = diskwright(["check".as_ref(), image.as_os_str()]).ends(0).stdout;
        assert!(text.contains(": clean: "), "{text}");
    }
}

fn same_bytes(one: &Path, other: &Path) {
    let (one, other) = (File::open(one).unwrap(), File::open(other).unwrap());
    let len = one.metadata().unwrap().len();
    assert_eq!(len, other.metadata().unwrap().len());
    for at in (0..len).step_by(1 << 20) {
        let read = |file: &File| {
            let mut bytes = vec![0; usize::try_from((len - at).min(1 << 20)).unwrap()];
            file.read_exact_at(&mut bytes, at).unwrap();
            bytes
        };
        assert!(read(&one) == read(&other), "they differ in the MiB at {at}");
    }
}

fn everything(sector_size: u32) {
    let test = &format!("content of a disk with sectors of {sector_size} bytes");
    let made = make(sector_size);
    checkers(&made, sector_size, test);
    table(&made, sector_size);
    esp(&made, test);
    compare("ext4-view", &by_ext4_view(&made), &made.expected);
    if let Some(debugfs) = oracle(test, "debugfs") {
        compare("debugfs", &by_debugfs(&made, &debugfs), &made.expected);
    }
    through_the_kernel(&made);
}

#[test]
fn a_disk_with_sectors_of_512_bytes_holds_what_went_in() {
    everything(512);
}

#[test]
fn a_disk_with_sectors_of_4096_bytes_holds_what_went_in() {
    everything(4096);
}
