//! Profiles, defaults, architecture, command line: Model to one closed Image.
