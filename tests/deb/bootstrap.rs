//! Trees that work are made of Debian's packages.
