//! Finding groups: two passes over the pictures, one that draws places to part by k-means and sees how features vary, one that looks
//! where the parts meet.

use slotcon::method::grouping::normalize;
use slotcon_data::Picture;
use slotcon_data::rng::{Purpose, Stream};
use tch::{Device, Kind, Tensor};

use super::borders::Borders;
use super::features::{compared, each_features, place_features};
use super::join::join;
use super::{About, FoundGroups, GroupConfig};
use crate::clusters::kmeans::{KMeans, KMeansConfig};
use crate::clusters::sampling::stratified;
use crate::error::Error;
use crate::pictures::{BadPictures, Pictures, ProgressSink};
use crate::retrieval::{ColourAndPlace, PlaceFeatures};
use crate::segment::Segmenter;
use crate::whitening::views::Recolouring;
use crate::whitening::{Whitening, Within};

/// Places that k-means looks at, over all pictures: some hundred a part.
const ROWS: usize = 20_000;

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
        let places = place_features(segmenter, config.stage, &seen.picture)?;
        let (h, w, columns) = places.size3()?;
        let within = within.get_or_insert_with(|| Within::new(columns - 1));
        let views = recolouring.views(&seen.picture, seen.index as u64);
        within.add_views(&each_features(segmenter, config.stage, &views)?)?;
        within.add_neighbours(
            &places.narrow(2, 0, columns - 1),
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
    let rows = Tensor::f_cat(&rows, 0)?;
    let whitening = Whitening::new(&within)?;
    let (weight, bias, centres) = parts(&compared(&rows, &whitening)?, config)?;
    let about = About {
        version: super::file::VERSION,
        checkpoint: segmenter.fingerprint()?,
        temperature: 1.0,
        config: config.clone(),
        pictures: looked_at,
    };
    let mut found = FoundGroups {
        whitening: whitening.to(segmenter.device())?,
        weight: weight.f_to_device(segmenter.device())?,
        bias: bias.f_to_device(segmenter.device())?,
        group_of: Vec::new(),
        about,
    };

    progress.begin("looking where parts meet", chosen.len());
    let mut borders = Borders::new(config.parts);
    let mut sizes = vec![0u64; config.parts];
    // What could not be used was told in the first pass.
    pictures.each(chosen, &mut Counting(progress), |seen| -> Result<(), Error> {
        let scores = found.of_parts(&place_features(segmenter, config.stage, &seen.picture)?)?;
        let (h, w, _) = scores.size3()?;
        let best = scores.argmax(-1, false).to_kind(Kind::Int).to_device(Device::Cpu);
        let best = Vec::<i32>::try_from(best.flatten(0, -1))?;
        let best = Vec::from_iter(best.into_iter().map(|part| part as u16));
        best.iter().for_each(|&part| sizes[usize::from(part)] += 1);
        borders.add(w as usize, &best, &colours(&seen.picture, (h, w))?);
        Ok(())
    })?;
    let contrasts = borders.contrasts();
    let alike = cosines(&centres)?;
    found.group_of = join(&sizes, config.groups, |a, b| {
        let cell = a * config.parts + b;
        (1.0 - alike[cell]) * contrasts[cell]
    });
    found.about.temperature = temperature(&found, &rows)?;
    Ok((found, bad))
}

/// The mean colours of the places of a grid of rows and columns, row by row.
fn colours(picture: &Picture, grid: (i64, i64)) -> Result<Vec<[f32; 3]>, Error> {
    let colours = ColourAndPlace { grid }.places(picture)?.f_narrow(2, 0, 3)?;
    let colours = Vec::<f32>::try_from(colours.f_flatten(0, -1)?)?;
    Ok(colours.as_chunks::<3>().0.to_vec())
}

/// See [`FoundGroups::temperature`]; 1 where there is nothing to tell apart.
fn temperature(found: &FoundGroups, rows: &Tensor) -> Result<f64, Error> {
    if found.groups() < 2 {
        return Ok(1.0);
    }
    let rows = rows.f_unsqueeze(0)?.f_to_device(found.weight.device())?;
    let (best, _) = found
        .of_groups(&found.of_parts(&rows)?)?
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
    if !config.height.is_finite() || config.height < 0.0 {
        return wrong(format!(
            "a weight of {} for the height of a place makes no sense: 0 or more",
            config.height
        ));
    }
    Ok(())
}

