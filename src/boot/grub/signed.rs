//! The distributions' own EFI images: where they lie in a tree, and where they go on the EFI system partition.
//!
//! They are copied as they are: a signature covers all their bytes, their SBAT section among them. Shim starts the GRUB
//! beside itself, so both directories get all of them:
//!
//! ```text
//! EFI/BOOT/BOOTX64.EFI   shim, where firmware looks when it remembers nothing
//! EFI/BOOT/grubx64.efi   GRUB; SUSE's shim asks for grub.efi
//! EFI/BOOT/mmx64.efi     MokManager; SUSE's is MokManager.efi
//! EFI/BOOT/grub.cfg      the stub
//! EFI/VENDOR/            the same, shim as shimx64.efi or SUSE's shim.efi: what the loader's packages update, where the
//!                        distribution has such a directory (SUSE's GRUB looks beside itself)
//! ```
//!
//! Without shim's `fbx64.efi`, which would write boot entries into the firmware and start again.
//!
//! The places are KIWI's (`defaults.py`, `get_shim_loader` and those below it), which knows Debian, Ubuntu, SUSE, Fedora,
//! RHEL and its kin, and those of `grub-efi-*-signed` and `shim-signed` of other machines.

use super::{Target, refused};
use crate::boot::follow;
use crate::model::Arch;
use diskwright_formats::bytes::escaped;
use diskwright_formats::fault::{Refusal, RefusalKind};
use diskwright_fstools::tree::{Kind, NodeId, Tree};

/// Where the EFI system partition is mounted when packages are installed.
const ESPS: [&str; 2] = ["/boot/efi/EFI", "/efi/EFI"];
/// Longest name of a vendor's directory that is believed.
const MOST_VENDOR: usize = 32;

/// A file for the EFI system partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EspFile {
    /// Path on the partition.
    pub path: String,
    /// The file in the tree.
    pub node: NodeId,
}

/// A distribution's signed images.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// Names the vendor's directory in a tree that has one: `fedora`, `opensuse`.
    vendor: Option<String>,
    suffix: &'static str,
    shim: Option<Found>,
    grub: Found,
    mok_managers: Vec<Found>,
}

/// A file of the tree, its path, and its name on the partition.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    node: NodeId,
    path: String,
    name: String,
}

/// The signed images of a tree. Refused: none, with the packages that bring them.
pub fn find_signed(tree: &Tree, arch: Arch) -> Result<Signed, Refusal> {
    let suffix = arch.efi_suffix();
    let shims = shim_places(tree, arch);
    let grubs = grub_places(tree, arch);
    let shim = first(tree, &shims);
    let grub = first(tree, &grubs).ok_or_else(|| missing(arch, &grubs))?;
    let places = if shim.is_some() { mok_places(tree, arch) } else { Vec::new() };
    let mut mok_managers: Vec<Found> = places.iter().filter_map(|place| found(tree, place)).collect();
    // Names that FAT takes for one: the first counts.
    let mut names = Vec::new();
    mok_managers.retain(|manager| {
        let name = manager.name.to_lowercase();
        let is_new = !names.contains(&name);
        names.push(name);
        is_new
    });
    let vendor = shim.iter().chain([&grub]).find_map(|file| vendor_of_path(&file.path));
    Ok(Signed { vendor, suffix, shim, grub, mok_managers })
}

impl Signed {
    /// Whether there is a shim, which firmware with Microsoft's keys alone starts.
    pub fn has_shim(&self) -> bool {
        self.shim.is_some()
    }

    /// GRUB's image, for [`vendor_of_image`].
    pub fn grub(&self) -> NodeId {
        self.grub.node
    }

    /// The vendor's directory below `EFI`, if the tree has the images in one.
    pub fn vendor(&self) -> Option<&str> {
        self.vendor.as_deref()
    }

    /// What to copy; `vendor` is the name of the vendor's directory, where there is one.
    pub fn files(&self, vendor: Option<&str>) -> Vec<EspFile> {
        let Signed { suffix, shim, grub, mok_managers, .. } = self;
        let fallback = format!("EFI/BOOT/BOOT{}.EFI", suffix.to_uppercase());
        let mut files = vec![EspFile { path: fallback, node: shim.as_ref().unwrap_or(grub).node }];
        // A GRUB that firmware starts itself needs no second copy in the same directory.
        let beside = shim.iter().map(|_| grub).chain(mok_managers);
        files.extend(beside.map(|file| EspFile { path: format!("EFI/BOOT/{}", file.name), node: file.node }));
        if let Some(vendor) = vendor {
            let all = shim.iter().chain([grub]).chain(mok_managers);
            files.extend(
                all.map(|file| EspFile { path: format!("EFI/{vendor}/{}", file.name), node: file.node }),
            );
        }
        files
    }
}

/// The distribution's image that nobody signed, complete: it looks for `grub.cfg` in its vendor's directory or beside
/// itself. None: one is made with [`efi_image`](super::efi_image).
pub fn find_unsigned(tree: &Tree, arch: Arch) -> Option<EspFile> {
    let (target, suffix) = (Target::efi(arch)?.name(), arch.efi_suffix());
    let mut places = Vec::new();
    for directory in ["/usr/share/grub2", "/usr/share/grub", "/usr/lib/grub2", "/usr/lib/grub"] {
        places.push(format!("{directory}/{target}/grub.efi"));
        places.push(format!("{directory}/{target}/monolithic/grub{suffix}.efi"));
    }
    places.extend(vendors(tree).iter().map(|vendor| format!("{vendor}/grub{suffix}.efi")));
    let found = first(tree, &places)?;
    Some(EspFile { path: format!("EFI/BOOT/BOOT{}.EFI", suffix.to_uppercase()), node: found.node })
}

