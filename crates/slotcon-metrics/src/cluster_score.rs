//! Mean intersection over union and pixel accuracy of clusters against labels.

use crate::confusion::Confusion;
use crate::error::Error;
use crate::matching::{Assignment, Matching};

/// How well clusters match classes over a whole set.
#[derive(Debug, Clone, PartialEq)]
pub struct ClusterScore {
    /// The class of every cluster.
    pub assignment: Assignment,
    /// By class: intersection over union in 0..=1. 0 for a class that occurs but got no cluster, none for one that does
    /// not occur.
    pub iou: Vec<Option<f64>>,
    /// Mean over the classes that occur, in 0..=1.
    pub miou: f64,
    /// Share of the pixels whose cluster stands for their class. Pixels of clusters without class are wrong.
    pub pixel_accuracy: f64,
    /// Pixels of every class in a cluster that stands for it.
    pub correct: Vec<u64>,
    /// How many clusters have at least one pixel.
    pub clusters_used: usize,
}

impl ClusterScore {
    /// Scores the clusters of `confusion`, each as the class that `matching` gives it.
    ///
    /// # Errors
    /// [`Error::NothingCounted`] where no pixel was counted.
    pub fn of(confusion: &Confusion, matching: Matching) -> Result<Self, Error> {
        Self::as_assigned(confusion, Assignment::of(confusion, matching))
    }

    /// Scores the clusters of `confusion`, each as the class that `assignment` gives it, one of `confusion`'s.
    ///
    /// # Errors
    /// [`Error::NothingCounted`] where no pixel was counted.
    pub fn as_assigned(confusion: &Confusion, assignment: Assignment) -> Result<Self, Error> {
        let total = confusion.total();
        if total == 0 {
            return Err(Error::NothingCounted);
        }
        let (classes, clusters) = (confusion.classes(), confusion.clusters());
        let mut correct = vec![0u64; classes];
        let mut assigned = vec![0u64; classes];
        for cluster in 0..clusters {
            if let Some(class) = assignment.class_of(cluster) {
                correct[class] += confusion.count(class, cluster);
                assigned[class] += confusion.cluster_size(cluster);
            }
        }
        let iou: Vec<_> = (0..classes)
            .map(|class| {
                let size = confusion.class_size(class);
                let union = size + assigned[class] - correct[class];
                (size > 0).then(|| correct[class] as f64 / union as f64)
            })
            .collect();
        let occurring: Vec<f64> = iou.iter().copied().flatten().collect();
        Ok(Self {
            assignment,
            miou: occurring.iter().sum::<f64>() / occurring.len() as f64,
            iou,
            pixel_accuracy: correct.iter().sum::<u64>() as f64 / total as f64,
            correct,
            clusters_used: (0..clusters)
                .filter(|&cluster| confusion.cluster_size(cluster) > 0)
                .count(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Class 0: 6 pixels, 4 in cluster 1, 2 in cluster 0. Class 1: 2 pixels in cluster 0. Class 2 does not occur.
        let mut confusion = Confusion::new(3, 2, 255);
        confusion
            .add(&[0, 0, 0, 0, 0, 0, 1, 1, 255], &[1, 1, 1, 1, 0, 0, 0, 0, 0])
            .unwrap();
        let score = ClusterScore::of(&confusion, Matching::Hungarian).unwrap();
        assert_eq!(score.assignment.pairs(), [(0, 1), (1, 0)]);
        assert_eq!(score.iou, [Some(4.0 / 6.0), Some(2.0 / 4.0), None]);
        assert_eq!(score.miou, (4.0 / 6.0 + 0.5) / 2.0);
        assert_eq!((score.pixel_accuracy, score.clusters_used), (0.75, 2));
    }

    #[test]
    fn several_clusters_of_a_class_count_together_by_majority_alone() {
        let mut confusion = Confusion::new(2, 3, 255);
        confusion.add(&[0, 0, 0, 1], &[0, 0, 1, 2]).unwrap();
        let many = ClusterScore::of(&confusion, Matching::Majority).unwrap();
        assert_eq!((many.miou, many.pixel_accuracy), (1.0, 1.0));
        let one = ClusterScore::of(&confusion, Matching::Hungarian).unwrap();
        assert_eq!(one.iou, [Some(2.0 / 3.0), Some(1.0)]);
        assert_eq!(one.pixel_accuracy, 0.75);
    }

    #[test]
    fn given_names_count_as_they_were_given() {
        // Four pixels of class 0, two of class 1; cluster 2 has no name.
        let mut confusion = Confusion::new(2, 3, 255);
        confusion.add(&[0, 0, 0, 0, 1, 1], &[0, 1, 1, 2, 1, 2]).unwrap();
        let given = Assignment::given(vec![Some(0), Some(0), None]);
        let score = ClusterScore::as_assigned(&confusion, given).unwrap();
        assert_eq!(score.iou, [Some(3.0 / 5.0), Some(0.0)]);
        assert_eq!((score.miou, score.pixel_accuracy), (0.3, 0.5));
    }

    #[test]
    fn a_class_without_cluster_has_none_of_its_pixels_right() {
        let mut confusion = Confusion::new(3, 1, 255);
        confusion.add(&[0, 0, 1], &[0, 0, 0]).unwrap();
        let score = ClusterScore::of(&confusion, Matching::Hungarian).unwrap();
        assert_eq!(score.iou, [Some(2.0 / 3.0), Some(0.0), None]);
    }

    #[test]
    fn nothing_counted_is_no_score() {
        assert_eq!(
            ClusterScore::of(&Confusion::new(3, 3, 255), Matching::Hungarian),
            Err(Error::NothingCounted)
        );
    }
}
