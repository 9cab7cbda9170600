//! Keys that signatures are checked with: what a keyring file says about each, as far as it proves it.
//!
//! A key counts if a signature of its own binds it; a subkey if the primary key binds it for signing, and it the primary
//! key in turn. The newest such signature says until when. A valid revocation counts for ever, whatever its reason. That
//! these signatures of a key about itself may still be made with SHA-1, which texts may not, is no weakness: who has the
//! file trusts the key in it, and its owner alone could make two of them that collide.

use super::armor::packets;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use pgp::composed::{Deserializable, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::errors::Error;
use pgp::packet::{self, Packet, PacketParser, Signature, SignatureType, SubpacketData};
use pgp::ser::Serialize;
use pgp::types::{Fingerprint, KeyDetails, KeyId, PublicParams, Tag};

/// Longest file with keys that is believed, in bytes: all of Debian's developers are 30 MB, its archives 60 kB.
const LONGEST: usize = 8 << 20;
/// Most keys that are taken from a file, and most signatures of each kind that are computed for one of them.
const MOST_KEYS: usize = 1000;
const MOST_SIGNATURES: usize = 100;
/// Fewest bits of an RSA key.
const LEAST_RSA: u16 = 2048;

/// Where distributions keep the keys of their archives: files that may be on a host, or in a tree that is made already.
/// They are for repositories of which the description names no key.
pub const DEFAULT_KEYRINGS: [&str; 6] = [
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    "/usr/share/keyrings/raspbian-archive-keyring.gpg",
    "/usr/share/keyrings/kali-archive-keyring.gpg",
    "/usr/share/keyrings/devuan-archive-keyring.gpg",
];

/// Keys that are trusted.
#[derive(Clone, Debug, Default)]
pub struct Keyring {
    pub(super) keys: Vec<Key>,
}

/// A key that may sign.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) material: Material,
    /// Of the key itself.
    pub(super) id: KeyId,
    pub(super) fingerprint: Fingerprint,
    /// In seconds since 1970.
    pub(super) created: i64,
    pub(super) expires: Option<i64>,
    pub(super) is_revoked: bool,
    /// Why it is too weak.
    pub(super) weak: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) enum Material {
    Primary(packet::PublicKey),
    Sub(packet::PublicSubkey),
}

impl Keyring {
    /// Adds the keys of a file, armored or not; `what` names it in messages. Keys that do not prove themselves, and those
    /// of a kind that nobody signs with, are left out; a file without any other is refused.
    pub fn add(&mut self, what: &str, bytes: &[u8]) -> Result<(), Refusal> {
        let refused = |reason: &str, hint: &str| {
            let refusal = Refusal::new(RefusalKind::Invalid, Spot::new("keyring", what), reason);
            Err(if hint.is_empty() { refusal } else { refusal.hint(hint) })
        };
        if bytes.get(8..12) == Some(b"KBXf") {
            return refused(
                "a keybox, of which only GnuPG knows the form",
                "gpg --keyring FILE --export > FILE.gpg",
            );
        }
        if bytes.len() > LONGEST {
            return refused("too long for a file with keys", "");
        }
        let packets = packets(what, bytes, "PUBLIC KEY BLOCK")?;
        let found = SignedPublicKey::from_packets(counting(&packets).peekable());
        let before = self.keys.len();
        for key in found.take(MOST_KEYS).flatten() {
            self.keys.extend(keys(&key));
        }
        match self.keys.len() > before {
            true => Ok(()),
            false => refused("no key in it that can sign", "gpg --export KEY > FILE.gpg"),
        }
    }

