//! Finding groups: two passes over the pictures, one that draws places to part by k-means and sees how features vary, one that looks
//! where the parts meet; and the choice of one of several tries.

use slotcon_data::Picture;
use slotcon_data::rng::{Purpose, Stream};
use slotcon_metrics::adjusted_rand_index;
use tch::{Device, Kind, Tensor};

use super::attempt::Attempt;
use super::features::{compared, each_features, place_features, with_mirror_image};
use super::parts::Standardised;
use super::position::{self, COLUMNS};
use super::{About, FoundGroups, GroupConfig};
use crate::clusters::sampling::stratified;
use crate::error::Error;
use crate::pictures::{BadPictures, Pictures, ProgressSink};
use crate::retrieval::{ColourAndPlace, PlaceFeatures};
use crate::segment::Segmenter;
use crate::whitening::views::Recolouring;
use crate::whitening::{Whitening, Within};

/// Places that k-means looks at, over all pictures: some hundred a part.
pub(super) const ROWS: usize = 20_000;

/// How often places are parted and joined, from different starts of k-means. Of what comes out the one is kept that agrees most with all others.
const TRIES: u64 = 8;

/// Finds groups in `pictures`, without labels: the same pictures, network and configuration give the same groups. What cannot be used
/// is told to `progress`, left out and counted.
///
/// # Errors
/// No picture that can be used; fewer parts than groups, or fewer different places than parts; a failure of libtorch.
pub fn find(
    segmenter: &Segmenter,
    pictures: &Pictures,
    config: &GroupConfig,
    progress: &mut dyn ProgressSink,
) -> Result<(FoundGroups, BadPictures), Error> {
    check(config)?;
    let _guard = tch::no_grad_guard();
    let chosen = pictures.chosen();

    progress.begin("looking", chosen.len());
    let each = ROWS.div_ceil(chosen.len().max(1));
    let (mut rows, mut looked_at) = (Vec::new(), 0);
    let mut recolouring = Recolouring::new(&segmenter.recipe().data.augment, config.seed);
    let mut within: Option<Within> = None;
    let bad = pictures.each(chosen, progress, |seen| -> Result<(), Error> {
        let views = recolouring.views(&seen.picture, seen.index as u64);
        let views = each_features(segmenter, config.stage, &views)?;
        let own = views.f_narrow(0, 0, 1)?;
        let places = with_mirror_image(segmenter, config.stage, &seen.picture, &own)?;
        let (h, w, columns) = places.size3()?;
        let within = within.get_or_insert_with(|| Within::new(columns - COLUMNS));
        within.add_views(&views)?;
        within.add_neighbours(
            &places.narrow(2, 0, columns - COLUMNS),
            &colours(&seen.picture, (h, w))?,
        )?;

        let places = places.to_device(Device::Cpu).f_reshape([-1, columns])?;
        let mut random = Stream::new(config.seed, 0, seen.index as u64, Purpose::Positions, 0);
        let chosen = stratified((h * w) as usize, each, &mut random);
        let chosen = Vec::from_iter(chosen.map(|place| place as i64));
        rows.push(places.f_index_select(0, &Tensor::from_slice(&chosen))?);
        looked_at += 1;
        Ok(())
    })?;
    let Some(within) = within else {
        return Err(Error::no_picture(bad));
    };
    let whitening = Whitening::new(&within)?;
    let of_each = Vec::from_iter(rows.iter().map(|rows: &Tensor| rows.size()[0]));
    let rows = compared(&Tensor::f_cat(&rows, 0)?, &whitening)?;
    let weight =
        |asked: Option<f64>, column| asked.map_or_else(|| position::weight(&rows, &of_each, column), Ok);
    let weights = [weight(config.height, 0)?, weight(config.across, 1)?];
    let config = &GroupConfig {
        height: Some(weights[0]),
        across: Some(weights[1]),
        ..config.clone()
    };
    let standardised = Standardised::new(&rows, weights)?;
    let tries = (0..TRIES).map(|number| Attempt::new(&standardised, config, number));
    let mut tries = tries.collect::<Result<Vec<_>, _>>()?;

    progress.begin("looking where parts meet", chosen.len());
    // What could not be used was told in the first pass.
    pictures.each(chosen, &mut Counting(progress), |seen| -> Result<(), Error> {
        let places = place_features(segmenter, config.stage, &seen.picture)?.to_device(Device::Cpu);
        let (h, w, _) = places.size3()?;
        let (places, colours) = (compared(&places, &whitening)?, colours(&seen.picture, (h, w))?);
        tries
            .iter_mut()
            .try_for_each(|attempt| attempt.add(&places, &colours))
    })?;
    let joined = Vec::from_iter(tries.iter().map(|attempt| attempt.join(config.groups)));
    let partitions = tries.iter().zip(&joined).map(|(attempt, group_of)| {
        let parts = attempt.parts.nearest(&rows)?;
        Ok(Vec::from_iter(
            parts.into_iter().map(|part| group_of[usize::from(part)]),
        ))
    });
    let chosen = most_agreed(&partitions.collect::<Result<Vec<_>, Error>>()?);
    let mut found = FoundGroups {
        whitening: whitening.to(segmenter.device())?,
        parts: tries[chosen].parts.to(segmenter.device())?,
        group_of: joined[chosen].clone(),
        about: About {
            version: super::file::VERSION,
            checkpoint: segmenter.fingerprint()?,
            temperature: 1.0,
            config: config.clone(),
            pictures: looked_at,
        },
    };
    found.about.temperature = temperature(&found, &rows)?;
    Ok((found, bad))
}

