//! Other people's programs and crates read what we write, and we read what they write.
#![allow(clippy::disallowed_methods, clippy::unwrap_used)]

mod fat_support;

use fat_support::*;
use std::fs::{self, File};
use std::path::Path;

struct Case {
    name: &'static str,
    options: &'static str,
    len: u64,
    sector_size: u32,
    sample: fn() -> Sample,
}

/// mtools 4.0 cannot read these names.
const PAIRS: &str = "fat12, characters beyond the basic plane";

const CASES: &[Case] = &[
    Case { name: "fat12, 1 MiB", options: "-n TINY", len: MIB, sector_size: 512, sample: mixed },
    Case { name: "fat12, 1.44 MB", options: "", len: 1440 * KIB, sector_size: 512, sample: mixed },
    Case { name: "fat12, 4 KiB sectors", options: "", len: 2 * MIB, sector_size: 4096, sample: mixed },
    Case { name: "fat16, 20 MiB", options: "-n ESP", len: 20 * MIB, sector_size: 512, sample: mixed },
    Case { name: "fat16, 20 MiB, crowded", options: "", len: 20 * MIB, sector_size: 512, sample: crowded },
    Case { name: "fat16, 4 KiB sectors", options: "-n ESP", len: 40 * MIB, sector_size: 4096, sample: mixed },
    Case { name: "fat32, 40 MiB", options: "-n ESP", len: 40 * MIB, sector_size: 512, sample: mixed },
    Case { name: "fat32, 40 MiB, empty", options: "", len: 40 * MIB, sector_size: 512, sample: empty },
    Case {
        name: "fat32, 40 MiB, crowded",
        options: "-n MANY",
        len: 40 * MIB,
        sector_size: 512,
        sample: crowded,
    },
    Case { name: "fat32, odd length", options: "", len: 40 * MIB + 7 * 512, sector_size: 512, sample: mixed },
    Case { name: "fat32, 300 MiB", options: "-n ESP", len: 300 * MIB, sector_size: 512, sample: mixed },
    Case {
        name: "fat32, 300 MiB, 4 KiB sectors",
        options: "",
        len: 300 * MIB,
        sector_size: 4096,
        sample: mixed,
    },
    Case { name: "fat32, one fat", options: "-f 1", len: 50 * MIB, sector_size: 512, sample: mixed },
    Case { name: PAIRS, options: "", len: 2 * MIB, sector_size: 512, sample: pairs },
    Case {
        name: "fat16, all by hand",
        options: "-F 16 -s 4 -R 5 -r 100 -i C0FFEE01",
        len: 30 * MIB,
        sector_size: 512,
        sample: mixed,
    },
    Case {
        name: "fat32, 64 KiB clusters",
        options: "-F 32 -s 128",
        len: 5 << 30,
        sector_size: 512,
        sample: empty,
    },
];

/// Lays a case and writes it, as it is and with every free byte set.
fn each_image(case: &Case, check: impl Fn(&Path, &Sample)) {
    let folder = tempfile::tempdir().unwrap();
    let sample = (case.sample)();
    let laid = lay(case.options, &sample.tree, case.len, case.sector_size)
        .unwrap_or_else(|refusal| panic!("{}: {refusal}", case.name));
    let mut layouts = vec![("plain.img", laid.layout.clone())];
    if case.len <= 400 * MIB {
        layouts.push(("poisoned.img", laid.layout.poisoned(0xf5)));
    }
    for (name, layout) in layouts {
        let path = folder.path().join(name);
        write_image(&path, &layout, &sample.contents);
        check(&path, &sample);
    }
}

/// What fsck.fat says of an image without faults, however talkative it is told to be.
fn is_harmless(line: &str) -> bool {
    const STARTS: &[&str] = &[
        "fsck.fat 4",
        "Checking ",
        "Boot sector contents:",
        "System ID \"MSWIN4.1\"",
        "Media byte 0xf8",
        "First FAT starts at",
        "Root directory start",
        "Data area starts at",
    ];
    const ENDS: &[&str] = &[
        "bytes per logical sector",
        "bytes per cluster",
        "reserved sectors",
        "reserved sector",
        "bit entries",
        "sectors)",
        "root directory entries",
        "bytes)",
        "255 heads",
        "hidden sectors",
        "sectors total",
        "clusters",
    ];
    line.is_empty()
        || STARTS.iter().any(|start| line.starts_with(start))
        || ENDS.iter().any(|end| line.ends_with(end))
}

