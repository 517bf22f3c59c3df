//! Properties of crops, overlaps and coordinates that hold for every picture and every draw.

use proptest::prelude::*;
use slotcon_data::augment::{ViewPlan, Workspace, make_view, plan_pair};
use slotcon_data::rng::{Purpose, Stream};
use slotcon_data::{AugmentConfig, Picture};

/// Where in the picture a place of a view lies (both in units of their sides), and back.
fn to_picture(view: &ViewPlan, (x, y): (f64, f64)) -> (f64, f64) {
    let x = if view.flip { 1.0 - x } else { x };
    let crop = view.crop;
    (
        f64::from(crop.left) + x * f64::from(crop.width),
        f64::from(crop.top) + y * f64::from(crop.height),
    )
}

/// A place of the shared region, in units of that region as it lies in the picture, seen in a view.
fn in_view(view: &ViewPlan, [x1, y1, x2, y2]: [f32; 4], (a, b): (f64, f64)) -> (f64, f64) {
    let a = if view.flip { 1.0 - a } else { a };
    let between = |from: f32, to: f32, part: f64| f64::from(from) + part * f64::from(to - from);
    (between(x1, x2, a), between(y1, y2, b))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn both_views_agree_on_every_place(
        width in 1u32..3000, height in 1u32..3000, sample: u64, a in 0.0..=1.0f64, b in 0.0..=1.0f64,
        min_scale in 0.01..1.0f64,
    ) {
        let config = AugmentConfig { min_scale, ..Default::default() };
        let plan = plan_pair(&config, width, height, &mut Stream::new(0, 0, sample, Purpose::Augment, 0));
        for view in &plan.views {
            let crop = view.crop;
            prop_assert!(crop.width > 0 && crop.height > 0);
            prop_assert!(crop.right() <= width && crop.bottom() <= height, "{:?} leaves {}x{}", crop, width, height);
        }
        let shared = plan.views[0].crop.intersection(&plan.views[1].crop);
        if shared > 0 {
            let places = [0, 1].map(|v| {
                let [x1, y1, x2, y2] = plan.coords[v];
                assert!(0.0 <= x1 && x1 < x2 && x2 <= 1.0 && 0.0 <= y1 && y1 < y2 && y2 <= 1.0, "{:?}", plan.coords);
                to_picture(&plan.views[v], in_view(&plan.views[v], plan.coords[v], (a, b)))
            });
            prop_assert!((places[0].0 - places[1].0).abs() < 1e-2, "{:?}", places);
            prop_assert!((places[0].1 - places[1].1).abs() < 1e-2, "{:?}", places);
        }
    }

    /// The same on pixels: a picture whose colours say where they are.
    #[test]
    fn pixels_lie_where_the_coordinates_say(sample: u64) {
        const SIDE: u32 = 240;
        let at = |i: u32| ((i % SIDE) as u8, (i / SIDE) as u8);
        let rgb = (0..SIDE * SIDE).flat_map(|i| [at(i).0, at(i).1, 0]).collect();
        let picture = Picture::new(SIDE, SIDE, rgb);
        let config = AugmentConfig { min_scale: 0.3, ..Default::default() };
        let plan = plan_pair(&config, SIDE, SIDE, &mut Stream::new(1, 0, sample, Purpose::Augment, 0));
        let side = 96usize;
        for (view, coords) in plan.views.iter().zip(plan.coords) {
            let plain = ViewPlan { jitter: None, gray: false, blur: None, solarize: None, ..view.clone() };
            let mut out = vec![0; side * side * 3];
            make_view(&picture, &plain, side as u32, &mut out, &mut Workspace::default());
            for place in [(0.5, 0.5), (0.3, 0.7), (0.8, 0.2)] {
                let (x, y) = in_view(view, coords, place);
                let (column, row) = ((x * side as f64) as usize, (y * side as f64) as usize);
                let centre = ((column as f64 + 0.5) / side as f64, (row as f64 + 0.5) / side as f64);
                let want = to_picture(view, centre);
                let got = &out[(row * side + column) * 3..][..2];
                prop_assert!((f64::from(got[0]) + 0.5 - want.0).abs() < 3.0, "{:?} {:?}", got, want);
                prop_assert!((f64::from(got[1]) + 0.5 - want.1).abs() < 3.0, "{:?} {:?}", got, want);
            }
        }
    }
}
