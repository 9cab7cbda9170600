//! What is taken, what follows from it, and what is refused.

use super::features::{NEVER, NOT_MADE};
use super::*;
use crate::registry::{Release, Target};

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn parse(generation: Generation, line: &str) -> Result<Options, Refusal> {
    request(generation, &words(line))?.options(&Profile::unknown("a test"))
}

fn ext4(line: &str) -> Options {
    parse(Generation::Ext4, line).unwrap_or_else(|refusal| panic!("{line}: {refusal}"))
}

/// Features that are on, but for those of the default.
fn switched(line: &str) -> (Vec<&'static str>, Vec<&'static str>) {
    let (before, after) = (Generation::Ext4.features(), ext4(line).format.features);
    let names = |has: Features, not: Features| {
        let rows = features::FEATURES.iter().filter(|row| has.has(row.1) && !not.has(row.1));
        let mut names: Vec<&str> = rows.map(|row| features::name(row.1)).collect();
        names.dedup();
        names
    };
    (names(after, before), names(before, after))
}

#[test]
fn nothing_said_is_what_a_generation_gets() {
    for generation in [Generation::Ext2, Generation::Ext3, Generation::Ext4] {
        assert_eq!(parse(generation, ""), Ok(Options::of(generation)));
        assert_eq!(parse(generation, &format!("-t {}", generation.name())), Ok(Options::of(generation)));
    }
}

#[test]
fn options_of_mke2fs_are_taken() {
    let options =
        ext4("-Fq -t ext4 -Lroot -m 2.5 -N 5000 -b1024 -I 512 -J size=16 -E stride=4,nodiscard -vG 32");
    assert_eq!((options.label.as_str(), options.reserved, options.flex), ("root", 250, 32));
    assert_eq!(options.inodes, Inodes::Count(5000));
    assert_eq!((options.journal, options.stride), (Some(16_384), 4));
    let format = options.format;
    assert_eq!((format.block_size, format.inode_size, format.blocks_per_group), (1024, 512, 8192));
    let options =
        ext4("-b 4k -i 64k -g 0x1000 -e panic -M /mnt -R stripe-width=16 -r 1 -o Linux -c -D -K -j");
    assert_eq!((options.format.block_size, options.format.blocks_per_group), (4096, 4096));
    assert_eq!((options.inodes, options.errors, options.stripe_width), (Inodes::Ratio(65_536), 3, 16));
    let options = ext4("-E resize=1g,orphan_file_size=64,num_backup_sb=1,root_owner=7:8,root_perms=1770");
    assert_eq!((options.resize, options.orphan_file, options.backups), (Some(262_144), Some(64), 1));
    assert_eq!((options.root_owner, options.root_mode), (Some((7, 8)), Some(0o1770)));
    assert_eq!(ext4("-b -1024").format.block_size, 4096);
    assert_eq!(ext4("-E mount_opts=commit=30").mount_options, "commit=30");
    assert_eq!(ext4("-m .5").reserved, 50);
    assert_eq!(ext4("-m 5.").reserved, 500);
}

#[test]
fn usages_are_those_of_mke2fs_conf() {
    let small = ext4("-T small");
    assert_eq!((small.format.block_size, small.inodes), (1024, Inodes::Ratio(4096)));
    assert_eq!(ext4("-T largefile4").inodes, Inodes::Ratio(4 << 20));
    assert_eq!(ext4("-T hurd").format.inode_size, 128);
    // The last one counts, and what is said of its own counts more.
    let both = ext4("-T small,news,default -b 2048");
    assert_eq!((both.format.block_size, both.inodes), (2048, Inodes::Ratio(4096)));
    assert_eq!(ext4("-T news,big -I 512").inodes, Inodes::Ratio(32_768));
    assert_eq!(ext4("-T default").format.block_size, 4096);
}

#[test]
fn features_are_switched_by_any_of_their_names() {
    assert_eq!(switched("-O ^has_journal,^resize_inode"), (vec![], vec!["has_journal", "resize_inode"]));
    assert_eq!(
        switched("-O ORPHAN_FILE,-Huge_File,+sparse_super2"),
        (vec!["sparse_super2", "orphan_file"], vec!["huge_file"])
    );
    assert_eq!(switched("-O extents,FEATURE_C12"), (vec!["orphan_file"], vec![]));
    assert_eq!(switched("-O ^metadata_csum,uninit_groups"), (vec!["uninit_bg"], vec!["metadata_csum"]));
    assert_eq!(ext4("-O none").format.features, Features::default());
    assert_eq!(ext4("-O none,extent,filetype").format.features.incompat, 0x42);
    let separate = request(Generation::Ext4, &["-O".to_owned(), "has_journal ^huge_file".to_owned()]);
    let separate = separate.expect("blanks separate").options(&Profile::unknown("a test")).expect("known");
    assert!(!separate.format.has(Feature::HUGE_FILE));
    for (name, _) in NOT_MADE {
        assert_eq!(switched(&format!("-O ^{name}")), (vec![], vec![]), "{name}");
    }
}

