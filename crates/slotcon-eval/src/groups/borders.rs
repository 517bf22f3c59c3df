//! Where two parts of a picture meet: how much colour changes from one to the other.

use crate::whitening::adjacent::{adjacent, colour_difference};

/// Colour differences of neighbouring places, by the parts that they belong to.
#[derive(Debug)]
pub(super) struct Borders {
    parts: usize,
    /// Sums of squared differences, `[parts, parts]`, symmetric.
    sums: Vec<f64>,
    /// How many pairs of places.
    pairs: Vec<u64>,
}

impl Borders {
    pub(super) fn new(parts: usize) -> Self {
        Self {
            parts,
            sums: vec![0.0; parts * parts],
            pairs: vec![0; parts * parts],
        }
    }

    /// Adds a picture of `columns` places a row: the part of each place, and its red, green and blue.
    pub(super) fn add(&mut self, columns: usize, parts: &[u16], colours: &[[f32; 3]]) {
        for (at, other) in adjacent(columns, parts.len()) {
            let difference = colour_difference(&colours[at], &colours[other]);
            let (a, b) = (usize::from(parts[at]), usize::from(parts[other]));
            for cell in [a * self.parts + b, b * self.parts + a] {
                self.sums[cell] += difference;
                self.pairs[cell] += 1;
            }
        }
    }

    /// The contrast of every pair of parts: the root of the mean squared difference where they meet, over that of all neighbouring
    /// places. Parts that never meet have 1, that of any two places: nothing is known of an edge between them.
    pub(super) fn contrasts(&self) -> Vec<f64> {
        let all = self.sums.iter().sum::<f64>() / self.pairs.iter().sum::<u64>().max(1) as f64;
        let of = |(&sum, &pairs): (&f64, &u64)| match pairs {
            1.. if all > 0.0 => (sum / pairs as f64 / all).sqrt(),
            _ => 1.0,
        };
        self.sums.iter().zip(&self.pairs).map(of).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contrast_by_hand() {
        let mut borders = Borders::new(3);
        // 0 0 1
        // 0 0 1
        let gray = |v: f32| [v; 3];
        let parts = [0, 0, 1, 0, 0, 1];
        let colours = [0.0, 0.0, 1.0, 0.0, 0.0, 1.0].map(gray);
        borders.add(3, &parts, &colours);
        // Seven pairs: four within 0, one within 1, two between, each of squared difference 3. Pairs within a part count twice.
        let contrasts = borders.contrasts();
        let all = 12.0 / 14.0;
        assert_eq!(contrasts[0], 0.0);
        assert!((contrasts[1] - (3.0f64 / all).sqrt()).abs() < 1e-12);
        assert_eq!(contrasts[1], contrasts[3]);
        assert_eq!(contrasts[2], 1.0);
    }
}
