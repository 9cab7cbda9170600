//! What mke2fs makes in each release, and what kernel, e2fsck and GRUB of a release can read.
//!
//! The features of a file system come from the release that will use it, so that they are those that its own mke2fs
//! would have chosen: an e2fsck that does not know a feature stops the boot, and a GRUB that does not know one does not
//! even begin it. [`RELEASES`] says which versions a release has, [`SINCE`] from which version on a feature is read.
//! *Measured* rows were made by running the release's own mke2fs, e2fsck and grub-fstest; *documented* ones say after
//! what.
//!
//! Of the other loaders systemd-boot reads FAT alone. U-Boot looks at no feature but 64bit, which its older releases
//! refuse (`ext4fs_mount` in its `fs/ext4/ext4_common.c`): `-O ^64bit` is for those.

pub(super) mod conf;

use super::format::{Feature, Features};
use super::options::features::{edits, name};
use crate::registry::{self, BootReader, Release as Named, Target};
use conf::{Conf, Stanza};
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};

/// Parts of a version number, compared one after the other.
type Version = (u16, u16, u16);

/// From which version on a feature is known.
struct Since {
    feature: Feature,
    /// Linux mounts it and writes (ext4(5), section KERNEL SUPPORT; orphan_file: release notes of e2fsprogs 1.47.0).
    kernel: Version,
    /// e2fsck checks it (release notes of e2fsprogs; the last four measured).
    e2fsprogs: Version,
    /// GRUB reads a file system that has it (its `EXT2_DRIVER_SUPPORTED_INCOMPAT`; the last four measured); `None`: never.
    grub: Option<Version>,
}

const fn since(feature: Feature, kernel: Version, e2fsprogs: Version, grub: Option<Version>) -> Since {
    Since { feature, kernel, e2fsprogs, grub }
}

/// The oldest GRUB 2 that counts.
const ANY_GRUB: Option<Version> = Some((2, 0, 0));

const SINCE: &[Since] = &[
    since(Feature::HAS_JOURNAL, (2, 4, 15), (1, 19, 0), ANY_GRUB),
    since(Feature::EXT_ATTR, (2, 6, 0), (1, 28, 0), ANY_GRUB),
    since(Feature::RESIZE_INODE, (2, 6, 10), (1, 36, 0), ANY_GRUB),
    since(Feature::DIR_INDEX, (2, 6, 0), (1, 28, 0), ANY_GRUB),
    since(Feature::FILETYPE, (2, 2, 0), (1, 19, 0), ANY_GRUB),
    since(Feature::EXTENTS, (2, 6, 28), (1, 41, 0), ANY_GRUB),
    since(Feature::BIT64, (2, 6, 28), (1, 42, 0), ANY_GRUB),
    since(Feature::FLEX_BG, (2, 6, 28), (1, 41, 0), ANY_GRUB),
    since(Feature::SPARSE_SUPER, (2, 2, 0), (1, 19, 0), ANY_GRUB),
    since(Feature::LARGE_FILE, (2, 2, 0), (1, 19, 0), ANY_GRUB),
    since(Feature::HUGE_FILE, (2, 6, 28), (1, 41, 0), ANY_GRUB),
    since(Feature::GDT_CSUM, (2, 6, 28), (1, 41, 0), ANY_GRUB),
    since(Feature::DIR_NLINK, (2, 6, 28), (1, 41, 0), ANY_GRUB),
    since(Feature::EXTRA_ISIZE, (2, 6, 28), (1, 41, 0), ANY_GRUB),
    since(Feature::METADATA_CSUM, (3, 18, 0), (1, 43, 0), ANY_GRUB),
    since(Feature::SPARSE_SUPER2, (3, 16, 0), (1, 43, 0), ANY_GRUB),
    since(Feature::EA_INODE, (4, 13, 0), (1, 44, 0), None),
    since(Feature::CSUM_SEED, (4, 4, 0), (1, 43, 0), Some((2, 12, 0))),
    since(Feature::ORPHAN_FILE, (5, 15, 0), (1, 47, 0), ANY_GRUB),
];

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Evidence {
    /// The release's own mke2fs, e2fsck and grub-fstest were run.
    Measured,
    /// Its own mke2fs and e2fsck were run; GRUB is after its version.
    MeasuredButGrub,
    /// After what.
    Documented(&'static str),
}

/// Which releases a row is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Versions {
    /// From this `VERSION_ID` on, up to the next row of the same distribution.
    From(u16, u16),
    /// Those without versions.
    Rolling,
}

