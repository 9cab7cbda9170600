//! The functions that scripts of descriptions call.
//!
//! A shell file of our own, written from what KIWI's documentation and behaviour say of each name (KIWI NG 10 and 11,
//! `config/functions.sh`); scripts source it as `/.kconfig`. It needs a POSIX shell with `local`, and of the tree the programs
//! that each function calls.

/// Where scripts find the functions.
pub const PATH: &str = "/.kconfig";

/// The functions.
pub const FUNCTIONS: &str = include_str!("kconfig.sh");
