//! Fit and Tree to Layouts. Pure.
