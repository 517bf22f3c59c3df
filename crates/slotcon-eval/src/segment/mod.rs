//! A trained (or untrained) network as a segmenter: pictures in, a group for every pixel out.

mod grouped;
pub mod masks;
mod named;
mod tiles;
pub mod upsample;
mod views;

use std::borrow::Cow;
use std::path::Path;

pub use grouped::GroupedPicture;
pub use named::NamedSegments;
use slotcon::Checkpoint;
use slotcon::interop::{init_backbone, inspect};
use slotcon::method::grouping::normalize;
use slotcon::method::{Branch, Groups, Mode, Network, SlotCon};
use slotcon::recipe::{Recipe, TaskRecipe};
use slotcon_data::Picture;
use slotcon_data::resize::resize_short_side;
use slotcon_train::normalise::normalise;
use tch::{Device, Kind, Tensor};
pub use views::Views;

use crate::error::Error;
use crate::groups::FoundGroups;
use crate::segment::upsample::winners;

/// A network in evaluation mode (running statistics, no gradients), and what it cuts pictures into: its prototypes, or groups that
/// were found in its features.
#[derive(Debug)]
pub struct Segmenter {
    model: SlotCon,
    branch: Branch,
    device: Device,
    recipe: Recipe,
    input_size: Option<u32>,
    views: Views,
    found: Option<FoundGroups>,
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
            views: Views::default(),
            found: None,
        })
    }

    /// A backbone from elsewhere, whatever `pretrain --init-backbone` reads, in a network that is otherwise untrained: only
    /// [`Segmenter::backbone_features`] and [`Network::backbone`] say something. `prefix` chooses one of several in the file;
    /// `output_stride` is in pixels per position, 0 for the architecture's own.
    ///
    /// # Errors
    /// A file without a backbone that is known here, or with several of which none is meant; another output stride than 8, 16
    /// or 32.
    pub fn from_backbone(
        path: &Path,
        prefix: Option<&str>,
        output_stride: i64,
        device: Device,
    ) -> Result<Self, Error> {
        let arch = inspect(path)?.arch.ok_or_else(|| {
            Error::Argument(format!(
                "{}: is no backbone that is known here; slotcon inspect says what the file holds",
                path.display()
            ))
        })?;
        let recipe = Recipe::default().with(&[
            format!("model.arch={arch}"),
            format!("model.output_stride={output_stride}"),
            // The heads are not looked at.
            "model.dim_hidden=8".into(),
            "model.dim_out=8".into(),
            "model.prototypes=2".into(),
        ])?;
        let segmenter = Self::from_recipe(&recipe, Branch::Teacher, device)?;
        init_backbone(path, prefix, &segmenter.model)?;
        Ok(segmenter)
    }

    /// The same network with its own prototypes before any training: the baseline that knows nothing.
    ///
    /// # Errors
    /// None that building this one did not have.
    pub fn untrained(&self) -> Result<Self, Error> {
        let initial = Self::from_recipe(&self.recipe, self.branch, self.device)?;
        Ok(Self {
            input_size: self.input_size,
            views: self.views.clone(),
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

    /// The same, but it looks at every picture as often as `views` say, and averages the scores.
    pub fn with_views(self, views: Views) -> Self {
        Self { views, ..self }
    }

    /// The same, but it cuts pictures into groups that were found in its features, in place of its prototypes.
    pub fn with_groups(self, found: FoundGroups) -> Self {
        Self {
            found: Some(found),
            ..self
        }
    }

    /// The groups that were found, if it cuts pictures into those.
    pub fn found(&self) -> Option<&FoundGroups> {
        self.found.as_ref()
    }

    /// A picture in the size in which the network sees it.
    pub(crate) fn seen<'a>(&self, picture: &'a Picture) -> Cow<'a, Picture> {
        match self.input_size {
            Some(side) => Cow::Owned(resize_short_side(picture, side)),
            None => Cow::Borrowed(picture),
        }
    }

    /// K, how many groups it cuts pictures into: those that were found, else the prototypes.
    pub fn clusters(&self) -> usize {
        match &self.found {
            Some(found) => found.groups(),
            None => self.model.config().prototypes as usize,
        }
    }

    /// What one of [`Segmenter::clusters`] is called: group or prototype.
    pub fn cluster_word(&self) -> &'static str {
        match self.found {
            Some(_) => "group",
            None => "prototype",
        }
    }

    /// What tells these clusters from all others: the CRC-32 of their numbers (of the branch's prototypes `[K, D]` as float32), eight
    /// hexadecimal digits. One more step of training gives another.
    ///
    /// # Errors
    /// A failure of libtorch.
    pub fn fingerprint(&self) -> Result<String, Error> {
        match &self.found {
            Some(found) => found.fingerprint(),
            None => checksum(&[&self.network().prototypes().detach()]),
        }
    }

    /// What scores are divided by before the softmax that makes probabilities of them.
    pub fn temperature(&self) -> f64 {
        match &self.found {
            Some(found) => found.temperature(),
            None => self.recipe.model.teacher_temp,
        }
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

    /// Scores of every cluster on the network's grid, `[h, w, K]`; of several [`Views`] the mean on the finest of their grids. Found
    /// groups always look at the mirror image, too.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn scores(&self, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let once = |pixels: &Tensor| -> Result<Tensor, Error> {
            let groups = self.network().forward(pixels, Mode::default())?;
            let (h, w) = groups.grid;
            Ok(groups.scores.reshape([h, w, -1]))
        };
        let mut all = Vec::new();
        for seen in self.views.sizes(picture) {
            if let Some(found) = &self.found {
                all.push(found.scores(self, &seen)?);
                continue;
            }
            let pixels = self.pixels(std::slice::from_ref(seen.as_ref()));
            all.push(once(&pixels)?);
            if self.views.mirror {
                all.push(once(&pixels.f_flip([3])?)?.f_flip([1])?);
            }
        }
        match all.len() {
            1 => Ok(all.remove(0)),
            _ => Ok(views::mean_on_finest(all)?),
        }
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

    /// The backbone's last feature map, `[h, w, C]`.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn backbone_features(&self, picture: &Picture) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let seen = self.seen(picture);
        let pixels = self.pixels(std::slice::from_ref(seen.as_ref()));
        let map = self.network().backbone(&pixels, Mode::default())?;
        Ok(map.squeeze_dim(0).permute([1, 2, 0]))
    }

    /// The backbone's last feature map of pictures of one size, averaged over all positions, `[B, C]`.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    ///
    /// # Panics
    /// When the pictures are not all of one size.
    pub fn pooled(&self, pictures: &[Picture]) -> Result<Tensor, Error> {
        let _guard = tch::no_grad_guard();
        let map = self.network().backbone(&self.pixels(pictures), Mode::default())?;
        Ok(map.mean_dim([2i64, 3].as_slice(), false, Kind::Float))
    }

    /// The winning cluster of every pixel, row by row: scores are brought to the picture's size bilinearly first.
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

/// The CRC-32 of the numbers of some tensors as float32, eight hexadecimal digits.
///
/// # Errors
/// A failure of libtorch.
pub(crate) fn checksum(tensors: &[&Tensor]) -> Result<String, Error> {
    let mut hash = crc32fast::Hasher::new();
    for tensor in tensors {
        let tensor = tensor.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?;
        let values = Vec::<f32>::try_from(tensor.f_reshape([-1])?)?;
        values.iter().for_each(|value| hash.update(&value.to_le_bytes()));
    }
    Ok(format!("{:08x}", hash.finalize()))
}
