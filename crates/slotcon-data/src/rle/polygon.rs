//! The pixels within a polygon, as pycocotools' `rleFrPoly` finds them.
//!
//! The outline is walked in fifths of a pixel, one at a time along the longer side of each edge; wherever it crosses the middle
//! of a column of pixels, the column changes from outside to inside or back. Rounding is part of the definition: half is added
//! and the number cut off towards zero, for negative ones as well.

/// Steps of the walk per pixel.
const SCALE: f64 = 5.0;

/// Run lengths of what lies within a closed polygon (x, y, x, y, …), in a picture of `width` x `height`.
pub(super) fn outline(polygon: &[f64], width: u32, height: u32) -> Vec<u32> {
    let pixels = width * height;
    let crossings = crossings(polygon, width, height);
    let mut ends = crossings;
    ends.push(pixels);
    ends.sort_unstable();
    let mut before = 0;
    let mut lengths = ends.iter().map(|&end| end - std::mem::replace(&mut before, end));
    let mut counts = Vec::from_iter(lengths.next());
    // A run of no length joins those around it.
    while let Some(length) = lengths.next() {
        if length > 0 {
            counts.push(length);
        } else if let (Some(last), Some(next)) = (counts.last_mut(), lengths.next()) {
            *last += next;
        }
    }
    counts
}

/// The pixels (down the columns) before which the outline crosses from one to the other side.
fn crossings(polygon: &[f64], width: u32, height: u32) -> Vec<u32> {
    let fifths = |v: f64| (SCALE * v + 0.5) as i32;
    let points = polygon.chunks_exact(2).map(|p| (fifths(p[0]), fifths(p[1])));
    let points = Vec::from_iter(points);
    let mut found = Vec::new();
    let mut before: Option<(i32, i32)> = None;
    let next = points.iter().skip(1).chain(points.first());
    for (&from, &to) in points.iter().zip(next) {
        walk(from, to, |point| {
            if let Some(before) = before.replace(point)
                && before.0 != point.0
            {
                found.extend(crossing(before, point, width, height));
            }
        });
    }
    found
}

/// Every fifth of a pixel from one corner to the next, both of them included.
fn walk(from: (i32, i32), to: (i32, i32), mut visit: impl FnMut((i32, i32))) {
    let (dx, dy) = (from.0.abs_diff(to.0), from.1.abs_diff(to.1));
    let flat = dx >= dy;
    let flip = if flat { from.0 > to.0 } else { from.1 > to.1 };
    let (start, end) = if flip { (to, from) } else { (from, to) };
    let steps = if flat { dx } else { dy };
    let slope = if flat {
        (f64::from(end.1) - f64::from(start.1)) / f64::from(dx)
    } else {
        (f64::from(end.0) - f64::from(start.0)) / f64::from(dy)
    };
    for step in 0..=steps {
        let t = if flip { steps - step } else { step };
        let along = |first: i32| (i64::from(first) + i64::from(t)) as i32;
        let across = |first: i32| (f64::from(first) + slope * f64::from(t) + 0.5) as i32;
        visit(if flat {
            (along(start.0), across(start.1))
        } else {
            (across(start.0), along(start.1))
        });
    }
}

/// The pixel before which the step from one point to the next crosses the middle of a column, if it does.
fn crossing(before: (i32, i32), point: (i32, i32), width: u32, height: u32) -> Option<u32> {
    let pixel = |fifth: i32| (f64::from(fifth) + 0.5) / SCALE - 0.5;
    let x = pixel(if point.0 < before.0 {
        point.0
    } else {
        point.0.saturating_sub(1)
    });
    if x.floor() != x || x < 0.0 || x > f64::from(width) - 1.0 {
        return None;
    }
    let y = pixel(point.1.min(before.1)).clamp(0.0, f64::from(height)).ceil();
    Some(x as u32 * height + y as u32)
}
