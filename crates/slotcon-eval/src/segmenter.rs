//! A trained (or untrained) network as a segmenter: pictures in, a group for every pixel out.

use std::path::Path;

use slotcon::checkpoint::Checkpoint;
use slotcon::method::{Mode, Network, SlotCon};
use slotcon::recipe::Recipe;
use slotcon::run::batch::normalise;
use slotcon_data::Picture;
use tch::{Device, Kind, Tensor};

use crate::error::Error;

/// Which of the two networks of a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Which {
    /// The moving average: the default for everything downstream.
    #[default]
    Teacher,
    /// The network trained by gradient.
    Student,
}

/// A network in evaluation mode (running statistics, no gradients).
#[derive(Debug)]
pub struct Segmenter {
    model: SlotCon,
    which: Which,
    device: Device,
}

impl Segmenter {
    /// From a checkpoint.
    ///
    /// # Errors
    /// A file that cannot be read or does not fit its own recipe.
    pub fn open(path: &Path, which: Which, device: Device) -> Result<Self, Error> {
        let checkpoint = Checkpoint::open(path)?;
        let segmenter = Self::untrained(&checkpoint.recipe, which, device)?;
        checkpoint.load_model(&segmenter.model)?;
        Ok(segmenter)
    }

    /// With the initial weights of `recipe` and its seed: the baseline that knows nothing.
    ///
    /// # Errors
    /// An unknown architecture.
    pub fn untrained(recipe: &Recipe, which: Which, device: Device) -> Result<Self, Error> {
        tch::manual_seed(recipe.run.seed as i64);
        let model = SlotCon::new(recipe.model_config()?, device, Kind::Float);
        Ok(Self { model, which, device })
    }

    /// K.
    pub fn prototypes(&self) -> usize {
        self.model.config().prototypes as usize
    }

    /// The network itself.
    pub fn network(&self) -> &Network {
        match self.which {
            Which::Teacher => self.model.teacher(),
            Which::Student => self.model.student(),
        }
    }

    /// Scores of every prototype on the network's grid, `[1, K, h, w]`.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn scores(&self, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let (height, width) = (picture.height() as usize, picture.width() as usize);
        let pixels = normalise(picture.rgb(), height, width, self.device);
        let groups = self.network().forward(&pixels, Mode::default())?;
        let (h, w) = groups.grid;
        Ok(groups.scores.transpose(1, 2).reshape([1, -1, h, w]))
    }

    /// The winning prototype of every pixel, row by row: scores are brought to the picture's size bilinearly first.
    ///
    /// # Errors
    /// Whatever libtorch throws.
    pub fn segment(&self, picture: &Picture) -> Result<Vec<u16>, Error> {
        let _guard = tch::no_grad_guard();
        let scores = self.scores(picture)?;
        let size = [i64::from(picture.height()), i64::from(picture.width())];
        let winners = scores.upsample_bilinear2d(size, false, None, None).argmax(1, false);
        let ids: Vec<i64> = Vec::try_from(winners.flatten(0, -1).to_device(Device::Cpu))?;
        Ok(ids.into_iter().map(|id| id as u16).collect())
    }
}
