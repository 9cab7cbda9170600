//! The place where a tree is made: described operations on it, and programs that run in it.
