//! A few positions of many, drawn by a seed.

use slotcon_data::rng::Stream;

/// Stratified sample of at most `most` of the indices below `n`, ascending: all of them, or one drawn from each of `most`
/// equal stretches.
pub(crate) fn stratified(n: usize, most: usize, random: &mut Stream) -> impl Iterator<Item = usize> {
    let stretch = n as f64 / most as f64;
    (0..n.min(most)).map(move |i| match n <= most {
        true => i,
        false => (((i as f64 + random.unit()) * stretch) as usize).min(n - 1),
    })
}

#[cfg(test)]
mod tests {
    use slotcon_data::rng::Purpose;

    use super::*;

    #[test]
    fn every_stretch_gives_one() {
        let drawn = |n, most, seed| -> Vec<usize> {
            let mut random = Stream::new(seed, 0, 0, Purpose::Positions, 0);
            stratified(n, most, &mut random).collect()
        };
        assert_eq!(drawn(5, 7, 1), [0, 1, 2, 3, 4]);
        let some = drawn(1000, 10, 1);
        assert!(some.iter().enumerate().all(|(i, at)| at / 100 == i), "{some:?}");
        assert_eq!(some, drawn(1000, 10, 1));
        assert_ne!(some, drawn(1000, 10, 2));
    }
}
