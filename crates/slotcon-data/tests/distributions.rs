//! What is drawn at random, as distributions: areas and shapes of crops, colour changes, probabilities, overlap.

use slotcon_data::AugmentConfig;
use slotcon_data::augment::{JitterOp, PairPlan, plan_pair};
use slotcon_data::rng::{Purpose, Stream};

const DRAWS: u64 = 20_000;

fn draw(config: &AugmentConfig, width: u32, height: u32) -> Vec<PairPlan> {
    (0..DRAWS)
        .map(|i| {
            plan_pair(
                config,
                width,
                height,
                &mut Stream::new(7, 0, i, Purpose::Augment, 0),
            )
        })
        .collect()
}

/// Whether values spread evenly over low..high: mean, ends, and the share of each tenth.
fn assert_uniform(what: &str, values: &[f64], low: f64, high: f64) {
    let n = values.len() as f64;
    let mut tenths = [0.0; 10];
    for &v in values {
        assert!(
            (low..=high).contains(&v),
            "{what}: {v} lies outside {low}..{high}"
        );
        tenths[(((v - low) / (high - low) * 10.0) as usize).min(9)] += 1.0;
    }
    for share in tenths {
        // Six standard deviations of a binomial.
        assert!(
            (share - n * 0.1).abs() < 6.0 * (n * 0.09).sqrt(),
            "{what}: tenths {tenths:?} of {n}"
        );
    }
}

fn assert_share(what: &str, count: usize, of: usize, p: f64) {
    let deviation = (of as f64 * p * (1.0 - p)).sqrt();
    assert!(
        (count as f64 - of as f64 * p).abs() <= 6.0 * deviation,
        "{what}: {count} of {of}, expected {p}"
    );
}

#[test]
fn crops_have_the_area_and_shape_asked_for() {
    // A picture so large that rounding does not show, and crops so small that all shapes fit.
    let config = AugmentConfig {
        max_scale: 0.5,
        ..Default::default()
    };
    let plans = draw(&config, 10_000, 10_000);
    let first = plans.iter().map(|p| p.views[0].crop);
    let areas: Vec<f64> = first
        .clone()
        .map(|c| f64::from(c.width) * f64::from(c.height) / 1e8)
        .collect();
    assert_uniform(
        "area",
        &areas.iter().map(|a| a.clamp(0.08, 0.5)).collect::<Vec<_>>(),
        0.08,
        0.5,
    );
    let shapes: Vec<f64> = first
        .clone()
        .map(|c| (f64::from(c.width) / f64::from(c.height)).ln())
        .collect();
    let bound = (4.0f64 / 3.0).ln();
    assert!(shapes.iter().all(|s| s.abs() <= bound + 1e-3));
    assert_uniform(
        "log shape",
        &shapes.iter().map(|s| s.clamp(-bound, bound)).collect::<Vec<_>>(),
        -bound,
        bound,
    );
    let places: Vec<f64> = first
        .map(|c| (f64::from(c.left) + 0.5) / (10_000.0 - f64::from(c.width) + 1.0))
        .collect();
    assert_uniform("left edge", &places, 0.0, 1.0);
}

#[test]
fn second_crops_overlap_the_first() {
    let config = AugmentConfig::default();
    let plans = draw(&config, 640, 480);
    let enough = plans.iter().filter(|p| {
        let [a, b] = [p.views[0].crop, p.views[1].crop];
        // The rule is about the area aimed at; rounding to pixels moves it by a per cent or two.
        a.intersection(&b) as f64 >= 0.0098 * f64::from(b.width) * f64::from(b.height)
    });
    assert_eq!(enough.count(), plans.len());

    // With a rule that can hardly be met the tries run out and crops are free: most do not meet it.
    let hard = AugmentConfig {
        min_overlap: 1.0,
        min_scale: 0.9,
        ..Default::default()
    };
    let met = draw(&hard, 640, 480)
        .iter()
        .filter(|p| {
            let [a, b] = [p.views[0].crop, p.views[1].crop];
            a.intersection(&b) == u64::from(b.width) * u64::from(b.height)
        })
        .count();
    assert!(met < plans.len() * 9 / 10, "{met}");
}

#[test]
fn photometric_changes_have_the_official_distributions() {
    let config = AugmentConfig::default();
    let plans = draw(&config, 640, 480);
    for v in 0..2 {
        let views: Vec<_> = plans.iter().map(|p| &p.views[v]).collect();
        let n = views.len();
        let share = |what: &str, count: usize, p: f64| assert_share(what, count, n, p);
        share("flip", views.iter().filter(|p| p.flip).count(), 0.5);
        share("jitter", views.iter().filter(|p| p.jitter.is_some()).count(), 0.8);
        share("gray", views.iter().filter(|p| p.gray).count(), 0.2);
        share(
            "blur",
            views.iter().filter(|p| p.blur.is_some()).count(),
            [1.0, 0.1][v],
        );
        share(
            "solarize",
            views.iter().filter(|p| p.solarize.is_some()).count(),
            [0.0, 0.2][v],
        );
        assert!(views.iter().flat_map(|p| p.solarize).all(|t| t == 128));
        let sigmas: Vec<f64> = views.iter().filter_map(|p| p.blur).collect();
        assert_uniform("blur sigma", &sigmas, 0.1, 2.0);

        let mut factors: [Vec<f64>; 4] = Default::default();
        let mut orders = std::collections::BTreeMap::new();
        for jitter in views.iter().filter_map(|p| p.jitter.as_ref()) {
            let mut order = Vec::new();
            for op in jitter {
                let (kind, factor) = match *op {
                    JitterOp::Brightness(f) => (0, f),
                    JitterOp::Contrast(f) => (1, f),
                    JitterOp::Saturation(f) => (2, f),
                    JitterOp::Hue(f) => (3, f),
                };
                factors[kind].push(factor);
                order.push(kind);
            }
            *orders.entry(order).or_insert(0usize) += 1;
        }
        assert_uniform("brightness", &factors[0], 0.6, 1.4);
        assert_uniform("contrast", &factors[1], 0.6, 1.4);
        assert_uniform("saturation", &factors[2], 0.8, 1.2);
        assert_uniform("hue", &factors[3], -0.1, 0.1);
        assert_eq!(orders.len(), 24, "every order of the four changes occurs");
        let jittered = factors[0].len();
        orders
            .values()
            .for_each(|&c| assert_share("order", c, jittered, 1.0 / 24.0));
    }
    // The views are independent of one another.
    let both = plans
        .iter()
        .filter(|p| p.views[0].gray && p.views[1].gray)
        .count();
    assert_share("gray in both", both, plans.len(), 0.04);
}

#[test]
fn narrow_pictures_get_the_largest_centred_crop() {
    for (width, height) in [(1, 10_000), (10_000, 1), (1, 1), (3, 700), (2, 1)] {
        for plan in draw(&AugmentConfig::default(), width, height).iter().take(500) {
            for view in &plan.views {
                let crop = view.crop;
                assert!(crop.width >= 1 && crop.height >= 1, "{crop:?}");
                assert!(
                    crop.right() <= width && crop.bottom() <= height,
                    "{crop:?} of {width}x{height}"
                );
            }
        }
    }
}
