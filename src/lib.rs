//! Builds disk images from KIWI descriptions and root trees: no root, no loop devices, no mounts, the same bytes
//! every time.
//!
//! ```text
//! description -describe-> Model -resolve-> Image -plan-> Plan
//! tree, tar -survey-> Tree + Contents;  Plan + Tree -fit-> Fit -compose-> Layouts -emit-> files -> report
//! ```

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