/// The vendor that an image of GRUB was made for: its prefix is `/EFI/VENDOR`. Without one it takes the directory that it
/// was started from.
pub fn vendor_of_image(image: &[u8]) -> Option<String> {
    const PREFIX: &[u8] = b"/EFI/";
    let mut rest = image;
    while let Some(at) = rest.windows(PREFIX.len()).position(|window| window == PREFIX) {
        rest = &rest[at + PREFIX.len()..];
        let end = rest.iter().take(MOST_VENDOR + 1).position(|&byte| byte == 0);
        let name = end.map(|end| &rest[..end]).filter(|name| is_vendor(name));
        if let Some(name) = name.filter(|name| !name.eq_ignore_ascii_case(b"BOOT")) {
            return Some(escaped(name));
        }
    }
    None
}

fn is_vendor(name: &[u8]) -> bool {
    let good = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
    !name.is_empty() && name.len() <= MOST_VENDOR && name.iter().all(good)
}

/// Directories of vendors on the EFI system partition of the tree, sorted.
fn vendors(tree: &Tree) -> Vec<String> {
    let below = |esp: &str| {
        let names = follow(tree, esp.as_bytes()).into_iter().flat_map(|node| tree.children(node));
        let vendors = names.map(|(name, _)| name).filter(|name| is_vendor(name));
        let vendors = vendors.filter(|name| !name.eq_ignore_ascii_case(b"BOOT"));
        vendors.map(|name| format!("{esp}/{}", escaped(name))).collect::<Vec<_>>()
    };
    ESPS.iter().flat_map(|esp| below(esp)).collect()
}

fn vendor_of_path(path: &str) -> Option<String> {
    let rest = ESPS.iter().find_map(|esp| path.strip_prefix(esp)?.strip_prefix('/'))?;
    rest.split_once('/').map(|(vendor, _)| vendor.to_owned())
}

/// SUSE's directory of EFI images for a machine.
fn suse(arch: Arch) -> String {
    format!("/usr/share/efi/{}", arch.machine())
}

fn shim_places(tree: &Tree, arch: Arch) -> Vec<String> {
    let suffix = arch.efi_suffix();
    let mut places = vec![
        format!("/usr/lib/shim/shim{suffix}.efi.signed.latest"),
        format!("/usr/lib/shim/shim{suffix}.efi.signed"),
        format!("{}/shim.efi", suse(arch)),
    ];
    if arch == Arch::X86_64 {
        places.push("/usr/lib64/efi/shim.efi".to_owned());
    }
    for vendor in vendors(tree) {
        places.push(format!("{vendor}/shim{suffix}.efi"));
        if arch == Arch::X86_64 {
            places.push(format!("{vendor}/shim.efi"));
        }
    }
    places.push(format!("/usr/lib/shim/shim{suffix}.efi"));
    places
}

fn grub_places(tree: &Tree, arch: Arch) -> Vec<String> {
    let Some(target) = Target::efi(arch).map(Target::name) else { return Vec::new() };
    let suffix = arch.efi_suffix();
    let mut places = vec![format!("{}/grub.efi", suse(arch))];
    if arch == Arch::X86_64 {
        places.push("/usr/lib64/efi/grub.efi".to_owned());
    }
    places.extend(vendors(tree).iter().map(|vendor| format!("{vendor}/grub{suffix}.efi")));
    places.push(format!("/usr/share/grub2/{target}/grub.efi"));
    places.push(format!("/usr/share/grub/{target}/grub.efi"));
    places.push(format!("/usr/lib/grub/{target}-signed/grub{suffix}.efi.signed"));
    places
}

fn mok_places(tree: &Tree, arch: Arch) -> Vec<String> {
    let suffix = arch.efi_suffix();
    let mut places = vec![format!("{}/MokManager.efi", suse(arch))];
    if arch == Arch::X86_64 {
        places.push("/usr/lib64/efi/MokManager.efi".to_owned());
    }
    places.extend(vendors(tree).iter().map(|vendor| format!("{vendor}/mm{suffix}.efi")));
    places.push(format!("/usr/lib/shim/mm{suffix}.efi.signed"));
    places.push(format!("/usr/lib/shim/mm{suffix}.efi"));
    places
}

fn first(tree: &Tree, places: &[String]) -> Option<Found> {
    places.iter().find_map(|place| found(tree, place))
}

fn found(tree: &Tree, path: &str) -> Option<Found> {
    let node = follow(tree, path.as_bytes())?;
    let last = path.rsplit('/').next()?;
    let name = last.split_once(".efi").map_or(last.to_owned(), |(stem, _)| format!("{stem}.efi"));
    matches!(tree.node(node).kind, Kind::File(_)).then(|| Found { node, path: path.to_owned(), name })
}

fn missing(arch: Arch, places: &[String]) -> Refusal {
    let reason = format!("a signed GRUB is asked for and not in the tree; looked for: {}", places.join(", "));
    let packages = match arch {
        Arch::Aarch64 => {
            "Debian: grub-efi-arm64-signed, shim-signed; Fedora: grub2-efi-aa64, shim-aa64; SUSE: grub2-arm64-efi, shim"
        }
        _ => {
            "Debian: grub-efi-amd64-signed, shim-signed; Fedora: grub2-efi-x64, shim-x64; SUSE: grub2-x86_64-efi, shim"
        }
    };
    refused(RefusalKind::Missing, "uefi", reason)
        .hint(format!("install it into the tree ({packages}), or give firmware=\"efi\""))
}
