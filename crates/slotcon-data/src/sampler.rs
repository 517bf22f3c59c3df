//! Which picture is seen when: every picture once an epoch, each rank its share, nothing to store for a resume.

use crate::error::{Error, Result};
use crate::rng::{Purpose, Stream};

/// The order of pictures over a whole run.
///
/// An epoch is a permutation of the data set by (seed, epoch). Step `s` of an epoch takes positions
/// `s * total .. (s + 1) * total` of it (`total = batch * world_size`), rank `r` of these the `r`-th run of `batch`.
/// What is left at the end of an epoch and fills no batch is dropped; the next epoch's permutation drops others.
#[derive(Clone, Debug)]
pub struct Sampler {
    pictures: usize,
    batch: usize,
    rank: usize,
    world_size: usize,
    seed: u64,
    epoch: Option<(u64, Vec<u32>)>,
}

impl Sampler {
    /// A sampler for `batch` pictures on each of `world_size` ranks.
    ///
    /// # Errors
    /// When one batch takes more pictures than there are, or a number is 0 or out of range.
    pub fn new(pictures: usize, batch: usize, rank: usize, world_size: usize, seed: u64) -> Result<Self> {
        if batch == 0 {
            return Err(setting("batch", batch, "must be at least 1"));
        }
        if world_size == 0 {
            return Err(setting("world_size", world_size, "must be at least 1"));
        }
        if rank >= world_size {
            return Err(setting("rank", rank, "must be less than world_size"));
        }
        if u32::try_from(pictures).is_err() {
            return Err(setting(
                "pictures",
                pictures,
                "a data set holds at most 4294967295 pictures",
            ));
        }
        let total = batch.saturating_mul(world_size);
        if pictures < total {
            return Err(Error::TooFewPictures {
                pictures,
                total,
                batch,
                world_size,
            });
        }
        Ok(Self {
            pictures,
            batch,
            rank,
            world_size,
            seed,
            epoch: None,
        })
    }

    /// Batches an epoch has.
    pub fn steps_per_epoch(&self) -> u64 {
        (self.pictures / (self.batch * self.world_size)) as u64
    }

    /// Epoch of global step `step`, and the pictures this rank takes in it, in order. No earlier step is visited.
    pub fn batch(&mut self, step: u64) -> (u64, &[u32]) {
        let steps = self.steps_per_epoch();
        let (epoch, within) = (step / steps, (step % steps) as usize);
        if self.epoch.as_ref().is_none_or(|(e, _)| *e != epoch) {
            let mut order: Vec<u32> = match self.epoch.take() {
                Some((_, order)) => order,
                None => Vec::new(),
            };
            order.clear();
            order.extend(0..self.pictures as u32);
            Stream::new(self.seed, epoch, 0, Purpose::Order, 0).shuffle(&mut order);
            self.epoch = Some((epoch, order));
        }
        let first = (within * self.world_size + self.rank) * self.batch;
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        (epoch, &order[first..first + self.batch])
    }
}

fn setting(name: &'static str, value: usize, expected: &'static str) -> Error {
    Error::Setting {
        name,
        value: value.to_string(),
        expected,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_once_an_epoch_and_each_rank_its_share() {
        for (pictures, batch, world) in [(103, 5, 4), (64, 8, 2), (7, 7, 1), (10, 3, 1)] {
            let mut seen = vec![0; pictures];
            let mut ranks: Vec<Sampler> = (0..world)
                .map(|r| Sampler::new(pictures, batch, r, world, 3).unwrap())
                .collect();
            let steps = ranks[0].steps_per_epoch();
            assert_eq!(steps as usize, pictures / (batch * world));
            for step in 0..steps {
                for sampler in &mut ranks {
                    let (epoch, indices) = sampler.batch(step);
                    assert_eq!((epoch, indices.len()), (0, batch));
                    indices.iter().for_each(|&i| seen[i as usize] += 1);
                }
            }
            assert!(seen.iter().all(|&n| n <= 1));
            assert_eq!(seen.iter().sum::<usize>(), steps as usize * batch * world);
        }
    }

    #[test]
    fn the_total_batch_does_not_depend_on_the_number_of_ranks() {
        let all = |world: usize, step| {
            let mut out = Vec::new();
            for rank in 0..world {
                out.extend_from_slice(
                    Sampler::new(50, 12 / world, rank, world, 1)
                        .unwrap()
                        .batch(step)
                        .1,
                );
            }
            out
        };
        for step in [0, 3, 4, 11] {
            assert_eq!(all(1, step), all(2, step));
            assert_eq!(all(1, step), all(4, step));
        }
    }

    #[test]
    fn epochs_and_seeds_differ_and_any_step_can_be_visited_first() {
        let mut straight = Sampler::new(40, 4, 0, 1, 1).unwrap();
        let walked: Vec<Vec<u32>> = (0..30).map(|s| straight.batch(s).1.to_vec()).collect();
        for step in [29u64, 10, 0, 17] {
            assert_eq!(
                Sampler::new(40, 4, 0, 1, 1).unwrap().batch(step).1,
                walked[step as usize]
            );
        }
        assert_ne!(walked[0], walked[10]);
        assert_ne!(Sampler::new(40, 4, 0, 1, 2).unwrap().batch(0).1, walked[0]);
    }

    #[test]
    fn a_million_pictures_shuffle_at_once() {
        let started = std::time::Instant::now();
        let mut sampler = Sampler::new(1_000_000, 512, 0, 1, 0).unwrap();
        assert_eq!(sampler.batch(1_000_000).1.len(), 512);
        assert!(started.elapsed().as_secs_f64() < 2.0);
    }

    #[test]
    fn too_few_pictures_say_what_to_set() {
        let error = Sampler::new(10, 4, 0, 3, 0).unwrap_err().to_string();
        assert!(
            error.contains("10 pictures") && error.contains("12") && error.contains("set the batch"),
            "{error}"
        );
        assert!(Sampler::new(10, 0, 0, 1, 0).is_err() && Sampler::new(10, 1, 2, 2, 0).is_err());
    }
}
