//! A trained (or untrained) network as a segmenter: pictures in, a group for every pixel out.

mod grouped;
pub mod masks;
mod named;
mod tiles;
pub mod upsample;

use std::borrow::Cow;
use std::path::Path;

pub use grouped::GroupedPicture;
pub use named::NamedSegments;
use slotcon::Checkpoint;
use slotcon::method::grouping::normalize;
use slotcon::method::{Branch, Groups, Mode, Network, SlotCon};
use slotcon::recipe::Recipe;
use slotcon_data::Picture;
use slotcon_data::resize::resize_short_side;
use slotcon_train::normalise::normalise;
use tch::{Device, Kind, Tensor};

use crate::error::Error;
use crate::segment::upsample::winners;

/// A network in evaluation mode (running statistics, no gradients).
#[derive(Debug)]
pub struct Segmenter {
    model: SlotCon,
    branch: Branch,
    device: Device,
    recipe: Recipe,
    input_size: Option<u32>,
}

impl Segmenter {
    /// Opens one branch of a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit its own recipe.
    pub fn open(path: &Path, branch: Branch, device: Device) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(path)?;
        let segmenter = Self::from_recipe(&checkpoint.recipe, branch, device)?;
        checkpoint.load_network(segmenter.model.store())?;
        Ok(segmenter)
    }

    /// Builds the network with the initial weights of `recipe` and its seed.
    ///
    /// # Errors
    /// An unknown architecture.
    pub fn from_recipe(recipe: &Recipe, branch: Branch, device: Device) -> Result<Self, Error> {
        tch::manual_seed(recipe.run.seed as i64);
        let model = SlotCon::new(recipe.model_config()?, device, Kind::Float);
        Ok(Self {
            model,
            branch,
            device,
            recipe: recipe.clone(),
            input_size: None,
        })
    }

    /// The same network before any training: the baseline that knows nothing.
    ///
    /// # Errors
    /// None that building this one did not have.
    pub fn untrained(&self) -> Result<Self, Error> {
        let initial = Self::from_recipe(&self.recipe, self.branch, self.device)?;
        Ok(Self {
            input_size: self.input_size,
            ..initial
        })
    }

    /// The same, but the network sees every picture with a short side of `side` pixels; groups still come out in the picture's
    /// own size. A network that learned from small crops of whole scenes knows things as small as they were there.
    pub fn with_input_size(self, side: u32) -> Self {
        Self {
            input_size: Some(side),
            ..self
        }
    }

    fn seen<'a>(&self, picture: &'a Picture) -> Cow<'a, Picture> {
        match self.input_size {
            Some(side) => Cow::Owned(resize_short_side(picture, side)),
            None => Cow::Borrowed(picture),
        }
    }

    /// K, the number of prototypes.
    pub fn prototypes(&self) -> usize {
        self.model.config().prototypes as usize
    }

    /// What tells the prototypes of this branch from all others: the CRC-32 of their numbers `[K, D]` as float32, eight hexadecimal
    /// digits. One more step of training gives another.
    ///
    /// # Errors
    /// A failure of libtorch.
    pub fn fingerprint(&self) -> Result<String, Error> {
        let prototypes = self.network().prototypes().detach();
        let values: Vec<f32> =
            Vec::try_from(prototypes.to_device(Device::Cpu).to_kind(Kind::Float).view([-1]))?;
        let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
        Ok(format!("{:08x}", crc32fast::hash(&bytes)))
    }

    /// The device that the network computes on.
    pub fn device(&self) -> Device {
        self.device
    }

    /// The recipe that the network was built from.
    pub fn recipe(&self) -> &Recipe {
        &self.recipe
    }

    /// The branch that is looked through.
    pub fn branch(&self) -> Branch {
        self.branch
    }

    /// The network of the branch.
    pub fn network(&self) -> &Network {
        match self.branch {
            Branch::Teacher => self.model.teacher(),
            Branch::Student => self.model.student(),
        }
    }

    /// Scores of every prototype on the network's grid, `[h, w, K]`.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn scores(&self, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let groups = self.groups(std::slice::from_ref(picture))?;
        let (h, w) = groups.grid;
        Ok(groups.scores.reshape([h, w, -1]))
    }

    /// Dense features `[B, N, D]`, scores `[B, N, K]` and slots `[B, K, D]` of pictures of one size.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    ///
    /// # Panics
    /// When the pictures are not all of one size.
    pub fn groups(&self, pictures: &[Picture]) -> Result<Groups, Error> {
        let _guard = tch::no_grad_guard();
        Ok(self.network().forward(&self.pixels(pictures), Mode::default())?)
    }

    /// Pictures of one size as the network takes them, `[B, 3, height, width]`.
    pub(crate) fn pixels(&self, pictures: &[Picture]) -> Tensor {
        let (width, height) = pictures.first().map_or((0, 0), |p| (p.width(), p.height()));
        let one_size = pictures
            .iter()
            .all(|p| (p.width(), p.height()) == (width, height));
        assert!(one_size, "pictures of a batch have one size");
        let bytes: Vec<&[u8]> = pictures.iter().map(Picture::rgb).collect();
        normalise(&bytes.concat(), height as usize, width as usize, self.device)
    }

    /// Dense features on the network's grid, `[h, w, D]`, each of length 1.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn features(&self, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let seen = self.seen(picture);
        let groups = self.groups(std::slice::from_ref(seen.as_ref()))?;
        let (h, w) = groups.grid;
        Ok(normalize(&groups.features).reshape([h, w, -1]))
    }

    /// The winning prototype of every pixel, row by row: scores are brought to the picture's size bilinearly first.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn segment(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        self.segment_at(picture, &self.seen(picture))
    }

    /// The same for a picture that the network sees in another size (`seen`).
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn segment_at(&self, picture: &Picture, seen: &Picture) -> Result<Vec<u16>, Error> {
        let _guard = tch::no_grad_guard();
        Ok(winners(
            &self.scores(seen)?,
            i64::from(picture.height()),
            i64::from(picture.width()),
        )?)
    }
}
