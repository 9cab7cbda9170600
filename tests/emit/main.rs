//! Emission: bytes, sparseness, one reading, and nothing left behind when anything fails.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, clippy::print_stderr, missing_docs)]

mod bytes;
mod failures;
mod host;
mod names;
mod support;
