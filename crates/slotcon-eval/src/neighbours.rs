//! The rows of a memory that are nearest to others, by exhaustive comparison in bounded memory.

use slotcon::method::grouping::normalize;
use tch::{Device, Kind, Tensor};

use crate::error::Error;

/// Bytes of comparisons held at a time.
const BLOCK_BYTES: i64 = 128 << 20;

/// What makes two rows alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likeness {
    /// The cosine of the angle between them.
    Cosine,
    /// A small Euclidean distance, every column standardised by mean and standard deviation in the memory.
    Standardised,
}

/// Rows that others are compared with.
#[derive(Debug)]
pub struct Memory {
    likeness: Likeness,
    /// What is taken from a column and what it is divided by, `[D]` each; for [`Likeness::Standardised`].
    scale: Option<(Tensor, Tensor)>,
    /// `[D, N]`
    rows: Tensor,
    /// Half the squared length of each row, `[N]`; for [`Likeness::Standardised`].
    halves: Option<Tensor>,
}

/// The nearest rows of each query, the nearest first: `[M, k]` each, row by row.
#[derive(Debug, Clone, PartialEq)]
pub struct Nearest {
    /// k.
    pub k: usize,
    /// Numbers of rows of the memory.
    pub rows: Vec<usize>,
    /// Their cosine; under [`Likeness::Standardised`] half the squared length of the query less half the squared distance.
    pub likeness: Vec<f32>,
}

impl Memory {
    /// Keeps `rows`, `[N, D]`.
    ///
    /// # Errors
    /// No rows, or another number of dimensions; a failure of libtorch, such as too little memory.
    pub fn new(rows: &Tensor, likeness: Likeness) -> Result<Self, Error> {
        let _guard = tch::no_grad_guard();
        let (count, _) = rows.size2()?;
        if count == 0 {
            return Err(Error::Argument("a memory without rows has no neighbours".into()));
        }
        let scale = (likeness == Likeness::Standardised).then(|| {
            let mean = rows.mean_dim([0i64].as_slice(), false, Kind::Float);
            // A column that never changes tells nothing: it stays 0.
            let std = rows.std_dim([0i64].as_slice(), false, false).clamp_min(1e-12);
            (mean, std)
        });
        let unscaled = Self {
            likeness,
            scale,
            rows: Tensor::new(),
            halves: None,
        };
        let rows = unscaled.scaled(rows);
        let halves = (likeness == Likeness::Standardised).then(|| {
            rows.square()
                .sum_dim_intlist([1i64].as_slice(), false, Kind::Float)
                * 0.5
        });
        Ok(Self {
            rows: rows.tr(),
            halves,
            ..unscaled
        })
    }

    /// N, the number of rows.
    pub fn len(&self) -> usize {
        self.rows.size()[1] as usize
    }

    /// Never: a memory has rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn scaled(&self, rows: &Tensor) -> Tensor {
        match (self.likeness, &self.scale) {
            (Likeness::Standardised, Some((mean, std))) => (rows - mean) / std,
            _ => normalize(rows),
        }
    }

    /// The `k` rows nearest to each of `queries`, `[M, D]`.
    ///
    /// # Errors
    /// More neighbours than there are rows; queries of another width; a failure of libtorch, such as too little memory.
    pub fn nearest(&self, queries: &Tensor, k: usize) -> Result<Nearest, Error> {
        let _guard = tch::no_grad_guard();
        if k > self.len() {
            return Err(Error::Argument(format!(
                "{k} neighbours of a memory of {} rows; ask for {0} at most, or enlarge the memory",
                self.len()
            )));
        }
        let queries = self.scaled(queries);
        let (count, _) = queries.size2()?;
        let block = (BLOCK_BYTES / (4 * self.len() as i64)).max(1);
        let mut found = Nearest {
            k,
            rows: Vec::with_capacity(count as usize * k),
            likeness: Vec::with_capacity(count as usize * k),
        };
        for first in (0..count).step_by(block as usize) {
            let mut alike = queries
                .narrow(0, first, block.min(count - first))
                .f_matmul(&self.rows)?;
            if let Some(halves) = &self.halves {
                alike -= halves;
            }
            let (values, rows) = alike.f_topk(k as i64, 1, true, true)?;
            let rows = Vec::<i64>::try_from(rows.to_device(Device::Cpu).flatten(0, -1))?;
            found.rows.extend(rows.into_iter().map(|row| row as usize));
            let values = values.to_device(Device::Cpu).flatten(0, -1);
            found.likeness.extend(Vec::<f32>::try_from(values)?);
        }
        Ok(found)
    }
}

impl Nearest {
    /// Rows and likeness of each query.
    pub fn each(&self) -> impl Iterator<Item = (&[usize], &[f32])> {
        self.rows
            .chunks_exact(self.k)
            .zip(self.likeness.chunks_exact(self.k))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(values: &[[f32; 2]]) -> Tensor {
        Tensor::from_slice(&values.concat()).reshape([-1, 2])
    }

    #[test]
    fn cosine_knows_no_length() {
        let memory = Memory::new(&rows(&[[5.0, 0.0], [0.1, 0.1], [0.0, 2.0]]), Likeness::Cosine).unwrap();
        let found = memory.nearest(&rows(&[[1.0, 0.9], [0.0, 3.0]]), 2).unwrap();
        assert_eq!(found.rows, [1, 0, 2, 1]);
        assert!((found.likeness[2] - 1.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn every_column_counts_the_same() {
        // The second column is a thousand times as wide; the last query lies nearest to the last row in both.
        let kept = rows(&[[0.0, 0.0], [1.0, 1000.0], [0.0, 1000.0], [1.0, 0.0]]);
        let memory = Memory::new(&kept, Likeness::Standardised).unwrap();
        let found = memory.nearest(&rows(&[[0.1, 900.0], [0.9, 450.0]]), 1).unwrap();
        assert_eq!(found.rows, [2, 3]);
    }

    #[test]
    fn more_neighbours_than_rows_are_refused() {
        let memory = Memory::new(&rows(&[[1.0, 0.0]]), Likeness::Cosine).unwrap();
        let error = memory.nearest(&rows(&[[1.0, 0.0]]), 2).unwrap_err().to_string();
        assert!(
            error.contains("2 neighbours") && error.contains("1 rows"),
            "{error}"
        );
        let none = Tensor::zeros([0, 2], (Kind::Float, Device::Cpu));
        assert!(Memory::new(&none, Likeness::Cosine).is_err());
    }
}
