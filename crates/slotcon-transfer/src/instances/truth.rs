//! The objects of a picture, as the network learns them.

use slotcon_data::annotations::Shape;
use slotcon_data::augment::instances::PlacedObject;
use slotcon_torch::Error;
use tch::Tensor;

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

    /// Of the objects that the loader hands over.
    ///
    /// # Errors
    /// What libtorch refuses.
    pub fn of(objects: &[PlacedObject]) -> Result<Self, Error> {
        let boxes = Vec::from_iter(objects.iter().map(|object| object.bounds));
        let classes = objects.iter().map(|object| object.class as i64);
        let shapes = objects.iter().map(|object| object.shape.clone());
        Self::new(&boxes, classes.collect(), shapes.collect())
    }
}
