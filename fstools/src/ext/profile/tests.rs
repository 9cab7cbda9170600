//! Which profile is chosen, and what it makes.

use super::*;
use crate::ext::format::Generation;
use crate::ext::options::request;

fn release(id: &str, version: Option<&str>, like: &[&str], codenames: &[&str]) -> Named {
    Named {
        id: id.to_owned(),
        like: like.iter().map(|&it| it.to_owned()).collect(),
        version: version.map(str::to_owned),
        codenames: codenames.iter().map(|&it| it.to_owned()).collect(),
        pretty: None,
    }
}

fn chosen(release: Named) -> Option<&'static str> {
    by_release(&release).map(|row| row.name)
}

#[test]
fn a_release_finds_its_row() {
    for (id, version, row) in [
        ("debian", Some("12"), Some("debian-12")),
        ("debian", Some("12.5"), Some("debian-12")),
        ("debian", Some("14"), Some("debian-13")),
        ("debian", None, Some("debian-sid")),
        ("debian", Some("8"), None),
        ("ubuntu", Some("24.04"), Some("ubuntu-24.04")),
        ("ubuntu", Some("24.10"), Some("ubuntu-24.04")),
        ("ubuntu", Some("25.10"), Some("ubuntu-25.10")),
        ("ubuntu", Some("16.04"), None),
        ("opensuse-leap", Some("15.6"), Some("sles-15.4")),
        ("opensuse-leap", Some("16.0"), Some("sles-16")),
        ("sles", Some("12.5"), Some("sles-12")),
        ("sles", Some("15"), Some("sles-15")),
        ("opensuse-tumbleweed", Some("20260101"), Some("tumbleweed")),
        ("fedora", Some("40"), Some("fedora-39")),
        ("rhel", Some("8.10"), Some("rhel-8")),
        ("rhel", Some("7.9"), Some("rhel-7")),
        ("arch", None, Some("arch")),
        ("plan9", Some("4"), None),
    ] {
        assert_eq!(chosen(release(id, version, &[], &[])), row, "{id} {version:?}");
    }
}

#[test]
fn those_that_stand_on_another_count_as_that_one() {
    assert_eq!(chosen(release("almalinux", Some("9.4"), &["rhel", "centos", "fedora"], &[])), Some("rhel-9"));
    assert_eq!(chosen(release("rocky", Some("8.9"), &["rhel", "centos", "fedora"], &[])), Some("rhel-8"));
    assert_eq!(chosen(release("centos", Some("7"), &["rhel", "fedora"], &[])), Some("rhel-7"));
    assert_eq!(
        chosen(release("linuxmint", Some("21.2"), &["ubuntu", "debian"], &["victoria", "jammy"])),
        Some("ubuntu-22.04")
    );
    assert_eq!(chosen(release("raspbian", Some("12"), &["debian"], &["bookworm"])), Some("debian-12"));
    assert_eq!(chosen(release("manjaro", None, &["arch"], &[])), Some("arch"));
    // Its numbers are its own.
    assert_eq!(chosen(release("amzn", Some("2023"), &["fedora"], &[])), None);
    assert_eq!(chosen(release("kali", Some("2024.1"), &["debian"], &["kali-rolling"])), None);
}

#[test]
fn the_table_is_sound() {
    for (at, row) in RELEASES.iter().enumerate() {
        assert!(!RELEASES[..at].iter().any(|other| other.name == row.name), "{}: twice", row.name);
        assert_eq!(by_name(row.name).unwrap().name, row.name);
        if let (From(major, minor), Some(next)) = (row.versions, RELEASES.get(at + 1))
            && let From(next_major, next_minor) = next.versions
            && next.ids == row.ids
        {
            assert!((major, minor) < (next_major, next_minor), "{}: sorted", row.name);
        }
        let evidence = row.profile(String::new(), false).evidence;
        assert!(
            evidence.starts_with("measured") || evidence.starts_with("documented: "),
            "{}: {evidence}",
            row.name
        );
    }
    for row in crate::ext::options::features::FEATURES {
        assert!(SINCE.iter().any(|since| since.feature == row.1), "{}: since when?", row.0);
    }
}

fn features(target: &Target, generation: Generation, line: &[&str]) -> (Features, registry::Profile) {
    let profile = Profile::of(target).unwrap();
    let line: Vec<String> = line.iter().map(|&it| it.to_owned()).collect();
    let options = request(generation, &line).unwrap().options(&profile).unwrap();
    (options.format.features, profile.report(options.format.features))
}

/// No release gets by default what a part of it cannot read.
#[test]
fn defaults_are_read_by_everything_in_a_release() {
    for row in RELEASES {
        for generation in [Generation::Ext2, Generation::Ext3, Generation::Ext4] {
            for boot in [None, Some(BootReader::Grub)] {
                let target = Target { named: Some(row.name.to_owned()), boot, ..Target::default() };
                let (features, report) = features(&target, generation, &[]);
                assert_eq!(report.warnings, Vec::<String>::new(), "{}", row.name);
                let known = |part: fn(&Since) -> Option<Version>, has: Version| {
                    SINCE
                        .iter()
                        .filter(|since| features.has(since.feature))
                        .all(|since| part(since).is_some_and(|it| it <= has))
                };
                assert!(known(|since| Some(since.e2fsprogs), row.e2fsprogs), "{}: e2fsck", row.name);
                assert!(known(|since| Some(since.kernel), row.kernel), "{}: kernel", row.name);
                let grub = if row.grub_patched { (2, 12, 0) } else { row.grub };
                assert!(boot.is_none() || known(|since| since.grub, grub), "{}: GRUB", row.name);
            }
        }
    }
}