/// The partition that agrees most with all others, the first of several: where k-means begins is chance, and what it finds often is there.
fn most_agreed(partitions: &[Vec<u16>]) -> usize {
    let agreement = |one: &[u16]| -> f64 {
        let with = |other: &Vec<u16>| adjusted_rand_index(one, other);
        partitions.iter().map(with).sum()
    };
    let agreements = Vec::from_iter(partitions.iter().map(|one| agreement(one)));
    let best = agreements.iter().copied().fold(f64::MIN, f64::max);
    agreements.iter().position(|&value| value == best).unwrap_or(0)
}

/// The mean colours of the places of a grid of rows and columns, row by row.
fn colours(picture: &Picture, grid: (i64, i64)) -> Result<Vec<[f32; 3]>, Error> {
    let colours = ColourAndPlace { grid }.places(picture)?.f_narrow(2, 0, 3)?;
    let colours = Vec::<f32>::try_from(colours.f_flatten(0, -1)?)?;
    Ok(colours.as_chunks::<3>().0.to_vec())
}

/// See [`FoundGroups::temperature`], of the compared places `[n, C + 2]`; 1 where there is nothing to tell apart.
fn temperature(found: &FoundGroups, rows: &Tensor) -> Result<f64, Error> {
    if found.groups() < 2 {
        return Ok(1.0);
    }
    let rows = rows.f_to_device(found.parts.weight.device())?;
    let (best, _) = found
        .of_groups(&found.parts.scores(&rows)?)?
        .f_topk(2, -1, true, true)?;
    let margin = (best.f_select(-1, 0)? - best.f_select(-1, 1)?).f_mean(Kind::Double)?;
    let half = margin.f_double_value(&[])? / 2.0;
    Ok(if half > 0.0 { half } else { 1.0 })
}

fn check(config: &GroupConfig) -> Result<(), Error> {
    let wrong = |text: String| Err(Error::Argument(text));
    if config.groups == 0 {
        return wrong("0 groups are none: ask for at least one".into());
    }
    if config.parts < config.groups {
        return wrong(format!(
            "{} parts cannot be joined to {} groups: ask for more parts, four times the groups or so",
            config.parts, config.groups
        ));
    }
    if !(1..=4).contains(&config.stage) {
        return wrong(format!(
            "there is no stage {}: a backbone has stages 1 to 4",
            config.stage
        ));
    }
    for (weight, what) in [
        (config.height, "height of a place"),
        (config.across, "place from left to right"),
    ] {
        if let Some(weight) = weight
            && !(weight.is_finite() && weight >= 0.0)
        {
            return wrong(format!(
                "a weight of {weight} for the {what} makes no sense: 0 or more"
            ));
        }
    }
    Ok(())
}

/// Tells of pictures done alone.
struct Counting<'a>(&'a mut dyn ProgressSink);

impl ProgressSink for Counting<'_> {
    fn done(&mut self) {
        self.0.done();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_often_is_kept() {
        let often = [vec![0, 0, 1, 1, 2, 2], vec![2, 2, 0, 0, 1, 1]];
        let odd = vec![0, 1, 0, 1, 0, 1];
        assert_eq!(most_agreed(&[odd.clone(), often[0].clone(), often[1].clone()]), 1);
        assert_eq!(most_agreed(&[often[0].clone(), odd, often[1].clone()]), 0);
        assert_eq!(most_agreed(&[vec![0, 0]]), 0);
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        let with = |change: fn(&mut GroupConfig)| {
            let mut config = GroupConfig::default();
            change(&mut config);
            check(&config).unwrap_err().to_string()
        };
        assert!(with(|c| c.groups = 0).contains("0 groups"));
        assert!(with(|c| c.groups = 49).contains("48 parts cannot be joined to 49 groups"));
        assert!(with(|c| c.stage = 5).contains("no stage 5"));
        assert!(with(|c| c.height = Some(f64::NAN)).contains("NaN"));
        assert!(with(|c| c.height = Some(-1.0)).contains("-1 for the height"));
        assert!(with(|c| c.across = Some(-2.0)).contains("-2 for the place from left to right"));
        check(&GroupConfig::default()).unwrap();
    }
}