/// A release of a distribution.
struct Release {
    /// As in `--target`.
    name: &'static str,
    /// `ID` in os-release(5).
    ids: &'static [&'static str],
    versions: Versions,
    /// `VERSION_CODENAME`, which derived distributions give for what they stand on.
    codename: &'static str,
    kernel: Version,
    e2fsprogs: Version,
    grub: Version,
    /// Whether its GRUB reads metadata_csum_seed, though its version does not say so.
    grub_patched: bool,
    /// Features of `ext4` in its mke2fs.conf, beyond those of ext2.
    ext4: &'static str,
    evidence: Evidence,
}

/// e2fsprogs 1.42
const UNINIT: &str = "has_journal,extent,huge_file,flex_bg,uninit_bg,dir_nlink,extra_isize";
/// e2fsprogs 1.43
const UNINIT_64: &str = "has_journal,extent,huge_file,flex_bg,uninit_bg,64bit,dir_nlink,extra_isize";
/// e2fsprogs 1.44 to 1.46
const CHECKSUMS: &str = "has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize";
/// e2fsprogs 1.47
const ORPHANS: &str = "has_journal,extent,huge_file,flex_bg,metadata_csum,metadata_csum_seed,64bit,dir_nlink,\
                       extra_isize,orphan_file";

const SUSE: &[&str] = &["sles", "sled", "sle_hpc", "sles_sap", "opensuse-leap"];

#[allow(clippy::too_many_arguments)] // a row of a table
const fn row(
    name: &'static str,
    ids: &'static [&'static str],
    versions: Versions,
    codename: &'static str,
    kernel: Version,
    e2fsprogs: Version,
    grub: Version,
    ext4: &'static str,
    evidence: Evidence,
) -> Release {
    Release { name, ids, versions, codename, kernel, e2fsprogs, grub, grub_patched: false, ext4, evidence }
}

use Evidence::{Documented, Measured, MeasuredButGrub};
use Versions::{From, Rolling};

