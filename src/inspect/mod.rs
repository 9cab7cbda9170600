//! Any image to Layout and Tree again: map, check.
