//! Objects drawn over their picture.

use slotcon_data::Picture;
use slotcon_data::rle::Runs;
use slotcon_data::labelled::colour;

/// How much of an object's pixels is its colour, in 256ths.
const OPACITY: u32 = 110;

/// An object as it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Drawn {
    /// What decides the colour.
    pub class: usize,
    /// Box in pixels, x1, y1, x2, y2.
    pub bounds: [f32; 4],
    /// Its pixels, of the picture's size.
    pub mask: Runs,
}

/// The picture with every object's pixels in the colour of its class and its box around it, the first object on top.
///
/// # Panics
/// When a mask is of another size than the picture.
pub fn overlay(picture: &Picture, objects: &[Drawn]) -> Picture {
    let (width, height) = (picture.width(), picture.height());
    let mut rgb = picture.rgb().to_vec();
    for object in objects.iter().rev() {
        let mask = &object.mask;
        assert_eq!(
            (mask.width(), mask.height()),
            (width, height),
            "a mask of the picture"
        );
        let tint = colour(object.class as u16);
        for pixel in mask.inside().flatten() {
            let (x, y) = (pixel / height as usize, pixel % height as usize);
            let place = &mut rgb[(y * width as usize + x) * 3..][..3];
            for (p, c) in place.iter_mut().zip(tint) {
                *p = ((u32::from(*p) * (256 - OPACITY) + u32::from(c) * OPACITY) / 256) as u8;
            }
        }
        frame(&mut rgb, (width, height), object.bounds, tint);
    }
    Picture::new(width, height, rgb)
}

/// The edge of a box, one pixel wide, two in large pictures.
fn frame(rgb: &mut [u8], (width, height): (u32, u32), bounds: [f32; 4], colour: [u8; 3]) {
    let pixel = |v: f32, limit: u32| (v.max(0.0) as u32).min(limit - 1);
    let (x1, y1) = (pixel(bounds[0], width), pixel(bounds[1], height));
    let (x2, y2) = (pixel(bounds[2], width), pixel(bounds[3], height));
    let mut set = |x: u32, y: u32| {
        let place = (y.min(height - 1) * width + x.min(width - 1)) as usize * 3;
        rgb[place..place + 3].copy_from_slice(&colour);
    };
    for line in 0..=u32::from(width.min(height) > 400) {
        for x in x1..=x2 {
            set(x, y1 + line);
            set(x, y2.saturating_sub(line));
        }
        for y in y1..=y2 {
            set(x1 + line, y);
            set(x2.saturating_sub(line), y);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pixels_and_box_are_coloured_and_nothing_else() {
        let picture = Picture::new(8, 6, vec![0; 8 * 6 * 3]);
        let object = Drawn {
            class: 3,
            bounds: [1.0, 1.0, 6.0, 4.0],
            mask: Runs::from_polygons(8, 6, &[vec![2.0, 2.0, 5.0, 2.0, 5.0, 4.0, 2.0, 4.0]]),
        };
        let drawn = overlay(&picture, std::slice::from_ref(&object));
        let at = |x: usize, y: usize| &drawn.rgb()[(y * 8 + x) * 3..][..3];
        assert_eq!(at(1, 1), colour(3));
        assert_eq!(at(6, 4), colour(3));
        assert_eq!(at(0, 0), [0; 3]);
        assert!(at(3, 3) != [0; 3] && at(3, 3) != colour(3));
        let outside = Drawn {
            bounds: [-5.0, -5.0, 900.0, 900.0],
            ..object
        };
        overlay(&picture, &[outside]);
    }
}
