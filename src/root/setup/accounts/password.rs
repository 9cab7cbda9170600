//! Passwords that a description says in plain text.

use diskwright_formats::identity::Identity;
use sha_crypt::{Algorithm, Params, PasswordHasher, ShaCrypt};

/// Rounds of SHA-512: some 50 ms for whoever logs in, and as much for each guess of an attacker.
const ROUNDS: u32 = 100_000;

/// The hash of a user's password as crypt(5) has it: SHA-512, which every system knows, with a salt of the identity, so that
/// a second build gives the same. KIWI takes MD5 with the salt `xyz`.
pub(super) fn hashed(user: &str, password: &str, identity: &Identity) -> Option<String> {
    let salt = identity.role("user").uuid(&format!("{user}/salt"));
    let hasher = ShaCrypt::new(Algorithm::Sha512Crypt, Params::new(ROUNDS).ok()?);
    // Twelve bytes are the sixteen characters that a salt has at most.
    let hash = hasher.hash_password_with_salt(password.as_bytes(), &salt.as_bytes()[..12]).ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::hashed;
    use diskwright_formats::identity::Identity;

    #[test]
    fn a_hash_depends_on_seed_user_and_password_alone() {
        let one = Identity::new(b"a", 0);
        let hash = hashed("root", "linux", &one).unwrap();
        assert!(hash.starts_with("$6$rounds=100000$"), "{hash}");
        assert_eq!(hash.split('$').map(str::len).collect::<Vec<_>>(), [0, 1, 13, 16, 86], "{hash}");
        assert_eq!(hashed("root", "linux", &Identity::new(b"a", 7)).unwrap(), hash);
        let salt = |hash: &str| hash.split('$').nth(3).unwrap().to_owned();
        assert_ne!(salt(&hashed("tux", "linux", &one).unwrap()), salt(&hash));
        assert_ne!(salt(&hashed("root", "linux", &Identity::new(b"b", 0)).unwrap()), salt(&hash));
        assert_ne!(hashed("root", "Linux", &one).unwrap(), hash);
    }
}
