//! A folder of photos in, batches of paired augmented views out.
