//! What a description says besides the image itself: packages, repositories, accounts, settings, volumes. It is recorded,
//! selected and shown; what prepares a tree will use it.

use super::Scope;
use crate::describe::Span;
use serde::Serialize;

/// A value and where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// The value.
    pub value: T,
    /// Where.
    pub span: Span,
}

/// A text that was said: an element or attribute with text.
pub type Fact = Said<(String, String)>;

/// What a `packages` element is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Into an empty tree.
    Bootstrap,
    /// Into the tree.
    Image,
    /// Only for the image type of this name.
    Type(TypeName),
    /// Taken away with what needs them.
    Uninstall,
    /// Taken away, whatever needs them.
    Delete,
    /// Listed for containers.
    Systemfiles,
}

/// An image type that may have packages of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct TypeName(pub &'static str);

/// What is in a `packages` element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Item {
    /// A package.
    Package,
    /// A pattern, group or task.
    Collection,
    /// A stream of modules that is enabled.
    Module,
    /// A stream of modules that is disabled.
    NoModule,
    /// A product.
    Product,
    /// A package that is not to come along.
    Ignore,
    /// A tar beside the description.
    Archive,
    /// A file beside the description.
    File,
}

impl Item {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Item::Package => "package",
            Item::Collection => "collection",
            Item::Module => "module",
            Item::NoModule => "module that is disabled",
            Item::Product => "product",
            Item::Ignore => "ignored",
            Item::Archive => "archive",
            Item::File => "file",
        }
    }
}

/// `packages`.
#[derive(Clone, Debug)]
pub struct Packages {
    /// When it applies.
    pub scope: Scope,
    /// Where it is written.
    pub span: Span,
    /// What it is for; `None`: the schema has said that it is nothing.
    pub phase: Option<Phase>,
    /// `patternType`.
    pub pattern: Option<Said<String>>,
    /// In order.
    pub items: Vec<PackageItem>,
}

/// An element in `packages`.
#[derive(Clone, Debug)]
pub struct PackageItem {
    /// What it is.
    pub item: Item,
    /// Its name; of a module with its stream.
    pub name: Said<String>,
    /// Machines; empty: all.
    pub arch: Vec<String>,
    /// Of archives and files: where in the tree.
    pub target: Option<String>,
    /// Of files.
    pub owner: Option<String>,
    /// Of files.
    pub permissions: Option<String>,
}

/// `repository`.
#[derive(Clone, Debug)]
pub struct Repository {
    /// When it applies.
    pub scope: Scope,
    /// Where it is written.
    pub span: Span,
    /// Its location.
    pub source: Said<String>,
    /// Files of keys that sign it.
    pub keys: Vec<String>,
    /// All attributes but profiles and arch, as they are written.
    pub attributes: Vec<(String, String)>,
    /// Also in the image.
    pub imageinclude: bool,
    /// Only in the image.
    pub imageonly: bool,
}

/// `users/user`.
#[derive(Clone, Debug)]
pub struct User {
    /// When it applies.
    pub scope: Scope,
    /// Its name.
    pub name: Said<String>,
    /// In order; the first one is that of the login.
    pub groups: Vec<String>,
    /// All attributes but name, password and groups, as they are written.
    pub attributes: Vec<(String, String)>,
}

/// `systemdisk/volume`, or a volume that KIWI adds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SystemVolume {
    /// Its name.
    pub name: String,
    /// Where it is mounted; `None`: the root, or swap.
    pub mountpoint: Option<String>,
    /// The directory in the tree.
    pub realpath: String,
    /// `size:N`, `freespace:N` in MiB; `None`: all that is left.
    pub size: Option<String>,
    /// Whether it takes all that is left.
    pub fullsize: bool,
    /// Of btrfs: the subvolume that it is in.
    pub parent: String,
    /// Of LVM.
    pub label: Option<String>,
    /// `quota=N`, `no-copy-on-write`, `enable-for-filesystem-check`.
    pub attributes: Vec<String>,
    /// Whether it is the root.
    pub is_root_volume: bool,
}

/// `partitions/partition`, as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DescribedPartition {
    /// Its name.
    pub name: String,
    /// In MiB.
    pub mbsize: String,
    /// Its name in the table.
    pub partition_name: String,
    /// `t.linux` or `t.raid`.
    pub partition_type: String,
    /// A chosen number.
    pub partition_id: Option<String>,
    /// Where it is mounted.
    pub mountpoint: Option<String>,
    /// What is in it.
    pub filesystem: Option<String>,
    /// Its label; KIWI takes the name in upper case where it is empty.
    pub label: String,
    /// How many copies.
    pub clone: u64,
}