/// k-means of rows `[n, C + 1]`, their features and heights brought to one spread each: the linear map to the parts' scores (weight
/// `[C + 1, parts]`, bias `[parts]`), and the parts' centres `[parts, C + 1]` in the brought space, whose origin is the mean of all places.
fn parts(rows: &Tensor, config: &GroupConfig) -> Result<(Tensor, Tensor, Tensor), Error> {
    let dimension = rows.size()[1];
    let mean = rows.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    let variance = (rows - &mean)
        .f_square()?
        .f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
    let spread = |from: i64, count: i64| {
        variance
            .narrow(0, from, count)
            .sum(Kind::Double)
            .double_value(&[])
            .sqrt()
    };
    let over = |weight: f64, spread: f64| if spread > 0.0 { weight / spread } else { 0.0 };
    let options = (Kind::Float, Device::Cpu);
    let scale = Tensor::f_cat(
        &[
            Tensor::f_full([dimension - 1], over(1.0, spread(0, dimension - 1)), options)?,
            Tensor::f_full([1], over(config.height, spread(dimension - 1, 1)), options)?,
        ],
        0,
    )?;
    let brought = Vec::<f32>::try_from(((rows - &mean) * &scale).flatten(0, -1))?;
    let settings = KMeansConfig {
        clusters: config.parts,
        max_rows: ROWS,
        restarts: 1,
        seed: config.seed,
        ..KMeansConfig::default()
    };
    let found = KMeans::fit(&brought, dimension as usize, &settings)?;
    if found.clusters() < config.parts {
        return Err(Error::Argument(format!(
            "the pictures show only {} different kinds of places, not {} parts: ask for fewer parts or give more pictures",
            found.clusters(),
            config.parts
        )));
    }
    let centres = Tensor::from_slice(found.centres()).f_reshape([-1, dimension])?;
    let weight = (&centres * &scale).f_tr()?;
    let halves = centres.f_square()?.f_sum_dim_intlist(-1, false, Kind::Float)? * 0.5;
    let bias = -(mean.f_matmul(&weight)? + halves);
    Ok((weight, bias, centres))
}

/// Cosines of all pairs of rows, row by row.
fn cosines(rows: &Tensor) -> Result<Vec<f64>, Error> {
    let rows = normalize(&rows.to_kind(Kind::Double));
    Ok(Vec::try_from(rows.f_matmul(&rows.f_tr()?)?.flatten(0, -1))?)
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
    fn parts_are_nearest_centres() {
        let config = GroupConfig {
            groups: 2,
            parts: 4,
            height: 0.5,
            seed: 3,
            ..GroupConfig::default()
        };
        tch::manual_seed(1);
        let rows = Tensor::randn([300, 7], (Kind::Float, Device::Cpu));
        let (weight, bias, centres) = parts(&rows, &config).unwrap();
        let best = Vec::<i64>::try_from((rows.matmul(&weight) + bias).argmax(-1, false)).unwrap();
        // By the definition: standardised rows, the nearest centre.
        let mean = rows.mean_dim([0i64].as_slice(), false, Kind::Float);
        let centred = &rows - mean;
        let total = |t: Tensor| {
            t.square()
                .mean_dim([0i64].as_slice(), false, Kind::Float)
                .sum(Kind::Float)
                .sqrt()
        };
        let features = centred.narrow(1, 0, 6);
        let heights = centred.narrow(1, 6, 1);
        let brought = Tensor::cat(
            &[
                &features / total(features.copy()),
                &heights / total(heights.copy()) * 0.5,
            ],
            1,
        );
        let nearest = Tensor::cdist(&brought, &centres, 2.0, None).argmin(-1, false);
        assert_eq!(best, Vec::<i64>::try_from(nearest).unwrap());
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
        assert!(with(|c| c.height = f64::NAN).contains("NaN"));
        assert!(with(|c| c.height = -1.0).contains("-1"));
        check(&GroupConfig::default()).unwrap();
    }
}
