//! What a package repository of the apt family says: its Release file, whose signature is checked, and its packages.
//!
//! Pure functions over bytes: who fetches them, and what time it is, is the caller's. The way of a bootstrap:
//!
//! ```text
//! <repository> ─sources→ Source ─fetch InRelease, or Release and Release.gpg→ bytes
//!   bytes + Keyring + now ─verify_clear, verify_detached→ Verified ─Release::read, check_date, check_fresh→ Release
//!   Release + Source ─indexes→ Index: places to fetch Packages.xz from, size, digest
//!   fetched bytes ─Index::unpack→ text ─Packages::read→ Packages
//!   [Packages] ─Catalogue::new, closure→ [Chosen]: source, file name, size, digest of each .deb, by name
//! ```
//!
//! Rules: RFC 9580 (OpenPGP), the Debian Repository Format (wiki.debian.org/DebianRepository/Format), Debian Policy 5
//! (control data), 5.6.12 (versions) and 7 (relations), apt's sources.list(5) and apt_preferences(5); KIWI NG
//! `system/uri.py` and `repository/apt.py` for what a description means.

mod armor;
mod closure;
mod control;
mod customize;
mod digest;
mod keyring;
mod lists;
mod location;
mod packages;
mod release;
mod source;
mod time;
mod verify;
mod version;

pub use closure::{Base, Catalogue, Chosen, Wanted, closure};
pub use control::{Fields, Stanza, Stanzas};
pub use customize::check_customized;
pub use digest::Digest;
pub use keyring::{DEFAULT_KEYRINGS, Keyring, binary_keys};
pub use lists::{local_list, local_preferences, local_release};
pub use location::{Credentials, Location, Url};
pub use packages::{Constraint, MultiArch, Package, Packages, Relation, Relations};
pub use release::{Compression, Index, Release};
pub use source::{Kind, OBS_DOWNLOADS, Runtime, Source, debian_architecture, sources};
pub use verify::{Signer, Verified, verify_clear, verify_detached};
pub use version::{compare_versions, is_version};
