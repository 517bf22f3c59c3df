//! A curve of any length in little memory: neighbours are merged, their lowest and highest values kept.

/// Steps next to each other as one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bucket {
    /// The first step.
    pub first: f64,
    /// The last step.
    pub last: f64,
    /// Lowest value.
    pub min: f64,
    /// Highest value.
    pub max: f64,
    sum: f64,
    count: f64,
}

impl Bucket {
    /// Mean value.
    pub fn mean(&self) -> f64 {
        self.sum / self.count
    }

    /// The step in the middle.
    pub fn middle(&self) -> f64 {
        (self.first + self.last) / 2.0
    }

    fn merge(&mut self, other: &Self) {
        self.last = other.last;
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
    }
}

/// Buckets at which neighbours are merged; half as many are there at least once there were as many values.
const MOST: usize = 400;

/// Values by step.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Series {
    buckets: Vec<Bucket>,
    /// Values that belong into a bucket, less one: 2^n - 1.
    more: u64,
    /// Values in the last bucket.
    filled: u64,
    last: Option<f64>,
}

impl Series {
    /// Adds the value of a step after all others. What is not a number is left out.
    pub fn push(&mut self, step: f64, value: f64) {
        if !value.is_finite() || !step.is_finite() {
            return;
        }
        self.last = Some(value);
        let one = Bucket {
            first: step,
            last: step,
            min: value,
            max: value,
            sum: value,
            count: 1.0,
        };
        match self.buckets.last_mut() {
            Some(bucket) if self.filled <= self.more => bucket.merge(&one),
            _ => {
                self.buckets.push(one);
                self.filled = 0;
            }
        }
        self.filled += 1;
        if self.buckets.len() == MOST {
            self.halve();
        }
    }

    /// Several runs as one: of each stretch of steps the mean and the range over all of them. Runs that are not as long as the
    /// longest, and so thinned out otherwise, are left out.
    pub fn together(runs: &[Self]) -> Self {
        let longest = runs.iter().max_by_key(|run| (run.more, run.buckets.len()));
        let Some(mut whole) = longest.cloned() else {
            return Self::default();
        };
        let stretches = |run: &Self| Vec::from_iter(run.buckets.iter().map(|b| (b.first, b.last)));
        let alike = |run: &&Self| stretches(run) == stretches(&whole);
        let alike: Vec<&Self> = runs.iter().filter(alike).collect();
        for (i, bucket) in whole.buckets.iter_mut().enumerate() {
            let mut others = alike.iter().map(|run| run.buckets[i]);
            if let Some(first) = others.next() {
                *bucket = first;
                others.for_each(|other| bucket.merge(&other));
            }
        }
        let last: Vec<f64> = alike.iter().filter_map(|run| run.last).collect();
        whole.last = (!last.is_empty()).then(|| last.iter().sum::<f64>() / last.len() as f64);
        whole
    }

    fn halve(&mut self) {
        let pairs = self.buckets.chunks(2).map(|pair| {
            let mut whole = pair[0];
            pair[1..].iter().for_each(|other| whole.merge(other));
            whole
        });
        self.buckets = pairs.collect();
        self.more = 2 * self.more + 1;
        self.filled += self.more / 2 + 1;
    }

    /// All buckets, in order.
    pub fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// The last value.
    pub fn last(&self) -> Option<f64> {
        self.last
    }

    /// Mean of the last fifth.
    pub fn recent(&self) -> Option<f64> {
        let count = self.buckets.len();
        mean(&self.buckets[count - count.div_ceil(5)..])
    }

    /// Mean of the first twentieth.
    pub fn start(&self) -> Option<f64> {
        mean(&self.buckets[..self.buckets.len().div_ceil(20)])
    }

    /// Lowest and highest value.
    pub fn range(&self) -> Option<(f64, f64)> {
        let first = self.buckets.first()?;
        Some(
            self.buckets
                .iter()
                .fold((first.min, first.max), |(low, high), b| {
                    (low.min(b.min), high.max(b.max))
                }),
        )
    }
}

fn mean(buckets: &[Bucket]) -> Option<f64> {
    let count: f64 = buckets.iter().map(|b| b.count).sum();
    (count > 0.0).then(|| buckets.iter().map(|b| b.sum).sum::<f64>() / count)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn thin_but_true(values in prop::collection::vec(-1e3f64..1e3, 1..5000)) {
            let mut series = Series::default();
            for (i, &value) in values.iter().enumerate() {
                series.push(10.0 * (i + 1) as f64, value);
            }
            let buckets = series.buckets();
            prop_assert!(buckets.len() < MOST);
            prop_assert!(values.len() < MOST || buckets.len() >= MOST / 2);
            let low = values.iter().copied().fold(f64::INFINITY, f64::min);
            let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert_eq!(series.range(), Some((low, high)));
            prop_assert_eq!(series.last(), values.last().copied());
            // Every value lies in the bucket of its step, and every bucket holds nothing else.
            let mut at = 0;
            for bucket in buckets {
                let count = bucket.count as usize;
                let own = &values[at..at + count];
                prop_assert_eq!(bucket.first, 10.0 * (at + 1) as f64);
                prop_assert_eq!(bucket.last, 10.0 * (at + count) as f64);
                prop_assert!((bucket.mean() - own.iter().sum::<f64>() / count as f64).abs() < 1e-6);
                prop_assert_eq!(bucket.min, own.iter().copied().fold(f64::INFINITY, f64::min));
                prop_assert_eq!(bucket.max, own.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                at += count;
            }
            prop_assert_eq!(at, values.len());
            // All are about equally wide.
            let widest = buckets.iter().map(|b| b.count as usize).max().unwrap();
            prop_assert!(widest <= 2 * values.len().div_ceil(MOST / 2), "{}", widest);
        }
    }

    #[test]
    fn several_runs_are_one_curve_with_their_range() {
        let run = |values: &[f64]| {
            let mut series = Series::default();
            for (i, &value) in values.iter().enumerate() {
                series.push(i as f64, value);
            }
            series
        };
        let whole = Series::together(&[run(&[1.0, 2.0]), run(&[3.0, 6.0]), run(&[9.0])]);
        let seen = Vec::from_iter(whole.buckets().iter().map(|b| (b.first, b.mean(), b.min, b.max)));
        assert_eq!(seen, [(0.0, 2.0, 1.0, 3.0), (1.0, 4.0, 2.0, 6.0)]);
        assert_eq!(whole.last(), Some(4.0));
        assert_eq!(Series::together(&[]), Series::default());
    }

    #[test]
    fn what_is_not_a_number_is_left_out() {
        let mut series = Series::default();
        series.push(1.0, f64::NAN);
        assert_eq!((series.recent(), series.range()), (None, None));
        series.push(2.0, 4.0);
        series.push(3.0, f64::INFINITY);
        assert_eq!(
            (series.recent(), series.start(), series.last()),
            (Some(4.0), Some(4.0), Some(4.0))
        );
    }
}
