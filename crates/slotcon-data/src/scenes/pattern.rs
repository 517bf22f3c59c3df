//! The pattern of each class, painted in two shades of a hue that says nothing.

use crate::rng::Stream;

/// How a region is painted: two shades, and where its pattern has its origin.
#[derive(Clone, Debug)]
pub(super) struct Paint {
    dark: [f64; 3],
    light: [f64; 3],
    x: f64,
    y: f64,
    cos: f64,
    sin: f64,
    scale: f64,
    seed: u64,
}

impl Paint {
    pub(super) fn new(x: f64, y: f64, turn: f64, random: &mut Stream) -> Self {
        let hue = random.unit();
        let strength = random.uniform(0.15, 0.4);
        let dark = shade(hue, strength, random.uniform(55.0, 85.0));
        let light = shade(
            hue + random.uniform(-0.1, 0.1),
            strength,
            random.uniform(165.0, 195.0),
        );
        let scale = random.uniform(0.85, 1.2);
        let seed = random.below(u64::MAX);
        Self {
            dark,
            light,
            x,
            y,
            cos: turn.cos(),
            sin: turn.sin(),
            scale,
            seed,
        }
    }

    /// The colour of class `class` at a point of the scene, 0 to 255.
    pub(super) fn colour(&self, class: usize, x: f64, y: f64) -> [f64; 3] {
        let (dx, dy) = ((x - self.x) / self.scale, (y - self.y) / self.scale);
        let (u, v) = (dx * self.cos + dy * self.sin, dy * self.cos - dx * self.sin);
        let light = match class {
            // sky: slowly from dark to light and back
            0 => 0.5 + 0.5 * ((u * 0.3 + v) / 30.0).sin(),
            // grain: every speck for itself
            1 => self.noise((u / 2.5).floor() as i64, (v / 2.5).floor() as i64),
            // bricks: courses of 8 with joints as broad as the shades need to balance
            2 => {
                let course = (v / 9.0).floor();
                let along = u + course.rem_euclid(2.0) * 9.0;
                on(v.rem_euclid(9.0) < 6.4 && along.rem_euclid(18.0) < 14.0)
            }
            // waves: level bands that swing
            3 => on((v + 3.5 * (u / 7.0).sin()).rem_euclid(12.0) < 6.0),
            // stripes: straight and slanted
            4 => on((u + v).rem_euclid(13.0) < 6.5),
            // checks
            5 => on(((u / 8.0).floor() + (v / 8.0).floor()).rem_euclid(2.0) < 1.0),
            // dots in a triangular grid
            6 => {
                let row = (v / 10.0).floor();
                let a = (u + row.rem_euclid(2.0) * 5.5).rem_euclid(11.0) - 5.5;
                let b = v.rem_euclid(10.0) - 5.0;
                on(a.hypot(b) < 4.1)
            }
            // rings about the middle
            7 => on(u.hypot(v).rem_euclid(11.0) < 5.5),
            // pinwheel: sectors about the middle
            _ => on((v.atan2(u) / std::f64::consts::TAU * 9.0).rem_euclid(1.0) < 0.5),
        };
        std::array::from_fn(|c| self.dark[c] + (self.light[c] - self.dark[c]) * light)
    }

    /// A number from 0 to 1 for every cell of a grid.
    fn noise(&self, i: i64, j: i64) -> f64 {
        let mut z = self.seed ^ (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ (j as u64).rotate_left(32);
        for factor in [0xbf58_476d_1ce4_e5b9u64, 0x94d0_49bb_1331_11eb] {
            z = (z ^ (z >> 31)).wrapping_mul(factor);
        }
        (z >> 40) as f64 / (1u64 << 24) as f64
    }
}

fn on(light: bool) -> f64 {
    f64::from(u8::from(light))
}

/// A colour of mean value `value` whose channels swing about it by `strength`, as the hue (1 a whole turn) says.
fn shade(hue: f64, strength: f64, value: f64) -> [f64; 3] {
    [0.0, 1.0, 2.0].map(|c| value * (1.0 + strength * ((hue + c / 3.0) * std::f64::consts::TAU).cos()))
}