#[test]
fn what_grub_reads_has_no_more_than_grub_knows() {
    let old = |boot| Target { named: Some("fedora-39".to_owned()), boot, ..Target::default() };
    let (with, _) = features(&old(None), Generation::Ext4, &[]);
    let (without, _) = features(&old(Some(BootReader::Grub)), Generation::Ext4, &[]);
    assert!(with.has(Feature::CSUM_SEED) && !without.has(Feature::CSUM_SEED));
    assert!(without.has(Feature::ORPHAN_FILE), "GRUB need not know what only writers must");
    // What is asked for stays, and is warned of.
    let jammy =
        Target { named: Some("ubuntu-22.04".to_owned()), boot: Some(BootReader::Grub), ..Target::default() };
    let (asked, report) =
        features(&jammy, Generation::Ext4, &["-O", "metadata_csum_seed,orphan_file,ea_inode"]);
    assert!(asked.has(Feature::CSUM_SEED) && asked.has(Feature::ORPHAN_FILE));
    assert_eq!(
        report.warnings,
        [
            "e2fsck 1.46.5 does not know orphan_file",
            "its GRUB 2.06 does not know ea_inode",
            "its GRUB 2.06 does not know metadata_csum_seed"
        ]
    );
}

#[test]
fn a_tree_without_a_known_release_says_it_by_its_own_configuration() {
    let text = "[defaults]\n base_features = sparse_super,filetype\n inode_size = 512\n\
        [fs_types]\n ext4 = {\n\tfeatures = has_journal,extent,quota\n\tinode_ratio = 8192\n blocksize = 1024\n hash_alg = tea\n }\n";
    let target = Target { mke2fs_conf: Some(text.to_owned()), ..Target::default() };
    let profile = Profile::of(&target).unwrap();
    let options = request(Generation::Ext4, &[]).unwrap().options(&profile).unwrap();
    let report = profile.report(options.format.features);
    assert_eq!(
        (report.name.as_str(), options.format.inode_size, options.format.block_size),
        ("mke2fs.conf", 512, 4096)
    );
    assert_eq!(options.inodes, crate::ext::options::Inodes::Ratio(8192));
    assert_eq!(options.format.features.incompat, 0x42);
    assert_eq!(
        report.warnings,
        ["left out of mke2fs.conf: feature quota", "left out of mke2fs.conf: ext4: hash_alg = tea"]
    );
    let broken = Target { mke2fs_conf: Some("[defaults]\nwhat\n".to_owned()), ..Target::default() };
    let report = Profile::of(&broken).unwrap();
    assert_eq!(report.name, "default");
    assert!(report.reason.contains("line 2"), "{}", report.reason);
    // GRUB of an unknown release is an old one.
    let seed = "[fs_types]\next4 = {\nfeatures = extent,metadata_csum,metadata_csum_seed\n}\n";
    let grub =
        Target { mke2fs_conf: Some(seed.to_owned()), boot: Some(BootReader::Grub), ..Target::default() };
    assert!(!features(&grub, Generation::Ext4, &[]).0.has(Feature::CSUM_SEED));
    assert!(features(&Target { boot: None, ..grub }, Generation::Ext4, &[]).0.has(Feature::CSUM_SEED));
}

#[test]
fn a_configuration_in_any_state_is_read_or_refused() {
    for (text, outcome) in [
        ("", Ok(())),
        ("# a\n; b\n\n[defaults]\nblocksize = -1\n", Ok(())),
        ("[options]\nproceed_delay = 5\n[devices]\n /dev/x = {\n usage_types = news\n }\n", Ok(())),
        ("[defaults]\nx = \"y\"\ninode_size = 99\n", Ok(())),
        ("[defaults\n", Err(1)),
        ("[fs_types]\next4 = {\n", Err(2)),
        ("[fs_types]\next4 = {\na = {\n", Err(3)),
        ("}\n", Err(1)),
        ("[fs_types]\nfeatures = a\n", Err(2)),
        ("[fs_types]\next4 = {\n[defaults]\n}", Err(3)),
    ] {
        assert_eq!(Conf::parse(text).map(|_| ()), outcome, "{text:?}");
    }
    let twice = Conf::parse("[fs_types]\nnews = {\ninode_ratio = 4096\ninode_ratio = 8192\n}\n").unwrap();
    assert_eq!(twice.stanza("news").unwrap().inode_ratio, Some(4096));
}

#[test]
fn a_name_that_is_none_is_refused_with_all_that_are() {
    let target = Target { named: Some("debian-99".to_owned()), ..Target::default() };
    let refusal = Profile::of(&target).unwrap_err();
    assert!(refusal.reason.contains("debian-99") && refusal.hint.unwrap().contains("debian-12"));
}
