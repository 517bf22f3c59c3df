//! A task's part of the report of a run. The frame ([`crate::run`]) shows what every run has: loss, learning rate, speed,
//! warnings, environment, recipe. What a task adds goes through [`Panel`], and the frame knows nothing else of it.

use crate::curve::CurveSpec;
use crate::page::{escape, score};
use crate::run::health_check::HealthCheck;
use crate::run::record::Record;

/// What one trained thing adds to the report of its run.
pub trait Panel {
    /// Facts about the network and its recipe for the line below the title, as HTML.
    fn facts(&self) -> Vec<String>;

    /// Curves of the task's own keys of `metrics.jsonl`, drawn between the loss and the learning rate. A [`Record`] holds
    /// these and the frame's.
    fn curves(&self) -> Vec<CurveSpec>;

    /// Figures shown large at the top of the page, after the loss.
    fn figures(&self, record: &Record) -> Vec<Figure>;

    /// Checks of the task's own figures, in the order of reading.
    fn health(&self, record: &Record) -> Vec<HealthCheck>;

    /// Sections between health and curves, in order.
    fn sections(&self) -> Vec<Section>;
}

/// A figure with its name, both as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Its name.
    pub name: &'static str,
    /// Its value as people read it, with the unit.
    pub value: String,
}

/// A titled part of the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// The element's id, unique in the page: what a link leads to.
    pub id: &'static str,
    /// The title, as text.
    pub title: &'static str,
    /// The content, as HTML.
    pub html: String,
}

impl Section {
    /// The section as HTML.
    pub fn html(&self) -> String {
        let Self { id, title, html } = self;
        format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{html}</section>\n")
    }

    /// A link to the section.
    pub fn link(&self) -> String {
        format!("<a href=\"#{}\">{}</a>", self.id, self.title)
    }
}

/// The last values of figures of quality (0 to 1) by key of the metrics and name; one that was never logged is left out.
pub(crate) fn shares(record: &Record, keys: &[(&'static str, &'static str)]) -> Vec<Figure> {
    let figure = |&(key, name): &(&'static str, &'static str)| {
        let value = score(record.curve(key).last()?);
        Some(Figure { name, value })
    };
    keys.iter().filter_map(figure).collect()
}

/// Samples as HTML, or why there are none.
pub(crate) fn or_why_not(samples: &Result<String, String>) -> String {
    match samples {
        Ok(html) => html.clone(),
        Err(reason) => format!("<p class=\"card\">Nothing to show: {}</p>\n", escape(reason)),
    }
}

/// Figures of quality (0 to 1) of each class as a table with a column for each of `titles`; a dash where a class has none.
pub(crate) fn table_by_class<'a>(
    titles: &[&str],
    rows: impl Iterator<Item = (&'a String, &'a [Option<f64>])>,
) -> String {
    let rows: String = rows
        .map(|(name, shares)| {
            let cell = |share: &Option<f64>| {
                let text = share.map_or_else(|| "–".into(), score);
                format!("<td class=\"figures\">{text}</td>")
            };
            let cells: String = shares.iter().map(cell).collect();
            format!("<tr><td>{}</td>{cells}</tr>\n", escape(name))
        })
        .collect();
    if rows.is_empty() {
        return "<p class=\"card\">Nothing was measured yet.</p>\n".into();
    }
    let titles: String = titles.iter().map(|title| format!("<th>{title}</th>")).collect();
    format!("<table class=\"card\">\n<tr><th>class</th>{titles}</tr>\n{rows}</table>\n")
}