/// Sorted by distribution, then by version.
#[rustfmt::skip]
const RELEASES: &[Release] = &[
    row("debian-10", &["debian"], From(10, 0), "buster", (4, 19, 0), (1, 44, 5), (2, 2, 0), CHECKSUMS,
        Documented("mke2fs.conf of e2fsprogs 1.44.5")),
    row("debian-11", &["debian"], From(11, 0), "bullseye", (5, 10, 0), (1, 46, 2), (2, 6, 0), CHECKSUMS, Measured),
    Release { grub_patched: true, ..
    row("debian-12", &["debian"], From(12, 0), "bookworm", (6, 1, 0), (1, 47, 0), (2, 6, 0), CHECKSUMS, Measured) },
    row("debian-13", &["debian"], From(13, 0), "trixie", (6, 12, 0), (1, 47, 2), (2, 12, 0), ORPHANS, Measured),
    row("debian-sid", &["debian"], Rolling, "sid", (6, 12, 0), (1, 47, 2), (2, 12, 0), ORPHANS,
        Documented("changelog of Debian's e2fsprogs 1.47.1~rc1-1")),
    row("ubuntu-18.04", &["ubuntu"], From(18, 4), "bionic", (4, 15, 0), (1, 44, 1), (2, 2, 0), CHECKSUMS, Measured),
    row("ubuntu-20.04", &["ubuntu"], From(20, 4), "focal", (5, 4, 0), (1, 45, 5), (2, 4, 0), CHECKSUMS, Measured),
    row("ubuntu-22.04", &["ubuntu"], From(22, 4), "jammy", (5, 15, 0), (1, 46, 5), (2, 6, 0), CHECKSUMS, Measured),
    row("ubuntu-24.04", &["ubuntu"], From(24, 4), "noble", (6, 8, 0), (1, 47, 0), (2, 12, 0), CHECKSUMS, Measured),
    row("ubuntu-25.10", &["ubuntu"], From(25, 10), "questing", (6, 17, 0), (1, 47, 2), (2, 14, 0), ORPHANS, MeasuredButGrub),
    row("ubuntu-26.04", &["ubuntu"], From(26, 4), "resolute", (6, 17, 0), (1, 47, 2), (2, 14, 0), ORPHANS, MeasuredButGrub),
    row("sles-12", SUSE, From(12, 0), "", (3, 12, 0), (1, 42, 11), (2, 2, 0), UNINIT,
        Documented("mke2fs.conf of e2fsprogs 1.42.13")),
    row("sles-15", SUSE, From(15, 0), "", (4, 12, 0), (1, 43, 8), (2, 2, 0), UNINIT_64,
        Documented("mke2fs.conf of e2fsprogs 1.43.8")),
    row("sles-15.4", SUSE, From(15, 4), "", (5, 14, 0), (1, 46, 4), (2, 6, 0), CHECKSUMS,
        Documented("mke2fs.conf of e2fsprogs 1.46.5")),
    row("sles-16", SUSE, From(16, 0), "", (6, 12, 0), (1, 47, 0), (2, 12, 0), ORPHANS,
        Documented("mke2fs.conf of e2fsprogs 1.47.0")),
    row("tumbleweed", &["opensuse-tumbleweed", "opensuse-microos", "opensuse-slowroll"], Rolling, "", (6, 12, 0), (1, 47, 0), (2, 12, 0), ORPHANS,
        Documented("mke2fs.conf of e2fsprogs 1.47.0")),
    row("fedora-34", &["fedora"], From(34, 0), "", (5, 11, 0), (1, 45, 6), (2, 4, 0), CHECKSUMS,
        Documented("mke2fs.conf of e2fsprogs 1.45.5")),
    row("fedora-39", &["fedora"], From(39, 0), "", (6, 5, 0), (1, 47, 0), (2, 6, 0), ORPHANS,
        Documented("mke2fs.conf of e2fsprogs 1.47.0; github.com/tytso/e2fsprogs/issues/147")),
    row("fedora-41", &["fedora"], From(41, 0), "", (6, 11, 0), (1, 47, 1), (2, 12, 0), ORPHANS,
        Documented("mke2fs.conf of e2fsprogs 1.47.1")),
    row("rhel-7", &["rhel"], From(7, 0), "", (3, 10, 0), (1, 42, 9), (2, 2, 0), UNINIT,
        Documented("mke2fs.conf of e2fsprogs 1.42.13")),
    row("rhel-8", &["rhel"], From(8, 0), "", (4, 18, 0), (1, 45, 6), (2, 2, 0), CHECKSUMS,
        Documented("mke2fs.conf of e2fsprogs 1.45.5")),
    row("rhel-9", &["rhel"], From(9, 0), "", (5, 14, 0), (1, 46, 5), (2, 6, 0), CHECKSUMS,
        Documented("mke2fs.conf of e2fsprogs 1.46.5")),
    row("rhel-10", &["rhel"], From(10, 0), "", (6, 12, 0), (1, 47, 1), (2, 12, 0), ORPHANS,
        Documented("mke2fs.conf of e2fsprogs 1.47.1")),
    row("arch", &["arch"], Rolling, "", (6, 12, 0), (1, 47, 0), (2, 12, 0), ORPHANS,
        Documented("mke2fs.conf of e2fsprogs 1.47.0")),
];

/// What all of them have in common: `[defaults]` and the usages of every mke2fs.conf since e2fsprogs 1.42, without the
/// small blocks that it gives to small file systems.
const COMMON: &str = "
[defaults]
    base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
    default_mntopts = acl,user_xattr
    inode_size = 256
    inode_ratio = 16384
[fs_types]
    ext3 = {
        features = has_journal
    }
    small = {
        blocksize = 1024
        inode_ratio = 4096
    }
    floppy = {
        blocksize = 1024
        inode_ratio = 8192
    }
    big = {
        inode_ratio = 32768
    }
    huge = {
        inode_ratio = 65536
    }
    news = {
        inode_ratio = 4096
    }
    largefile = {
        inode_ratio = 1048576
    }
    largefile4 = {
        inode_ratio = 4194304
    }
    hurd = {
        inode_size = 128
    }
