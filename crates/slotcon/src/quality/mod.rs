//! How good the groups are, without labels: what a group says of a place must survive another view of it, and must not stop
//! where the picture goes on. Measured on whole pictures with the teacher, as `slotcon segment` uses it.

mod sample;
mod tally;

use slotcon_nn::OutputStride;
use slotcon_torch::distributed::Ranks;
use slotcon_train::Numbers;
use slotcon_train::normalise::normalise;
use tch::{Kind, Tensor};

use crate::method::network::{Mode, Network};

pub use sample::Sample;
use tally::Tally;

/// The second view is this much smaller, and mirrored.
const SMALLER: f64 = 0.75;

/// Figures of a network over a [`Sample`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GroupQuality {
    /// I(k; k') of the groups k, k' that two views give the same place, in nats: 2 H(k) - H(k, k'). It grows with groups that are
    /// many, equally large, and kept from view to view; 0 in a collapse, and where a view says nothing of the other.
    pub mutual_information: f64,
    /// H(k), in nats; at most ln K.
    pub entropy: f64,
    /// Share of the places that both views put into the same group.
    pub agreement: f64,
    /// Colour difference between neighbours of different groups over that between any neighbours: 1 where borders lie anywhere, more
    /// where they lie on edges of the picture. Groups that divide a plain surface lower it.
    pub border_contrast: f64,
}

impl GroupQuality {
    /// Of the pictures of a sample, shared out among `ranks`. `half` is the number format of convolutions and heads, if not the
    /// weights' own.
    ///
    /// # Errors
    /// Whatever libtorch throws; a rank that is gone.
    pub fn of(
        network: &Network,
        sample: &Sample,
        stride: OutputStride,
        half: Option<Kind>,
        ranks: &Ranks,
    ) -> Result<Self, slotcon_torch::Error> {
        let _guard = tch::no_grad_guard();
        let device = network.prototypes().device();
        let mode = Mode {
            half,
            ..Mode::default()
        };
        let mut tally = Tally::new(network.prototypes().size()[0], device);
        for picture in sample.pictures.iter().skip(ranks.rank()).step_by(ranks.size()) {
            let (height, width) = (picture.height() as usize, picture.width() as usize);
            let pixels = normalise(picture.rgb(), height, width, device);
            let smaller =
                [height, width].map(|side| ((side as f64 * SMALLER).round() as i64).max(stride.pixels()));
            let second = pixels
                .internal_upsample_bilinear2d_aa(smaller, false, None, None)
                .flip([-1]);
            let first = scores(network, &pixels, mode)?;
            let second = scores(network, &second, mode)?.flip([-1]);
            let grid = [first.size()[2], first.size()[3]];
            let second = second.upsample_bilinear2d(grid, false, None, None);
            let winners = |scores: &Tensor| scores.squeeze_dim(0).argmax(0, false);
            let colours = pixels.adaptive_avg_pool2d(grid).squeeze_dim(0);
            tally.add(&winners(&first), &winners(&second), &colours);
        }
        tally.finish(ranks)
    }

    /// Its figures by the names that metrics have for them.
    pub fn numbers(&self) -> Numbers {
        vec![
            ("mutual_information".into(), self.mutual_information),
            ("entropy".into(), self.entropy),
            ("agreement".into(), self.agreement),
            ("border_contrast".into(), self.border_contrast),
        ]
    }
}

/// Scores with the prototypes `[1, K, h, w]`.
fn scores(network: &Network, pixels: &Tensor, mode: Mode) -> Result<Tensor, slotcon_torch::Error> {
    let groups = network.forward(pixels, mode)?;
    let (h, w) = groups.grid;
    Ok(groups.scores.transpose(1, 2).reshape([1, -1, h, w]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    fn map(rows: [[i64; 4]; 2]) -> Tensor {
        Tensor::from_slice2(&rows)
    }

    /// Two groups, left and right, of two colours.
    #[test]
    fn groups_that_stay_and_end_where_colours_do() {
        let left_right = map([[0, 0, 1, 1]; 2]);
        let colours = left_right.unsqueeze(0).to_kind(Kind::Double);
        let mut tally = Tally::new(3, Device::Cpu);
        tally.add(&left_right, &left_right, &colours);
        let found = tally.finish(&Ranks::alone()).unwrap();
        assert!((found.entropy - 2f64.ln()).abs() < 1e-12, "{found:?}");
        assert!((found.mutual_information - 2f64.ln()).abs() < 1e-12, "{found:?}");
        assert!((found.agreement - 1.0).abs() < 1e-12, "{found:?}");
        // Neighbours: 6 beside and 4 above each other; 2 of these 10 differ, by 1, and they are the borders: 1 / (2 / 10).
        assert!((found.border_contrast - 5.0).abs() < 1e-12, "{found:?}");
    }

    #[test]
    fn a_second_view_that_says_nothing_shares_no_information() {
        let colours = Tensor::rand([3, 2, 4], (Kind::Float, Device::Cpu));
        let mut tally = Tally::new(2, Device::Cpu);
        tally.add(&map([[0, 0, 1, 1]; 2]), &map([[0, 1, 0, 1]; 2]), &colours);
        let found = tally.finish(&Ranks::alone()).unwrap();
        assert!(found.mutual_information.abs() < 1e-12, "{found:?}");
        assert!((found.agreement - 0.5).abs() < 1e-12, "{found:?}");
    }
}
