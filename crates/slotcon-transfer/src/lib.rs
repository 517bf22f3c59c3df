//! What a pretrained backbone is worth elsewhere: the networks, losses and inference of the tasks to which it is transferred.

pub mod semantic;