#[test]
fn fsck_fat_finds_nothing() {
    let Some(fsck) = tool("fsck_fat_finds_nothing", "fsck.fat", "dosfstools") else { return };
    for case in CASES {
        each_image(case, |path, sample| {
            let text = run(&fsck, &["-n", "-v", path.to_str().unwrap()]);
            for line in text.lines() {
                assert!(is_harmless(line), "{}: {line}\n{text}", case.name);
            }
            let opened = open(&ImageFile(File::open(path).unwrap()));
            let clusters = opened.usage;
            let summary = text.lines().last().unwrap();
            // fsck.fat counts entries of directories, a label among them.
            let files = sample.tree.walk().count() - 1 + usize::from(case.options.contains("-n"));
            assert!(
                summary.contains(&format!(": {files} files, ")),
                "{}: {summary}, expected {files}",
                case.name
            );
            let counts = summary.split(", ").last().unwrap().trim_end_matches(" clusters");
            let (used, all) = counts.split_once('/').unwrap();
            let (used, all): (u64, u64) = (used.parse().unwrap(), all.parse().unwrap());
            let per_cluster =
                text.lines().find_map(|line| line.trim().strip_suffix(" bytes per cluster")).unwrap();
            assert_eq!(
                (all - used) * per_cluster.trim().parse::<u64>().unwrap(),
                clusters.free,
                "{}",
                case.name
            );
        });
    }
}

/// A folder on the host as lines.
fn folder_lines(folder: &Path) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut waiting = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = waiting.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let path = format!("{prefix}/{}", entry.file_name().to_str().unwrap());
            if entry.file_type().unwrap().is_dir() {
                lines.push((format!("{path}/"), None));
                waiting.push((entry.path(), path));
            } else {
                lines.push((path, Some(fs::read(entry.path()).unwrap())));
            }
        }
    }
    lines.sort();
    lines
}

#[test]
fn mtools_read_the_same_tree() {
    let Some(mcopy) = tool("mtools_read_the_same_tree", "mcopy", "mtools") else { return };
    let Some(mdir) = tool("mtools_read_the_same_tree", "mdir", "mtools") else { return };
    for case in CASES.iter().filter(|case| case.name != PAIRS) {
        each_image(case, |path, sample| {
            let image = path.to_str().unwrap();
            let expected = expected(sample);
            if expected.is_empty() {
                return; // mdir takes it for an error
            }
            let mut listed: Vec<String> = run(&mdir, &["-a", "-/", "-b", "-i", image, "::"])
                .lines()
                .map(|line| line.strip_prefix("::").unwrap().to_owned())
                .collect();
            listed.sort();
            let mut paths: Vec<String> = expected.iter().map(|(path, _)| path.clone()).collect();
            paths.sort();
            assert_eq!(listed, paths, "{}", case.name);
            let out = path.with_extension("out");
            fs::create_dir(&out).unwrap();
            run(&mcopy, &["-s", "-n", "-m", "-i", image, "::*", out.to_str().unwrap()]);
            same_lines(case.name, &folder_lines(&out), &expected);
            for step in sample.tree.walk().skip(1) {
                let host = out.join(std::str::from_utf8(&step.path[1..]).unwrap());
                if host.is_file() {
                    let modified = fs::metadata(&host).unwrap().modified().unwrap();
                    let seconds = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
                    assert_eq!(seconds, sample.tree.node(step.node).meta.mtime.sec / 2 * 2, "{host:?}");
                }
            }
        });
    }
}

#[test]
fn the_fatfs_crate_reads_the_same_tree() {
    for case in CASES.iter().filter(|case| !case.name.contains("64 KiB clusters")) {
        each_image(case, |path, sample| {
            let file = File::options().read(true).write(true).open(path).unwrap();
            let volume = fatfs::FileSystem::new(file, fatfs::FsOptions::new()).unwrap();
            assert_eq!(volume.stats().unwrap().free_clusters(), {
                let opened = open(&ImageFile(File::open(path).unwrap()));
                (opened.usage.free / u64::from(volume.cluster_size())) as u32
            });
            let mut lines = Vec::new();
            let mut waiting = vec![(volume.root_dir(), String::new())];
            while let Some((directory, prefix)) = waiting.pop() {
                for entry in directory.iter() {
                    let entry = entry.unwrap();
                    let path = format!("{prefix}/{}", entry.file_name());
                    if [".", ".."].contains(&&*entry.file_name()) {
                        continue;
                    }
                    if entry.is_dir() {
                        lines.push((format!("{path}/"), None));
                        waiting.push((entry.to_dir(), path));
                    } else {
                        let mut bytes = Vec::new();
                        std::io::Read::read_to_end(&mut entry.to_file(), &mut bytes).unwrap();
                        lines.push((path, Some(bytes)));
                    }
                }
            }
            lines.sort();
            same_lines(case.name, &lines, &expected(sample));
        });
    }
}

