//! The one module with `unsafe`: what rustix lacks.
