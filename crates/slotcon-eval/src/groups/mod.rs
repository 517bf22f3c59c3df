//! Groups found after training: as many as one asks for, in the backbone's features of some pictures, without labels.
//!
//! Prototypes are compared with the projector's output, which knows less than the backbone below it, and their number is that of the
//! recipe. Here the backbone's features of all places are whitened by how they vary where a group should not change
//! ([`crate::whitening`]) and parted finely by k-means; then parts are joined, two at a time, where their features are alike and no edge of
//! colour lies between them ([`mod@join`]). Of several tries the one is kept that agrees most with the others. What was found is a map from features to scores of parts, and holds for any picture.

mod attempt;
mod borders;
mod features;
mod file;
mod find;
pub mod join;
mod parts;
pub mod position;

use serde::{Deserialize, Serialize};
use slotcon_data::Picture;
use tch::Tensor;

use crate::error::Error;
use crate::segment::{Segmenter, checksum};
use crate::whitening::Whitening;
use features::{compared, place_features};
use parts::Parts;

pub use find::find;

/// How groups are found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupConfig {
    /// How many groups.
    pub groups: usize,
    /// How many parts k-means makes first; not below the number of groups.
    pub parts: usize,
    /// The stage of the backbone whose features are compared, 1 to 4, the last. Earlier ones know textures.
    pub stage: u8,
    /// What the height of a place in its picture weighs: its standard deviation over that of the features. 0: nothing. `None`: as much as
    /// the pictures tell ([`mod@position`]); what they told is in its place in [`FoundGroups`].
    pub height: Option<f64>,
    /// What the place from left to right weighs, in the same way.
    pub across: Option<f64>,
    /// Seed of the places looked at and of k-means.
    pub seed: u64,
}

/// So many parts are made for each group: more are joined wrongly more often, fewer mix what does not belong together.
const PARTS_A_GROUP: usize = 4;

/// More parts than this are made only where they are asked for: each pair of them is remembered.
const MOST_PARTS: usize = 4096;

impl GroupConfig {
    /// `groups` groups of four parts each, fewer where that would be thousands.
    pub fn new(groups: usize) -> Self {
        Self {
            groups,
            parts: (PARTS_A_GROUP * groups).min(MOST_PARTS).max(groups),
            stage: 4,
            height: None,
            across: None,
            seed: 0,
        }
    }
}

impl Default for GroupConfig {
    fn default() -> Self {
        Self::new(12)
    }
}

/// Groups found in pictures by [`find()`].
#[derive(Debug)]
pub struct FoundGroups {
    whitening: Whitening,
    parts: Parts,
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
    /// [`FoundGroups::temperature`].
    temperature: f64,
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
            "{} groups found in {} pictures: {} parts of the backbone's features at stage {} (mean of the picture and its mirror image; \
             whitened by how they vary within a thing; height in the picture with weight {:.2}, place from left to right {:.2}) joined where they are alike and no edge lies between them",
            config.groups,
            self.about.pictures,
            self.parts(),
            config.stage,
            config.height.unwrap_or_default(),
            config.across.unwrap_or_default()
        )
    }

    /// Scores of the groups at every place of a picture, `[h, w, groups]`: each group's is that of its best part, so that the largest is
    /// the group of the nearest centre.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub(crate) fn scores(&self, segmenter: &Segmenter, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let features = place_features(segmenter, self.about.config.stage, picture)?;
        self.of_groups(&self.parts.scores(&compared(&features, &self.whitening)?)?)
    }

    /// Two groups whose scores differ by this are told apart with odds of e to 1: half of what the best and the second best differ by in
    /// the mean over all places that the groups were found in.
    pub fn temperature(&self) -> f64 {
        self.about.temperature
    }

    /// What tells these groups from all others: the CRC-32 of their numbers, eight hexadecimal digits.
    pub(crate) fn fingerprint(&self) -> Result<String, Error> {
        let group_of: Vec<f32> = self.group_of.iter().map(|&group| f32::from(group)).collect();
        let group_of = Tensor::from_slice(&group_of);
        checksum(&[
            &self.whitening.mean,
            &self.whitening.map,
            &self.parts.weight,
            &self.parts.bias,
            &group_of,
        ])
    }

    /// The largest score of each group's parts: `[.., groups]` of `[.., parts]`.
    fn of_groups(&self, parts: &Tensor) -> Result<Tensor, Error> {
        let best_of = |group: usize| -> Result<Tensor, Error> {
            let members = self.group_of.iter().enumerate();
            let members = members.filter(|(_, of)| usize::from(**of) == group);
            let members = Vec::from_iter(members.map(|(part, _)| part as i64));
            let members = Tensor::from_slice(&members).f_to_device(parts.device())?;
            Ok(parts
                .f_index_select(-1, &members)?
                .f_amax([-1i64].as_slice(), true)?)
        };
        let groups = (0..self.groups()).map(best_of).collect::<Result<Vec<_>, _>>()?;
        Ok(Tensor::f_cat(&groups, -1)?)
    }
}
