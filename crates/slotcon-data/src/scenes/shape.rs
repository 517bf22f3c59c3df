//! Outlines of regions, in units of a 160 x 160 scene.

use crate::rng::Stream;

/// Where a region lies.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The whole scene.
    Everywhere,
    /// All below a slanted line: height at the left edge, and slope.
    Below { left: f64, slope: f64 },
    /// An ellipse.
    Ellipse(Frame, f64),
    /// A rectangle.
    Box(Frame, f64),
    /// A triangle with its tip up.
    Triangle(Frame),
    /// A star of five.
    Star(Frame),
}

/// Place, size and turn of a thing.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    x: f64,
    y: f64,
    radius: f64,
    cos: f64,
    sin: f64,
}

impl Frame {
    fn new(x: f64, y: f64, radius: f64, turn: f64) -> Self {
        Self {
            x,
            y,
            radius,
            cos: turn.cos(),
            sin: turn.sin(),
        }
    }

    /// A point in the thing's own coordinates: its radius is 1.
    fn local(&self, x: f64, y: f64) -> (f64, f64) {
        let (dx, dy) = (x - self.x, y - self.y);
        (
            (dx * self.cos + dy * self.sin) / self.radius,
            (dy * self.cos - dx * self.sin) / self.radius,
        )
    }
}

impl Shape {
    pub(super) fn below_horizon(random: &mut Stream) -> Self {
        Self::Below {
            left: random.uniform(50.0, 110.0),
            slope: random.uniform(-0.3, 0.3),
        }
    }

    /// The outline of the `kind`-th thing.
    pub(super) fn of_thing(kind: usize, x: f64, y: f64, radius: f64, turn: f64) -> Self {
        let frame = Frame::new(x, y, radius, turn);
        match kind {
            0 => Self::Ellipse(frame, 0.7),
            1 => Self::Box(frame, 0.8),
            2 => Self::Triangle(frame),
            3 => Self::Ellipse(frame, 1.0),
            _ => Self::Star(frame),
        }
    }

    pub(super) fn contains(&self, x: f64, y: f64) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Below { left, slope } => y > left + slope * x,
            Self::Ellipse(frame, flat) => {
                let (u, v) = frame.local(x, y);
                u * u + (v / flat).powi(2) <= 1.0
            }
            Self::Box(frame, flat) => {
                let (u, v) = frame.local(x, y);
                u.abs() <= 0.95 && v.abs() <= 0.95 * flat
            }
            Self::Triangle(frame) => {
                let (u, v) = frame.local(x, y);
                v <= 0.8 && u.abs() <= (v + 1.1) * 0.6
            }
            Self::Star(frame) => {
                let (u, v) = frame.local(x, y);
                let fifth = std::f64::consts::TAU / 5.0;
                let within = (u.atan2(-v).rem_euclid(fifth) / fifth - 0.5).abs() * 2.0;
                u.hypot(v) <= 0.7 + 0.4 * within
            }
        }
    }
}
