//! Whose files they are.

use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// How owners on the host become owners in the tree.
#[derive(Clone, Copy)]
pub(super) enum Owners {
    /// All files get this owner and group: asked for, or what a record does not name.
    Given(u32, u32),
    /// As the host says: uid 0 owns the top.
    Host,
    /// All files must belong to this ordinary uid, and become 0:0.
    Ordinary(u32),
}

impl Owners {
    pub(super) fn map(self, uid: u32, gid: u32) -> (u32, u32) {
        match self {
            Owners::Given(uid, gid) => (uid, gid),
            Owners::Host => (uid, gid),
            Owners::Ordinary(_) => (0, 0),
        }
    }

    /// Whether a file of this owner cannot be mapped.
    pub(super) fn refuses(self, uid: u32) -> bool {
        matches!(self, Owners::Ordinary(only) if only != uid)
    }

    /// The refusal of the first file that cannot.
    pub(super) fn refusal(self, path: String, uid: u32) -> Refusal {
        let top = match self {
            Owners::Ordinary(top) => format!("its top belongs to uid {top} and this file to uid {uid}"),
            _ => String::new(),
        };
        let reason = format!("the owners in this directory are mixed: {top}");
        Refusal::new(RefusalKind::Invalid, Spot::new("tree", path), reason)
            .hint("say who owns what with --record FILE, or one owner for everything with --owner UID:GID")
    }

    pub(super) fn note(self) -> Option<String> {
        match self {
            Owners::Ordinary(uid) => Some(format!("owners: all files belong to uid {uid} and become 0:0")),
            _ => None,
        }
    }
}
