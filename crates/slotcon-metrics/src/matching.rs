//! Which class a cluster stands for. Clusters have no names, so the labels decide, after the fact; or a person has given them names.

use pathfinding::matrix::Matrix;
use pathfinding::prelude::kuhn_munkres;

use crate::confusion::Confusion;

/// How clusters are given to classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Matching {
    /// One-to-one, so that the most pixels agree (Hungarian algorithm, over the whole set at once). With more clusters
    /// than classes some stay without class and all their pixels count as wrong; the measure of the literature on
    /// unsupervised segmentation.
    #[default]
    Hungarian,
    /// Many-to-one: every cluster stands for the class that most of its pixels have. Rises with the number of
    /// clusters by itself: compare only runs with as many.
    Majority,
}

/// The class of every cluster, if it has one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    class_of: Vec<Option<usize>>,
}

impl Assignment {
    /// Gives every cluster of `confusion` its class by `matching`.
    pub fn of(confusion: &Confusion, matching: Matching) -> Self {
        match matching {
            Matching::Hungarian => hungarian(confusion),
            Matching::Majority => majority(confusion),
        }
    }

    /// The class of every cluster as somebody gave it, `[K]`; several may have the same.
    pub fn given(class_of: Vec<Option<usize>>) -> Self {
        Self { class_of }
    }

    /// The class that a cluster stands for, if any.
    pub fn class_of(&self, cluster: usize) -> Option<usize> {
        self.class_of.get(cluster).copied().flatten()
    }

    /// Lists all (class, cluster), sorted.
    pub fn pairs(&self) -> Vec<(usize, usize)> {
        let mut pairs: Vec<_> = self
            .class_of
            .iter()
            .enumerate()
            .filter_map(|(cluster, class)| class.map(|class| (class, cluster)))
            .collect();
        pairs.sort_unstable();
        pairs
    }
}

/// The one-to-one assignment of the most pixels: min(C, K) pairs. Classes without pixels take part, as they do in the
/// reference, and get a cluster that is left over.
fn hungarian(confusion: &Confusion) -> Assignment {
    let (classes, clusters) = (confusion.classes(), confusion.clusters());
    let mut class_of = vec![None; clusters];
    if classes == 0 || clusters == 0 {
        return Assignment { class_of };
    }
    let weight = |class, cluster| i64::try_from(confusion.count(class, cluster)).unwrap_or(i64::MAX);
    // The algorithm wants no more rows than columns.
    if classes <= clusters {
        let weights = Matrix::from_fn(classes, clusters, |(class, cluster)| weight(class, cluster));
        for (class, cluster) in kuhn_munkres(&weights).1.into_iter().enumerate() {
            class_of[cluster] = Some(class);
        }
    } else {
        let weights = Matrix::from_fn(clusters, classes, |(cluster, class)| weight(class, cluster));
        class_of = kuhn_munkres(&weights).1.into_iter().map(Some).collect();
    }
    Assignment { class_of }
}

/// The most frequent class of every cluster, the first of equals; none for a cluster without pixels.
fn majority(confusion: &Confusion) -> Assignment {
    let class_of = |cluster| {
        (0..confusion.classes())
            .filter(|&class| confusion.count(class, cluster) > 0)
            .max_by_key(|&class| (confusion.count(class, cluster), std::cmp::Reverse(class)))
    };
    Assignment {
        class_of: (0..confusion.clusters()).map(class_of).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster_score::ClusterScore;

    fn confusion(classes: usize, clusters: usize, mut count: impl FnMut(usize, usize) -> u64) -> Confusion {
        let mut all = Confusion::new(classes, clusters, 255);
        for class in 0..classes {
            for cluster in 0..clusters {
                let pixels = count(class, cluster) as usize;
                all.add(&vec![class as u16; pixels], &vec![cluster as u16; pixels])
                    .unwrap();
            }
        }
        all
    }

    /// The most agreement that any one-to-one assignment reaches, by trying all.
    fn best(confusion: &Confusion, class: usize, used: &mut Vec<usize>) -> u64 {
        if class == confusion.classes() {
            return 0;
        }
        let mut most = best(confusion, class + 1, used);
        for cluster in 0..confusion.clusters() {
            if !used.contains(&cluster) {
                used.push(cluster);
                most = most.max(confusion.count(class, cluster) + best(confusion, class + 1, used));
                used.pop();
            }
        }
        most
    }

    #[test]
    fn hungarian_is_the_best_of_all_assignments() {
        let mut state = 1u64;
        for (classes, clusters) in [(1, 1), (4, 4), (3, 6), (6, 3), (5, 1), (1, 5)] {
            for _ in 0..20 {
                let confusion = confusion(classes, clusters, |_, _| {
                    state = state
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    (state >> 33) % 5
                });
                let pairs = hungarian(&confusion).pairs();
                assert_eq!(pairs.len(), classes.min(clusters));
                let reached: u64 = pairs
                    .iter()
                    .map(|&(class, cluster)| confusion.count(class, cluster))
                    .sum();
                assert_eq!(reached, best(&confusion, 0, &mut Vec::new()));
            }
        }
    }

    #[test]
    fn majority_takes_the_most_frequent_class() {
        let confusion = confusion(2, 4, |class, cluster| {
            [[3, 1, 0, 2], [2, 5, 0, 2]][class][cluster]
        });
        let found = majority(&confusion);
        assert_eq!(
            found,
            Assignment {
                class_of: vec![Some(0), Some(1), None, Some(0)]
            }
        );
        assert_eq!(found.pairs(), [(0, 0), (0, 3), (1, 1)]);
    }

    #[test]
    fn no_pairs_without_clusters_or_classes() {
        assert_eq!(hungarian(&Confusion::new(3, 0, 255)).pairs(), []);
        assert_eq!(hungarian(&Confusion::new(0, 3, 255)).pairs(), []);
    }

    #[test]
    fn as_many_prototypes_as_published_are_matched() {
        let confusion = confusion(27, 256, |class, cluster| {
            ((class * 31 + cluster * 17) % 23) as u64
        });
        assert_eq!(hungarian(&confusion).pairs().len(), 27);
        assert!(ClusterScore::of(&confusion, Matching::Majority).is_ok());
    }
}
