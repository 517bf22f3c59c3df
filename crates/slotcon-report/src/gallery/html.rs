//! The gallery as one page: search, zoom, and the most similar places elsewhere at a click.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;
use slotcon_data::resize::resize_short_side;
use slotcon_data::source::readable;

use slotcon_eval::pictures::InputPicture;
use slotcon_eval::segment::GroupedPicture;
use slotcon_eval::survey::Survey;
use slotcon_eval::{Names, Pictures, ProgressSink, Segmenter};
use slotcon_weights::atomic_file::AtomicFile;

use super::run_length;
use crate::error::Error;
use crate::page::{self, base64, escape, jpeg, json_in_script, percent};

const STYLE: &str = include_str!("gallery.css");
/// In the order in which they run.
const SCRIPTS: [&str; 3] = [
    include_str!("naming.js"),
    include_str!("naming_bar.js"),
    include_str!("gallery.js"),
];
const BODY: &str = include_str!("gallery.html");
/// Short side of the pictures in the page.
const SIDE: u32 = 224;
/// JPEG quality of the pictures in the page.
const QUALITY: u8 = 78;

/// What the script needs besides the pictures.
#[derive(Serialize)]
struct Index {
    /// Bytes a position of the features.
    dims: i64,
    /// What is shown: prototype or group.
    word: &'static str,
    prototypes: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    number: usize,
    share: f64,
    pictures: u64,
    /// Place in the page's list of pictures, and score.
    best: Vec<(usize, f32)>,
}

/// One picture; short keys, since there are many.
#[derive(Serialize)]
struct Shown {
    name: String,
    size: (u32, u32),
    /// Of the file.
    original: (u32, u32),
    /// Rows and columns of the network's grid.
    grid: (i64, i64),
    jpeg: String,
    labels: String,
    features: String,
}

/// Writes the gallery of `survey` as one self-contained page, on which one names the prototypes, beginning with `names`; `source` says
/// whose it is. Pictures are looked at again and written one at a time.
///
/// # Errors
/// What the file system says (nothing half-written stays); a failure of libtorch.
pub fn write_html(
    path: &Path,
    source: &str,
    segmenter: &Segmenter,
    pictures: &Pictures,
    survey: &Survey,
    names: &Names,
    progress: &mut dyn ProgressSink,
) -> Result<(), Error> {
    let (word, capital) = (segmenter.cluster_word(), capital(segmenter));
    let chosen = survey.chosen();
    let place: HashMap<usize, usize> = chosen.iter().enumerate().map(|(place, &i)| (i, place)).collect();
    let ranking = &survey.ranking;
    let entries = survey.shown.iter().map(|&k| Entry {
        number: k,
        share: ranking.share(k),
        pictures: ranking.pictures(k),
        best: ranking
            .best(k)
            .iter()
            .map(|hit| (place[&hit.picture], hit.score))
            .collect(),
    });
    let index = Index {
        dims: survey.reduction.as_ref().map_or(0, |r| r.dims()),
        word,
        prototypes: entries.collect(),
    };

    let mut file = AtomicFile::begin(path)?;
    file.write(page::head(&format!("{capital}s: {source}"), STYLE, true).as_bytes())?;
    let body = BODY
        .replace("{{source}}", &escape(source))
        .replace("{{word}}", word)
        .replace("{{facts}}", &facts(segmenter, pictures, survey))
        .replace("{{notes}}", &notes(segmenter, survey))
        .replace("{{list}}", &list(capital, pictures, survey, names));
    file.write(body.as_bytes())?;
    for (id, json) in [
        ("index", json_in_script(&index)?),
        ("names", json_in_script(names)?),
    ] {
        file.write(format!("<script type=\"application/json\" id=\"{id}\">{json}</script>\n").as_bytes())?;
    }

    progress.begin("drawing", chosen.len());
    let mut written = 0;
    pictures.each(&chosen, progress, |seen| {
        // A picture that has gone bad since the first pass leaves an empty place.
        while chosen[written] != seen.index {
            file.write(element("null").as_bytes())?;
            written += 1;
        }
        let shown = draw(segmenter, pictures, survey, &seen)?;
        file.write(element(&json_in_script(&shown)?).as_bytes())?;
        written += 1;
        Ok::<(), Error>(())
    })?;
    for _ in written..chosen.len() {
        file.write(element("null").as_bytes())?;
    }
    for script in SCRIPTS {
        file.write(format!("<script>\n{script}</script>\n").as_bytes())?;
    }
    file.write(page::TAIL.as_bytes())?;
    Ok(file.finish()?)
}

