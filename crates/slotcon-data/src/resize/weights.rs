//! Which old pixels make each new one, and with what weight: Pillow's filters in 22-bit fixed point.

use crate::simd::dispatch;

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

/// Half of a grey level, so that dropping the fraction rounds.
pub(super) const HALF: i32 = 1 << (WEIGHT_BITS - 1);

impl Filter {
    /// How far the filter reaches, in pixels of the smaller scale.
    fn support(self) -> f64 {
        match self {
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
        }
    }
}

#[inline(always)]
fn bilinear(x: f64) -> f64 {
    (1.0 - x.abs()).max(0.0)
}

#[inline(always)]
fn bicubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    let near = ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0;
    let far = (((x - 5.0) * x + 8.0) * x - 4.0) * A;
    if x < 1.0 {
        near
    } else if x < 2.0 {
        far
    } else {
        0.0
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
        dispatch(
            #[inline(always)]
            || match filter {
                Filter::Bilinear => self.fill_with(old, new, filter.support(), bilinear),
                Filter::Bicubic => self.fill_with(old, new, filter.support(), bicubic),
            },
        );
    }

    #[inline(always)]
    fn fill_with(&mut self, old: u32, new: u32, support: f64, weight: impl Fn(f64) -> f64) {
        let Self { spans, values, exact } = self;
        spans.clear();
        values.clear();
        let scale = f64::from(old) / f64::from(new);
        let stretch = scale.max(1.0);
        let support = support * stretch;
        let shrink = 1.0 / stretch;
        for i in 0..new {
            let centre = (f64::from(i) + 0.5) * scale;
            // The casts drop the fraction and stop at 0.
            let first = (centre - support + 0.5) as u32;
            let end = ((centre + support + 0.5) as u32).min(old);
            exact.clear();
            exact.extend((first..end).map(|x| weight((f64::from(x) - centre + 0.5) * shrink)));
            let sum: f64 = exact.iter().sum();
            let norm = if sum == 0.0 { 1.0 } else { sum };
            let one = f64::from(1 << WEIGHT_BITS);
            // Halves round away from zero; the cast drops the fraction.
            values.extend(
                exact
                    .iter()
                    .map(|w| (w / norm * one + 0.5f64.copysign(*w)) as i32),
            );
            spans.push((first as usize, values.len()));
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
