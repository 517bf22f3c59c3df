//! From planes of Y, Cb and Cr to RGB rows, with libjpeg's smooth upsampling and fixed-point conversion.

/// A plane of one component, of which only some rows may have been filled in.
#[derive(Clone, Debug, Default)]
pub(super) struct Plane {
    pub(super) values: Vec<u8>,
    pub(super) stride: usize,
    /// Columns and rows that belong to the picture.
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Plane {
    #[inline(always)]
    fn row(&self, y: usize) -> &[u8] {
        &self.values[y * self.stride..y * self.stride + self.width]
    }

    /// The row that a fine row lies in, and the one it leans to (the same at the edges of the picture).
    #[inline(always)]
    fn near_and_far(&self, fine: usize) -> (&[u8], &[u8]) {
        let near = fine / 2;
        let far = if fine.is_multiple_of(2) {
            near.saturating_sub(1)
        } else {
            (near + 1).min(self.height - 1)
        };
        (self.row(near), self.row(far))
    }
}

/// The memory of upsampling: one row of Cb and of Cr, and one of sums on the way to it.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    cb: Vec<u8>,
    cr: Vec<u8>,
    sums: Vec<u16>,
}

/// Widens a row of sums of weight `1 << (shift - 2)` to twice its length: three parts of the nearer, one of the farther
/// neighbour, rounded down and up in turn.
#[inline(always)]
fn widen(sums: &[u16], shift: u32, out: &mut [u8]) {
    let n = sums.len();
    let (low, high) = ((1u16 << (shift - 1)), (1u16 << (shift - 1)) - 1);
    // One direction rounds half up, the other half down, as libjpeg does; for single rows it is the other way round.
    let (left, right) = if shift == 4 { (low, high) } else { (1, 2) };
    out[0] = ((sums[0] * 4 + left) >> shift) as u8;
    out[2 * n - 1] = ((sums[n - 1] * 4 + right) >> shift) as u8;
    for (pair, two) in out[1..2 * n - 1].chunks_exact_mut(2).zip(sums.windows(2)) {
        pair[0] = ((two[0] * 3 + two[1] + right) >> shift) as u8;
        pair[1] = ((two[1] * 3 + two[0] + left) >> shift) as u8;
    }
}

/// How much finer Y is sampled than Cb and Cr, across and down: (2, 2) is 4:2:0.
pub(super) type Sampling = (usize, usize);

/// One row of Cb or Cr, brought to the sampling of Y.
#[inline(always)]
fn upsample(plane: &Plane, y: usize, sampling: Sampling, sums: &mut Vec<u16>, out: &mut Vec<u8>) {
    out.resize(plane.width * sampling.0, 0);
    // libjpeg smooths across only where there are more than two columns.
    let across = sampling.0 == 2 && plane.width > 2;
    match (sampling.1 == 2, across) {
        (true, true) => {
            let (near, far) = plane.near_and_far(y);
            sums.clear();
            sums.extend(
                near.iter()
                    .zip(far)
                    .map(|(&n, &f)| u16::from(n) * 3 + u16::from(f)),
            );
            widen(sums, 4, out);
        }
        (false, true) => {
            sums.clear();
            sums.extend(plane.row(y).iter().map(|&v| u16::from(v)));
            widen(sums, 2, out);
        }
        (true, false) if sampling.0 == 1 => {
            let (near, far) = plane.near_and_far(y);
            let round = if y.is_multiple_of(2) { 1 } else { 2 };
            for ((out, &n), &f) in out.iter_mut().zip(near).zip(far) {
                *out = ((u16::from(n) * 3 + u16::from(f) + round) >> 2) as u8;
            }
        }
        _ => {
            let row = plane.row(y / sampling.1);
            for (out, &value) in out.chunks_mut(sampling.0).zip(row) {
                out.fill(value);
            }
        }
    }
}

/// Row `y` of the picture as RGB, columns `left..left + out.len() / 3`.
#[inline(always)]
pub(super) fn rgb_row(
    planes: &[Plane],
    sampling: Sampling,
    y: usize,
    left: usize,
    out: &mut [u8],
    rows: &mut Rows,
) {
    let columns = left..left + out.len() / 3;
    let luma = &planes[0].row(y)[columns.clone()];
    let [_, cb, cr] = planes else {
        for (out, &v) in out.chunks_exact_mut(3).zip(luma) {
            out.fill(v);
        }
        return;
    };
    if sampling == (1, 1) {
        return mix(luma, &cb.row(y)[columns.clone()], &cr.row(y)[columns], out);
    }
    upsample(cb, y, sampling, &mut rows.sums, &mut rows.cb);
    upsample(cr, y, sampling, &mut rows.sums, &mut rows.cr);
    mix(luma, &rows.cb[columns.clone()], &rows.cr[columns], out);
}

/// YCbCr to RGB in 16-bit fixed point: R = Y + 1.402 Cr, G = Y - 0.34414 Cb - 0.71414 Cr, B = Y + 1.772 Cb.
#[inline(always)]
fn mix(luma: &[u8], cb: &[u8], cr: &[u8], out: &mut [u8]) {
    // Sixteen bits are enough where the whole part of a factor is taken out: 1.402 = 1 + 0.402, 1.772 = 2 - 0.228,
    // and so on; the products are formed of twice Cb or Cr so that halving rounds them.
    let high = |a: i16, b: i16| ((i32::from(a) * i32::from(b)) >> 16) as i16;
    let byte = |v: i16| v.clamp(0, 255) as u8;
    for (((out, &y), &cb), &cr) in out.chunks_exact_mut(3).zip(luma).zip(cb).zip(cr) {
        let (y, cb, cr) = (i16::from(y), i16::from(cb) - 128, i16::from(cr) - 128);
        let for_red = cr + ((high(2 * cr, 26345) + 1) >> 1);
        let for_blue = 2 * cb + ((high(2 * cb, -14942) + 1) >> 1);
        let for_green = ((i32::from(cb) * -22554 + i32::from(cr) * 18734 + 32768) >> 16) as i16 - cr;
        out[0] = byte(y + for_red);
        out[1] = byte(y + for_green);
        out[2] = byte(y + for_blue);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_those_of_the_exact_formula() {
        let fixed = |factor: f64| (factor * 65536.0 + 0.5) as i32;
        for b in 0..=255u8 {
            for r in 0..=255u8 {
                let (cb, cr) = (i32::from(b) - 128, i32::from(r) - 128);
                let want = [
                    (fixed(1.402) * cr + 32768) >> 16,
                    (-fixed(0.34414) * cb - fixed(0.71414) * cr + 32768) >> 16,
                    (fixed(1.772) * cb + 32768) >> 16,
                ];
                for y in [0, 77, 128, 255u8] {
                    let mut out = [0; 3];
                    mix(&[y], &[b], &[r], &mut out);
                    assert_eq!(
                        out,
                        want.map(|w| (w + i32::from(y)).clamp(0, 255) as u8),
                        "{y} {b} {r}"
                    );
                }
            }
        }
    }
}
