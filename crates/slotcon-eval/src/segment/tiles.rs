//! Pictures too large to be seen at once: scores from overlapping tiles.

use slotcon_data::Picture;
use slotcon_data::geometry::CropBox;
use tch::{Kind, Tensor};

use crate::error::Error;
use crate::segment::Segmenter;
use crate::segment::upsample::winners;

impl Segmenter {
    /// As [`Segmenter::segment_at`], but the network sees `seen` in tiles of `tile` pixels (rounded up to whole positions of its
    /// grid) that overlap by a quarter. Where they do, their scores are averaged, each by its distance to its tile's border.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn segment_in_tiles(&self, picture: &Picture, seen: &Picture, tile: u32) -> Result<Vec<u16>, Error> {
        let (height, width) = (i64::from(picture.height()), i64::from(picture.width()));
        Ok(winners(&self.scores_in_tiles(seen, tile)?, height, width)?)
    }

    /// As [`Segmenter::scores`], in tiles as [`Segmenter::segment_in_tiles`].
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn scores_in_tiles(&self, seen: &Picture, tile: u32) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let stride = self.recipe().output_stride()?.pixels() as u32;
        let (rows, columns) = (
            Tiles::new(seen.height(), tile, stride),
            Tiles::new(seen.width(), tile, stride),
        );
        let options = (Kind::Float, self.device());
        let (h, w) = (rows.positions(), columns.positions());
        let sums = Tensor::zeros([h, w, self.clusters() as i64], options);
        let weights = Tensor::zeros([h, w, 1], options);
        for (top, height) in rows.spans() {
            for (left, width) in columns.spans() {
                let part = seen.cut(&CropBox {
                    top,
                    left,
                    height,
                    width,
                });
                let scores = self.scores(&part)?;
                let (h, w, _) = scores.size3()?;
                let weight = ramp(h).unsqueeze(1) * ramp(w).unsqueeze(0);
                let weight = weight.unsqueeze(-1).to_device(self.device());
                let at = |whole: &Tensor| {
                    whole
                        .narrow(0, i64::from(top / stride), h)
                        .narrow(1, i64::from(left / stride), w)
                };
                let (mut sum, mut total) = (at(&sums), at(&weights));
                sum += scores * &weight;
                total += weight;
            }
        }
        Ok(sums / weights)
    }
}

/// 1, 2, … up to the middle and down again.
fn ramp(n: i64) -> Tensor {
    let weights: Vec<f32> = (0..n).map(|i| (i + 1).min(n - i) as f32).collect();
    Tensor::from_slice(&weights)
}

/// How one side of a picture is covered.
#[derive(Debug, Clone, Copy)]
struct Tiles {
    length: u32,
    tile: u32,
    stride: u32,
}

impl Tiles {
    fn new(length: u32, tile: u32, stride: u32) -> Self {
        Self {
            length,
            tile: tile.next_multiple_of(stride),
            stride,
        }
    }

    /// Positions of the network's grid along the whole side.
    fn positions(&self) -> i64 {
        i64::from(self.length.div_ceil(self.stride))
    }

    /// Beginning and length of every tile; each begins on a position.
    fn spans(&self) -> impl Iterator<Item = (u32, u32)> {
        let Self { length, tile, stride } = *self;
        let step = (tile - tile / 4).next_multiple_of(stride).min(tile);
        // The last one reaches the end, however much it overlaps.
        let last = length.saturating_sub(tile).next_multiple_of(stride);
        (0..last)
            .step_by(step as usize)
            .chain([last])
            .map(move |first| (first, tile.min(length - first)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn tiles_cover_every_position(length in 1u32..3000, tile in 64u32..600, stride in prop::sample::select(vec![8u32, 16, 32])) {
            let tiles = Tiles::new(length, tile, stride);
            let mut covered = vec![false; tiles.positions() as usize];
            for (first, size) in tiles.spans() {
                prop_assert!(first % stride == 0 && size > 0 && first + size <= length && size <= tiles.tile);
                let from = (first / stride) as usize;
                covered[from..from + size.div_ceil(stride) as usize].fill(true);
            }
            prop_assert!(covered.iter().all(|&c| c));
        }
    }
}
