//! Neighbouring places of a picture and their colours.

/// All pairs of a place and its neighbour to the right or below, of `places` row by row.
pub(crate) fn adjacent(columns: usize, places: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..places).flat_map(move |at| {
        let right = (!(at + 1).is_multiple_of(columns)).then_some(at + 1);
        let below = (at + columns < places).then_some(at + columns);
        right.into_iter().chain(below).map(move |other| (at, other))
    })
}

/// The squared difference of two colours.
pub(crate) fn colour_difference(a: &[f32; 3], b: &[f32; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2)).sum()
}
