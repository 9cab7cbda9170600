//! Results as JSON and text.