";

/// Defaults for a file system, and what the system that will use it cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Profile {
    /// Its name: a row of the table, `mke2fs.conf` or `default`.
    pub(super) name: String,
    /// Why this one.
    pub(super) reason: String,
    /// What the profile rests on.
    pub(super) evidence: String,
    /// Defaults.
    pub(super) conf: Conf,
    /// Whether GRUB reads the file system.
    pub(super) grub: bool,
    /// Features that a part of the system does not know, and which part.
    unread: Vec<(Feature, String)>,
    /// Those of them that its GRUB is known not to read.
    unbootable: Vec<(Feature, String)>,
}

impl Profile {
    /// Where nothing is known of the system: what every kernel since 3.18, e2fsck since 1.43 and GRUB 2 read.
    pub(super) fn unknown(reason: &str) -> Profile {
        Profile {
            name: "default".to_owned(),
            reason: reason.to_owned(),
            evidence: "documented: read by Linux 3.18, e2fsck 1.43 and GRUB 2.00, and all later ones"
                .to_owned(),
            conf: standard(CHECKSUMS),
            grub: false,
            unread: Vec::new(),
            unbootable: Vec::new(),
        }
    }

    /// The profile for a system. Refused: a name that is in no row.
    pub(super) fn of(target: &Target) -> Result<Profile, Refusal> {
        let (release, said) = match (&target.named, &target.release) {
            (Some(name), _) => (Some(by_name(name)?), format!("--target {name}")),
            (None, Some(named)) => {
                (by_release(named), format!("os-release of the tree says {}", named.title()))
            }
            (None, None) => (None, "the tree has no os-release".to_owned()),
        };
        let grub = target.boot == Some(BootReader::Grub);
        if let Some(release) = release {
            return Ok(release.profile(said, grub));
        }
        let said = match &target.release {
            Some(_) => format!("{said}, which is in no row"),
            None => said,
        };
        let mut profile = match target.mke2fs_conf.as_deref().map(Conf::parse) {
            Some(Ok(conf)) => Profile {
                name: "mke2fs.conf".to_owned(),
                reason: format!("{said}; its mke2fs.conf says"),
                evidence: "the tree's own mke2fs.conf".to_owned(),
                conf,
                grub,
                unread: Vec::new(),
                unbootable: Vec::new(),
            },
            Some(Err(line)) => {
                Profile::unknown(&format!("{said}, and line {line} of its mke2fs.conf is none of its forms"))
            }
            None => Profile::unknown(&format!("{said}, and no mke2fs.conf")),
        };
        if grub {
            profile.grub = true;
            profile.unread =
                unread("GRUB 2.06 or older", |row| row.grub.is_some_and(|since| since <= (2, 6, 0)));
        }
        Ok(profile)
    }

    /// Features that must not be on by default.
    pub(super) fn withheld(&self) -> Features {
        let features = self.unread.iter().map(|(feature, _)| *feature);
        features.fold(Features::default(), |features, feature| features.with(feature, true))
    }

    /// What there is to say of it for a file system with these features.
    pub(super) fn report(&self, features: Features) -> registry::Profile {
        let on = |list: &[(Feature, String)]| -> Vec<String> {
            let on = list.iter().filter(|(feature, _)| features.has(*feature));
            on.map(|(feature, part)| format!("{part} does not know {}", name(*feature))).collect()
        };
        let left_out = self.conf.left_out.iter().map(|line| format!("left out of mke2fs.conf: {line}"));
        registry::Profile {
            name: self.name.clone(),
            reason: self.reason.clone(),
            evidence: self.evidence.clone(),
            warnings: on(&self.unread).into_iter().chain(left_out).collect(),
            unbootable: on(&self.unbootable),
        }
    }

    /// The stanzas for a type and usages, the one that counts most first.
    pub(super) fn stanzas<'a>(&'a self, kind: &str, usages: &[String]) -> Vec<&'a Stanza> {
        let usages = usages.iter().rev().filter_map(|usage| self.conf.stanza(usage));
        usages.chain(self.conf.stanza(kind)).chain([&self.conf.defaults]).collect()
    }
}