    /// How many keys may sign.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

/// The keys of a file as apt takes them from a `.gpg` file: packets without armor.
///
/// # Errors
/// It is too long, or holds something else.
pub fn binary_keys(what: &str, bytes: &[u8]) -> Result<Vec<u8>, Refusal> {
    packets(what, bytes, "PUBLIC KEY BLOCK")
}

/// The packets of a keyring that say something about keys. GnuPG leaves its owner's trust in keyrings (RFC 9580, 5.10), as in
/// Ubuntu's, and what is of an unknown kind or version is passed over (4.3).
fn counting(bytes: &[u8]) -> impl Iterator<Item = Result<Packet, Error>> {
    PacketParser::new(bytes).filter(|packet| match packet {
        Ok(packet) => !matches!(packet, Packet::Trust(_) | Packet::Marker(_) | Packet::Padding(_)),
        Err(Error::Unsupported { .. }) => false,
        Err(Error::InvalidPacketContent { source }) => !matches!(**source, Error::Unsupported { .. }),
        Err(_) => true,
    })
}

/// The keys of a certificate that may sign.
fn keys(certificate: &SignedPublicKey) -> Vec<Key> {
    let primary = &certificate.primary_key;
    let is_revoked = certificate
        .details
        .revocation_signatures
        .iter()
        .take(MOST_SIGNATURES)
        .any(|signature| counts(signature) && signature.verify_key(primary).is_ok());
    let Some(newest) = newest(own_signatures(certificate)) else { return Vec::new() };
    let created = i64::from(primary.created_at().as_secs());
    let expires = expiry(newest, created);
    let flags = has_flags(newest).then(|| newest.key_flags());
    let first = flags.is_none_or(|flags| flags.sign()).then(|| Key {
        material: Material::Primary(primary.clone()),
        id: primary.legacy_key_id(),
        fingerprint: primary.fingerprint(),
        created,
        expires,
        is_revoked,
        weak: weak(primary.public_params()),
    });
    let subkeys = certificate.public_subkeys.iter().take(MOST_SIGNATURES);
    let subkeys = subkeys.filter_map(|subkey| of_subkey(subkey, primary)).map(|subkey| Key {
        expires: [subkey.expires, expires].into_iter().flatten().min(),
        is_revoked: subkey.is_revoked || is_revoked,
        ..subkey
    });
    first.into_iter().chain(subkeys).collect()
}

fn of_subkey(subkey: &SignedPublicSubKey, primary: &packet::PublicKey) -> Option<Key> {
    let signatures = subkey.signatures.iter().take(MOST_SIGNATURES).filter(|one| counts(one));
    let bound = signatures.filter(|one| one.verify_subkey_binding(primary, &subkey.key).is_ok());
    let (revocations, bindings): (Vec<&Signature>, Vec<&Signature>) =
        bound.partition(|one| one.typ() == Some(SignatureType::SubkeyRevocation));
    let newest = newest(bindings.into_iter())?;
    let back = newest.embedded_signature().filter(|back| counts(back));
    let is_bound = back.is_some_and(|back| back.verify_primary_key_binding(&subkey.key, primary).is_ok());
    let created = i64::from(subkey.key.created_at().as_secs());
    (newest.key_flags().sign() && is_bound).then(|| Key {
        material: Material::Sub(subkey.key.clone()),
        id: subkey.key.legacy_key_id(),
        fingerprint: subkey.key.fingerprint(),
        created,
        expires: expiry(newest, created),
        is_revoked: !revocations.is_empty(),
        weak: weak(subkey.key.public_params()),
    })
}

/// Signatures by which a primary key binds its user ids and itself.
fn own_signatures(certificate: &SignedPublicKey) -> impl Iterator<Item = &Signature> {
    let (primary, details) = (&certificate.primary_key, &certificate.details);
    let users = details.users.iter().flat_map(|user| user.signatures.iter().map(move |one| (one, &user.id)));
    let users = users.filter(|(one, _)| one.typ() != Some(SignatureType::CertRevocation) && counts(one));
    let users = users.filter(move |(one, _)| is_by(one, primary)).take(MOST_SIGNATURES);
    let users = users.filter(move |(one, id)| one.verify_certification(primary, Tag::UserId, id).is_ok());
    let direct = details.direct_signatures.iter().filter(|one| one.typ() == Some(SignatureType::Key));
    let direct = direct.filter(|one| counts(one)).take(MOST_SIGNATURES);
    users.map(|(one, _)| one).chain(direct.filter(move |one| one.verify_key(primary).is_ok()))
}

/// Whether a key may have made it: what others certify is not even looked at.
fn is_by(signature: &Signature, key: &packet::PublicKey) -> bool {
    let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    let unsaid = ids.is_empty() && prints.is_empty();
    unsaid || ids.contains(&&key.legacy_key_id()) || prints.contains(&&key.fingerprint())
}

/// Whether a signature of a key about itself is made with a digest that is not broken altogether.
fn counts(signature: &Signature) -> bool {
    !matches!(
        signature.hash_alg(),
        None | Some(HashAlgorithm::Md5 | HashAlgorithm::None | HashAlgorithm::Other(_))
    )
}

fn newest<'s>(signatures: impl Iterator<Item = &'s Signature>) -> Option<&'s Signature> {
    signatures.max_by_key(|signature| signature.created())
}

/// When a key ends, in seconds since 1970: its own time, or that of the signature that binds it.
fn expiry(signature: &Signature, created: i64) -> Option<i64> {
    let signed = signature.created().map_or(0, |signed| i64::from(signed.as_secs()));
    let key = signature.key_expiration_time().map(|after| (created, i64::from(after.as_secs())));
    let bound = signature.signature_expiration_time().map(|after| (signed, i64::from(after.as_secs())));
    let ends = [key, bound].into_iter().flatten().filter(|(_, after)| *after != 0);
    ends.map(|(start, after)| start + after).min()
}

fn has_flags(signature: &Signature) -> bool {
    let mut hashed = signature.config().into_iter().flat_map(|config| config.hashed_subpackets());
    hashed.any(|subpacket| matches!(subpacket.data, SubpacketData::KeyFlags(_)))
}

/// Why a key proves nothing.
fn weak(params: &PublicParams) -> Option<String> {
    match params {
        PublicParams::RSA(rsa) => {
            // Its first number is the modulus, which starts with how many bits it has (RFC 9580, 3.2).
            let mut bytes = Vec::new();
            let written = rsa.to_writer(&mut bytes).ok().and(bytes.first_chunk::<2>());
            let bits = written.map_or(0, |bits| u16::from_be_bytes(*bits));
            (bits < LEAST_RSA).then(|| format!("an RSA key of {bits} bits"))
        }
        PublicParams::DSA(_) => Some("a DSA key".to_owned()),
        _ => None,
    }
}
