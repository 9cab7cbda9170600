//! The early configuration: how GRUB finds the directory of its configuration, whatever disk it is started from.

use super::refused;
use diskwright_formats::fault::{Refusal, RefusalKind};

/// How a file system is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// By the UUID of the file system, as blkid(8) says it: `0E4F-1A2B` for FAT.
    Uuid(String),
    /// By a file that only this disk has, an absolute path on the file system that is wanted.
    File(String),
}

/// What is embedded in an image: looks for the file system of `/boot`, sets the prefix. `directory` is GRUB's on that
/// file system: `/boot/grub`, or `/grub2` where `/boot` has its own. GRUB's kernel then reads `$prefix/grub.cfg` if the
/// module `normal` is in the image.
///
/// The commands are those of the rescue parser: of the modules, `search_fs_uuid` or `search_fs_file` must be in the image.
pub fn early_config(find: &Find, directory: &str) -> Result<String, Refusal> {
    check(find, directory)?;
    let search = match find {
        Find::Uuid(uuid) => format!("search.fs_uuid {uuid} root"),
        Find::File(path) => format!("search.file {path} root"),
    };
    Ok(format!("{search}\nset prefix=($root){directory}\n"))
}

/// The file `grub.cfg` beside a signed image, which cannot be told anything else: in `EFI/BOOT` and `EFI/VENDOR`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stub {
    /// The file system that GRUB's directory is on, or the LUKS container around it.
    pub find: Find,
    /// GRUB's directory on it.
    pub directory: String,
    /// Find is the UUID of a LUKS container that is opened first; GRUB asks for the passphrase.
    pub encrypted: bool,
    /// Paths begin at the default subvolume (SUSE's GRUB).
    pub btrfs_relative: bool,
}

impl Stub {
    /// Its text, for the full parser of `normal`.
    pub fn text(&self) -> Result<String, Refusal> {
        let Stub { find, directory, encrypted, btrfs_relative } = self;
        check(find, directory)?;
        let mut text = String::new();
        if *btrfs_relative {
            text.push_str("set btrfs_relative_path=\"yes\"\n");
        }
        match (find, encrypted) {
            (Find::Uuid(uuid), true) => {
                // GRUB knows containers without the dashes.
                let short: String = uuid.chars().filter(|&sign| sign != '-').collect();
                text.push_str("insmod cryptodisk\ninsmod luks\ninsmod luks2\n");
                text.push_str(&format!("cryptomount -u {short}\nset root=\"cryptouuid/{short}\"\n"));
            }
            (Find::Uuid(uuid), false) => {
                text.push_str(&format!("search --no-floppy --fs-uuid --set=root {uuid}\n"));
            }
            (Find::File(_), true) => {
                let reason = "an encrypted /boot is found by its UUID alone";
                return Err(refused(RefusalKind::Invalid, "grub.cfg", reason));
            }
            (Find::File(path), false) => {
                text.push_str(&format!("search --no-floppy --file --set=root {path}\n"));
            }
        }
        text.push_str(&format!("set prefix=($root){directory}\nconfigfile $prefix/grub.cfg\n"));
        Ok(text)
    }
}

/// Nothing in it means anything to a parser.
fn check(find: &Find, directory: &str) -> Result<(), Refusal> {
    let is_path = |path: &str| {
        let good = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
        path.starts_with('/') && path.bytes().all(good)
    };
    let found = match find {
        Find::Uuid(uuid) => {
            !uuid.is_empty() && uuid.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
        }
        Find::File(path) => is_path(path),
    };
    match found && is_path(directory) {
        true => Ok(()),
        false => {
            let reason =
                format!("a UUID or path that GRUB's parser would not leave alone: {find:?} {directory}");
            Err(refused(RefusalKind::Invalid, "grub.cfg", reason))
        }
    }
}
