//! File system writers and readers: a [`tree::Tree`] becomes a [`Layout`](diskwright_formats::layout::Layout) and back.
//!
//! A file system is a folder with fixed file names: `mod.rs` (specification, map, limits), `disk.rs` (structures),
//! `lay.rs` (tree to layout), `open.rs` (image to tree), `dump.rs` (every byte explained), and one row in [`registry`].
#![forbid(unsafe_code)]

pub mod ext;
pub mod fat;
pub mod registry;
pub mod swap;
pub mod tar;
pub mod tree;
