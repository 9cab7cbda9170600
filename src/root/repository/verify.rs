//! Signatures of Release files (RFC 9580): in the file itself (`InRelease`), or beside it (`Release.gpg`).
//!
//! As with apt, one good signature by a known key will do, whatever others there are; but one by a known key that does not
//! fit the text is an error, whatever others there are. What may be read on is what was signed, and nothing else of a file.

use super::armor::{clear, is_clear, packets};
use super::control::said;
use super::keyring::{Key, Keyring, Material};
use super::time::shown;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::{Packet, PacketParser, Signature, SignatureType};

/// Most signatures of a text.
const MOST_SIGNATURES: usize = 64;
/// How far the date of a signature may lie ahead, in seconds.
const MAX_FUTURE: i64 = 10;

/// A text that may be believed: its signature was checked, or it was said that none counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    text: Vec<u8>,
    signers: Vec<Signer>,
}

/// Who signed a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// Fingerprint of the key, in capital hexadecimal digits.
    pub fingerprint: String,
    /// When, in seconds since 1970.
    pub created: i64,
}

impl Verified {
    /// A text that counts without a signature, since the description says so; a signature in it is taken off.
    pub fn unchecked(what: &str, bytes: Vec<u8>) -> Result<Verified, Refusal> {
        let text = if is_clear(&bytes) { clear(what, &bytes)?.text } else { bytes };
        Ok(Verified { text, signers: Vec::new() })
    }

    /// The text that was signed.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// Good signatures by known keys; none where none counts.
    pub fn signers(&self) -> &[Signer] {
        &self.signers
    }
}

/// Checks a text that is signed in place; `now` in seconds since 1970, `what` names it in messages.
pub fn verify_clear(what: &str, bytes: &[u8], keys: &Keyring, now: i64) -> Result<Verified, Refusal> {
    let clear = clear(what, bytes)?;
    let signatures = packets(what, &clear.signatures, "SIGNATURE")?;
    // The last line's end is none of the text's.
    let lines: Vec<&[u8]> =
        clear.text.strip_suffix(b"\n").unwrap_or_default().split(|&byte| byte == b'\n').collect();
    let signed = lines.join(&b"\r\n"[..]);
    let signers = check(what, &signed, SignatureType::Text, &signatures, keys, now)?;
    Ok(Verified { text: clear.text, signers })
}

/// Checks a text whose signature is in a file of its own; `now` in seconds since 1970, `what` names it in messages.
pub fn verify_detached(
    what: &str,
    text: Vec<u8>,
    signature: &[u8],
    keys: &Keyring,
    now: i64,
) -> Result<Verified, Refusal> {
    let signatures = packets(what, signature, "SIGNATURE")?;
    let signers = check(what, &text, SignatureType::Binary, &signatures, keys, now)?;
    Ok(Verified { text, signers })
}

/// What is to be said about a signature.
enum Outcome {
    Good(Signer),
    /// It does not fit the text.
    Bad(String),
    /// It counts for nothing: its key, and why.
    Idle(String),
    /// By a key that nobody knows.
    Unknown(String),
}

fn check(
    what: &str,
    signed: &[u8],
    kind: SignatureType,
    packets: &[u8],
    keys: &Keyring,
    now: i64,
) -> Result<Vec<Signer>, Refusal> {
    let refused = |kind, reason: String| Refusal::new(kind, Spot::new("repository", what), reason);
    let signatures = signatures(packets).map_err(|reason| refused(RefusalKind::Invalid, reason))?;
    let (mut good, mut idle, mut unknown) = (Vec::new(), Vec::new(), Vec::new());
    for signature in &signatures {
        match outcome(signature, signed, kind, keys, now) {
            Outcome::Good(signer) => good.push(signer),
            Outcome::Idle(why) => idle.push(why),
            Outcome::Unknown(key) => unknown.push(key),
            Outcome::Bad(key) => {
                let reason = format!("a wrong signature by the key {key}: the text was changed behind it");
                let hint =
                    "the mirror is being updated, or somebody is on the way to it: try again, or another one";
                return Err(refused(RefusalKind::Invalid, reason).hint(hint));
            }
        }
    }
    if !good.is_empty() {
        return Ok(good);
    }
    if idle.is_empty() {
        let by = if unknown.is_empty() { "nobody".to_owned() } else { unknown.join(", ") };
        let reason = match keys.is_empty() {
            true => format!("signed by {by}, and no key is known"),
            false => format!("signed by {by}, and none of these keys is known"),
        };
        return Err(refused(RefusalKind::Missing, reason).hint(HINT));
    }
    let others =
        if unknown.is_empty() { String::new() } else { format!("; unknown keys: {}", unknown.join(", ")) };
    let reason = format!("no signature that counts: {}{others}", idle.join("; "));
    Err(refused(RefusalKind::Invalid, reason).hint(HINT))
}

