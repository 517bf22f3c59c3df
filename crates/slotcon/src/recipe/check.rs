//! What a recipe must satisfy before it is worth starting.

use slotcon_nn::{Arch, OutputStride};

use super::{Recipe, RecipeError};

fn wrong(key: &str, value: impl std::fmt::Display, reason: impl Into<String>) -> RecipeError {
    RecipeError::Value {
        key: key.into(),
        value: value.to_string(),
        reason: reason.into(),
    }
}

fn require(
    good: bool,
    key: &str,
    value: impl std::fmt::Display,
    reason: impl Into<String>,
) -> Result<(), RecipeError> {
    if good {
        Ok(())
    } else {
        Err(wrong(key, value, reason))
    }
}

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

    /// Refuses values that cannot work and values that contradict each other.
    ///
    /// # Errors
    /// The key, its value, and what would be right.
    pub fn check(&self) -> Result<(), RecipeError> {
        let (data, model, optim, run) = (&self.data, &self.model, &self.optim, &self.run);
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
        require(
            data.prefetch >= 1,
            "data.prefetch",
            data.prefetch,
            "must be at least 1",
        )?;
        fraction("data.max_bad", data.max_bad)?;
        require(
            (0.0..=1e9).contains(&data.read_timeout),
            "data.read_timeout",
            data.read_timeout,
            "must be seconds, or 0 to wait for ever",
        )?;

        require(
            model.dim_hidden >= 1,
            "model.dim_hidden",
            model.dim_hidden,
            "must be at least 1",
        )?;
        require(
            model.dim_out >= 1,
            "model.dim_out",
            model.dim_out,
            "must be at least 1",
        )?;
        require(
            model.prototypes >= 2,
            "model.prototypes",
            model.prototypes,
            "grouping needs at least 2",
        )?;
        fraction("model.teacher_momentum", model.teacher_momentum)?;
        fraction("model.center_momentum", model.center_momentum)?;
        fraction("model.group_loss_weight", model.group_loss_weight)?;
        positive("model.teacher_temp", model.teacher_temp)?;
        positive("model.student_temp", model.student_temp)?;

        require(
            optim.batch >= 2,
            "optim.batch",
            optim.batch,
            "batch normalisation needs at least 2 pictures",
        )?;
        require(
            optim.accumulate >= 1 && optim.batch.is_multiple_of(optim.accumulate),
            "optim.accumulate",
            optim.accumulate,
            format!("must be at least 1 and divide optim.batch = {}", optim.batch),
        )?;
        positive("optim.base_lr", optim.base_lr)?;
        require(
            (0.0..1.0).contains(&optim.momentum),
            "optim.momentum",
            optim.momentum,
            "must be at least 0 and below 1",
        )?;
        require(
            optim.weight_decay >= 0.0 && optim.weight_decay.is_finite(),
            "optim.weight_decay",
            optim.weight_decay,
            "must be at least 0",
        )?;
        positive("optim.trust", optim.trust)?;
        require(
            optim.warmup_epochs >= 0.0 && optim.warmup_epochs.is_finite(),
            "optim.warmup_epochs",
            optim.warmup_epochs,
            "must be at least 0",
        )?;
        require(
            optim.warmup_multiplier > 1.0 && optim.warmup_multiplier.is_finite(),
            "optim.warmup_multiplier",
            optim.warmup_multiplier,
            "must be above 1: the warm-up starts at the learning rate divided by it",
        )?;

        positive("run.epochs", run.epochs)?;
        require(
            run.steps > 0 || optim.warmup_epochs < run.epochs,
            "optim.warmup_epochs",
            optim.warmup_epochs,
            format!(
                "the warm-up must be shorter than the run, run.epochs = {}",
                run.epochs
            ),
        )?;
        require(
            run.log_every >= 1,
            "run.log_every",
            run.log_every,
            "must be at least 1",
        )?;
        require(
            run.max_bad_steps >= 1,
            "run.max_bad_steps",
            run.max_bad_steps,
            "must be at least 1",
        )?;
        // Beyond this a duration overflows somewhere below.
        require(
            run.rank_timeout >= 1.0 && run.rank_timeout <= 1e6,
            "run.rank_timeout",
            run.rank_timeout,
            "must be from 1 to 1000000 seconds",
        )
    }

    /// Pictures a step on each of `ranks`.
    ///
    /// # Errors
    /// A batch that cannot be shared out evenly, with the nearest that can.
    pub fn share_of_batch(&self, ranks: usize) -> Result<usize, RecipeError> {
        let (batch, parts) = (self.optim.batch, ranks * self.optim.accumulate);
        let lower = batch / parts * parts;
        require(
            batch.is_multiple_of(parts),
            "optim.batch",
            batch,
            format!(
                "it is the total over all ranks and must be a multiple of {parts} ({ranks} ranks, optim.accumulate = {}): \
                 {}{} would do",
                self.optim.accumulate,
                if lower > 0 {
                    format!("{lower} or ")
                } else {
                    String::new()
                },
                lower + parts
            ),
        )?;
        Ok(batch / ranks)
    }
}

fn fraction(key: &str, value: f64) -> Result<(), RecipeError> {
    require((0.0..=1.0).contains(&value), key, value, "must be from 0 to 1")
}

fn positive(key: &str, value: f64) -> Result<(), RecipeError> {
    require(value > 0.0 && value.is_finite(), key, value, "must be above 0")
}
