//! What an image is; illegal combinations cannot be written down.
