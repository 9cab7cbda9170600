//! Front-ends: a description becomes a [`Model`](crate::model::Model) with source spans.

mod diagnostic;
mod explain;
pub mod kiwi;

pub use diagnostic::{Diagnostic, Diagnostics, Lack, Severity, SourceText, Span};
pub use explain::{CODES, explain};
