//! The survey: directories, records, overlays and archives become trees.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used)]

mod changes;
mod directory;
mod overlay;
mod record;
mod support;
mod tar_bytes;
mod tar_gnu;
mod tar_hostile;
mod tar_model;
mod tar_written;
