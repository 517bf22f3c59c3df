//! Groups found after training: as many as one asks for, in the backbone's features of some pictures, without labels.
//!
//! Prototypes are compared with the projector's output, which knows less than the backbone below it, and their number is that of the
//! recipe. Here the backbone's features of all places are parted finely by k-means; then parts are joined, two at a time, where their
//! features are alike and no edge of colour lies between them ([`mod@join`]). What was found is one linear map from features to scores
//! of parts, and holds for any picture.

mod borders;
mod features;
mod file;
mod find;
pub mod join;

use serde::{Deserialize, Serialize};
use slotcon_data::Picture;
use tch::Tensor;

use crate::clusters::Clusterer;
use crate::error::Error;
use crate::segment::Segmenter;
use crate::segment::upsample::winners;
use features::place_features;

pub use find::find;

/// How groups are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// How many groups.
    pub groups: usize,
    /// How many parts k-means makes first; not below the number of groups.
    pub parts: usize,
    /// What the height of a place in its picture weighs: its standard deviation over that of the features. 0: nothing.
    pub height: f64,
    /// Seed of the places looked at and of k-means.
    pub seed: u64,
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self {
            groups: 12,
            parts: 60,
            height: 0.7,
            seed: 0,
        }
    }
}

/// Groups found in pictures by [`find()`].
#[derive(Debug)]
pub struct FoundGroups {
    /// From the features of a place to the scores of the parts, `[C + 1, parts]`; the last row is for its height.
    weight: Tensor,
    /// `[parts]`
    bias: Tensor,
    /// The group of each part, the largest group first.
    group_of: Vec<u16>,
    about: About,
}

/// What a file of groups says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct About {
    version: u32,
    /// [`Segmenter::fingerprint`] of the network.
    checkpoint: String,
    config: GroupConfig,
    /// How many pictures they were found in.
    pictures: usize,
}

impl FoundGroups {
    /// How many groups.
    pub fn groups(&self) -> usize {
        self.about.config.groups
    }

    /// How many parts the groups were joined from.
    pub fn parts(&self) -> usize {
        self.group_of.len()
    }

    /// How they were found, for a protocol.
    pub fn protocol(&self) -> String {
        let config = &self.about.config;
        format!(
            "{} groups found in {} pictures: {} parts of the backbone's features (mean of the picture and its mirror image; height in \
             the picture with weight {}) joined where they are alike and no edge lies between them",
            config.groups,
            self.about.pictures,
            self.parts(),
            config.height
        )
    }

    /// The group of every pixel of a picture that the network sees in another size (`seen`), row by row: scores of the parts are
    /// brought to the picture's size bilinearly, the best one's group counts.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn segment_at(
        &self,
        segmenter: &Segmenter,
        picture: &Picture,
        seen: &Picture,
    ) -> Result<Vec<u16>, Error> {
        let _guard = tch::no_grad_guard();
        let scores = self.scores(&place_features(segmenter, seen)?)?;
        let parts = winners(&scores, i64::from(picture.height()), i64::from(picture.width()))?;
        Ok(parts
            .into_iter()
            .map(|part| self.group_of[usize::from(part)])
            .collect())
    }

    /// Scores of the parts at places with these features `[h, w, C + 1]`: `[h, w, parts]`, largest for the nearest centre.
    fn scores(&self, features: &Tensor) -> Result<Tensor, Error> {
        Ok(features.f_matmul(&self.weight)?.f_add(&self.bias)?)
    }
}

/// A network that cuts pictures into found groups in place of its prototypes.
#[derive(Debug, Clone, Copy)]
pub struct Grouped<'a> {
    /// The network.
    pub segmenter: &'a Segmenter,
    /// Its groups.
    pub groups: &'a FoundGroups,
}

impl Clusterer for Grouped<'_> {
    fn clusters(&self) -> usize {
        self.groups.groups()
    }

    fn assign(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        self.groups
            .segment_at(self.segmenter, picture, &self.segmenter.seen(picture))
    }
}
