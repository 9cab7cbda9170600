//! Front-ends: a description becomes a Model with source spans.
