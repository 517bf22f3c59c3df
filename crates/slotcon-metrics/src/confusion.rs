//! How often each predicted id lies on each class, counted over a whole set of pictures.

use crate::error::Error;

/// Pixel counts, `[C, K]`: class by predicted id, which is a cluster's number or, where K = C, a class. Pixels with the
/// ignored label count nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    clusters: usize,
    ignore: u16,
    counts: Vec<u64>,
}

impl Confusion {
    /// A matrix in which no pixel is counted yet. `ignore` wins where it is also a class id.
    pub fn new(classes: usize, clusters: usize, ignore: u16) -> Self {
        Self {
            classes,
            clusters,
            ignore,
            counts: vec![0; classes * clusters],
        }
    }

    /// Every count, `[C, K]`, row by row: to be summed over several processes.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Puts sums of [`Confusion::counts`] in the place of the counts.
    ///
    /// # Errors
    /// Another number of counts.
    pub fn set_counts(&mut self, counts: Vec<u64>) -> Result<(), Error> {
        if counts.len() != self.counts.len() {
            return Err(Error::Length {
                labels: self.counts.len(),
                predictions: counts.len(),
            });
        }
        self.counts = counts;
        Ok(())
    }

    /// Counts the pixels of one picture: label and cluster of each, in the same order.
    ///
    /// # Errors
    /// Maps of different lengths; an id that is out of range at a pixel that is not ignored. Nothing of the picture is
    /// counted then.
    pub fn add(&mut self, labels: &[u16], clusters: &[u16]) -> Result<(), Error> {
        if labels.len() != clusters.len() {
            return Err(Error::Length {
                labels: labels.len(),
                predictions: clusters.len(),
            });
        }
        let counted = || {
            labels
                .iter()
                .zip(clusters)
                .enumerate()
                .filter(|&(_, (&label, _))| label != self.ignore)
        };
        for (pixel, (&label, &cluster)) in counted() {
            if usize::from(label) >= self.classes {
                let (classes, ignore) = (self.classes, self.ignore);
                return Err(Error::Label {
                    pixel,
                    label,
                    classes,
                    ignore,
                });
            }
            if usize::from(cluster) >= self.clusters {
                return Err(Error::Cluster {
                    pixel,
                    cluster,
                    clusters: self.clusters,
                });
            }
        }
        for (&label, &cluster) in labels.iter().zip(clusters) {
            if label != self.ignore {
                self.counts[usize::from(label) * self.clusters + usize::from(cluster)] += 1;
            }
        }
        Ok(())
    }

    /// C, the number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// K, the number of predicted ids.
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// How many pixels of `class` lie in `cluster`.
    ///
    /// # Panics
    /// If either is out of range.
    pub fn count(&self, class: usize, cluster: usize) -> u64 {
        assert!(cluster < self.clusters, "cluster {cluster} of {}", self.clusters);
        self.counts[class * self.clusters + cluster]
    }

    /// How many pixels have the label `class`.
    pub fn class_size(&self, class: usize) -> u64 {
        (0..self.clusters).map(|cluster| self.count(class, cluster)).sum()
    }

    /// How many pixels lie in `cluster`, those of ignored pixels left out.
    pub fn cluster_size(&self, cluster: usize) -> u64 {
        (0..self.classes).map(|class| self.count(class, cluster)).sum()
    }

    /// How many pixels were counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_ignored() {
        let mut confusion = Confusion::new(2, 3, 255);
        confusion.add(&[0, 1, 1, 255, 1], &[2, 0, 0, 9, 1]).unwrap();
        confusion.add(&[0], &[2]).unwrap();
        assert_eq!(
            (0..3).map(|k| confusion.count(0, k)).collect::<Vec<_>>(),
            [0, 0, 2]
        );
        assert_eq!(
            (0..3).map(|k| confusion.count(1, k)).collect::<Vec<_>>(),
            [2, 1, 0]
        );
        assert_eq!(
            (
                confusion.class_size(1),
                confusion.cluster_size(2),
                confusion.total()
            ),
            (3, 2, 5)
        );
    }

    #[test]
    fn the_ignored_label_may_be_within_the_classes() {
        let mut confusion = Confusion::new(3, 1, 1);
        confusion.add(&[0, 1, 2], &[0, 0, 0]).unwrap();
        assert_eq!((confusion.class_size(1), confusion.total()), (0, 2));
    }

    #[test]
    fn what_does_not_fit_is_named_and_counts_nothing() {
        let mut confusion = Confusion::new(2, 3, 255);
        let error = confusion.add(&[0, 2], &[0, 0]).unwrap_err();
        assert_eq!(
            error,
            Error::Label {
                pixel: 1,
                label: 2,
                classes: 2,
                ignore: 255
            }
        );
        let error = confusion.add(&[0, 1], &[0, 3]).unwrap_err();
        assert_eq!(
            error,
            Error::Cluster {
                pixel: 1,
                cluster: 3,
                clusters: 3
            }
        );
        assert!(matches!(confusion.add(&[0], &[]), Err(Error::Length { .. })));
        assert_eq!(confusion.total(), 0);
    }
}
