//! A task's part of the report of a run. The frame ([`crate::run`]) shows what every run has: loss, learning rate, speed,
//! warnings, environment, recipe. What a task adds goes through [`Panel`], and the frame knows nothing else of it.

use crate::curve::CurveSpec;
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
