//! Bytes on a disk that are not a file system.
//!
//! The core value is [`layout::Layout`]: every file system, partition table and disk container is a pure
//! function into one. Nothing here opens a file, reads a clock or draws a random number.
#![forbid(unsafe_code)]

pub mod bytes;
pub mod disk;
pub mod dump;
pub mod fault;
pub mod identity;
pub mod layout;
pub mod registry;
pub mod table;