/// Images that mkfs.fat made and mcopy filled: nothing to find, and the tree is the one that was copied.
#[test]
fn images_of_others_are_read_in_silence() {
    let test = "images_of_others_are_read_in_silence";
    let Some(mkfs) = tool(test, "mkfs.fat", "dosfstools") else { return };
    let Some(mcopy) = tool(test, "mcopy", "mtools") else { return };
    let Some(mdel) = tool(test, "mdel", "mtools") else { return };
    let cases: &[(u64, &[&str])] = &[
        (MIB, &[]),
        (1440 * KIB, &["-n", "FLOPPY"]),
        (20 * MIB, &["-F", "16", "-n", "ESP"]),
        (20 * MIB, &["-F", "32", "-n", "SMALL32"]),
        (40 * MIB, &["-F", "32"]),
        (40 * MIB, &["-F", "32", "-f", "1", "-R", "64", "-h", "2048"]),
        (64 * MIB, &["-S", "4096", "-F", "16"]),
        (300 * MIB, &["-S", "4096", "-F", "32", "-n", "BIG"]),
        (600 * MIB, &[]),
    ];
    for (len, options) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("image");
        File::create(&path).unwrap().set_len(*len).unwrap();
        let image = path.to_str().unwrap();
        let output = command(&mkfs, &[*options, &[image]].concat()).output().unwrap();
        assert!(output.status.success(), "{options:?}: {}", String::from_utf8_lossy(&output.stderr));
        let silent = |expected: &[Line], when: &str| {
            let file = ImageFile(File::open(&path).unwrap());
            assert!((row().recognise)(&file));
            let opened = open(&file);
            let damage: Vec<String> = opened.damage.iter().map(ToString::to_string).collect();
            assert_eq!(damage, [""; 0], "{options:?}, {when}");
            same_lines(when, &read_back(&opened, &file), expected);
        };
        silent(&[], "empty");
        if options.contains(&"SMALL32") {
            continue; // mtools go by the number of clusters and take it for FAT16
        }
        let source = folder.path().join("source");
        fs::create_dir_all(source.join("sub folder/DEEP")).unwrap();
        for (name, size) in [
            ("README.TXT", 10),
            ("lower.txt", 2000),
            ("Mixed Case.txt", 3),
            ("Grüße.txt", 70_000),
            ("sub folder/file", 513),
            ("sub folder/DEEP/x.y.z", 1),
            ("empty", 0),
        ] {
            fs::write(source.join(name), noise(name, size)).unwrap();
        }
        let expected = folder_lines(&source);
        for entry in fs::read_dir(&source).unwrap() {
            run(&mcopy, &["-s", "-m", "-i", image, entry.unwrap().path().to_str().unwrap(), "::"]);
        }
        silent(&expected, "filled");
        run(&mdel, &["-i", image, "::lower.txt"]);
        let kept: Vec<Line> = expected.iter().filter(|(path, _)| path != "/lower.txt").cloned().collect();
        silent(&kept, "one deleted");
        fs::write(source.join("another file.txt"), noise("another", 50_000)).unwrap();
        run(&mcopy, &["-m", "-i", image, source.join("another file.txt").to_str().unwrap(), "::"]);
        let more = folder_lines(&source).into_iter().filter(|(path, _)| path != "/lower.txt");
        silent(&more.collect::<Vec<_>>(), "filled again");
    }
}

/// mkfs.fat and we agree on what `blkid` and friends look at.
#[test]
fn minfo_reads_our_boot_sector() {
    let Some(minfo) = tool("minfo_reads_our_boot_sector", "minfo", "mtools") else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image");
    let laid = lay("-n ESP -i 1234ABCD", &empty().tree, 40 * MIB, 512).unwrap();
    write_image(&path, &laid.layout, &empty().contents);
    let text = run(&minfo, &["-i", path.to_str().unwrap(), "::"]);
    for line in [
        "sector size: 512 bytes",
        "hidden sectors: 2048",
        "serial number: 1234ABCD",
        "disk label=\"ESP        \"",
        "disk type=\"FAT32   \"",
        "backup boot sector=6",
        "infoSector location=1",
    ] {
        assert!(text.contains(line), "{line} in\n{text}");
    }
}
