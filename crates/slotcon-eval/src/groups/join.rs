//! Parts joined to groups: agglomerative clustering by average linkage (UPGMA).

use kodama::{Method, linkage};

/// The group of each of `sizes.len()` parts whose distances are `distance(a, b)`, joined two at a time until `groups` are left, always
/// the two with the smallest mean distance between their parts. Groups are numbered by the sum of their `sizes`, the largest first.
pub fn join(sizes: &[u64], groups: usize, distance: impl Fn(usize, usize) -> f64) -> Vec<u16> {
    let parts = sizes.len();
    let pairs = (0..parts).flat_map(|a| (a + 1..parts).map(move |b| (a, b)));
    let mut condensed: Vec<f64> = pairs.map(|(a, b)| distance(a, b)).collect();
    let dendrogram = linkage(&mut condensed, parts, Method::Average);
    // The members of each cluster by its number: the parts, then what every step joined.
    let mut clusters: Vec<Vec<usize>> = (0..parts).map(|part| vec![part]).collect();
    for step in &dendrogram.steps()[..parts.saturating_sub(groups.max(1))] {
        let mut joined = std::mem::take(&mut clusters[step.cluster1]);
        joined.append(&mut clusters[step.cluster2]);
        clusters.push(joined);
    }
    clusters.retain(|members| !members.is_empty());
    let size = |members: &Vec<usize>| members.iter().map(|&part| sizes[part]).sum::<u64>();
    clusters.sort_by_key(|members| (std::cmp::Reverse(size(members)), members.iter().min().copied()));
    let mut group_of = vec![0; parts];
    for (group, members) in clusters.iter().enumerate() {
        members.iter().for_each(|&part| group_of[part] = group as u16);
    }
    group_of
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_are_joined_first() {
        // On a line.
        let at = [0.0f64, 0.1, 5.0, 5.2, 9.0];
        let distance = |a: usize, b: usize| (at[a] - at[b]).abs();
        let sizes = [1, 1, 10, 1, 5];
        assert_eq!(join(&sizes, 3, distance), [2, 2, 0, 0, 1]);
        assert_eq!(join(&sizes, 2, distance), [1, 1, 0, 0, 0]);
        assert_eq!(join(&sizes, 1, distance), [0; 5]);
        assert_eq!(join(&sizes, 5, distance), [2, 3, 0, 4, 1]);
        assert_eq!(join(&sizes, 9, distance), [2, 3, 0, 4, 1]);
        assert_eq!(join(&[3], 1, distance), [0]);
    }
}
