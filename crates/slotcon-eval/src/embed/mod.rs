//! Dense features, slots and pooled vectors of a folder.
