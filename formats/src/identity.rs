//! Identity: the one source of every UUID, serial number, seed and time in an image.
//!
//! Ids are keyed hashes of a seed and a role name (`part/root/guid`, `fs/root/uuid`), so the same description gives the
//! same ids on every machine, and one id does not move when another is added.

use sha2::{Digest, Sha256};
use std::collections::BTreeSet;
use uuid::Uuid;

/// Seed and epoch, seen from one role.
///
/// A clone has a role of its own for what tells copies apart ([`Identity::uuid`], [`Identity::number`]), and the
/// origin's role for what copies share ([`Identity::inherited_uuid`]: hash seeds, checksum seeds).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    seed: [u8; 32],
    epoch: i64,
    role: String,
    origin: String,
}

impl Identity {
    /// An identity from the bytes of a seed (of any length) and the epoch in seconds since 1970.
    pub fn new(seed: &[u8], epoch: i64) -> Identity {
        let seed = Sha256::new().chain_update(b"diskwright seed 1\0").chain_update(seed).finalize();
        Identity { seed: seed.into(), epoch, role: String::new(), origin: String::new() }
    }

    /// The identity of one object: role names are joined with `/`.
    pub fn role(&self, name: &str) -> Identity {
        let join = |role: &str| if role.is_empty() { name.to_owned() } else { format!("{role}/{name}") };
        Identity { role: join(&self.role), origin: join(&self.origin), ..self.clone() }
    }

    /// The identity of a clone of this object: own ids from `role` (counted from the top), shared ones inherited.
    pub fn clone_as(&self, role: &str) -> Identity {
        Identity { role: role.to_owned(), ..self.clone() }
    }

    /// The time of everything that has no time of its own, in seconds since 1970; also the latest time allowed.
    pub fn epoch(&self) -> i64 {
        self.epoch
    }

    /// An id that tells copies apart.
    pub fn uuid(&self, name: &str) -> Uuid {
        uuid_of(&self.hash(&self.role, name))
    }

    /// An id that a clone shares with its origin.
    pub fn inherited_uuid(&self, name: &str) -> Uuid {
        uuid_of(&self.hash(&self.origin, name))
    }

    /// A short id that tells copies apart; never 0 and never all ones.
    pub fn number(&self, name: &str) -> u32 {
        self.distinct_number(name, &BTreeSet::new())
    }

    /// A short id that is not in `taken`: where hashes collide, the next counter is tried.
    pub fn distinct_number(&self, name: &str, taken: &BTreeSet<u32>) -> u32 {
        (0u32..)
            .map(|counter| {
                let name = if counter == 0 { name.to_owned() } else { format!("{name}#{counter}") };
                let hash = self.hash(&self.role, &name);
                u32::from_le_bytes([hash[0], hash[1], hash[2], hash[3]])
            })
            .find(|number| ![0, u32::MAX].contains(number) && !taken.contains(number))
            .expect("fewer than 2^32 numbers are taken")
    }

    fn hash(&self, role: &str, name: &str) -> [u8; 32] {
        // Lengths in front keep ("a", "bc") and ("ab", "c") apart.
        Sha256::new()
            .chain_update(self.seed)
            .chain_update((role.len() as u64).to_le_bytes())
            .chain_update(role)
            .chain_update(name)
            .finalize()
            .into()
    }
}

/// RFC 9562, section 5.8: version 8, an id whose 122 free bits are defined by the application.
fn uuid_of(hash: &[u8; 32]) -> Uuid {
    let mut bytes: [u8; 16] = hash[..16].try_into().expect("half of 32 bytes");
    bytes[6] = bytes[6] & 0x0f | 0x80;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    Uuid::from_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_seed_role_and_name_alone() {
        let root = Identity::new(b"seed", 0).role("fs").role("root");
        assert_eq!(root.uuid("uuid"), Identity::new(b"seed", 9).role("fs/root").uuid("uuid"));
        assert_ne!(root.uuid("uuid"), root.uuid("hash-seed"));
        assert_ne!(root.uuid("uuid"), Identity::new(b"other", 0).role("fs/root").uuid("uuid"));
        assert_eq!(root.uuid("uuid").get_version_num(), 8);
    }

    #[test]
    fn a_clone_has_its_own_ids_and_inherits_the_rest() {
        let origin = Identity::new(b"seed", 0).role("fs/root");
        let clone = origin.clone_as("fs/rootclone1");
        assert_ne!(origin.uuid("uuid"), clone.uuid("uuid"));
        assert_eq!(origin.inherited_uuid("hash-seed"), clone.inherited_uuid("hash-seed"));
        assert_eq!(origin.inherited_uuid("x"), origin.uuid("x"));
    }

    #[test]
    fn numbers_step_aside() {
        let identity = Identity::new(b"seed", 0);
        let first = identity.number("volume");
        let second = identity.distinct_number("volume", &BTreeSet::from([first]));
        assert_ne!(first, second);
    }
}
