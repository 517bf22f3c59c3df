//! Label maps of another scale than their pictures: made from pictures that were reduced, or enlarged, before they were labelled.

use crate::resize::nearest;

/// Whether a map of size `map` stands for the same places as a picture of size `picture` (width, height): their sides have the same
/// proportions, but for what rounding to whole pixels leaves.
pub fn same_proportions(map: (u32, u32), picture: (u32, u32)) -> bool {
    let across = u64::from(map.0) * u64::from(picture.1);
    let along = u64::from(map.1) * u64::from(picture.0);
    let longest = map.0.max(map.1).max(picture.0).max(picture.1);
    across.abs_diff(along) < u64::from(longest) || across == along
}

/// Brings `classes` of a map of size `map` to the size `picture`, by nearest neighbour. Gives whether that could be done: the map must
/// have the [`same_proportions`].
pub fn fit_to_picture(classes: &mut Vec<u8>, map: (u32, u32), picture: (u32, u32)) -> bool {
    let fits = same_proportions(map, picture);
    if fits && map != picture {
        *classes = nearest(classes, map, picture);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_maps_have_the_proportions_of_their_pictures() {
        for (map, picture) in [
            ((2, 2), (4, 4)),
            // Half of 375 pixels is 187 or 188.
            ((250, 187), (500, 375)),
            ((250, 188), (500, 375)),
            ((500, 375), (250, 187)),
            ((96, 64), (96, 64)),
        ] {
            assert!(same_proportions(map, picture), "{map:?} {picture:?}");
        }
        for (map, picture) in [
            ((2, 1), (2, 2)),
            ((64, 96), (96, 64)),
            ((250, 200), (500, 375)),
            ((400, 375), (500, 375)),
        ] {
            assert!(!same_proportions(map, picture), "{map:?} {picture:?}");
        }
    }

    #[test]
    fn classes_are_brought_to_the_picture_s_size() {
        let mut classes = vec![0, 1, 2, 3];
        assert!(fit_to_picture(&mut classes, (2, 2), (4, 4)));
        assert_eq!(classes, [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]);
        assert!(!fit_to_picture(&mut classes, (4, 4), (4, 1)));
    }
}
