//! Colours of classes in pictures for people.

/// A colour for every id: hues a golden angle apart, so that neighbours differ, in three brightnesses.
pub fn colour(id: u16) -> [u8; 3] {
    let hue = f64::from(id) * 0.618_033_988_749_895 % 1.0 * 6.0;
    let value = [1.0, 0.75, 0.5][usize::from(id / 7 % 3)];
    let part = |offset: f64| {
        let x = (hue + offset) % 6.0;
        let ramp = (2.0 - (x - 2.0).abs()).clamp(0.0, 1.0);
        (255.0 * value * (0.15 + 0.85 * ramp)).round() as u8
    };
    [part(2.0), part(0.0), part(4.0)]
}

/// The colours that a data set gives its classes; [`colour`] where it gives none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Palette<'a>(pub &'a [[u8; 3]]);

impl Palette<'_> {
    /// The colour of `id`.
    pub fn colour(&self, id: u16) -> [u8; 3] {
        let given = self.0.get(usize::from(id));
        given.copied().unwrap_or_else(|| colour(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_colours_come_first() {
        let palette = Palette(&[[1, 2, 3]]);
        assert_eq!(palette.colour(0), [1, 2, 3]);
        assert_eq!(palette.colour(1), colour(1));
        assert_ne!(colour(1), colour(2));
    }
}
