//! Loader files and configuration: changes to the tree, bytes for the disk.
