//! Dense features small enough for a page: few dimensions, one signed byte each.

use slotcon::method::grouping::normalize;
use tch::{Device, Kind, Tensor};

use crate::error::Error;

/// Largest value of a component.
const SCALE: f64 = 127.0;

/// Sums up features, one picture after the other.
#[derive(Debug)]
pub struct Moments {
    /// `[D, D]`, f64 on the CPU.
    products: Option<Tensor>,
}

impl Moments {
    /// Of nothing yet.
    pub fn new() -> Self {
        Self { products: None }
    }

    /// Adds features `[N, D]`, each taken at unit length.
    pub fn add(&mut self, features: &Tensor) {
        let unit = normalize(features);
        let products = unit
            .tr()
            .matmul(&unit)
            .to_device(Device::Cpu)
            .to_kind(Kind::Double);
        if bool::try_from(products.isfinite().all()).unwrap_or(false) {
            self.products = Some(match self.products.take() {
                None => products,
                Some(sum) => sum + products,
            });
        }
    }

    /// The `dims` directions that hold most of the features, so that cosine similarity is kept as well as that many
    /// dimensions can. They are not centred: similarity is not, either.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn reduction(self, dims: i64) -> Result<Option<Reduction>, Error> {
        let Some(products) = self.products else {
            return Ok(None);
        };
        let dims = dims.min(products.size()[0]);
        // Eigenvalues rise.
        let (values, vectors) = products.f_linalg_eigh("L")?;
        let last = values.size()[0] - dims;
        let kept = values.narrow(0, last, dims).sum(Kind::Double);
        let share = kept / values.clamp_min(0.0).sum(Kind::Double).clamp_min(1e-30);
        Ok(Some(Reduction {
            basis: vectors.narrow(1, last, dims).flip([1]).to_kind(Kind::Float),
            share: f64::try_from(share)?,
        }))
    }
}

/// From D dimensions to few.
#[derive(Debug)]
pub struct Reduction {
    /// `[D, dims]`, orthonormal columns.
    basis: Tensor,
    share: f64,
}

impl Reduction {
    /// Share of the features' squared length that the dimensions kept hold, 0 to 1.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Dimensions kept.
    pub fn dims(&self) -> i64 {
        self.basis.size()[1]
    }

    /// Features `[N, D]` as bytes `[N, dims]`: rows of length 127, so that a product of two rows is 127² times their
    /// cosine similarity.
    ///
    /// # Errors
    /// A failure of libtorch, such as too little memory.
    pub fn apply(&self, features: &Tensor) -> Result<Vec<i8>, Error> {
        let basis = self.basis.to_device(features.device());
        let few = normalize(&features.to_kind(Kind::Float).f_matmul(&basis)?) * SCALE;
        let bytes = few.nan_to_num(0.0, None, None).round().to_kind(Kind::Int8);
        Ok(Vec::try_from(bytes.to_device(Device::Cpu).flatten(0, -1))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similarity_survives() {
        tch::manual_seed(5);
        // Features that lie near a plane of 6 among 40 dimensions.
        let plane = Tensor::randn([6, 40], (Kind::Float, Device::Cpu));
        let features = Tensor::randn([200, 6], (Kind::Float, Device::Cpu)).matmul(&plane)
            + Tensor::randn([200, 40], (Kind::Float, Device::Cpu)) * 0.02;
        let mut moments = Moments::new();
        for part in features.split(50, 0) {
            moments.add(&part);
        }
        let reduction = moments.reduction(8).unwrap().unwrap();
        assert!(
            reduction.dims() == 8 && reduction.share() > 0.99,
            "{}",
            reduction.share()
        );
        let bytes = reduction.apply(&features).unwrap();
        let unit = normalize(&features);
        let exact = unit.matmul(&unit.tr());
        let mut worst = 0f64;
        for i in 0..200usize {
            for j in 0..200usize {
                let (a, b) = (&bytes[i * 8..i * 8 + 8], &bytes[j * 8..j * 8 + 8]);
                let product: i32 = a.iter().zip(b).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                let expected = exact.double_value(&[i as i64, j as i64]);
                worst = worst.max((f64::from(product) / (SCALE * SCALE) - expected).abs());
            }
        }
        assert!(worst < 0.03, "{worst}");
    }

    #[test]
    fn no_more_dimensions_than_there_are_and_none_of_nothing() {
        assert!(Moments::new().reduction(4).unwrap().is_none());
        let mut moments = Moments::new();
        moments.add(&Tensor::eye(3, (Kind::Float, Device::Cpu)));
        let reduction = moments.reduction(16).unwrap().unwrap();
        assert_eq!(reduction.dims(), 3);
        assert!((reduction.share() - 1.0).abs() < 1e-6);
    }
}
