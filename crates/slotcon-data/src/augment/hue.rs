//! Turning the hue: to 8-bit HSV, the hue moved, and back, with Pillow's rounding on the way.

/// Moves the hue by `turn` of the colour circle (-0.5 to 0.5; steps of 1/255, fraction dropped).
pub fn shift_hue(rgb: &mut [u8], turn: f64) {
    // Dropping the fraction towards 0 and wrapping at 256 is what the official transforms do.
    let step = (turn * 255.0) as i32 as u8;
    for p in rgb.chunks_exact_mut(3) {
        let (h, s, v) = to_hsv(p[0], p[1], p[2]);
        let (r, g, b) = to_rgb(h.wrapping_add(step), s, v);
        p.copy_from_slice(&[r, g, b]);
    }
}

fn to_hsv(r: u8, g: u8, b: u8) -> (u8, u8, u8) {
    let max = r.max(g).max(b);
    let min = r.min(g).min(b);
    if max == min {
        return (0, 0, max);
    }
    let range = f32::from(max - min);
    let saturation = range / f32::from(max);
    let (rc, gc, bc) = (
        f32::from(max - r) / range,
        f32::from(max - g) / range,
        f32::from(max - b) / range,
    );
    let sixths = if r == max {
        bc - gc
    } else if g == max {
        (2.0 + f64::from(rc) - f64::from(bc)) as f32
    } else {
        (4.0 + f64::from(gc) - f64::from(rc)) as f32
    };
    let hue = ((f64::from(sixths) / 6.0 + 1.0) % 1.0) as f32;
    (
        (f64::from(hue) * 255.0) as u8,
        (f64::from(saturation) * 255.0) as u8,
        max,
    )
}

fn to_rgb(h: u8, s: u8, v: u8) -> (u8, u8, u8) {
    if s == 0 {
        return (v, v, v);
    }
    let sixths = (f64::from(h) * 6.0 / 255.0) as f32;
    let sector = sixths.floor();
    let within = sixths - sector;
    let (saturation, value) = (f32::from(s) / 255.0, f32::from(v));
    let round = |x: f32| x.round() as u8;
    let p = round(value * (1.0 - saturation));
    let q = round(value * (1.0 - saturation * within));
    let t = round(value * (1.0 - saturation * (1.0 - within)));
    match sector as u8 % 6 {
        0 => (v, t, p),
        1 => (q, v, p),
        2 => (p, v, t),
        3 => (p, q, v),
        4 => (t, p, v),
        _ => (v, p, q),
    }
}
