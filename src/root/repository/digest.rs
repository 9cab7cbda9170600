//! Digests that files of a repository are known by.

use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;

/// A strong digest. MD5 and SHA-1, which repositories also have, count for nothing.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Digest {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-512.
    Sha512([u8; 64]),
}

impl Digest {
    /// Of a SHA-256 (64) or SHA-512 (128 hexadecimal digits).
    pub fn of_hex(hex: &[u8]) -> Option<Digest> {
        match hex.len() {
            64 => bytes(hex).map(Digest::Sha256),
            128 => bytes(hex).map(Digest::Sha512),
            _ => None,
        }
    }

    /// Whether bytes have it.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        match self {
            Digest::Sha256(digest) => Sha256::digest(bytes)[..] == digest[..],
            Digest::Sha512(digest) => Sha512::digest(bytes)[..] == digest[..],
        }
    }

    /// `SHA256` or `SHA512`: its directory in `by-hash`.
    pub fn algorithm(&self) -> &'static str {
        match self {
            Digest::Sha256(_) => "SHA256",
            Digest::Sha512(_) => "SHA512",
        }
    }
}

/// Hexadecimal digits.
impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = match self {
            Digest::Sha256(digest) => &digest[..],
            Digest::Sha512(digest) => &digest[..],
        };
        bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{self}", self.algorithm())
    }
}

fn bytes<const N: usize>(hex: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = (digit(0)? * 16 + digit(1)?) as u8;
    }
    Some(bytes)
}
