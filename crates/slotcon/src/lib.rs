//! SlotCon: the method, its optimizers, recipes, trainer and checkpoints.
