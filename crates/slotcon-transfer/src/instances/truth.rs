//! The objects of a picture, as the network learns them.

use slotcon_data::rle::Runs;
use slotcon_torch::Error;
use tch::{Device, Kind, Tensor};

/// Which pixels are an object's.
#[derive(Debug, Clone, PartialEq)]
pub enum Shape {
    /// Those within any of the closed polygons (x, y, x, y, … in pixels of the picture).
    Polygons(Vec<Vec<f64>>),
    /// These, of the picture's size.
    Pixels(Runs),
}

/// The objects of a picture, in its pixels as the network sees it.
#[derive(Debug)]
pub struct Truth {
    /// `[G, 4]`, f32, on the CPU.
    pub boxes: Tensor,
    /// The class of each, from 0.
    pub classes: Vec<i64>,
    /// The shape of each.
    pub shapes: Vec<Shape>,
}

impl Truth {
    /// Of boxes (x1, y1, x2, y2), classes and shapes, one an object.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn new(boxes: &[[f32; 4]], classes: Vec<i64>, shapes: Vec<Shape>) -> Result<Self, Error> {
        let boxes = Tensor::from_slice(boxes.as_flattened()).f_view([-1, 4])?;
        Ok(Self {
            boxes,
            classes,
            shapes,
        })
    }

    /// The classes as a tensor `[G]`.
    pub fn class_tensor(&self) -> Tensor {
        match &self.classes[..] {
            [] => Tensor::zeros([0], (Kind::Int64, Device::Cpu)),
            classes => Tensor::from_slice(classes),
        }
    }
}
