//! The task: a linear layer that learns to sum rows of four random numbers.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use slotcon_data::BadPicture;
use slotcon_nn::{Init, Store};
use slotcon_torch::Stopwatch;
use slotcon_torch::distributed::Ranks;
use slotcon_train::recipe::{LoadingRecipe, OptimRecipe, OptimizerName, Published, RunRecipe};
use slotcon_train::task::{Batches, Forward, Part, Position, Share, Validation};
use slotcon_train::{Error, Numbers, RecipeError, Task, TaskRecipe};
use tch::{Device, Kind, Tensor};

/// Of a run, unless a test asks for another length.
pub const STEPS: u64 = 60;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToyRecipe {
    pub data: LoadingRecipe,
    pub optim: OptimRecipe,
    pub run: RunRecipe,
}

impl Default for ToyRecipe {
    fn default() -> Self {
        let optim = OptimRecipe {
            optimizer: OptimizerName::Sgd,
            batch: 8,
            base_lr: 0.2,
            lr_batch: 0,
            warmup_epochs: 1.0,
            ..OptimRecipe::default()
        };
        let run = RunRecipe {
            steps: STEPS,
            save_every: 5,
            validate_every: 20,
            rank_timeout: 20.0,
            ..RunRecipe::default()
        };
        let data = LoadingRecipe::default();
        Self { data, optim, run }
    }
}

impl TaskRecipe for ToyRecipe {
    const TASK: &'static str = "toy";
    const PUBLISHED: &'static [Published] = &[];

    fn check(&self) -> Result<(), RecipeError> {
        self.optim.check()?;
        self.run.check(&self.optim)
    }
    fn optim(&self) -> &OptimRecipe {
        &self.optim
    }
    fn run(&self) -> &RunRecipe {
        &self.run
    }
    fn run_mut(&mut self) -> &mut RunRecipe {
        &mut self.run
    }
    fn loading(&self) -> &LoadingRecipe {
        &self.data
    }
}

/// Rows whose values follow from the step and the rank.
pub struct Rows {
    share: Share,
    step: u64,
}

impl Batches for Rows {
    type Batch = Tensor;

    fn steps_per_epoch(&self) -> u64 {
        10
    }
    fn next(&mut self, _: &Stopwatch) -> Result<(Tensor, Vec<BadPicture>), Error> {
        let first =
            self.step as usize * self.share.batch * self.share.ranks + self.share.rank * self.share.batch;
        let value = |i: usize| (((first * 4 + i) * 7919 % 1000) as f32) / 500.0 - 1.0;
        self.step += 1;
        let values = Vec::from_iter((0..self.share.batch * 4).map(value));
        Ok((Tensor::from_slice(&values).reshape([-1, 4]), Vec::new()))
    }
}

pub struct Toy {
    store: Store,
    weight: Tensor,
}

impl Task for Toy {
    type Recipe = ToyRecipe;
    type Sources = ();
    type Data = ();
    type Batches = Rows;
    type Output = Tensor;

    fn open(_: &(), _: &ToyRecipe) -> Result<(), Error> {
        Ok(())
    }
    fn samples(_: &()) -> u64 {
        80
    }
    fn folders(_: &()) -> Vec<PathBuf> {
        Vec::new()
    }
    fn new(_: &ToyRecipe, _: &(), device: Device, ranks: &Ranks) -> Result<Self, Error> {
        let store = Store::across(device, Kind::Float, ranks.clone());
        let weight = store.root().parameter("weight", &[1, 4], Init::Normal(1.0));
        Ok(Self { store, weight })
    }
    fn batches(_: &ToyRecipe, _: &(), share: &Share, _: Device) -> Result<Rows, Error> {
        let (share, step) = (*share, share.first_step);
        Ok(Rows { share, step })
    }
    fn store(&self) -> &Store {
        &self.store
    }
    fn forward(&mut self, rows: &Tensor, part: Part, _: Option<Kind>) -> Result<Forward<Tensor>, Error> {
        let range = part.range(rows.size()[0] as usize);
        let rows = rows.narrow(0, range.start as i64, range.len() as i64);
        // What is to be found: the sum of a row.
        let found = rows.linear(&self.weight, None::<Tensor>).squeeze();
        let loss = (&found - rows.sum_dim_intlist(1, false, None))
            .square()
            .mean(None);
        let parts = vec![("squared_loss", loss.shallow_clone())];
        Ok(Forward {
            loss,
            parts,
            output: found,
        })
    }
    fn metrics(&self, found: &Tensor, _: Position, _: &Ranks) -> Result<Numbers, Error> {
        Ok(vec![("sums/mean".into(), found.mean(None).double_value(&[]))])
    }
    fn description(&self) -> String {
        "a linear layer".into()
    }
    fn validates(&self) -> bool {
        true
    }
    fn validate(&mut self, _: Option<Kind>) -> Result<Option<Validation>, Error> {
        let error = (&self.weight - 1.0).square().mean(None).double_value(&[]);
        let numbers = vec![("error".into(), error)];
        Ok(Some(Validation {
            numbers,
            score: -error,
            details: None,
            warnings: Vec::new(),
        }))
    }
}