fn element(json: &str) -> String {
    format!("<script type=\"application/json\" class=\"picture\">{json}</script>\n")
}

fn draw(
    segmenter: &Segmenter,
    pictures: &Pictures,
    survey: &Survey,
    seen: &InputPicture,
) -> Result<Shown, Error> {
    let grouped = GroupedPicture::of(segmenter, &seen.picture)?;
    let small = resize_short_side(&seen.picture, SIDE);
    let size = (small.width(), small.height());
    let features = match &survey.reduction {
        Some(reduction) => reduction.apply(&grouped.features)?,
        None => Vec::new(),
    };
    let features: Vec<u8> = features.into_iter().map(|b| b as u8).collect();
    Ok(Shown {
        name: readable(&pictures.name(seen.index)),
        size,
        original: seen.original,
        grid: grouped.grid,
        jpeg: base64(&jpeg(&small, QUALITY)?),
        labels: base64(&run_length::encode(&grouped.labels(size.0, size.1)?)),
        features: base64(&features),
    })
}

/// The line below the title.
fn facts(segmenter: &Segmenter, pictures: &Pictures, survey: &Survey) -> String {
    let ranking = &survey.ranking;
    let of = if pictures.in_all() > pictures.chosen().len() {
        format!(" of {}", pictures.in_all())
    } else {
        String::new()
    };
    format!(
        "{} · {} {}s, {} of them win somewhere · {}{of} pictures looked at, short side {} px",
        escape(&segmenter.recipe().model.arch),
        ranking.prototypes(),
        segmenter.cluster_word(),
        ranking.by_size().len(),
        ranking.looked_at(),
        pictures.input().side,
    )
}

/// What is shown, as a sentence begins with it.
fn capital(segmenter: &Segmenter) -> &'static str {
    match segmenter.found() {
        Some(_) => "Group",
        None => "Prototype",
    }
}

/// The prototypes as text, for those who see the page without its script.
fn list(capital: &str, pictures: &Pictures, survey: &Survey, names: &Names) -> String {
    let ranking = &survey.ranking;
    let row = |&k: &usize| {
        let best = ranking.best(k).iter();
        let best = Vec::from_iter(best.map(|hit| escape(&readable(&pictures.name(hit.picture)))));
        format!(
            "<tr><td>{k}</td><td>{}</td><td>{}</td><td>{}</td></tr>\n",
            escape(names.of(k).unwrap_or_default()),
            percent(ranking.share(k)),
            best.join(", ")
        )
    };
    format!(
        "<table class=\"card\"><tr><th>{capital}</th><th>Name</th><th>Of all places</th><th>Best pictures</th></tr>\n{}</table>\n",
        survey.shown.iter().map(row).collect::<String>()
    )
}

/// What a reader should know about the figures.
fn notes(segmenter: &Segmenter, survey: &Survey) -> String {
    let ranking = &survey.ranking;
    let (word, capital) = (segmenter.cluster_word(), capital(segmenter));
    let best = match segmenter.found() {
        Some(_) => "probability",
        None => "cosine similarity",
    };
    let mut html = String::new();
    let mut say = |text: String| html.push_str(&format!("<p>{text}</p>\n"));
    say(format!(
        "Each {word} with the {} pictures that show it best: those with the highest mean {best} of the places where it wins against \
         all other {word}s.",
        ranking.top()
    ));
    if let Some(reduction) = &survey.reduction {
        say(format!(
            "Similar places are found in {} of {} dimensions of the dense features; these hold {} of them. They are \
             searched for in the pictures on this page.",
            reduction.dims(),
            segmenter.recipe().model.dim_out,
            percent(reduction.share())
        ));
    }
    let used = ranking.by_size().len();
    if survey.shown.len() < used {
        say(format!(
            "{} of the {used} {word}s that win somewhere are shown.",
            survey.shown.len()
        ));
    }
    let idle: Vec<String> = (0..ranking.prototypes())
        .filter(|&k| ranking.pictures(k) == 0)
        .map(|k| k.to_string())
        .collect();
    if !idle.is_empty() {
        say(format!("{capital}s that win nowhere: {}.", idle.join(", ")));
    }
    if survey.bad.count > 0 {
        let named = survey.bad.first.iter();
        let named = named.map(|bad| format!("<li>{}: {}</li>", escape(&bad.path), escape(&bad.reason)));
        say(format!("{} pictures could not be used:", survey.bad.count));
        html.push_str(&format!("<ul>{}</ul>\n", named.collect::<String>()));
    }
    html
}