#[test]
fn what_follows_follows_in_silence() {
    // As mke2fs: of both checksums the better one, and a journal where its size is given.
    assert_eq!(switched("-O uninit_bg"), (vec![], vec![]));
    assert_eq!(switched("-O ^has_journal -J size=8"), (vec![], vec![]));
    assert_eq!(switched("-O ^has_journal -J size=0"), (vec![], vec!["has_journal"]));
    assert_eq!(switched("-O ^resize_inode -E resize=1g"), (vec![], vec![]));
    assert_eq!(parse(Generation::Ext2, "-j").unwrap().format.features, Generation::Ext3.features());
    assert_eq!(ext4("-O ^flex_bg").flex, 1);
    assert_eq!(parse(Generation::Ext2, "-O flex_bg").unwrap().flex, 16);
    // One inode for a KiB needs groups as large as a bitmap of inodes.
    assert_eq!(ext4("-i 1024").format.blocks_per_group, 8192);
    // The release's own defaults give way, what was asked for does not.
    let trixie = Target { named: Some("debian-13".to_owned()), ..Target::default() };
    let trixie = Profile::of(&trixie).unwrap();
    let of =
        |line: &str| request(Generation::Ext4, &words(line)).and_then(|request| request.options(&trixie));
    assert!(
        of("").unwrap().format.has(Feature::ORPHAN_FILE) && of("").unwrap().format.has(Feature::CSUM_SEED)
    );
    assert!(!of("-O ^has_journal").unwrap().format.has(Feature::ORPHAN_FILE));
    assert!(!of("-O ^metadata_csum").unwrap().format.has(Feature::CSUM_SEED));
    assert!(of("-O ^has_journal -j").unwrap().format.has(Feature::HAS_JOURNAL));
    parse(Generation::Ext4, "-O orphan_file,^has_journal").expect_err("asked for");
}

#[test]
fn the_rest_is_refused_by_name() {
    for (line, named) in [
        ("-b 65536", "-b 65536"),
        ("-b 8192", "-b 8192"),
        ("-b 3000", "-b"),
        ("-b 512", "512"),
        ("-b 1024 -I 2048", "-I 2048"),
        ("-I 64", "-I"),
        ("-I 384", "384"),
        ("-t ext2", "-t ext2"),
        ("-t ext4 -t ext4", "-t"),
        ("-O ^extent", "64bit needs extent"),
        ("-O ^sparse_super", "resize_inode needs sparse_super"),
        ("-O ^metadata_csum,metadata_csum_seed", "metadata_csum_seed needs metadata_csum"),
        ("-O orphan_file,^has_journal", "orphan_file needs has_journal"),
        ("-O ^flex_bg -G 16", "-G without flex_bg"),
        ("-O ^64bit -E desc_size=64", "desc_size without 64bit"),
        ("-E desc_size=128", "desc_size"),
        ("-O nonsense", "nonsense"),
        ("-O ^nonsense", "nonsense"),
        ("-E nonsense=1", "-E nonsense"),
        ("-E hash_seed=random", "random"),
        ("-E hash_seed", "-E hash_seed"),
        ("-E offset=512", "-E offset"),
        ("-E root_owner", "-E root_owner"),
        ("-E root_owner=root", "-E root_owner"),
        ("-E root_perms=9", "-E root_perms"),
        ("-E quotatype=usrquota", "-E quotatype"),
        ("-E encoding=utf8", "-E encoding"),
        ("-E packed_meta_blocks=1", "-E packed_meta_blocks"),
        ("-E packed_meta_blocks", "-E packed_meta_blocks"),
        ("-E revision=0", "-E revision"),
        ("-E orphan_file_size=3000", "3000"),
        ("-E resize=0", "-E resize"),
        ("-E num_backup_sb=3", "-E num_backup_sb"),
        ("-J device=/dev/sda", "-J device"),
        ("-J location=5", "-J location"),
        ("-J size", "-J size"),
        ("-J nonsense", "-J nonsense"),
        // 256 blocks are too few, 40 GB of blocks of 1 KiB too many.
        ("-J size=1", "-J size=1"),
        ("-b 1024 -J size=20000", "-J size=20000"),
        ("-g 100", "-g"),
        ("-g 260", "260"),
        ("-b 1024 -g 16384", "-g 16384"),
        ("-i 1000", "-i"),
        ("-i 100m", "-i"),
        ("-i 1024 -I 512", "-i 1024"),
        ("-N 0", "-N"),
        ("-N 4294967296", "-N"),
        ("-Z", "-Z"),
        ("-L", "-L"),
        ("-L seventeen-bytes-x", "-L"),
        ("-U nonsense", "-U"),
        ("-U time", "time"),
        ("-m 51", "51"),
        ("-m 5x", "5x"),
        ("-m .", "."),
        ("-m 0.001", "0.001"),
        ("-m -1", "-1"),
        ("-G 24", "24"),
        ("-T nonsense", "nonsense"),
        ("-C 65536", "-C"),
        ("-d tree", "-d"),
        ("-l list", "-l"),
        ("-n", "-n"),
        ("-o hurd", "hurd"),
        ("-r 0", "-r"),
        ("-s 1", "-s"),
        ("-qS", "-S"),
        ("-V", "-V"),
        ("-z undo", "-z"),
        ("-e never", "never"),
        ("image", "image"),
        ("-F -- image", "image"),
        ("-", "-"),
    ] {
        let refusal = parse(Generation::Ext4, line).expect_err(line);
        assert!(refusal.reason.contains(named), "{line}: {refusal}");
    }
    for (name, hint) in NOT_MADE {
        let refusal = parse(Generation::Ext4, &format!("-O {name}")).expect_err(name);
        assert!(refusal.reason.contains(name) && refusal.hint.as_deref() == Some(hint), "{refusal}");
    }
    for name in NEVER {
        parse(Generation::Ext4, &format!("-O {name}")).expect_err(name);
        parse(Generation::Ext4, &format!("-O ^{name}")).expect_err(name);
    }
}

