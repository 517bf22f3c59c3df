//! What the height of a place in its picture should weigh, told by the pictures: as much as heights say of features.

use tch::{Kind, Tensor};

use crate::error::Error;

/// Heights are told apart by so many bands of a picture.
const BANDS: i64 = 8;

/// What is weighed: so many times the standard deviation of the features that heights explain. Chosen on pictures of streets.
const TIMES: f64 = 1.5;

/// The weight of heights for the compared places `[n, C + 1]` of several pictures one after the other, `of_each` of each: 1.5 times the
/// standard deviation of the features that is explained by the height, over that of the features. Near 0 where above and below are the
/// same (textures, things seen from above); 0, too, for a single picture, which cannot tell what is so in all of them.
///
/// What heights explain is the mean over bands of the squared profile that all pictures have in common: products of the profiles of two
/// *different* pictures, each without its picture's mean, so that what is so in one picture by chance counts nothing on average.
///
/// # Errors
/// A failure of libtorch.
pub fn weight(places: &Tensor, of_each: &[i64]) -> Result<f64, Error> {
    if of_each.len() < 2 {
        return Ok(0.0);
    }
    let (count, columns) = places.size2()?;
    let channels = columns - 1;
    let features = places.f_narrow(1, 0, channels)?;
    let mean = features.f_mean_dim([0i64].as_slice(), true, Kind::Float)?;
    let variance = squares(&(features - mean))? / count as f64;

    let mut together = Tensor::f_zeros([BANDS, channels], (Kind::Float, places.device()))?;
    let mut alone = 0.0;
    for picture in places.f_split_with_sizes(of_each, 0)? {
        let profile = profile(
            &picture.f_narrow(1, 0, channels)?,
            &picture.f_select(1, channels)?,
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

/// The mean features of each band less the mean of all bands, `[BANDS, C]`, of features `[n, C]` and heights `[n]` from 0 to 1; 0 in bands
/// that have no place.
fn profile(features: &Tensor, heights: &Tensor) -> Result<Tensor, Error> {
    let band = (heights * BANDS as f64)
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
    use tch::Device;

    use super::*;

    /// The weight for pictures of 16 rows of 10 places: features of noise, and of the height as `of_height` says, times 1 or -1 by `sign`.
    fn found(count: i64, sign: impl Fn(i64) -> f64, of_height: f64) -> f64 {
        tch::manual_seed(3);
        let options = (Kind::Float, Device::Cpu);
        let heights = ((Tensor::arange(16, options) + 0.5) / 16.0)
            .reshape([16, 1])
            .expand([16, 10], false)
            .reshape([160, 1]);
        let picture = |number| {
            let noise = Tensor::randn([160, 3], options);
            let features = noise + (&heights - 0.5) * (sign(number) * of_height);
            Tensor::cat(&[features, heights.copy()], 1)
        };
        let places = Tensor::cat(&Vec::from_iter((0..count).map(picture)), 0);
        weight(&places, &vec![160; count as usize]).unwrap()
    }

    #[test]
    fn what_all_pictures_have_in_common_is_weighed() {
        // Three channels, each with a variance of 1 by chance and of 144 / 12 by height (the means of eight bands have 63/64 of that).
        let weight = found(40, |_| 1.0, 12.0);
        let expected = 1.5 * (12.0f64 * 63.0 / 64.0 / 13.0).sqrt();
        assert!((weight - expected).abs() < 0.02, "{weight} for {expected}");
    }

    #[test]
    fn chance_is_not() {
        // Above and below differ in every picture, but not in the same way.
        assert_eq!(found(40, |n| if n % 2 == 0 { 1.0 } else { -1.0 }, 12.0), 0.0);
        let weight = found(40, |_| 1.0, 0.0);
        assert!(weight < 0.1, "{weight}");
        assert_eq!(found(1, |_| 1.0, 12.0), 0.0);
    }
}
