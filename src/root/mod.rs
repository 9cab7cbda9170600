//! Makes and finishes root trees.
