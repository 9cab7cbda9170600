//! Trees of the apt family: what their repositories offer, and what the tree's own apt and dpkg do.
//!
//! ```text
//! <repository> -sources-> Source -read-> Repository: Release that is signed and fresh, Packages by digest
//!                                           | closure: essential packages and apt        (what debootstrap does, and no more)
//!                                           v
//!                               unpacked in this process, configured by the tree's own dpkg
//!                                           | Mirror: Packages of all repositories in a directory, no packages yet
//!                                           v
//!                               the tree's apt solves what is asked for, and says which files it needs
//!                                           | fetched by us, by digest, in parallel; linked into the mirror
//!                                           v
//!                               the tree's apt installs from the mirror, without a network
//! ```
//!
//! So a host needs neither apt nor dpkg, no program in a tree ever reaches the network, and credentials never reach a tree.

mod beginning;
mod mirror;
mod repositories;
pub mod steps;

pub use beginning::copy_tree;
pub use mirror::Mirror;
pub use repositories::{AptError, Repository, Surroundings, catalogue, fetch_chosen, read};

/// Name of the bind that shows the mirror to the tree's apt.
pub const MIRROR: &str = "repositories";
