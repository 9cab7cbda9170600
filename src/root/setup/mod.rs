//! What is done to a tree behind its packages: overlays, files, users, locale, scripts.
