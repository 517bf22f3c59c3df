//! Inverse augmentation by matrix products against RoIAlign written out from its definition.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use slotcon::method::inverse_augmentation::InverseAugmentation;
use tch::{Device, Kind, Tensor};

/// RoIAlign of one box (x1, y1, x2, y2 in cells) of an h x w map, aligned, adaptive sampling, h x w bins.
fn roi_align(map: &dyn Fn(i64, i64) -> f64, h: i64, w: i64, coords: [f64; 4]) -> Vec<f64> {
    let (hf, wf) = (h as f64, w as f64);
    let [x1, y1, x2, y2] = [coords[0] * wf, coords[1] * hf, coords[2] * wf, coords[3] * hf];
    let (top, left) = (y1 - 0.5, x1 - 0.5);
    let (bin_h, bin_w) = ((y2 - y1) / hf, (x2 - x1) / wf);
    let (grid_h, grid_w) = (bin_h.ceil() as i64, bin_w.ceil() as i64);
    let count = (grid_h * grid_w).max(1) as f64;
    let mut out = Vec::new();
    for ph in 0..h {
        for pw in 0..w {
            let mut sum = 0.0;
            for iy in 0..grid_h {
                for ix in 0..grid_w {
                    let y = top + ph as f64 * bin_h + (iy as f64 + 0.5) * bin_h / grid_h as f64;
                    let x = left + pw as f64 * bin_w + (ix as f64 + 0.5) * bin_w / grid_w as f64;
                    sum += bilinear(map, h, w, y, x);
                }
            }
            out.push(sum / count);
        }
    }
    out
}

fn bilinear(map: &dyn Fn(i64, i64) -> f64, h: i64, w: i64, y: f64, x: f64) -> f64 {
    if y < -1.0 || y > h as f64 || x < -1.0 || x > w as f64 {
        return 0.0;
    }
    let axis = |at: f64, n: i64| {
        let at = at.max(0.0);
        let low = at.floor() as i64;
        if low >= n - 1 {
            (n - 1, n - 1, 0.0)
        } else {
            (low, low + 1, at - low as f64)
        }
    };
    let ((y0, y1, fy), (x0, x1, fx)) = (axis(y, h), axis(x, w));
    (1.0 - fy) * ((1.0 - fx) * map(y0, x0) + fx * map(y0, x1))
        + fy * ((1.0 - fx) * map(y1, x0) + fx * map(y1, x1))
}

#[test]
fn equals_roi_align_and_flip() {
    // Ordinary overlaps, the whole view, a sliver, boxes of crops that do not overlap (negative size), boxes that reach
    // far beyond the view, and boxes of more than a whole view (several samples a bin).
    let boxes = [
        [0.1, 0.2, 0.7, 0.9],
        [0.0, 0.0, 1.0, 1.0],
        [0.4, 0.0, 0.41, 1.0],
        [0.5, 0.3, 0.2, 0.8],
        [0.6, 0.7, 0.5, 0.6],
        [-0.5, 0.1, 0.4, 1.6],
        [-1.0, -0.7, 2.2, 1.9],
    ];
    for (h, w) in [(7i64, 7i64), (3, 5), (14, 14), (1, 4)] {
        let (batch, k) = (2 * boxes.len() as i64, 3);
        tch::manual_seed(1);
        let scores = Tensor::randn([batch, h * w, k], (Kind::Double, Device::Cpu));
        let coords: Vec<[f64; 4]> = boxes.iter().chain(&boxes).copied().collect();
        let flips: Vec<bool> = (0..batch).map(|i| i >= boxes.len() as i64).collect();
        let aligned =
            InverseAugmentation::new(&coords, &flips, (h, w), Kind::Double, Device::Cpu).align(&scores);
        assert_eq!(aligned.size(), [batch, h * w, k]);
        for b in 0..batch {
            for channel in 0..k {
                let map = |y: i64, x: i64| scores.double_value(&[b, y * w + x, channel]);
                let expected = roi_align(&map, h, w, coords[b as usize]);
                for y in 0..h {
                    for x in 0..w {
                        let from = if flips[b as usize] { w - 1 - x } else { x };
                        let e = expected[(y * w + from) as usize];
                        let got = aligned.double_value(&[b, y * w + x, channel]);
                        assert!(
                            (got - e).abs() < 1e-12,
                            "grid {h}x{w}, box {b}, ({y}, {x}): {got}, RoIAlign {e}"
                        );
                    }
                }
            }
        }
    }
}
