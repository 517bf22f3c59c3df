//! What the position of a place in its picture should weigh, told by the pictures: as much as positions say of features.

use tch::{Kind, Tensor};

use crate::error::Error;

/// The columns of a position: the height and the place across.
pub(super) const COLUMNS: i64 = 2;

/// Positions are told apart by so many bands of a picture, in each direction.
const BANDS: i64 = 8;

/// What is weighed: so many times the standard deviation of the features that positions explain. Chosen on pictures of streets, for the
/// height.
const TIMES: f64 = 1.5;

/// The weight of heights (`column` 0) or places across (1) for the compared places `[n, C + 2]` of several pictures one after the other, `of_each` of
/// each: 1.5 times the standard deviation of the features that positions explain, over that of the features. Near 0 where
/// above and below (left and right) are the same: textures, things seen from above, pictures taken in all directions; 0, too, for a single picture,
/// which cannot tell what is so in all of them.
///
/// What positions explain is the mean over bands of the squared profile that all pictures have in common: products of the profiles of two
/// *different* pictures, each without its picture's mean, so that what is so in one picture by chance counts nothing on average.
///
/// # Errors
/// A failure of libtorch.
pub fn weight(places: &Tensor, of_each: &[i64], column: i64) -> Result<f64, Error> {
    if of_each.len() < 2 {
        return Ok(0.0);
    }
    let (count, columns) = places.size2()?;
    let channels = columns - COLUMNS;
    let features = places.f_narrow(1, 0, channels)?;
    let mean = features.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
    let variance = squares(&(features - mean))? / count as f64;

    let mut together = Tensor::f_zeros([BANDS, channels], (Kind::Float, places.device()))?;
    let mut alone = 0.0;
    for picture in places.f_split_with_sizes(of_each, 0)? {
        let profile = profile(
            &picture.f_narrow(1, 0, channels)?,
            &picture.f_select(1, channels + column)?,
        )?;
        alone += squares(&profile)?;
        together = together.f_add(&profile)?;
    }
    let pairs = (of_each.len() * (of_each.len() - 1)) as f64;
    let explained = (squares(&together)? - alone) / pairs / BANDS as f64;
    let share = if variance > 0.0 { explained / variance } else { 0.0 };
    Ok(TIMES * share.max(0.0).sqrt())
}

/// The sum of all squares.
fn squares(tensor: &Tensor) -> Result<f64, Error> {
    Ok(tensor.f_square()?.f_sum(Kind::Double)?.f_double_value(&[])?)
}

/// The mean features of each band less the mean of all bands, `[BANDS, C]`, of features `[n, C]` and positions `[n]` from 0 to 1; 0 in bands
/// that have no place.
fn profile(features: &Tensor, positions: &Tensor) -> Result<Tensor, Error> {
    let band = (positions * BANDS as f64)
        .f_floor()?
        .f_clamp(0.0, (BANDS - 1) as f64)?
        .f_to_kind(Kind::Int64)?;
    let member = band.f_one_hot(BANDS)?.f_to_kind(Kind::Float)?.f_tr()?;
    let count = member.f_sum_dim_intlist(1, true, Kind::Float)?;
    let there = count.f_gt(0.0)?.f_to_kind(Kind::Float)?;
    let means = member.f_matmul(features)?.f_div(&count.f_clamp_min(1.0)?)?;
    let bands = there.f_sum(Kind::Float)?.f_clamp_min(1.0)?;
    let mean = means.f_sum_dim_intlist(0, true, Kind::Float)?.f_div(&bands)?;
    Ok((means - mean) * there)
}

#[cfg(test)]
mod tests {
    use slotcon_data::geometry::Window;
    use tch::Device;

    use super::*;
    use crate::retrieval::positions;

    /// The weights for pictures of 16 rows of 12 places: features of noise, and of the position `along` as `of_it` says, times 1 or -1 by
    /// `sign`.
    fn found(count: i64, sign: impl Fn(i64) -> f64, along: i64, of_it: f64) -> [f64; 2] {
        tch::manual_seed(3);
        let positions = positions(&Window::WHOLE, (16, 12), Device::Cpu).unwrap();
        let positions = positions.reshape([16 * 12, 2]);
        let picture = |number| {
            let noise = Tensor::randn([16 * 12, 3], (Kind::Float, Device::Cpu));
            let features = noise + (positions.narrow(1, along, 1) - 0.5) * (sign(number) * of_it);
            Tensor::cat(&[features, positions.copy()], 1)
        };
        let places = Tensor::cat(&Vec::from_iter((0..count).map(picture)), 0);
        [0, 1].map(|column| weight(&places, &vec![16 * 12; count as usize], column).unwrap())
    }

    #[test]
    fn what_all_pictures_have_in_common_is_weighed() {
        // Three channels, each with a variance of 1 by chance and of 144 / 12 by height (the means of eight bands have 63/64 of that).
        let [height, across] = found(40, |_| 1.0, 0, 12.0);
        let expected = 1.5 * (12.0f64 * 63.0 / 64.0 / 13.0).sqrt();
        assert!((height - expected).abs() < 0.02, "{height} for {expected}");
        assert!(across < 0.1, "{across}");
        let [height, across] = found(40, |_| 1.0, 1, 12.0);
        assert!((across - expected).abs() < 0.02, "{across} for {expected}");
        assert!(height < 0.1, "{height}");
    }

    #[test]
    fn chance_is_not() {
        // Above and below differ in every picture, but not in the same way.
        assert_eq!(
            found(40, |n| if n % 2 == 0 { 1.0 } else { -1.0 }, 0, 12.0)[0],
            0.0
        );
        let weights = found(40, |_| 1.0, 0, 0.0);
        assert!(weights.iter().all(|&weight| weight < 0.1), "{weights:?}");
        assert_eq!(found(1, |_| 1.0, 0, 12.0), [0.0, 0.0]);
    }
}
