//! Partition tables.

pub mod gpt;
