//! What each prototype, or each group found in its place, stands for: the pictures that show it best, with its mask.
//!
//! [`survey`] looks at every picture of a folder once and keeps, for each prototype, only the numbers and scores of its best
//! pictures ([`rank`]); memory does not grow with the folder. Who draws them looks at the chosen pictures again.

pub mod rank;
mod reduce;

pub use reduce::Reduction;

use crate::error::Error;
use crate::pictures::{BadPictures, Pictures, ProgressSink};
use crate::segment::{GroupedPicture, Segmenter};
use rank::Ranking;
use reduce::Moments;

/// What a gallery shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Pictures a prototype.
    pub top: usize,
    /// These prototypes and no others; `None`: those that win somewhere, the largest first.
    pub prototypes: Option<Vec<usize>>,
    /// At most so many prototypes.
    pub at_most: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            top: 6,
            prototypes: None,
            at_most: 256,
        }
    }
}

/// Dimensions to which dense features are reduced in a page.
const DIMS: i64 = 24;

/// What the first pass found.
#[derive(Debug)]
pub struct Survey {
    /// Best pictures and sizes of all prototypes.
    pub ranking: Ranking,
    /// From dense features to what a page holds.
    pub reduction: Option<Reduction>,
    /// Prototypes to show, in order.
    pub shown: Vec<usize>,
    /// Pictures that could not be used.
    pub bad: BadPictures,
}

impl Survey {
    /// The pictures that are drawn, ascending: each prototype's best.
    pub fn chosen(&self) -> Vec<usize> {
        let hits = self.shown.iter().flat_map(|&k| self.ranking.best(k));
        let mut chosen: Vec<usize> = hits.map(|hit| hit.picture).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

/// The first pass: looks at every picture and ranks them by prototype, as the official gallery does. The score of a picture
/// is the mean cosine similarity of the positions that the prototype wins there (arg-max over prototypes); where it wins
/// none, that of all positions. Of found groups it is the mean probability.
///
/// # Errors
/// A prototype that does not exist; no picture that can be used; a failure of libtorch.
pub fn survey(
    segmenter: &Segmenter,
    pictures: &Pictures,
    config: &Config,
    progress: &mut dyn ProgressSink,
) -> Result<Survey, Error> {
    let (k, word) = (segmenter.clusters(), segmenter.cluster_word());
    if let Some(wrong) = config.prototypes.iter().flatten().find(|&&p| p >= k) {
        return Err(Error::Argument(format!(
            "there is no {word} {wrong}: there are {k}, numbered from 0"
        )));
    }
    progress.begin("looking", pictures.chosen().len());
    let mut ranking = Ranking::new(k, config.top);
    let mut moments = Moments::new();
    let bad = pictures.each(pictures.chosen(), progress, |seen| {
        let grouped = GroupedPicture::of(segmenter, &seen.picture)?;
        moments.add(&grouped.features);
        ranking.add(seen.index, &grouped.fit)
    })?;
    if ranking.looked_at() == 0 {
        return Err(Error::no_picture(bad));
    }
    let mut shown = match &config.prototypes {
        Some(asked) => asked.clone(),
        None => ranking.by_size(),
    };
    let mut known = std::collections::HashSet::new();
    shown.retain(|&prototype| known.insert(prototype));
    shown.truncate(config.at_most);
    Ok(Survey {
        ranking,
        reduction: moments.reduction(DIMS)?,
        shown,
        bad,
    })
}
