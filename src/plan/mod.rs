//! Image to Plan; Plan and Tree to Fit. Pure.
