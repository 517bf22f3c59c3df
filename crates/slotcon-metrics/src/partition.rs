//! How much two partitions of the same things agree.

use std::collections::HashMap;

/// The adjusted Rand index of two partitions, given as the group of each thing (Hubert & Arabie 1985): 1 where they are the same but
/// for the groups' numbers, 0 on average where they have nothing to do with each other.
///
/// # Panics
/// When they are not of equally many things.
pub fn adjusted_rand_index(a: &[u16], b: &[u16]) -> f64 {
    assert_eq!(a.len(), b.len(), "two partitions of the same things");
    let pairs = |counts: &mut dyn Iterator<Item = u64>| -> f64 {
        counts.map(|n| (n * n.saturating_sub(1)) as f64 / 2.0).sum()
    };
    let mut together: HashMap<(u16, u16), u64> = HashMap::new();
    let (mut of_a, mut of_b): (HashMap<u16, u64>, HashMap<u16, u64>) = Default::default();
    for (&a, &b) in a.iter().zip(b) {
        *together.entry((a, b)).or_default() += 1;
        *of_a.entry(a).or_default() += 1;
        *of_b.entry(b).or_default() += 1;
    }
    let both = pairs(&mut together.into_values());
    let (in_a, in_b) = (pairs(&mut of_a.into_values()), pairs(&mut of_b.into_values()));
    let all = pairs(&mut std::iter::once(a.len() as u64));
    let by_chance = if all > 0.0 { in_a * in_b / all } else { 0.0 };
    let most = f64::midpoint(in_a, in_b);
    match most - by_chance {
        // Both are of one group, or of single things: the same.
        0.0 => 1.0,
        room => (both - by_chance) / room,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_scikit_learn_has_it() {
        // sklearn.metrics.adjusted_rand_score of scikit-learn 1.9.
        for (a, b, expected) in [
            (&[0, 0, 1, 1][..], &[1, 1, 0, 0][..], 1.0),
            (&[0, 0, 1, 2], &[0, 0, 1, 1], 0.571_428_571_428_571_4),
            (&[0, 0, 1, 1], &[0, 1, 0, 1], -0.5),
            (&[0, 0, 0, 0], &[0, 1, 2, 3], 0.0),
            (&[0, 0, 0], &[5, 5, 5], 1.0),
            (&[0, 1, 2], &[2, 1, 0], 1.0),
            (
                &[0, 1, 1, 2, 2, 2, 0, 3],
                &[0, 1, 1, 2, 2, 0, 0, 0],
                0.309_859_154_929_577_44,
            ),
        ] {
            let found = adjusted_rand_index(a, b);
            assert!(
                (found - expected).abs() < 1e-12,
                "{a:?} {b:?}: {found}, not {expected}"
            );
        }
    }
}
