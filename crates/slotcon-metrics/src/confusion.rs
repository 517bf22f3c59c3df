//! How often each cluster lies on each class, counted over a whole set of pictures.

/// Pixel counts, `[classes, clusters]`. Pixels with the ignored label count nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    clusters: usize,
    ignore: u16,
    counts: Vec<u64>,
}

/// Why pixels cannot be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfusionError {
    /// Label map and cluster map are of different pictures or sizes.
    #[error("{labels} labels but {clusters} cluster ids; both maps must have the same pixels")]
    Length {
        /// Pixels of the label map.
        labels: usize,
        /// Pixels of the cluster map.
        clusters: usize,
    },
    /// A label that is no class.
    #[error("pixel {pixel} has label {label}, but there are {classes} classes and {ignore} is ignored")]
    Label {
        /// Its position in the map.
        pixel: usize,
        /// The label.
        label: u16,
        /// How many classes there are.
        classes: usize,
        /// The label that is ignored.
        ignore: u16,
    },
    /// A cluster id beyond the number of clusters.
    #[error("pixel {pixel} has cluster {cluster}, but there are {clusters} clusters")]
    Cluster {
        /// Its position in the map.
        pixel: usize,
        /// The cluster id.
        cluster: u16,
        /// How many clusters there are.
        clusters: usize,
    },
    /// Two matrices that cannot be added.
    #[error("cannot add counts of {theirs:?} (classes, clusters, ignored label) to counts of {ours:?}")]
    Shape {
        /// Of the one added to.
        ours: (usize, usize, u16),
        /// Of the other.
        theirs: (usize, usize, u16),
    },
}

impl Confusion {
    /// No pixel counted yet. `ignore` wins where it is also a class id.
    pub fn new(classes: usize, clusters: usize, ignore: u16) -> Self {
        Self {
            classes,
            clusters,
            ignore,
            counts: vec![0; classes * clusters],
        }
    }

    /// Counts the pixels of one picture: label and cluster of each, in the same order.
    ///
    /// # Errors
    /// Maps of different lengths; an id that is out of range at a pixel that is not ignored. Nothing of the picture is
    /// counted then.
    pub fn add(&mut self, labels: &[u16], clusters: &[u16]) -> Result<(), ConfusionError> {
        if labels.len() != clusters.len() {
            return Err(ConfusionError::Length {
                labels: labels.len(),
                clusters: clusters.len(),
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
                return Err(ConfusionError::Label {
                    pixel,
                    label,
                    classes,
                    ignore,
                });
            }
            if usize::from(cluster) >= self.clusters {
                return Err(ConfusionError::Cluster {
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

    /// Adds what another thread counted.
    ///
    /// # Errors
    /// If the two do not count the same things.
    pub fn merge(&mut self, other: &Self) -> Result<(), ConfusionError> {
        let shape = |c: &Self| (c.classes, c.clusters, c.ignore);
        if shape(self) != shape(other) {
            return Err(ConfusionError::Shape {
                ours: shape(self),
                theirs: shape(other),
            });
        }
        self.counts
            .iter_mut()
            .zip(&other.counts)
            .for_each(|(ours, theirs)| *ours += theirs);
        Ok(())
    }

    /// C.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// K.
    pub fn clusters(&self) -> usize {
        self.clusters
    }

    /// Pixels of `class` that lie in `cluster`.
    ///
    /// # Panics
    /// If either is out of range.
    pub fn count(&self, class: usize, cluster: usize) -> u64 {
        assert!(cluster < self.clusters, "cluster {cluster} of {}", self.clusters);
        self.counts[class * self.clusters + cluster]
    }

    /// Pixels of `class`.
    pub fn class_size(&self, class: usize) -> u64 {
        (0..self.clusters).map(|cluster| self.count(class, cluster)).sum()
    }

    /// Pixels in `cluster`.
    pub fn cluster_size(&self, cluster: usize) -> u64 {
        (0..self.classes).map(|class| self.count(class, cluster)).sum()
    }

    /// All pixels counted.
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
        let mut twice = confusion.clone();
        twice.merge(&confusion).unwrap();
        assert_eq!(twice.total(), 10);
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
            ConfusionError::Label {
                pixel: 1,
                label: 2,
                classes: 2,
                ignore: 255
            }
        );
        let error = confusion.add(&[0, 1], &[0, 3]).unwrap_err();
        assert_eq!(
            error,
            ConfusionError::Cluster {
                pixel: 1,
                cluster: 3,
                clusters: 3
            }
        );
        assert!(matches!(
            confusion.add(&[0], &[]),
            Err(ConfusionError::Length { .. })
        ));
        assert!(confusion.merge(&Confusion::new(2, 3, 0)).is_err());
        assert_eq!(confusion.total(), 0);
    }
}
