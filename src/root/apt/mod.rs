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
//!                               the tree's apt says what dpkg is to do (calls), without a network
//!                                           | in its order: what needs no dpkg is unpacked in this process
//!                                           v
//!                               the tree's dpkg unpacks the rest and configures all
//! ```
//!
//! So a host needs neither apt nor dpkg, no program in a tree ever reaches the network, and credentials never reach a tree.

mod beginning;
mod calls;
mod mirror;
mod repositories;
pub mod steps;

pub use beginning::copy_tree;
pub use calls::Call;
pub use mirror::{Files, Mirror};
pub use repositories::{AptError, Repository, Surroundings, catalogue, fetch_chosen, kept_keys, read};

/// Name of the bind that shows the mirror to the tree's apt.
pub const MIRROR: &str = "repositories";
