//! A prototype's mask drawn on a picture.

use slotcon_data::Picture;

/// The gray that a picture fades to outside the mask: neither dark nor bright masks drown in it.
const FADE_TO: u32 = 138;
/// How far it fades, in 256ths.
const FADE_OF_256: u32 = 205;
/// Colour of the mask's border.
const BORDER: [u8; 3] = [255, 214, 10];

/// The picture as it is where prototype `k` wins, with a line around; faded to gray elsewhere.
pub fn spotlight(picture: &Picture, ids: &[u16], k: u16) -> Picture {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let mut rgb = picture.rgb().to_vec();
    for (i, pixel) in rgb.chunks_exact_mut(3).enumerate() {
        let (x, y) = (i % width, i / width);
        if ids[i] == k {
            let border = (x > 0 && ids[i - 1] != k)
                || (x + 1 < width && ids[i + 1] != k)
                || (y > 0 && ids[i - width] != k)
                || (y + 1 < height && ids[i + width] != k);
            if border {
                pixel.copy_from_slice(&BORDER);
            }
        } else {
            let gray =
                (u32::from(pixel[0]) * 77 + u32::from(pixel[1]) * 150 + u32::from(pixel[2]) * 29) / 256;
            for p in pixel {
                *p = (((gray + u32::from(*p)) / 2 * (256 - FADE_OF_256) + FADE_TO * FADE_OF_256) / 256) as u8;
            }
        }
    }
    Picture::new(picture.width(), picture.height(), rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_outside_and_border() {
        let picture = Picture::new(5, 5, vec![200; 75]);
        // A square of 3 x 3 in the middle.
        let ids: Vec<u16> = (0..25)
            .map(|i| u16::from((1..4).contains(&(i % 5)) && (1..4).contains(&(i / 5))))
            .collect();
        let drawn = spotlight(&picture, &ids, 1);
        let at = |x: usize, y: usize| &drawn.rgb()[(y * 5 + x) * 3..][..3];
        assert_eq!(at(2, 2), [200; 3]);
        assert_eq!(at(1, 2), BORDER);
        assert!(
            at(0, 0).iter().all(|&p| (130..160).contains(&p)),
            "{:?}",
            at(0, 0)
        );
        // A mask that fills the picture has no border: the picture's edge is none of its own.
        assert_eq!(spotlight(&picture, &[3; 25], 3), picture);
    }
}
