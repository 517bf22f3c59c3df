//! A picture looked at several times against the looks one by one.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

use std::sync::Mutex;

use slotcon::method::Branch;
use slotcon::recipe::{Recipe, TaskRecipe};
use slotcon_data::Picture;
use slotcon_data::resize::resize_short_side;
use slotcon_eval::Segmenter;
use slotcon_eval::segment::Views;
use tch::{Device, Tensor};

const SIZE: (u32, u32) = (96, 64);

/// The same weights every time: libtorch has one generator for all threads, so only one at a time may draw from it.
fn segmenter() -> Segmenter {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap();
    let settings = ["model.dim_hidden=24", "model.dim_out=12", "model.prototypes=6"].map(String::from);
    let recipe = Recipe::load("small", &settings).unwrap();
    Segmenter::from_recipe(&recipe, Branch::Teacher, Device::Cpu).unwrap()
}

/// A picture that no turning leaves as it is, and the same mirrored.
fn pictures() -> [Picture; 2] {
    let (width, height) = SIZE;
    let pixel = |x: u32, y: u32| [(x * 5 + y) as u8, (x * x + 3 * y) as u8, (7 * y) as u8];
    let picture = |column: &dyn Fn(u32) -> u32| {
        let bytes = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(column(x), y)));
        Picture::new(width, height, bytes.collect())
    };
    [picture(&|x| x), picture(&|x| width - 1 - x)]
}

fn close(a: &Tensor, b: &Tensor) {
    assert_eq!(a.size(), b.size());
    let distance = (a - b).abs().max().double_value(&[]);
    assert!(distance < 1e-5, "{distance}");
}

#[test]
fn mirrored_scores_are_turned_back_and_averaged() {
    let [picture, mirrored] = pictures();
    let once = segmenter();
    let (as_it_is, turned) = (
        once.scores(&picture).unwrap(),
        once.scores(&mirrored).unwrap().flip([1]),
    );
    assert!(
        (&as_it_is - &turned).abs().max().double_value(&[]) > 1e-4,
        "both looks are the same"
    );
    let twice = segmenter().with_views(Views {
        mirror: true,
        ..Views::default()
    });
    close(&twice.scores(&picture).unwrap(), &((as_it_is + turned) / 2.0));
}

#[test]
fn a_side_is_the_size_at_which_the_network_sees_a_picture() {
    let [picture, _] = pictures();
    let sides = |sides: &[u32]| {
        segmenter().with_views(Views {
            sides: sides.to_vec(),
            mirror: false,
        })
    };
    let resized = |side| segmenter().scores(&resize_short_side(&picture, side)).unwrap();
    close(&sides(&[80]).scores(&picture).unwrap(), &resized(80));
    // Two of one size are that size.
    close(&sides(&[80, 80]).scores(&picture).unwrap(), &resized(80));
    // The grid of the finer one.
    assert_eq!(
        sides(&[48, 128]).scores(&picture).unwrap().size(),
        resized(128).size()
    );
}
