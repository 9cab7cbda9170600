//! The module section: what GRUB's kernel finds behind itself in memory.
//!
//! ```text
//! "mimg" [4 bytes where addresses have 8] offset of the first object, size of all   addresses of 4 or 8 bytes
//! type, size with this header                                                       u32 each, then the object
//! ```
//!
//! Objects begin at multiples of the size of an address. `include/grub/kernel.h` names the types.

use super::{Platform, Target, refused};
use diskwright_formats::fault::{Refusal, RefusalKind};

const MAGIC: &[u8; 4] = b"mimg";
/// Types of objects.
const ELF: u32 = 0;
const CONFIG: u32 = 2;
const PREFIX: u32 = 3;
/// Longest text of an early configuration or a prefix in bytes.
const MOST_TEXT: usize = 64 << 10;

/// What an image is told from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// The directory in which `grub.cfg` and modules are looked for, on the device that [`Embedded::config`] finds:
    /// `/boot/grub`.
    pub prefix: String,
    /// Commands that are executed first, one a line; see [`Start::embedded`](super::Start::embedded).
    pub config: String,
}

/// The whole section; its length is a multiple of the size of an address.
pub(super) fn module_section(platform: &Platform, embedded: &Embedded) -> Result<Vec<u8>, Refusal> {
    let target = platform.target();
    let Embedded { prefix, config } = embedded;
    for (what, text) in [("prefix", prefix), ("early configuration", config)] {
        if text.len() > MOST_TEXT || text.contains('\0') {
            let reason = format!("longer than {MOST_TEXT} bytes, or with a NUL in it");
            return Err(refused(RefusalKind::Limit, what, reason));
        }
    }
    let mut bytes = MAGIC.to_vec();
    bytes.resize(header_len(target), 0);
    for module in platform.module_files() {
        object(&mut bytes, target, ELF, &module.bytes);
    }
    // grub-mkimage counts the NUL behind a text.
    object(&mut bytes, target, CONFIG, &[config.as_bytes(), &[0]].concat());
    object(&mut bytes, target, PREFIX, &[prefix.as_bytes(), &[0]].concat());
    let (first, word) = (header_len(target), target.word());
    let len = bytes.len();
    for (at, value) in [(first - 2 * word, first), (first - word, len)] {
        bytes[at..at + word].copy_from_slice(&(value as u64).to_le_bytes()[..word]);
    }
    Ok(bytes)
}

fn header_len(target: Target) -> usize {
    if target.word() == 8 { 24 } else { 12 }
}

fn object(bytes: &mut Vec<u8>, target: Target, kind: u32, data: &[u8]) {
    let len = data.len().next_multiple_of(target.word());
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&(len as u32 + 8).to_le_bytes());
    bytes.extend_from_slice(data);
    bytes.resize(bytes.len() + len - data.len(), 0);
}
