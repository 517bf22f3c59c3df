//! k-means: k-means++ seeding, Lloyd's iterations, the best of several restarts.
//!
//! The result is a function of the rows and the configuration alone: sums are taken over chunks of fixed length and
//! added up in order, so neither the number of threads nor their pace matters.

use rayon::prelude::*;
use slotcon_data::rng::{Purpose, Stream};

use super::sampling::stratified;

/// How to cluster.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeansConfig {
    /// K. Fewer come out where the rows have fewer distinct values.
    pub clusters: usize,
    /// The fit looks at no more rows than this, spread evenly over all. Raise it for large K: some hundred rows a
    /// cluster are enough.
    pub max_rows: usize,
    /// Independent starts, of which the one with the lowest inertia is kept.
    pub restarts: usize,
    /// Most iterations of a restart.
    pub max_iterations: usize,
    /// A restart ends when an iteration lowers the inertia by less than this share.
    pub tolerance: f64,
    /// Decides the starts and the rows looked at.
    pub seed: u64,
}

impl Default for KMeansConfig {
    fn default() -> Self {
        Self {
            clusters: 27,
            max_rows: 200_000,
            restarts: 3,
            max_iterations: 100,
            tolerance: 1e-4,
            seed: 0,
        }
    }
}

/// Cluster centres.
#[derive(Debug, Clone, PartialEq)]
pub struct KMeans {
    /// `[K, dimension]`.
    centres: Vec<f32>,
    dimension: usize,
}

/// Why rows cannot be clustered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KMeansError {
    /// The buffer is no `[rows, dimension]`.
    #[error("{values} values are not rows of {dimension} values each")]
    Shape {
        /// Values in the buffer.
        values: usize,
        /// Values a row should have.
        dimension: usize,
    },
    /// There is nothing to cluster.
    #[error("k-means needs at least one row, there is none")]
    Empty,
    /// A value is NaN or infinite.
    #[error("row {0} holds a value that is not finite")]
    NotFinite(usize),
    /// K, the restarts, the iterations or the rows are 0, or K does not fit into a label.
    #[error("{setting} is {value}, it must be at least 1{limit}")]
    Setting {
        /// Its name.
        setting: &'static str,
        /// Its value.
        value: usize,
        /// The upper limit, if there is one.
        limit: &'static str,
    },
}

impl KMeans {
    /// Clusters `rows`, `[n, dimension]`.
    ///
    /// # Errors
    /// No rows, rows of another length, values that are not finite, a setting out of range.
    pub fn fit(rows: &[f32], dimension: usize, config: &KMeansConfig) -> Result<Self, KMeansError> {
        check_settings(config)?;
        check_rows(rows, dimension)?;
        let sample = sample(rows, dimension, config.max_rows, config.seed);
        let best = (0..config.restarts as u64)
            .map(|restart| {
                let mut random = Stream::new(config.seed, 0, restart + 1, Purpose::KMeans, 0);
                let seeds = plus_plus(&sample, dimension, config.clusters, &mut random);
                lloyd(&sample, dimension, seeds, config)
            })
            .min_by(|a, b| last(&a.1).total_cmp(&last(&b.1)));
        let (centres, _) = best.ok_or(KMeansError::Empty)?;
        Ok(Self { centres, dimension })
    }

    /// The nearest centre of every row, the first of equals.
    ///
    /// # Errors
    /// Rows of another length, values that are not finite.
    pub fn predict(&self, rows: &[f32]) -> Result<Vec<u16>, KMeansError> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        check_rows(rows, self.dimension)?;
        Ok(rows
            .par_chunks(self.dimension)
            .map(|row| nearest(row, &self.centres).0 as u16)
            .collect())
    }

    /// K: as configured, or fewer where the rows had fewer distinct values.
    pub fn clusters(&self) -> usize {
        self.centres.len() / self.dimension
    }

    /// The centres, `[K, dimension]`.
    pub fn centres(&self) -> &[f32] {
        &self.centres
    }
}

fn check_settings(config: &KMeansConfig) -> Result<(), KMeansError> {
    let least_one = [
        ("restarts", config.restarts),
        ("max_iterations", config.max_iterations),
        ("max_rows", config.max_rows),
    ];
    for (setting, value) in least_one {
        if value == 0 {
            return Err(KMeansError::Setting {
                setting,
                value,
                limit: "",
            });
        }
    }
    if config.clusters == 0 || config.clusters > 1 << 16 {
        let limit = " and at most 65536";
        return Err(KMeansError::Setting {
            setting: "clusters",
            value: config.clusters,
            limit,
        });
    }
    Ok(())
}

fn check_rows(rows: &[f32], dimension: usize) -> Result<(), KMeansError> {
    if dimension == 0 || !rows.len().is_multiple_of(dimension) {
        return Err(KMeansError::Shape {
            values: rows.len(),
            dimension,
        });
    }
    if rows.is_empty() {
        return Err(KMeansError::Empty);
    }
    match rows.iter().position(|value| !value.is_finite()) {
        Some(index) => Err(KMeansError::NotFinite(index / dimension)),
        None => Ok(()),
    }
}

/// At most `max_rows` rows, spread over all.
fn sample(rows: &[f32], dimension: usize, max_rows: usize, seed: u64) -> Vec<f32> {
    let mut random = Stream::new(seed, 0, 0, Purpose::KMeans, 0);
    stratified(rows.len() / dimension, max_rows, &mut random)
        .flat_map(|row| &rows[row * dimension..(row + 1) * dimension])
        .copied()
        .collect()
}

