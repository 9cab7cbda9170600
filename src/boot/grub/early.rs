//! How GRUB finds the directory of its configuration, whatever disk it is started from: commands that are embedded in an
//! image, and the file beside an image that is signed and cannot be told anything.

use super::refused;
use super::words::word;
use diskwright_formats::fault::{Refusal, RefusalKind};
use std::fmt;

/// How a file system is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Find {
    /// By the UUID of the file system, as blkid(8) says it: `0E4F-1A2B` for FAT.
    Uuid(String),
    /// By a file that only this disk has, an absolute path on the file system that is wanted.
    File(String),
}

/// A LUKS container that is opened before anything is looked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Unlock {
    /// Its UUID.
    pub uuid: String,
    /// Its passphrase, in plain text (KIWI's `use_disk_password`; GRUB 2.12 and later); else GRUB asks for it.
    pub passphrase: Option<String>,
}

impl fmt::Debug for Unlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A passphrase is never printed.
        f.debug_struct("Unlock").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// Where GRUB's directory is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Start {
    /// The container around the file system, or around the volumes that it is one of.
    pub unlock: Option<Unlock>,
    /// The file system.
    pub find: Find,
    /// GRUB's directory on it: `/boot/grub`, or `/grub2` where `/boot` has its own.
    pub directory: String,
    /// Paths begin at the default subvolume (SUSE's GRUB).
    pub btrfs_relative: bool,
}

impl Start {
    /// What is embedded in an image: sets root and prefix. GRUB's kernel then reads `$prefix/grub.cfg` if the module
    /// `normal` is in the image. The commands are those of the rescue parser, from the modules `search_fs_uuid`,
    /// `search_fs_file` and `cryptodisk`, which must be in the image, with `luks` or `luks2` and the ciphers for the last.
    pub fn embedded(&self) -> Result<String, Refusal> {
        let mut text = self.opening()?;
        text.push_str(&match &self.find {
            Find::Uuid(uuid) => format!("search.fs_uuid {uuid} root\n"),
            Find::File(path) => format!("search.file {path} root\n"),
        });
        text.push_str(&format!("set prefix=($root){}\n", self.directory));
        Ok(text)
    }

    /// The file `grub.cfg` in `EFI/BOOT` and `EFI/VENDOR`, beside a signed image.
    pub fn stub(&self) -> Result<String, Refusal> {
        let modules =
            if self.unlock.is_some() { "insmod cryptodisk\ninsmod luks\ninsmod luks2\n" } else { "" };
        let opening = self.opening()?;
        let search = search(&self.find)?;
        let directory = &self.directory;
        Ok(format!("{modules}{opening}{search}set prefix=($root){directory}\nconfigfile $prefix/grub.cfg\n"))
    }

    /// What both begin with.
    fn opening(&self) -> Result<String, Refusal> {
        check(&self.find)?;
        if !is_path(&self.directory) {
            return Err(no_word(&self.directory));
        }
        let mut text = String::new();
        if self.btrfs_relative {
            text.push_str("set btrfs_relative_path=\"yes\"\n");
        }
        if let Some(Unlock { uuid, passphrase }) = &self.unlock {
            if !is_uuid(uuid) {
                return Err(no_word(uuid));
            }
            // GRUB knows containers without the dashes.
            let uuid: String = uuid.chars().filter(|&sign| sign != '-').collect();
            let passphrase = passphrase.as_ref().map(|text| word(text)).transpose();
            let passphrase = passphrase.map_err(|_| {
                refused(RefusalKind::Invalid, "cryptomount", "a passphrase with a control character in it")
            })?;
            let passphrase = passphrase.map(|text| format!("-p {text} ")).unwrap_or_default();
            text.push_str(&format!("cryptomount {passphrase}-u {uuid}\n"));
        }
        Ok(text)
    }
}

/// The file `grub.cfg` that starts an EFI program instead of a menu: a unified kernel image on the file system found.
pub fn chainload(find: &Find, program: &str) -> Result<String, Refusal> {
    check(find)?;
    match is_path(program) {
        true => Ok(format!("{}chainloader ($root){program}\nboot\n", search(find)?)),
        false => Err(no_word(program)),
    }
}

/// The command of the full parser; sets root.
pub(super) fn search(find: &Find) -> Result<String, Refusal> {
    check(find)?;
    Ok(match find {
        Find::Uuid(uuid) => format!("search --no-floppy --fs-uuid --set=root {uuid}\n"),
        Find::File(path) => format!("search --no-floppy --file --set=root {path}\n"),
    })
}

/// Nothing in it means anything to a parser, the rescue parser among them.
fn check(find: &Find) -> Result<(), Refusal> {
    match find {
        Find::Uuid(uuid) if is_uuid(uuid) => Ok(()),
        Find::File(path) if is_path(path) => Ok(()),
        Find::Uuid(text) | Find::File(text) => Err(no_word(text)),
    }
}

fn is_uuid(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

fn is_path(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+@".contains(&byte);
    text.starts_with('/') && text.bytes().all(good)
}

fn no_word(text: &str) -> Refusal {
    let reason = format!("a UUID or path that GRUB's parser would not leave alone: {text:?}");
    refused(RefusalKind::Invalid, "grub.cfg", reason)
}
