//! What is compared of a place: the backbone's features and its height in the picture.

use slotcon::method::Mode;
use slotcon::method::grouping::normalize;
use slotcon_data::Picture;
use tch::{Kind, Tensor};

use crate::error::Error;
use crate::segment::Segmenter;

/// The features of a picture at one stage of the backbone, `[h, w, C + 1]`: the mean of those of the picture and of its mirror image, of length 1 at each
/// place. Those of an earlier stage are averaged over as much of the picture as a position of the last stage covers, since a texture is more than
/// one of its places. The last column is the height of the place, 0 at the top and 1 at the bottom.
///
/// # Errors
/// A failure of libtorch, such as too little memory.
pub(super) fn place_features(segmenter: &Segmenter, stage: u8, picture: &Picture) -> Result<Tensor, Error> {
    let _guard = tch::no_grad_guard();
    let pixels = segmenter.pixels(std::slice::from_ref(picture));
    let network = segmenter.network();
    let map = |pixels: &Tensor| network.stage(stage.into(), pixels, Mode::default());
    let both = map(&pixels)? + map(&pixels.f_flip([3])?)?.f_flip([3])?;
    let strides = network.strides();
    let around = strides[3] / strides[usize::from(stage) - 1] / 2;
    let both = match around {
        0 => both,
        _ => both.f_avg_pool2d([2 * around + 1; 2], [1; 2], [around; 2], false, false, None)?,
    };
    let both = both.f_squeeze_dim(0)?.f_permute([1, 2, 0])?;
    let (h, w, _) = both.size3()?;
    let height = (Tensor::f_arange(h, (Kind::Float, both.device()))? + 0.5) / h as f64;
    let height = height.f_reshape([h, 1, 1])?.f_expand([h, w, 1], false)?;
    Ok(Tensor::f_cat(&[normalize(&both), height], -1)?)
}
