//! Random choices that depend on a seed alone.

/// Random numbers as a function of (seed, stream, position): splitmix64.
pub(crate) struct Draws {
    state: u64,
}

impl Draws {
    pub(crate) fn new(seed: u64, stream: u64) -> Self {
        Self {
            state: mix(seed ^ mix(stream)),
        }
    }

    /// Uniform in [0, 1).
    pub(crate) fn unit(&mut self) -> f64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (mix(self.state) >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// At most `most` of the indices below `n`: all, or one drawn from each of `most` equal stretches.
pub(crate) fn spread(n: usize, most: usize, draws: &mut Draws) -> impl Iterator<Item = usize> {
    let stretch = n as f64 / most as f64;
    (0..n.min(most)).map(move |i| match n <= most {
        true => i,
        false => (((i as f64 + draws.unit()) * stretch) as usize).min(n - 1),
    })
}
