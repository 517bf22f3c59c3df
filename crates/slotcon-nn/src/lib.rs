//! Backbones and heads with PyTorch's names.