/// k-means++ (Arthur and Vassilvitskii, 2007): every next seed is a row drawn with a probability that grows with its
/// squared distance to the seeds so far.
fn plus_plus(rows: &[f32], dimension: usize, clusters: usize, random: &mut Stream) -> Vec<f32> {
    let n = rows.len() / dimension;
    let row = |i: usize| &rows[i * dimension..(i + 1) * dimension];
    let first = ((random.unit() * n as f64) as usize).min(n - 1);
    let mut seeds = row(first).to_vec();
    let mut distances = vec![f32::INFINITY; n];
    for _ in 1..clusters {
        let newest = &seeds[seeds.len() - dimension..];
        rows.par_chunks(dimension)
            .zip(&mut distances)
            .for_each(|(row, distance)| {
                *distance = distance.min(squared_distance(row, newest));
            });
        let total: f64 = distances.iter().map(|&d| f64::from(d)).sum();
        let Some(next) = draw(&distances, random.unit() * total) else {
            break;
        };
        seeds.extend_from_slice(row(next));
    }
    seeds
}

/// The index at which the running sum of the weights passes `target`; none where all weights are 0.
fn draw(weights: &[f32], target: f64) -> Option<usize> {
    let mut sum = 0.0;
    let mut reached = None;
    for (index, &weight) in weights.iter().enumerate() {
        if weight > 0.0 {
            sum += f64::from(weight);
            reached = Some(index);
            if sum > target {
                break;
            }
        }
    }
    reached
}

/// Lloyd's iterations from these centres; the final centres and the inertia before each update, the last of which is
/// theirs.
fn lloyd(
    rows: &[f32],
    dimension: usize,
    mut centres: Vec<f32>,
    config: &KMeansConfig,
) -> (Vec<f32>, Vec<f64>) {
    let mut inertias = Vec::new();
    loop {
        let step = assign(rows, dimension, &centres);
        let before = inertias.last().copied().unwrap_or(f64::INFINITY);
        inertias.push(step.inertia);
        let settled = before - step.inertia <= config.tolerance * step.inertia;
        if settled || inertias.len() >= config.max_iterations {
            return (centres, inertias);
        }
        update(rows, dimension, &mut centres, step);
    }
}

/// What one look at all rows gives.
struct Step {
    sums: Vec<f64>,
    counts: Vec<u64>,
    distances: Vec<f32>,
    inertia: f64,
}

fn assign(rows: &[f32], dimension: usize, centres: &[f32]) -> Step {
    let n = rows.len() / dimension;
    // A fixed function of n: partial sums are the same on any number of threads.
    let chunk = 1024.max(n.div_ceil(64));
    let parts: Vec<Step> = rows
        .par_chunks(chunk * dimension)
        .map(|rows| {
            let mut part = Step {
                sums: vec![0.0; centres.len()],
                counts: vec![0; centres.len() / dimension],
                distances: Vec::with_capacity(rows.len() / dimension),
                inertia: 0.0,
            };
            for row in rows.chunks_exact(dimension) {
                let (cluster, distance) = nearest(row, centres);
                let sums = &mut part.sums[cluster * dimension..][..dimension];
                sums.iter_mut()
                    .zip(row)
                    .for_each(|(sum, &value)| *sum += f64::from(value));
                part.counts[cluster] += 1;
                part.inertia += f64::from(distance);
                part.distances.push(distance);
            }
            part
        })
        .collect();
    let mut all = Step {
        sums: vec![0.0; centres.len()],
        counts: vec![0; centres.len() / dimension],
        distances: Vec::with_capacity(n),
        inertia: 0.0,
    };
    for part in parts {
        all.sums
            .iter_mut()
            .zip(part.sums)
            .for_each(|(all, part)| *all += part);
        all.counts
            .iter_mut()
            .zip(part.counts)
            .for_each(|(all, part)| *all += part);
        all.distances.extend(part.distances);
        all.inertia += part.inertia;
    }
    all
}

/// Moves every centre to the mean of its rows, and one without rows to the row that is farthest from its own centre.
fn update(rows: &[f32], dimension: usize, centres: &mut [f32], mut step: Step) {
    for (cluster, centre) in centres.chunks_exact_mut(dimension).enumerate() {
        let count = step.counts[cluster];
        if count > 0 {
            let sums = &step.sums[cluster * dimension..][..dimension];
            centre
                .iter_mut()
                .zip(sums)
                .for_each(|(value, sum)| *value = (sum / count as f64) as f32);
        } else if let Some(far) = farthest(&step.distances) {
            centre.copy_from_slice(&rows[far * dimension..][..dimension]);
            step.distances[far] = 0.0;
        }
    }
}

fn farthest(distances: &[f32]) -> Option<usize> {
    let mut best = (0.0, None);
    for (index, &distance) in distances.iter().enumerate() {
        if distance > best.0 {
            best = (distance, Some(index));
        }
    }
    best.1
}

/// The nearest centre and the squared distance to it.
fn nearest(row: &[f32], centres: &[f32]) -> (usize, f32) {
    let mut best = (0, f32::INFINITY);
    for (cluster, centre) in centres.chunks_exact(row.len()).enumerate() {
        let distance = squared_distance(row, centre);
        if distance < best.1 {
            best = (cluster, distance);
        }
    }
    best
}

/// Eight running sums, which the compiler turns into vector instructions. The shorter `x² - 2xy + y²` would lose the
/// small distances to rounding.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    const LANES: usize = 8;
    let (a_wide, a_rest) = a.as_chunks::<LANES>();
    let (b_wide, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0f32; LANES];
    for (a, b) in a_wide.iter().zip(b_wide) {
        for lane in 0..LANES {
            let difference = a[lane] - b[lane];
            sums[lane] += difference * difference;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| (a - b) * (a - b)).sum();
    sums.iter().sum::<f32>() + rest
}

fn last(inertias: &[f64]) -> f64 {
    inertias.last().copied().unwrap_or(f64::INFINITY)
}

#[cfg(test)]
mod tests;
