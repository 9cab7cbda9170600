//! What a package repository of the apt family says: its Release file, whose signature is checked, and its packages.
