//! A picture under changes of colour.

use slotcon_data::Picture;
use slotcon_data::augment::{AugmentConfig, Workspace, plan_pair, recolour};
use slotcon_data::rng::{Purpose, Stream};

/// Light changes from picture to picture by at least so much.
const BRIGHTNESS: f64 = 0.6;
const CONTRAST: f64 = 0.6;
const SATURATION: f64 = 0.5;

/// Makes views that differ in colour alone.
#[derive(Debug)]
pub(crate) struct Recolouring {
    config: AugmentConfig,
    seed: u64,
    workspace: Workspace,
}

impl Recolouring {
    /// As the two views of a run do, with jitter in every one of them and of no less than a certain brightness, contrast and saturation: what
    /// a run shall not learn to overlook may still be overlooked when places are compared.
    pub(crate) fn new(augment: &AugmentConfig, seed: u64) -> Self {
        let mut config = augment.clone();
        for view in &mut config.views {
            view.jitter_prob = 1.0;
            let jitter = &mut view.jitter;
            jitter.brightness = jitter.brightness.max(BRIGHTNESS);
            jitter.contrast = jitter.contrast.max(CONTRAST);
            jitter.saturation = jitter.saturation.max(SATURATION);
        }
        Self {
            config,
            seed,
            workspace: Workspace::default(),
        }
    }

    /// The picture as it is, and twice with other colours. `number` decides which.
    pub(crate) fn views(&mut self, picture: &Picture, number: u64) -> [Picture; 3] {
        let mut random = Stream::new(self.seed, 0, number, Purpose::Augment, 0);
        let plan = plan_pair(&self.config, picture.width(), picture.height(), &mut random);
        let [a, b] = plan
            .views
            .map(|view| recolour(picture, &view, &mut self.workspace));
        [picture.clone(), a, b]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_colours_change() {
        // Two halves, each of one colour.
        let pixels = Vec::from_iter(
            (0..40 * 30).flat_map(|i| if i % 40 < 20 { [200, 40, 40] } else { [30, 60, 200] }),
        );
        let picture = Picture::new(40, 30, pixels);
        let mut config = AugmentConfig::default();
        for view in &mut config.views {
            (view.blur_prob, view.solarize_prob) = (0.0, 0.0);
        }
        let mut recolouring = Recolouring::new(&config, 3);
        let [own, a, b] = recolouring.views(&picture, 5);
        assert_eq!(own, picture);
        for view in [&a, &b] {
            let row = view.rgb().chunks(3).take(40).collect::<Vec<_>>();
            assert!(row[..20].iter().all(|p| *p == row[0]) && row[20..].iter().all(|p| *p == row[20]));
            assert_ne!(row[0], &picture.rgb()[..3]);
        }
        assert_ne!(a, b);
        assert_eq!(
            recolouring.views(&picture, 5)[1],
            a,
            "the same number gives the same colours"
        );
        assert_ne!(recolouring.views(&picture, 6)[1], a);
    }
}
