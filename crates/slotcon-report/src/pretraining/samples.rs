//! What the network makes of some of its pictures: masks beside photos, and the largest prototypes.

use std::time::Duration;

use slotcon_data::Layout;
use slotcon_data::resize::resize_short_side;
use slotcon_data::source::readable;

use slotcon_data::labelled::{Palette, colour};
use slotcon_eval::pictures::Silent;
use slotcon_eval::segment::GroupedPicture;
use slotcon_eval::segment::masks::overlay;
use slotcon_eval::survey::{Config, Survey, survey};
use slotcon_eval::{InputConfig, Pictures, Segmenter};

use crate::error::Error;
use crate::gallery::spotlight;
use crate::page::{escape, image, percent};

/// How long to wait for a picture: the end of a run must not hang on a file system that does not answer.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Pictures looked at for the small gallery.
const LOOKED_AT: usize = 96;
/// Pictures shown with their masks.
const SHOWN: usize = 6;
/// Prototypes shown.
const PROTOTYPES: usize = 12;
/// Pictures a prototype.
const TOP: usize = 4;
/// Short side of pictures in the page.
const LARGE: u32 = 240;
const SMALL: u32 = 120;

/// Two parts of the page: segments and prototypes.
#[derive(Debug)]
pub struct Samples {
    /// Pictures beside their segments.
    pub segments: String,
    /// The largest prototypes with their best pictures.
    pub prototypes: String,
}

/// Looks at some pictures of `data`.
///
/// # Errors
/// Folders that are not there any more; no picture that can be used; a failure of libtorch.
pub fn samples(segmenter: &Segmenter, data: &[std::path::PathBuf], layout: Layout) -> Result<Samples, Error> {
    let input = InputConfig {
        timeout: TIMEOUT,
        ..InputConfig::default()
    };
    let pictures = Pictures::open(data, layout, input, Some(LOOKED_AT))?;
    let config = Config {
        top: TOP,
        at_most: PROTOTYPES,
        ..Config::default()
    };
    let survey = survey(segmenter, &pictures, &config, &mut Silent)?;
    Ok(Samples {
        segments: segments(segmenter, &pictures)?,
        prototypes: prototypes(segmenter, &pictures, &survey)?,
    })
}

fn segments(segmenter: &Segmenter, pictures: &Pictures) -> Result<String, Error> {
    let chosen = pictures.chosen();
    let some: Vec<usize> = (0..SHOWN.min(chosen.len()))
        .map(|i| chosen[i * chosen.len() / SHOWN.min(chosen.len())])
        .collect();
    let mut html = String::from("<div class=\"samples\">\n");
    pictures.each(&some, &mut Silent, |seen| {
        let small = resize_short_side(&seen.picture, LARGE);
        let ids = GroupedPicture::of(segmenter, &seen.picture)?.labels(small.width(), small.height())?;
        let name = readable(&pictures.name(seen.index));
        let mut present = ids.clone();
        present.sort_unstable();
        present.dedup();
        html.push_str(&format!(
            "<figure class=\"card\"><div class=\"pair\">{}{}</div><figcaption class=\"quiet small\">{} · {} groups</figcaption>\
             </figure>\n",
            image(&small, &format!("The picture {name}"))?,
            image(&overlay(&small, &ids, Palette::default()), &format!("The groups in {name}"))?,
            escape(&name),
            present.len()
        ));
        Ok::<(), Error>(())
    })?;
    html.push_str("</div>\n");
    Ok(html)
}

fn prototypes(segmenter: &Segmenter, pictures: &Pictures, survey: &Survey) -> Result<String, Error> {
    let ranking = &survey.ranking;
    // Each picture once, then its masks where they belong.
    let mut tiles: Vec<Vec<(usize, String)>> = vec![Vec::new(); survey.shown.len()];
    pictures.each(&survey.chosen(), &mut Silent, |seen| {
        let small = resize_short_side(&seen.picture, SMALL);
        let ids = GroupedPicture::of(segmenter, &seen.picture)?.labels(small.width(), small.height())?;
        for (tiles, &k) in tiles.iter_mut().zip(&survey.shown) {
            if let Some(rank) = ranking.best(k).iter().position(|hit| hit.picture == seen.index) {
                // K is at most 65535.
                let drawn = spotlight(&small, &ids, k as u16);
                let alt = format!("Prototype {k} in {}", readable(&pictures.name(seen.index)));
                tiles.push((rank, image(&drawn, &alt)?));
            }
        }
        Ok::<(), Error>(())
    })?;
    let mut html = format!(
        "<p class=\"quiet small\">The largest of {} prototypes, {} of which win somewhere in the {} pictures looked at; with \
         each, the pictures where its places are most similar to it.</p>\n<div class=\"groups\">\n",
        ranking.prototypes(),
        ranking.by_size().len(),
        ranking.looked_at()
    );
    for (mut tiles, &k) in tiles.into_iter().zip(&survey.shown) {
        tiles.sort_by_key(|(rank, _)| *rank);
        let [r, g, b] = colour(k as u16);
        html.push_str(&format!(
            "<section class=\"card\"><h3><i class=\"swatch\" style=\"background:rgb({r},{g},{b})\"></i>Prototype {k} \
             <span class=\"quiet small\">{}</span></h3><div class=\"row\">{}</div></section>\n",
            percent(ranking.share(k)),
            tiles.into_iter().map(|(_, tile)| tile).collect::<String>()
        ));
    }
    html.push_str("</div>\n");
    Ok(html)
}