const HINT: &str = "name a file with the key in the description: <signing key=\"file:///usr/share/keyrings/NAME.gpg\"/> in \
    <source>; Debian's keys are in the package debian-archive-keyring";

/// The signatures in a list of packets; those of a version that nobody knows are passed over.
fn signatures(packets: &[u8]) -> Result<Vec<Signature>, String> {
    let mut signatures = Vec::new();
    for packet in PacketParser::new(packets).take(MOST_SIGNATURES + 1) {
        match packet {
            Ok(Packet::Signature(signature)) => signatures.push(signature),
            Ok(_) => return Err("something else than signatures where its signature is to be".to_owned()),
            Err(error) => return Err(format!("a broken signature: {}", said(error.to_string().as_bytes()))),
        }
    }
    match signatures.len() {
        0 => Err("no signature where its signature is to be".to_owned()),
        1..=MOST_SIGNATURES => Ok(signatures),
        _ => Err(format!("more than {MOST_SIGNATURES} signatures")),
    }
}

fn outcome(signature: &Signature, signed: &[u8], kind: SignatureType, keys: &Keyring, now: i64) -> Outcome {
    let (ids, prints) = (signature.issuer_key_id(), signature.issuer_fingerprint());
    let by = prints
        .first()
        .map(|print| format!("{print:X}"))
        .or(ids.first().map(|id| id.to_string().to_uppercase()));
    let by = by.unwrap_or_else(|| "a key that it does not name".to_owned());
    let named = |key: &&Key| ids.contains(&&key.id) || prints.contains(&&key.fingerprint);
    let mut known = keys.keys.iter().filter(named).peekable();
    if known.peek().is_none() {
        return Outcome::Unknown(by);
    }
    if let Some(why) = idle(signature, kind, now) {
        return Outcome::Idle(format!("{by}: {why}"));
    }
    let fits = |key: &&Key| match &key.material {
        Material::Primary(key) => signature.verify(key, signed).is_ok(),
        Material::Sub(key) => signature.verify(key, signed).is_ok(),
    };
    let Some(key) = known.find(fits) else { return Outcome::Bad(by) };
    let created = signature.created().map_or(0, |created| i64::from(created.as_secs()));
    let why = match key {
        Key { weak: Some(weak), .. } => weak.clone(),
        Key { is_revoked: true, .. } => "the key is revoked".to_owned(),
        Key { expires: Some(end), .. } if *end <= now => format!("the key expired on {}", shown(*end)),
        Key { created: start, .. } if created < *start => "signed before its key was made".to_owned(),
        key => return Outcome::Good(Signer { fingerprint: format!("{:X}", key.fingerprint), created }),
    };
    Outcome::Idle(format!("{by}: {why}"))
}

/// Why a signature counts for nothing, whoever made it.
fn idle(signature: &Signature, kind: SignatureType, now: i64) -> Option<String> {
    let Some(created) = signature.created().map(|created| i64::from(created.as_secs())) else {
        return Some("a signature without a date".to_owned());
    };
    match signature.hash_alg() {
        Some(HashAlgorithm::Md5 | HashAlgorithm::Sha1 | HashAlgorithm::Ripemd160) => {
            return Some("made with MD5, SHA-1 or RIPEMD-160, which prove nothing".to_owned());
        }
        Some(HashAlgorithm::Sha256 | HashAlgorithm::Sha384 | HashAlgorithm::Sha512) => {}
        Some(HashAlgorithm::Sha224 | HashAlgorithm::Sha3_256 | HashAlgorithm::Sha3_512) => {}
        _ => return Some("made with a digest that is not known".to_owned()),
    }
    if signature.typ() != Some(kind) {
        return Some("a signature for something else than such a text".to_owned());
    }
    if created > now.saturating_add(MAX_FUTURE) {
        return Some(format!("signed in the future: {}, and it is {}", shown(created), shown(now)));
    }
    let after = signature.signature_expiration_time().map(|after| i64::from(after.as_secs()));
    let end = after.filter(|after| *after != 0).map(|after| created + after);
    end.filter(|end| *end <= now).map(|end| format!("the signature expired on {}", shown(end)))
}