#[test]
fn no_value_is_a_surprise() {
    let numbers = [
        "",
        "0",
        "1",
        "00",
        "0x",
        "-0",
        "+1",
        "1k",
        "1T",
        "99999999999999999999",
        "18446744073709551615",
        "é",
        "1é",
        "18014398509481984k",
        "0x10",
        "010",
        " 1",
        ".",
        "1.",
        "nan",
        "inf",
        "=",
        ",",
        "^",
        "^^extent",
        "none",
        "\0",
    ];
    let options = [
        "-b", "-C", "-d", "-e", "-E", "-g", "-G", "-i", "-I", "-J", "-l", "-L", "-m", "-M", "-N", "-o", "-O",
        "-r", "-R", "-s", "-t", "-T", "-U", "-z", "-é",
    ];
    let keys = [
        "-E resize=",
        "-E orphan_file_size=",
        "-E stride=",
        "-E stripe_width=",
        "-E num_backup_sb=",
        "-E desc_size=",
        "-E root_owner=",
        "-E root_perms=",
        "-E hash_seed=",
        "-E mount_opts=",
        "-J size=",
        "-J fast_commit_size=",
    ];
    let mut taken = 0;
    for number in numbers {
        for option in options {
            for attached in [false, true] {
                let line = if attached {
                    vec![format!("{option}{number}")]
                } else {
                    vec![option.to_owned(), number.to_owned()]
                };
                let outcome = request(Generation::Ext4, &line)
                    .and_then(|request| request.options(&Profile::unknown("a test")));
                taken += usize::from(outcome.is_ok());
            }
        }
        for key in keys {
            let (option, key) = key.split_once(' ').unwrap();
            let line = [option.to_owned(), format!("{key}{number}")];
            let outcome = request(Generation::Ext4, &line)
                .and_then(|request| request.options(&Profile::unknown("a test")));
            taken += usize::from(outcome.is_ok());
        }
    }
    assert!((100..300).contains(&taken), "{taken} of them are taken");
}

#[test]
fn help_names_every_feature() {
    let (_, text) = HELP.iter().find(|(option, _)| option.starts_with("-O")).unwrap();
    for row in features::FEATURES {
        let named = text.split([',', ':', ';', ' ']).any(|word| word == row.0);
        assert!(named || ["extents", "uninit_groups"].contains(&row.0), "{}", row.0);
    }
}

#[test]
fn an_unknown_release_keeps_the_defaults() {
    let release = Release { id: "plan9".to_owned(), ..Release::default() };
    let profile = Profile::of(&Target { release: Some(release), ..Target::default() }).unwrap();
    let options = request(Generation::Ext4, &[]).unwrap().options(&profile).unwrap();
    assert_eq!(options, Options::of(Generation::Ext4));
}
