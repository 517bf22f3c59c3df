//! What a recipe must satisfy before it is worth starting.

use slotcon_nn::{Arch, OutputStride};

use slotcon_train::recipe::check::{fraction, positive, require, wrong};
use slotcon_train::recipe::{LoadingRecipe, OptimRecipe, Published, Retired, RunRecipe, TaskRecipe};

use super::{PUBLISHED, Recipe, RecipeError};

impl Recipe {
    /// The backbone by its name.
    ///
    /// # Errors
    /// A name that is not known, with all that are.
    pub fn arch(&self) -> Result<Arch, RecipeError> {
        let name = &self.model.arch;
        name.parse()
            .map_err(|e: slotcon_nn::Error| wrong("model.arch", name, e.to_string()))
    }

    /// The output stride: as given, or the architecture's own.
    ///
    /// # Errors
    /// A stride that no backbone can have.
    pub fn output_stride(&self) -> Result<OutputStride, RecipeError> {
        let own = self.arch()?.spec().output_stride;
        let given = self.model.output_stride;
        let pixels = if given == 0 { own } else { given };
        OutputStride::new(pixels).ok_or_else(|| {
            wrong(
                "model.output_stride",
                given,
                "must be 8, 16 or 32, or 0 for the architecture's own",
            )
        })
    }
}

impl TaskRecipe for Recipe {
    const TASK: &'static str = "pretrain";
    const PUBLISHED: &'static [Published] = PUBLISHED;
    const RETIRED: &'static [Retired] = &[
        Retired {
            key: "model.gram_weight",
            without: Some(0.0),
            what: "Gram anchoring",
        },
        Retired {
            key: "model.gram_from",
            without: None,
            what: "Gram anchoring",
        },
    ];

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
        &self.data.loading
    }

    fn check(&self) -> Result<(), RecipeError> {
        let (data, model) = (&self.data, &self.model);
        let stride = self.output_stride()?;
        data.augment.check().map_err(|e| match e {
            slotcon_data::Error::Setting {
                name,
                value,
                expected,
            } => wrong(&format!("data.{name}"), value, expected),
            other => wrong("data", "", other.to_string()),
        })?;
        let size = i64::from(data.augment.image_size);
        require(
            stride.side(size) >= 2,
            "data.image_size",
            size,
            format!(
                "{0} x {0} pixels make one position, so grouping needs at least {1}",
                stride.pixels(),
                stride.pixels() + 1
            ),
        )?;
        data.loading.check()?;
        for (key, value, least, reason) in [
            ("model.dim_hidden", model.dim_hidden, 1, "must be at least 1"),
            ("model.dim_out", model.dim_out, 1, "must be at least 1"),
            (
                "model.prototypes",
                model.prototypes,
                2,
                "grouping needs at least 2",
            ),
        ] {
            require(value >= least, key, value, reason)?;
        }
        fraction("model.teacher_momentum", model.teacher_momentum)?;
        fraction("model.center_momentum", model.center_momentum)?;
        fraction("model.group_loss_weight", model.group_loss_weight)?;
        positive("model.teacher_temp", model.teacher_temp)?;
        positive("model.student_temp", model.student_temp)?;
        require(
            self.optim.batch >= 2,
            "optim.batch",
            self.optim.batch,
            "batch normalisation needs at least 2 pictures",
        )?;
        self.optim.check()?;
        self.run.check(&self.optim)
    }
}
