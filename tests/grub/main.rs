//! GRUB's images against `grub-mkimage`, `grub-bios-setup`, `grub-script-check`, and the machine itself.

#![allow(clippy::disallowed_methods, clippy::unwrap_used)] // functions beside the tests count as no tests

mod disk;
#[allow(unreachable_pub)]
#[path = "../../fuzz/src/grub.rs"]
mod forged;
mod hostile;
mod images;
#[path = "../support/mod.rs"]
mod support;
mod tree;
