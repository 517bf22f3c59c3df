//! What is known of a place: the backbone's features and its position in the picture.

use slotcon::method::Mode;
use slotcon_data::Picture;
use tch::Tensor;

use super::position::COLUMNS;
use crate::error::Error;
use crate::retrieval::positions;
use crate::segment::Segmenter;
use crate::whitening::Whitening;

/// The features of one stage of the backbone, `[B, h, w, C]` of pixels `[B, 3, H, W]`. Those of an earlier stage are averaged over as much
/// of the picture as a position of the last stage covers, since a texture is more than one of its places.
///
/// # Errors
/// A failure of libtorch, such as too little memory.
fn stage_features(segmenter: &Segmenter, stage: u8, pixels: &Tensor) -> Result<Tensor, Error> {
    let network = segmenter.network();
    let map = network.stage(stage.into(), pixels, Mode::default())?;
    let strides = network.strides();
    let finer = strides[3] / strides[usize::from(stage) - 1];
    let map = match finer {
        ..=1 => map,
        _ => map.f_avg_pool2d([finer; 2], [finer; 2], [0; 2], true, false, None)?,
    };
    Ok(map.f_permute([0, 2, 3, 1])?)
}

/// The features of pictures of one size, one after the other, `[B, h, w, C]`.
///
/// # Errors
/// A failure of libtorch, such as too little memory.
pub(super) fn each_features(segmenter: &Segmenter, stage: u8, pictures: &[Picture]) -> Result<Tensor, Error> {
    let of = |picture| stage_features(segmenter, stage, &segmenter.pixels(std::slice::from_ref(picture)));
    let all = pictures.iter().map(of).collect::<Result<Vec<_>, Error>>()?;
    Ok(Tensor::f_cat(&all, 0)?)
}

/// The features of a picture, `[h, w, C + 2]`: the mean of those of the picture and of its mirror image. The last two columns are the
/// [`positions()`] of the places.
///
/// # Errors
/// A failure of libtorch, such as too little memory.
pub(super) fn place_features(segmenter: &Segmenter, stage: u8, picture: &Picture) -> Result<Tensor, Error> {
    let _guard = tch::no_grad_guard();
    let own = each_features(segmenter, stage, std::slice::from_ref(picture))?;
    with_mirror_image(segmenter, stage, picture, &own)
}

/// [`place_features`] of a picture whose features as it is, `[1, h, w, C]`, are known.
///
/// # Errors
/// A failure of libtorch, such as too little memory.
pub(super) fn with_mirror_image(
    segmenter: &Segmenter,
    stage: u8,
    picture: &Picture,
    own: &Tensor,
) -> Result<Tensor, Error> {
    let pixels = segmenter.pixels(std::slice::from_ref(picture)).f_flip([3])?;
    let mirrored = stage_features(segmenter, stage, &pixels)?.f_flip([2])?;
    let both = ((own + mirrored) / 2.0).f_squeeze_dim(0)?;
    let (h, w, _) = both.size3()?;
    let positions = positions(&picture.window(), (h, w), both.device())?;
    Ok(Tensor::f_cat(&[both, positions], -1)?)
}

/// What is compared of places `[.., C + 2]`: their features, whitened and of length 1, and their positions.
///
/// # Errors
/// A failure of libtorch.
pub(super) fn compared(places: &Tensor, whitening: &Whitening) -> Result<Tensor, Error> {
    let channels = places.size().last().map_or(0, |columns| columns - COLUMNS);
    let features = whitening.apply(&places.f_narrow(-1, 0, channels)?)?;
    let positions = places.f_narrow(-1, channels, COLUMNS)?;
    Ok(Tensor::f_cat(&[features, positions], -1)?)
}
