//! One row per file system. Tests, fuzz targets, help and benches iterate over the rows.

use crate::tree::Tree;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Damage, Refusal, ReidError};
use diskwright_formats::identity::Identity;
use diskwright_formats::layout::{Layout, Patch, ReadAt};
use std::fmt;

/// Where a file system will lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes it may use. A writer may leave a rest that is smaller than its unit as a gap.
    pub len: u64,
    /// Bytes in a sector of the disk: 512 or 4096.
    pub sector_size: u32,
    /// Sectors in front of it on the disk (0 for a bare file system).
    pub hidden_sectors: u64,
}

/// How full a file system is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes that its user could still write.
    pub free: u64,
    /// Bytes taken by files, directories and the file system itself.
    pub used: u64,
    /// Inodes in use and free, where there are inodes.
    pub inodes: Option<(u64, u64)>,
}

/// A file system, laid.
#[derive(Clone, Debug)]
pub struct Laid {
    /// Its bytes; as long as the geometry asked for.
    pub layout: Layout,
    /// How full it is.
    pub usage: Usage,
}

/// What reads a file system before the kernel does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootReader {
    /// GRUB 2.
    Grub,
}

/// A release of a distribution, as os-release(5) names it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Release {
    /// `ID`
    pub id: String,
    /// `ID_LIKE`
    pub like: Vec<String>,
    /// `VERSION_ID`
    pub version: Option<String>,
    /// `VERSION_CODENAME`, and `UBUNTU_CODENAME` and `DEBIAN_CODENAME` of what stands on those two.
    pub codenames: Vec<String>,
    /// `PRETTY_NAME`
    pub pretty: Option<String>,
}

impl Release {
    /// The name for people.
    pub fn title(&self) -> String {
        let version = self.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
        escaped(self.pretty.clone().unwrap_or_else(|| format!("{}{version}", self.id)).as_bytes())
    }
}

/// What is known of the system that will use a file system. All of it comes from the tree or the command line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// A profile by name, in the place of what the tree says.
    pub named: Option<String>,
    /// The release in the tree.
    pub release: Option<Release>,
    /// Text of the tree's `/etc/mke2fs.conf`.
    pub mke2fs_conf: Option<String>,
    /// What reads this file system before the kernel does.
    pub boot: Option<BootReader>,
}

/// Which defaults a file system has, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    /// Why this one.
    pub reason: String,
    /// What it rests on: measured, or documented where.
    pub evidence: String,
    /// What the system that will use it cannot do with it, and what of its own configuration was left out.
    pub warnings: Vec<String>,
    /// Those of them for which its boot loader does not read it.
    pub unbootable: Vec<String>,
}

/// A file system with the defaults that suit a target.
#[derive(Debug)]
pub struct Aimed {
    /// The file system.
    pub filesystem: Box<dyn Filesystem>,
    /// Which defaults these are.
    pub profile: Profile,
}

/// A file system with its options, ready to hold a tree.
pub trait Filesystem: Send + Sync + fmt::Debug {
    /// The row's name.
    fn name(&self) -> &'static str;

    /// The id that finds it (`UUID=` in fstab): `xxxxxxxx-xxxx-...` or `XXXX-XXXX`. Known before tree and size are.
    fn id(&self, identity: &Identity) -> String;

    /// The label it was given.
    fn label(&self) -> Option<&str>;

    /// The same file system with the defaults that suit `target`, and which they are; what its options say stays. `None`
    /// where nothing depends on the target. Refused: options that contradict these defaults; a profile of no such name.
    fn aimed(&self, _target: &Target) -> Result<Option<Aimed>, Refusal> {
        Ok(None)
    }

    /// The smallest length in bytes that holds `tree` and leaves `free` bytes to its user, on a disk with sectors of
    /// `sector_size` bytes. [`Filesystem::lay`] accepts this length, and refuses one unit less.
    fn measure(&self, tree: &Tree, free: u64, sector_size: u32) -> Result<u64, Refusal>;

    /// Lays `tree`.
    fn lay(&self, tree: &Tree, geometry: &Geometry, identity: &Identity) -> Result<Laid, Refusal>;
}

/// An image, read back.
pub struct Opened {
    /// Its files; content ids index `files`.
    pub tree: Tree,
    /// The bytes of each file, over the image as their only content (every id in them is the image).
    pub files: Vec<Layout>,
    /// Bytes that the file system says it has.
    pub len: u64,
    /// UUID or serial number.
    pub id: String,
    /// Label; may be empty.
    pub label: Vec<u8>,
    /// How full it says it is.
    pub usage: Usage,
    /// What the next mount will do before anything else, each in a line: a journal to replay, files to delete. It is not
    /// damage; empty where the file system was unmounted.
    pub pending: Vec<String>,
    /// Everything that contradicts the format and could be read past. At most [`MOST_DAMAGE`].
    pub damage: Vec<Damage>,
}

/// A reader stops to collect damage here.
pub const MOST_DAMAGE: usize = 1000;

/// Options in the spelling of the format's own mkfs to a file system.
pub type Configure = fn(&[String]) -> Result<Box<dyn Filesystem>, Refusal>;

/// An image and the identity that it gets to what changes.
pub type Reid = fn(&dyn ReadAt, &Identity) -> Result<Vec<Patch>, ReidError>;

/// What the rest of the house knows of a file system.
pub struct Row {
    /// As in `filesystem="..."` and `mkfs TYPE`.
    pub name: &'static str,
    /// Other spellings.
    pub aliases: &'static [&'static str],
    /// One line.
    pub about: &'static str,
    /// Options that `configure` takes, in the spelling of the format's own mkfs: (`-L LABEL`, what it does).
    pub options: &'static [(&'static str, &'static str)],
    /// What the format or this writer cannot hold, for `--help`.
    pub limits: &'static [&'static str],
    /// Options in the spelling of the format's own mkfs; an unknown one is refused by name.
    pub configure: Configure,
    /// Whether the image says that it is one of these. Never fails: unreadable is no.
    pub recognise: fn(&dyn ReadAt) -> bool,
    /// Whether the image must have been one of these before the bytes were spoilt by which it is recognised. To ask when no
    /// row recognises it, so that damage there is reported. Never fails: unreadable is no.
    pub resembles: fn(&dyn ReadAt) -> bool,
    /// Reads and checks an image. Fails where nothing can be read past.
    pub open: fn(&dyn ReadAt) -> Result<Opened, Damage>,
    /// An annotated dump that accounts for every byte of the image.
    pub dump: fn(&dyn ReadAt, &mut dyn fmt::Write) -> Result<(), Damage>,
    /// The patches that give an image the ids that tell copies apart of this identity, and leave everything else: what laying
    /// a clone with it would have written, byte for byte. Sorted by position.
    pub reid: Reid,
}

/// All file systems.
pub const ROWS: &[Row] =
    &[crate::ext::EXT4, crate::ext::EXT3, crate::ext::EXT2, crate::fat::FAT, crate::swap::SWAP];

/// The releases that [`Target::named`] may name.
pub fn targets() -> Vec<&'static str> {
    crate::ext::targets()
}

/// The row of this name or alias.
pub fn find(name: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.name == name || row.aliases.contains(&name))
}
