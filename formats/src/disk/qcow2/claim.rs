//! What the clusters of a file are for.

/// What a cluster of the file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Header,
    RefcountTable,
    RefcountBlock,
    Snapshots,
    Bitmaps,
    Bitmap,
    L1,
    L2,
    Data,
    Compressed,
}

impl Owner {
    pub(super) fn name(self) -> &'static str {
        match self {
            Owner::Header => "header",
            Owner::RefcountTable => "refcount table",
            Owner::RefcountBlock => "refcount block",
            Owner::Snapshots => "snapshot table",
            Owner::Bitmaps => "bitmap table",
            Owner::Bitmap => "bitmap data",
            Owner::L1 => "l1 table",
            Owner::L2 => "l2 table",
            Owner::Data => "data cluster",
            Owner::Compressed => "compressed data",
        }
    }
}

/// Clusters of the file that entries name: neighbours named by neighbouring entries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    /// First cluster of the file.
    pub first: u64,
    pub count: u64,
    pub owner: Owner,
    /// Which of its kind the first one is: L1 index, guest cluster.
    pub number: u64,
    /// Byte position of the entry that names the first.
    pub entry: u64,
    /// How many ways lead to each: more than one below an L2 table that snapshots share.
    pub ways: u32,
    /// Whether the current disk uses it (and not snapshots alone).
    pub active: bool,
    /// The entries' bit 63, where it has a meaning.
    pub copied: Option<bool>,
}

impl Claim {
    pub(super) fn end(&self) -> u64 {
        self.first + self.count
    }

    /// Whether `next` goes on where this ends, in the file, in the table and in the guest.
    pub(super) fn goes_on(&self, next: &Claim) -> bool {
        let Claim { owner, ways, active, copied, .. } = *self;
        (owner, ways, active, copied) == (next.owner, next.ways, next.active, next.copied)
            && [Owner::Data, Owner::L2, Owner::RefcountBlock, Owner::Bitmap].contains(&owner)
            && self.end() == next.first
            && self.number + self.count == next.number
            && self.entry + self.count * 8 == next.entry
    }
}
