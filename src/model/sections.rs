//! What sections of a description mean together: what is installed, where volumes and partitions are. It is selected and
//! shown; what prepares a tree will use it.

use super::elements::{self, Said, text, value};
use super::lexical::{Digits, Machines, Mebibytes, PartitionSize};
use super::words::{ImageType, Machine, PackagesType, PartitionFilesystem, PartitionType, RootFilesystem};
use crate::describe::Span;
use serde::{Serialize, Serializer};
use std::fmt;

/// What a `packages` element is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Into an empty tree.
    Bootstrap,
    /// Into the tree.
    Image,
    /// Only for this image type.
    Type(ImageType),
    /// Taken away with what needs them.
    Uninstall,
    /// Taken away, whatever needs them.
    Delete,
    /// Listed for containers.
    Systemfiles,
}

impl From<PackagesType> for Phase {
    fn from(kind: PackagesType) -> Phase {
        match kind {
            PackagesType::Bootstrap => Phase::Bootstrap,
            PackagesType::Image => Phase::Image,
            PackagesType::Uninstall => Phase::Uninstall,
            PackagesType::Delete => Phase::Delete,
            PackagesType::Systemfiles => Phase::Systemfiles,
            PackagesType::Docker => Phase::Type(ImageType::Docker),
            PackagesType::Iso => Phase::Type(ImageType::Iso),
            PackagesType::Oem => Phase::Type(ImageType::Oem),
            PackagesType::Pxe => Phase::Type(ImageType::Pxe),
            PackagesType::Kis => Phase::Type(ImageType::Kis),
            PackagesType::Oci => Phase::Type(ImageType::Oci),
        }
    }
}

impl Phase {
    /// The word of its `packages` element.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Bootstrap => "bootstrap",
            Phase::Image => "image",
            Phase::Type(image) => image.name(),
            Phase::Uninstall => "uninstall",
            Phase::Delete => "delete",
            Phase::Systemfiles => "systemfiles",
        }
    }
}

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

/// An element in `packages`.
#[derive(Clone, Debug)]
pub struct PackageItem<'a> {
    /// The element that it is in.
    pub section: &'a elements::Packages,
    /// What it is.
    pub item: Item,
    /// Its name; of a module with its stream.
    pub name: String,
    /// Where that is written.
    pub span: &'a Span,
    /// Machines; empty: all.
    pub arch: &'a [Machine],
    /// Of archives and files: where in the tree.
    pub target: Option<&'a str>,
    /// Of files.
    pub owner: Option<&'a str>,
    /// Of files.
    pub permissions: Option<&'a str>,
}

impl elements::Packages {
    /// What it is for.
    pub fn phase(&self) -> Option<Phase> {
        self.kind.as_ref().map(|kind| kind.value.into())
    }

    /// What is in it of one kind, in order.
    pub fn items(&self, item: Item) -> Vec<PackageItem<'_>> {
        let named = match item {
            Item::Package => {
                return self.package.iter().filter_map(|one| self.item(item, &one.name, &one.arch)).collect();
            }
            Item::Module | Item::NoModule => return self.modules(item).collect(),
            Item::Archive => return self.archives().collect(),
            Item::File => return self.files().collect(),
            Item::Collection => &self.named_collection,
            Item::Product => &self.product,
            Item::Ignore => &self.ignore,
        };
        named.iter().filter_map(|one| self.item(item, &one.name, &one.arch)).collect()
    }

    fn item<'a, T>(
        &'a self,
        item: Item,
        name: &'a Option<Said<T>>,
        arch: &'a Option<Said<Machines>>,
    ) -> Option<PackageItem<'a>> {
        let name = name.as_ref()?;
        Some(PackageItem {
            section: self,
            item,
            name: name.text.clone(),
            span: &name.span,
            arch: arch.as_ref().map_or(&[][..], |arch| arch.value.0.as_slice()),
            target: None,
            owner: None,
            permissions: None,
        })
    }

    fn modules(&self, wanted: Item) -> impl Iterator<Item = PackageItem<'_>> {
        self.collection_module.iter().filter_map(move |one| {
            let disabled = value(&one.enable) == Some(false);
            let item = if disabled { Item::NoModule } else { Item::Module };
            let mut module = self.item(item, &one.name, &one.arch).filter(|_| item == wanted)?;
            if let Some(stream) = one.stream.as_ref().filter(|_| !disabled) {
                module.name = format!("{}:{}", module.name, stream.text);
            }
            Some(module)
        })
    }

    fn archives(&self) -> impl Iterator<Item = PackageItem<'_>> {
        self.archive.iter().filter_map(|one| {
            let target = text(&one.target_dir);
            Some(PackageItem { target, ..self.item(Item::Archive, &one.name, &None)? })
        })
    }

    fn files(&self) -> impl Iterator<Item = PackageItem<'_>> {
        self.file.iter().filter_map(|one| {
            let [target, owner, permissions] = [&one.target, &one.owner, &one.permissions].map(text);
            let file = self.item(Item::File, &one.name, &one.arch)?;
            Some(PackageItem { target, owner, permissions, ..file })
        })
    }
}

impl elements::Repository {
    /// Where it is.
    pub fn location(&self) -> Option<&Said<String>> {
        self.source.as_ref().and_then(|source| source.path.as_ref())
    }

    /// Keys that sign it.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        let signing = self.source.iter().flat_map(|source| &source.signing);
        signing.filter_map(|signing| signing.key.as_ref()).map(|key| key.text.as_str())
    }
}

/// How much a volume gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// So much.
    Size(Mebibytes),
    /// So much more than what is in it.
    Freespace(Mebibytes),
}

/// `size:N`, `freespace:N`, in MiB.
impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Room::Size(size) => write!(f, "size:{size}"),
            Room::Freespace(size) => write!(f, "freespace:{size}"),
        }
    }
}

impl Serialize for Room {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
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
    /// `None`: all that is left.
    pub size: Option<Room>,
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

/// `partitions/partition` with what KIWI takes where nothing is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DescribedPartition {
    /// Its name.
    pub name: String,
    /// In MiB.
    pub mbsize: PartitionSize,
    /// Its name in the table.
    pub partition_name: String,
    /// What the table says that it is for.
    pub partition_type: PartitionType,
    /// A chosen number.
    pub partition_id: Option<Digits>,
    /// Where it is mounted.
    pub mountpoint: Option<String>,
    /// What is in it.
    pub filesystem: Option<PartitionFilesystem>,
    /// Its label; KIWI takes the name in upper case where it is empty.
    pub label: String,
    /// How many copies.
    pub clone: u64,
    /// Where its name is written.
    #[serde(skip)]
    pub span: Span,
}

/// The smallest volume of a file system.
pub fn least_volume(filesystem: Option<RootFilesystem>) -> Mebibytes {
    Mebibytes(match filesystem {
        Some(RootFilesystem::Btrfs) => 120,
        Some(RootFilesystem::Xfs) => 300,
        _ => 30,
    })
}
