//! GRUB's images against `grub-mkimage`, `grub-bios-setup`, `grub-script-check`, and the machine itself.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests
#![allow(unreachable_pub)] // they are for each other

mod config;
mod disk;
mod distributions;
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/grub.rs"]
mod forged;
mod hostile;
mod images;
mod signed;
#[path = "../support/mod.rs"]
mod support;
mod tree;
