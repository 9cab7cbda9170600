//! Builds disk images from KIWI descriptions and root trees: no root, no loop devices, no mounts, the same bytes
//! every time.
//!
//! **Decide everything before moving a byte.** Every file system, partition table and container is a pure function into
//! one small value, the [`Layout`](diskwright_formats::layout::Layout); one room turns layouts into files.
//!
//! ```text
//! description -describe-> Model -resolve-> Image -plan-> Plan        order, ids, command line, rules for sizes: no tree
//! directory, tar -survey-> Tree + Contents                           sorted; owners, times and holes by fixed rules
//! Plan + Tree -fit-> Fit -compose-> Layouts -emit-> files            numbers; then bytes, once, straight to their place
//! image -inspect-> Layouts, Trees, Damage                            the way back
//! ```
//!
//! | room | what it may do that others may not |
//! | --- | --- |
//! | [`cli`] | print, read the environment, look at the clock |
//! | [`describe`], [`model`], [`resolve`], [`plan`], [`boot`], [`compose`] | nothing: pure, but for reading the description |
//! | [`survey`] | read sources, beneath their root, without following links |
//! | [`emit`] | write image files; all appear under their names when complete, or none does |
//! | [`root`], [`lab`] | run programs (only `lab` does, so far) |
//! | [`sys`] | `unsafe`: what rustix lacks |
//!
//! Arrows point one way: this crate uses `fstools`, which uses `formats`. Ids and times come from the
//! [`Identity`](diskwright_formats::identity::Identity) alone: there is no random source and no clock where images are laid
//! out, and lints keep it so.

pub mod boot;
pub mod build;
pub mod cli;
pub mod compose;
pub mod describe;
pub mod emit;
pub mod inspect;
pub mod lab;
pub mod model;
pub mod plan;
pub mod report;
pub mod resolve;
pub mod root;
pub mod survey;
pub mod sys;
