//! Disk containers: formats that hold one disk in a file.

pub mod qcow2;
pub mod raw;
