//! What each prototype stands for: the pictures that show it best, with its mask.
//!
//! [`survey`] looks at every picture of a folder once and keeps, for each prototype, only the numbers and scores of its best
//! pictures ([`rank`]); memory does not grow with the folder. Who draws them looks at the chosen pictures again.

pub mod rank;
mod reduce;

use std::path::Path;

use tch::Tensor;

pub use reduce::Reduction;

use crate::error::Error;
use crate::pictures::{InputPicture, Pictures, ProgressSink};
use crate::segment::Segmenter;
use crate::segment::upsample::winners;
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
    /// Pictures that could not be used, with the reason: the first [`Survey::NAMED`] of them.
    pub bad: Vec<(String, String)>,
    /// How many there were.
    pub bad_count: usize,
}

impl Survey {
    /// Bad pictures that are named.
    pub const NAMED: usize = 100;

    /// The pictures that are drawn, ascending: each prototype's best.
    pub fn chosen(&self) -> Vec<usize> {
        let hits = self.shown.iter().flat_map(|&k| self.ranking.best(k));
        let mut chosen: Vec<usize> = hits.map(|hit| hit.picture).collect();
        chosen.sort_unstable();
        chosen.dedup();
        chosen
    }
}

/// Keeps the names of bad pictures while it passes everything on.
struct Noting<'a> {
    inner: &'a mut dyn ProgressSink,
    bad: Vec<(String, String)>,
    count: usize,
}

impl ProgressSink for Noting<'_> {
    fn done(&mut self) {
        self.inner.done();
    }

    fn bad(&mut self, path: &Path, reason: &str) {
        self.count += 1;
        if self.bad.len() < Survey::NAMED {
            self.bad.push((path.display().to_string(), reason.to_owned()));
        }
        self.inner.bad(path, reason);
    }
}

/// The first pass: looks at every picture and ranks them by prototype, as the official gallery does. The score of a picture
/// is the mean cosine similarity of the positions that the prototype wins there (arg-max over prototypes); where it wins
/// none, that of all positions.
///
/// # Errors
/// A prototype that does not exist; no picture that can be used; whatever libtorch throws.
pub fn survey(
    segmenter: &Segmenter,
    pictures: &Pictures,
    config: &Config,
    progress: &mut dyn ProgressSink,
) -> Result<Survey, Error> {
    let k = segmenter.prototypes();
    if let Some(wrong) = config.prototypes.iter().flatten().find(|&&p| p >= k) {
        return Err(Error::Argument(format!(
            "there is no prototype {wrong}: this checkpoint has {k}, numbered from 0"
        )));
    }
    progress.begin("looking", pictures.chosen().len());
    let mut noting = Noting {
        inner: progress,
        bad: Vec::new(),
        count: 0,
    };
    let mut ranking = Ranking::new(k, config.top);
    let mut moments = Moments::new();
    pictures.each(pictures.chosen(), &mut noting, |seen| {
        let look = Look::at(segmenter, &seen)?;
        moments.add(&look.features);
        ranking.add(seen.index, &look.scores)
    })?;
    let Noting { bad, count, .. } = noting;
    if ranking.looked_at() == 0 {
        let last = bad.last().map(|(path, reason)| format!("{path}: {reason}"));
        return Err(Error::NoPicture {
            tried: count,
            last: last.unwrap_or_default(),
        });
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
        bad_count: count,
    })
}

/// What the network makes of one picture.
#[derive(Debug)]
pub struct Look {
    /// `[h w, D]`.
    pub features: Tensor,
    /// `[h w, K]`.
    pub scores: Tensor,
    /// h and w.
    pub grid: (i64, i64),
}

impl Look {
    /// Passes a picture through the network.
    ///
    /// # Errors
    /// A refusal of libtorch.
    pub fn at(segmenter: &Segmenter, seen: &InputPicture) -> Result<Self, Error> {
        let groups = segmenter.groups(std::slice::from_ref(&seen.picture))?;
        Ok(Self {
            features: groups.features.squeeze_dim(0),
            scores: groups.scores.squeeze_dim(0),
            grid: groups.grid,
        })
    }

    /// The winning prototype of every pixel of a picture of this size.
    ///
    /// # Errors
    /// A refusal of libtorch.
    pub fn labels(&self, width: u32, height: u32) -> Result<Vec<u16>, Error> {
        let _guard = tch::no_grad_guard();
        let (h, w) = self.grid;
        let scores = self.scores.reshape([h, w, -1]);
        Ok(winners(&scores, i64::from(height), i64::from(width))?)
    }
}
