//! Which old pixels make each new one, and with what weight: Pillow's filters in 22-bit fixed point.

/// The interpolation filter, widened by the scale when a picture shrinks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle (Pillow's BILINEAR).
    Bilinear,
    /// Cubic convolution with a = -0.5 (Pillow's BICUBIC).
    Bicubic,
}

/// Fractional bits of a weight: 8 bits are left for the value and 2 for the overshoot of the cubic filter.
pub(super) const WEIGHT_BITS: u32 = 32 - 8 - 2;

impl Filter {
    /// How far the filter reaches, in pixels of the smaller scale.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// The weights of one direction: which old pixels make each new one.
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    /// First old pixel of every new one, and where its weights end in `values`.
    spans: Vec<(usize, usize)>,
    values: Vec<i32>,
    exact: Vec<f64>,
}

impl Weights {
    /// Fills in the weights from `old` to `new` pixels.
    pub(super) fn fill(&mut self, old: u32, new: u32, filter: Filter) {
        self.spans.clear();
        self.values.clear();
        let scale = f64::from(old) / f64::from(new);
        let stretch = scale.max(1.0);
        let support = filter.support() * stretch;
        for i in 0..new {
            let centre = (f64::from(i) + 0.5) * scale;
            // The casts drop the fraction and stop at 0.
            let first = (centre - support + 0.5) as u32;
            let end = ((centre + support + 0.5) as u32).min(old);
            self.exact.clear();
            self.exact
                .extend((first..end).map(|x| filter.weight((f64::from(x) - centre + 0.5) / stretch)));
            let sum: f64 = self.exact.iter().sum();
            let norm = if sum == 0.0 { 1.0 } else { sum };
            let one = f64::from(1 << WEIGHT_BITS);
            // Halves round away from zero; the casts drop the fraction.
            self.values.extend(
                self.exact
                    .iter()
                    .map(|w| (w / norm * one + 0.5f64.copysign(*w)) as i32),
            );
            self.spans.push((first as usize, self.values.len()));
        }
    }

    /// First old pixel and weights of every new pixel.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let mut start = 0;
        self.spans.iter().map(move |&(first, end)| {
            let weights = &self.values[start..end];
            start = end;
            (first, weights)
        })
    }
}
