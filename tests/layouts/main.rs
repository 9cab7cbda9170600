//! Disk layouts: those of KIWI NG 11.1.6 for descriptions that others wrote and for clones, reference layouts, the laws of
//! all of them, and how fast they are planned.
#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::unwrap_used)]

mod cases;
mod clones;
mod compare;
mod corpus;
mod fstab;
mod laws;
mod oracle;
mod reference;
#[path = "../support/mod.rs"]
mod support;
mod trees;
mod words;
