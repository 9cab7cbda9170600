//! Packages of the apt family: read, unpacked into a tree, written down in the tree's dpkg database.
