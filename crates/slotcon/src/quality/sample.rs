//! The pictures on which groups are measured while they are learned: some of those learned from, the same all the time.

use std::sync::Arc;
use std::time::Duration;

use slotcon_data::loader::Reader;
use slotcon_data::picture::{DecodeOptions, decode_rgb_bytes};
use slotcon_data::resize::resize_short_side;
use slotcon_data::sampler::evenly;
use slotcon_data::{Dataset, Picture, PictureError};

/// Pictures of a data set, evenly spread over it, whole and small.
#[derive(Debug)]
pub struct Sample {
    pub(super) pictures: Vec<Picture>,
    /// Those that cannot be used, in sentences, until they are told.
    pub(crate) bad: Vec<String>,
}

impl Sample {
    /// `count` pictures, or as many as there are, of a short side of `side` pixels. A file that is not delivered within `timeout`
    /// cannot be used.
    pub fn load(data: &Arc<Dataset>, count: usize, side: u32, timeout: Duration) -> Self {
        let mut reader = Reader::new(Arc::clone(data), timeout);
        let mut sample = Self {
            pictures: Vec::new(),
            bad: Vec::new(),
        };
        for index in evenly(data.len(), count) {
            match load(&mut reader, index, side) {
                Ok(picture) => sample.pictures.push(picture),
                Err(reason) => {
                    let path = data.path(index);
                    sample
                        .bad
                        .push(format!("left out of measuring: {}: {reason}", path.display()));
                }
            }
        }
        sample
    }
}

fn load(reader: &mut Reader, index: usize, side: u32) -> Result<Picture, PictureError> {
    let mut bytes = Vec::new();
    reader.read(index, &mut bytes)?;
    let picture = decode_rgb_bytes(&bytes, &DecodeOptions::default())?;
    Ok(resize_short_side(&picture, side))
}
