//! Results as JSON and text.

mod info;
pub mod kiwi;
mod layout;
mod picture;
mod support;
mod values;

pub use info::{
    Info, ItemInfo, Origin, ProfileInfo, RepositoryInfo, Section, TypeInfo, UserInfo, Value, info,
};
pub use layout::{LayoutReport, MbrReport, PartitionReport};
pub use picture::{Ink, Stretch, picture};
pub use support::{
    Blocker, DescriptionSupport, ImageSupport, Missing, Support, Totals, Verdict, choices, support,
};
