//! Which picture is seen when: every picture once an epoch, each rank its share, nothing to store for a resume.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::rng::{Purpose, Stream};

/// `count` numbers below `all`, evenly spread and ascending; all of them where there are fewer.
pub fn evenly(all: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(all);
    (0..count).map(move |i| (i as u128 * all as u128 / count as u128) as usize)
}

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
    /// Pictures that should be read in the order in which they lie, shard by shard, and how far they may be moved.
    shards: Vec<Range<usize>>,
    window: usize,
    /// The kind of each picture, where the pictures of a step should be of one.
    groups: Option<Arc<Vec<u8>>>,
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
        let (shards, window) = (Vec::new(), 0);
        Ok(Self {
            pictures,
            batch,
            rank,
            world_size,
            seed,
            shards,
            window,
            groups: None,
            epoch: None,
        })
    }

    /// Has the pictures of each shard (disjoint and ascending ranges) read from front to back, shuffled only within a
    /// window of so many pictures: a tar file on a disk that turns or on a network is fast in order and slow at random.
    /// The order of the shards is a permutation by (seed, epoch), pictures outside of shards are strewn in evenly.
    #[must_use]
    pub fn with_shards(mut self, shards: Vec<Range<usize>>, window: usize) -> Self {
        (self.shards, self.window) = (shards, window.max(1));
        self
    }

    /// Has the pictures of a step, over all ranks, be of one kind: `groups` says which each is of (landscape or portrait, say, so
    /// that little is padded). The order within a kind stays; the last steps of an epoch take what is left of all kinds.
    ///
    /// # Errors
    /// Another number of pictures.
    pub fn with_groups(mut self, groups: Arc<Vec<u8>>) -> Result<Self> {
        if groups.len() != self.pictures {
            return Err(setting(
                "groups",
                groups.len(),
                "must be as many as there are pictures",
            ));
        }
        self.groups = Some(groups);
        Ok(self)
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
            self.fill(epoch, &mut order);
            self.epoch = Some((epoch, order));
        }
        let first = (within * self.world_size + self.rank) * self.batch;
        let order = self.epoch.as_ref().map_or(&[][..], |(_, order)| order);
        (epoch, &order[first..first + self.batch])
    }

    /// The order of a whole epoch.
    fn fill(&self, epoch: u64, order: &mut Vec<u32>) {
        self.shuffle(epoch, order);
        if let Some(groups) = &self.groups {
            let total = self.batch * self.world_size;
            let mut open: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
            let mut grouped = Vec::with_capacity(order.len());
            for &picture in order.iter() {
                let waiting = open.entry(groups[picture as usize]).or_default();
                waiting.push(picture);
                if waiting.len() == total {
                    grouped.append(waiting);
                }
            }
            grouped.extend(open.into_values().flatten());
            *order = grouped;
        }
    }

    /// The order without regard to kinds.
    fn shuffle(&self, epoch: u64, order: &mut Vec<u32>) {
        let mut random = Stream::new(self.seed, epoch, 0, Purpose::Order, 0);
        order.clear();
        let mut free = 0;
        for shard in &self.shards {
            order.extend(free as u32..shard.start as u32);
            free = shard.end;
        }
        order.extend(free as u32..self.pictures as u32);
        random.shuffle(order);
        if self.shards.is_empty() {
            return;
        }
        let mut shards = self.shards.clone();
        random.shuffle(&mut shards);
        let mut loose = std::mem::take(order).into_iter();
        let mut tied = shards.into_iter().flatten().map(|i| i as u32);
        let mut left = (loose.len() as u64, (self.pictures - loose.len()) as u64);
        // Either kind comes next as likely as it has pictures left.
        let mut next = |random: &mut Stream| {
            if random.below(left.0 + left.1) < left.0 {
                left.0 -= 1;
                loose.next()
            } else {
                left.1 = left.1.saturating_sub(1);
                tied.next()
            }
        };
        let mut window: Vec<u32> = Vec::with_capacity(self.window);
        order.reserve(self.pictures);
        while order.len() < self.pictures {
            while window.len() < self.window {
                match next(&mut random) {
                    Some(index) => window.push(index),
                    None => break,
                }
            }
            let chosen = random.below(window.len() as u64) as usize;
            order.push(window.swap_remove(chosen));
        }
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
    fn a_far_step_of_a_million_pictures_is_found_without_the_steps_before() {
        // Step 10^12 after half an epoch of them: whoever walked there would not come back.
        let mut sampler = Sampler::new(1_000_000, 512, 0, 1, 0).unwrap();
        assert_eq!(sampler.batch(1_000_000_000_000).1.len(), 512);
    }

    #[test]
    fn shards_are_read_in_order_within_a_window() {
        let shards = vec![100..400, 400..700, 750..1000];
        let sampler = |window| {
            Sampler::new(1000, 10, 0, 1, 4)
                .unwrap()
                .with_shards(shards.clone(), window)
        };
        let order = |window, epoch: u64| -> Vec<u32> {
            let mut sampler = sampler(window);
            (0..100)
                .flat_map(|s| sampler.batch(epoch * 100 + s).1.to_vec())
                .collect()
        };
        for window in [1, 50, 5000] {
            let mut all = order(window, 3);
            all.sort_unstable();
            assert_eq!(all, (0..1000).collect::<Vec<u32>>(), "every picture once");
        }
        for shard in &shards {
            let of = |window| -> Vec<usize> {
                order(window, 0)
                    .into_iter()
                    .map(|i| i as usize)
                    .filter(|i| shard.contains(i))
                    .collect()
            };
            assert!(of(1).is_sorted(), "without a window a shard is read in order");
            let moved = of(50);
            assert!(!moved.is_sorted());
            // A window of 50 lets nobody overtake more than 50 others.
            assert!(moved.iter().enumerate().all(|(at, &i)| i - shard.start < at + 50));
        }
        assert_ne!(order(50, 0), order(50, 1));
        // The loose pictures are spread over the epoch.
        let late = order(50, 0)[500..].iter().filter(|&&i| i < 100).count();
        assert!((30..70).contains(&late), "{late} of 100 in the second half");
    }

    #[test]
    fn the_pictures_of_a_step_are_of_one_kind() {
        let groups: Arc<Vec<u8>> = Arc::new((0..103).map(|i| u8::from(i % 3 == 0)).collect());
        let sampler = |batch, world| {
            let sampler = Sampler::new(103, batch, 0, world, 5).unwrap();
            sampler.with_groups(Arc::clone(&groups)).unwrap()
        };
        let mut alone = sampler(4, 1);
        let mut seen = Vec::new();
        let mut mixed = 0;
        for step in 0..alone.steps_per_epoch() {
            let pictures = alone.batch(step).1.to_vec();
            mixed += usize::from(
                pictures
                    .windows(2)
                    .any(|p| groups[p[0] as usize] != groups[p[1] as usize]),
            );
            // Two ranks share what one would take.
            assert_eq!(sampler(2, 2).batch(step).1, &pictures[..2]);
            seen.extend(pictures);
        }
        assert!(mixed <= 2, "{mixed} steps of two kinds");
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 100);
        assert!(
            Sampler::new(5, 1, 0, 1, 0)
                .unwrap()
                .with_groups(Arc::new(vec![0; 4]))
                .is_err()
        );
    }

    #[test]
    fn too_few_pictures_say_what_to_set() {
        let error = Sampler::new(10, 4, 0, 3, 0).unwrap_err().to_string();
        assert!(
            error.contains("10 pictures")
                && error.contains("12")
                && error.contains("optim.batch to at most 9"),
            "{error}"
        );
        assert!(Sampler::new(10, 0, 0, 1, 0).is_err() && Sampler::new(10, 1, 2, 2, 0).is_err());
    }
}
