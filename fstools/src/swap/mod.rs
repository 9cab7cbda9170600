//! Linux swap, version 1 of the header: what `swapon` takes. It holds no files.
//!
//! Specification: `include/linux/swap.h` of Linux (`union swap_header`), `mm/swapfile.c` (`read_swap_header`), mkswap(8).
//!
//! ```text
//!       0  ┌────────────────────────────────────────────┐
//!          │ boot sector, disk label: left alone        │
//!    1024  │ version 1, last page, number of bad pages  │
//!    1036  │ UUID                                       │
//!    1052  │ volume name, 16 bytes with its NUL         │
//!    1068  │ padding                                    │
//!    1536  │ numbers of the bad pages                   │
//!  P - 10  │ SWAPSPACE2                                 │
//!       P  ├────────────────────────────────────────────┤
//!          │ pages 1 to the last: content does not      │
//!          │ matter                                     │
//!          └────────────────────────────────────────────┘
//! ```
//!
//! P is the size of a page **of the machine that will swap**, not of the one that lays: 4096 bytes on x86 and most others; 16
//! or 64 KiB on some kernels for arm64, 64 KiB on ppc64le of some distributions. A kernel refuses a header of another page
//! size, so `-p` says it there. Integers are little endian: kernels of the other order turn them (`swab32`).

mod disk;
mod dump;
mod lay;
mod open;
mod reid;

use crate::registry::Row;
use diskwright_formats::fault::{Refusal, RefusalKind, Spot};

/// What refusals and damage are named after.
const NAME: &str = "swap";
/// Fewest pages, that of the header counted (`MIN_GOODPAGES` of mkswap).
const PAGES_MIN: u64 = 10;
/// Most pages: `last_page` has 32 bits.
const PAGES_MAX: u64 = 1 << 32;
/// Most bytes of a label: the field ends in a NUL.
const LABEL_MAX: usize = 15;

/// The row of the registry.
pub const SWAP: Row = Row {
    name: NAME,
    aliases: &["linux-swap"],
    about: "swap space of Linux, version 1",
    options: lay::OPTIONS,
    limits: &[
        "no files: the tree is an empty directory",
        "from 10 to 2^32 pages; labels of up to 15 bytes",
        "a page is 4096 bytes unless -p says what the machine has that will swap",
    ],
    configure: lay::configure,
    recognise: open::recognise,
    resembles: open::resembles,
    open: open::open,
    dump: dump::dump,
    reid: reid::reid,
};

fn refusal(kind: RefusalKind, object: impl Into<String>, reason: impl Into<String>) -> Refusal {
    Refusal::new(kind, Spot::new(NAME, object), reason)
}
