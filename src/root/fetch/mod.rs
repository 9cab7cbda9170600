//! Files from elsewhere: fetched in parallel, kept by their digest.