impl Release {
    fn profile(&self, said: String, grub: bool) -> Profile {
        let (major, minor) = (self.grub.0, self.grub.1);
        let mut list = unread(&format!("Linux {}", version(self.kernel)), |row| row.kernel <= self.kernel);
        list.extend(unread(&format!("e2fsck {}", version(self.e2fsprogs)), |row| {
            row.e2fsprogs <= self.e2fsprogs
        }));
        let mut unbootable = Vec::new();
        if grub {
            let reads = |row: &Since| {
                let patched = self.grub_patched && row.feature == Feature::CSUM_SEED;
                patched || row.grub.is_some_and(|since| since <= self.grub)
            };
            unbootable = unread(&format!("its GRUB {major}.{minor:02}"), reads);
            list.extend(unbootable.iter().cloned());
        }
        Profile {
            name: self.name.to_owned(),
            reason: said,
            evidence: match self.evidence {
                Measured => "measured".to_owned(),
                MeasuredButGrub => "measured, but for GRUB".to_owned(),
                Documented(source) => format!("documented: {source}"),
            },
            conf: standard(self.ext4),
            grub,
            unread: list,
            unbootable,
        }
    }
}

/// The features that a part of the system does not know.
fn unread(part: &str, reads: impl Fn(&Since) -> bool) -> Vec<(Feature, String)> {
    SINCE.iter().filter(|row| !reads(row)).map(|row| (row.feature, part.to_owned())).collect()
}

fn version((major, minor, patch): Version) -> String {
    if patch == 0 { format!("{major}.{minor}") } else { format!("{major}.{minor}.{patch}") }
}

/// A mke2fs.conf with these features of ext4.
fn standard(ext4: &str) -> Conf {
    let mut conf = Conf::parse(COMMON).expect("a constant text");
    let features = Some(edits(ext4).expect("constant names"));
    conf.types.push(("ext4".to_owned(), Stanza { features, ..Stanza::default() }));
    conf
}

/// Names of all rows.
pub(super) fn names() -> Vec<&'static str> {
    RELEASES.iter().map(|release| release.name).collect()
}

fn by_name(name: &str) -> Result<&'static Release, Refusal> {
    RELEASES.iter().find(|release| release.name == name).ok_or_else(|| {
        let reason = format!("no profile of this name: {}", escaped(name.as_bytes()));
        let refusal = super::refusal(RefusalKind::Invalid, "--target", reason);
        refusal.hint(format!("one of: {}", names().join(", ")))
    })
}

/// The row of a release: the newest of its distribution that is not newer. A later release reads what an earlier one reads.
fn by_release(named: &Named) -> Option<&'static Release> {
    let rows_of = |id: &'_ str| -> Vec<&'static Release> {
        RELEASES.iter().filter(|release| release.ids.contains(&id)).collect()
    };
    let version = numbers(named.version.as_deref());
    let newest = |rows: Vec<&'static Release>| {
        let rolling = rows.iter().copied().find(|row| row.versions == Rolling);
        let fitting = |row: &&'static Release| match (row.versions, version) {
            (From(major, minor), Some(version)) => (major, minor) <= version,
            _ => false,
        };
        let numbered = rows.iter().copied().rfind(fitting);
        if version.is_some() && rows.iter().any(|row| row.versions != Rolling) { numbered } else { rolling }
    };
    let own = rows_of(&named.id);
    if !own.is_empty() {
        return newest(own);
    }
    let by_codename = |id: &String| {
        rows_of(id)
            .into_iter()
            .find(|row| !row.codename.is_empty() && named.codenames.iter().any(|it| it == row.codename))
    };
    // Rebuilds of RHEL count as it does; those of rolling distributions have no numbers; others only have code names.
    let like = |id: &String| match id.as_str() {
        "rhel" => newest(rows_of("rhel")),
        "arch" => newest(rows_of("arch")),
        _ => None,
    };
    named.like.iter().find_map(by_codename).or_else(|| named.like.iter().find_map(like))
}

/// The first two numbers of `VERSION_ID`.
fn numbers(version: Option<&str>) -> Option<(u16, u16)> {
    let mut parts = version?.split('.');
    let major = parts.next()?.parse().ok()?;
    Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
}

#[cfg(test)]
mod tests;
