//! A run on one page: health, what the task shows of it, curves, what went wrong, the recipe and where it was made.
//!
//! Everything comes from the run directory and from the task's [`Panel`]; whatever is missing is said in the page, and the
//! rest is there all the same. The page runs no script.

pub mod health_check;
pub mod record;

use std::path::Path;

use slotcon_weights::atomic_file::write_bytes;

use slotcon_train::RunDirectory;
use slotcon_train::checkpoint::About;
use slotcon_train::environment::Session;

use crate::curve::{Curve, CurveSpec};
use crate::error::Error;
use crate::page::{self, escape};
use crate::panel::{Figure, Panel, Section};
use health_check::{HealthCheck, State};
use record::{Lines, Log, Record};

/// What curves and figures look like, beside what all pages have.
pub(crate) const STYLE: &str = include_str!("report.css");

/// What a run directory says of its run, whatever was trained.
#[derive(Debug)]
pub struct Run {
    directory: RunDirectory,
    name: String,
    recipe_text: String,
    log: Log,
    sessions: Vec<Session>,
    /// Steps done and planned, by the last checkpoint.
    steps: Option<(u64, u64)>,
}

impl Run {
    /// Reads what lies in `directory`, but for the metrics.
    ///
    /// # Errors
    /// A folder that holds no run; files of it that cannot be read.
    pub fn read(directory: RunDirectory) -> Result<Self, Error> {
        let root = directory.root();
        let recipe_text = std::fs::read_to_string(directory.recipe()).map_err(|source| Error::Read {
            path: directory.recipe(),
            source,
        })?;
        let last = About::open(&directory.last());
        let sessions = Session::read_all(&directory.environment())?;
        // Where the run was to end when it was last started; its schedules may be longer.
        let end = sessions.last().map(|session| session.total_steps);
        let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
        Ok(Self {
            name: absolute.file_name().map_or_else(
                || root.display().to_string(),
                |name| name.to_string_lossy().into_owned(),
            ),
            recipe_text,
            log: Log::read(&directory.log())?,
            sessions,
            steps: last
                .ok()
                .map(|last| (last.progress.step, end.unwrap_or(last.progress.total_steps))),
            directory,
        })
    }

    /// The folder of the run.
    pub fn directory(&self) -> &RunDirectory {
        &self.directory
    }

    /// The resolved recipe, as TOML.
    pub fn recipe_text(&self) -> &str {
        &self.recipe_text
    }

    /// Each start of the run, the first one first.
    pub fn sessions(&self) -> &[Session] {
        &self.sessions
    }

    /// Writes the report to `path`, with the task's part of it.
    ///
    /// # Errors
    /// Metrics that cannot be read; a page that cannot be written (nothing half-written stays).
    pub fn write_report(&self, path: &Path, panel: &dyn Panel) -> Result<(), Error> {
        Ok(write_bytes(path, self.html(panel)?.as_bytes())?)
    }

    fn html(&self, panel: &dyn Panel) -> Result<String, Error> {
        let curves = curves(panel);
        let keys: Vec<_> = curves.iter().map(|curve| curve.key).collect();
        let record = Record::read(&self.directory.metrics(), &keys)?;
        let mut checks = panel.health(&record);
        checks.extend(health_check::of_every_run(&record));
        let part = |id, title, html| Section { id, title, html };
        let mut sections = vec![part("health", "Health", health(&checks))];
        sections.extend(panel.sections());
        sections.extend([
            part("curves", "Curves", draw(curves, &record)),
            part("trouble", "What went wrong", trouble(self, &record)),
            part("environment", "Environment", environment(self)),
            part("recipe", "Recipe", recipe(self)),
        ]);
        let title = page::head(&format!("Run {}", self.name), STYLE, false);
        let mut html = title + &header(self, &record, panel, &checks, &sections);
        sections.iter().for_each(|section| html += &section.html());
        Ok(html + page::TAIL)
    }
}

/// All curves in order: the loss, the task's, then what every run has.
fn curves(panel: &dyn Panel) -> Vec<CurveSpec> {
    let mut all = vec![CurveSpec::new("loss", "Loss")];
    all.extend(panel.curves());
    all.extend([
        CurveSpec::new("lr", "Learning rate"),
        CurveSpec::new("pictures_per_second", "Pictures a second"),
        CurveSpec::new("loss_scale", "Loss scale"),
    ]);
    all
}

fn draw(curves: Vec<CurveSpec>, record: &Record) -> String {
    let drawn: String = curves
        .into_iter()
        .map(|spec| Curve {
            series: record.curve(spec.key),
            spec,
        })
        // The loss scale says something only where it is used.
        .filter(|c| c.spec.key != "loss_scale" || c.series.range().is_some_and(|(low, high)| low < high))
        .map(|c| c.html())
        .collect();
    if drawn.is_empty() {
        return "<p class=\"card\">No step has been logged.</p>\n".into();
    }
    format!(
        "<p class=\"quiet small\">Over steps. The line is the mean of neighbouring logged steps, the pale area their range, the \
         green one what is normal.</p>\n<div class=\"curves\">\n{drawn}</div>\n"
    )
}

fn header(
    run: &Run,
    record: &Record,
    panel: &dyn Panel,
    checks: &[HealthCheck],
    sections: &[Section],
) -> String {
    let worst = checks.iter().map(|check| check.state).max();
    let badge = worst.map_or_else(String::new, |state| {
        format!(" <span class=\"badge {}\">{}</span>", state.class(), state.word())
    });
    let mut facts = panel.facts();
    if let Some(session) = run.sessions.last() {
        facts.push(format!("{} pictures", session.pictures));
        facts.push(escape(&session.device));
    }
    facts.push(match run.steps {
        Some((done, total)) if done < total => format!("stopped after step {done} of {total}"),
        Some((done, _)) => format!("{done} steps, finished"),
        None => "no checkpoint yet".into(),
    });
    let recent = |key: &str, name| {
        let value = record.curve(key).recent()?;
        Some(Figure {
            name,
            value: format!("{value:.2}"),
        })
    };
    let cells: String = recent("loss", "Loss")
        .into_iter()
        .chain(panel.figures(record))
        .chain(recent("pictures_per_second", "Pictures a second"))
        .map(|Figure { name, value }| {
            let (name, value) = (escape(name), escape(&value));
            format!("<div class=\"card\"><dt>{name}</dt><dd class=\"figures\">{value}</dd></div>")
        })
        .collect();
    let links: Vec<String> = sections.iter().map(Section::link).collect();
    format!(
        "<header>\n<h1>Run {}{badge}</h1>\n<p class=\"quiet\">{}</p>\n\
         <nav aria-label=\"Parts of this page\">{}</nav>\n<dl class=\"key\">{cells}</dl>\n</header>\n",
        escape(&run.name),
        facts.join(" · "),
        links.join(" ")
    )
}

fn health(checks: &[HealthCheck]) -> String {
    let mut html = String::new();
    if checks.is_empty() {
        html.push_str("<p class=\"card\">No step has been logged.</p>\n");
    }
    for HealthCheck {
        name,
        state,
        found,
        advice,
    } in checks
    {
        let advice = match *state {
            State::Good => String::new(),
            _ => format!("<p class=\"small\">{}</p>", escape(advice)),
        };
        html.push_str(&format!(
            "<li class=\"card\"><span class=\"badge {}\">{}</span><div><h3>{}</h3><p class=\"small quiet\">{}</p>{advice}</div></li>\n",
            state.class(),
            state.word(),
            escape(name),
            escape(found)
        ));
    }
    let note = "<p class=\"quiet small\">Means of the last fifth of the logged steps. In the first hundreds of steps much of this \
                is not yet as it will be.</p>\n";
    format!("<ul class=\"checks\">\n{html}</ul>\n{note}")
}

fn trouble(run: &Run, record: &Record) -> String {
    let mut html = String::new();
    html.push_str(&lines("warnings", &run.log.warnings));
    html.push_str(&lines("times a picture was replaced", &run.log.pictures));
    if record.unreadable > 0 {
        html.push_str(&format!(
            "<p class=\"card\">{} lines of metrics.jsonl could not be read.</p>\n",
            record.unreadable
        ));
    }
    if html.is_empty() {
        html.push_str(
            "<p class=\"card\">Nothing: no warning, every picture could be used, every step was taken.</p>\n",
        );
    }
    html
}

fn lines(what: &str, lines: &Lines) -> String {
    if lines.count == 0 {
        return String::new();
    }
    let mut items: Vec<String> = lines
        .ends()
        .map(|line| format!("<li>{}</li>", escape(line)))
        .collect();
    if lines.left_out() > 0 {
        items.insert(
            items.len() / 2,
            format!("<li>… {} more, in log.txt …</li>", lines.left_out()),
        );
    }
    // A few are read at once, many on demand.
    let open = if items.len() <= 6 { " open" } else { "" };
    format!(
        "<details class=\"card\"{open}><summary>{} {what}</summary><ul class=\"small\">{}</ul></details>\n",
        lines.count,
        items.concat()
    )
}

fn environment(run: &Run) -> String {
    let mut rows = String::new();
    let mut row = |name: &str, value: String| {
        rows.push_str(&format!(
            "<tr><th scope=\"row\">{name}</th><td>{}</td></tr>\n",
            escape(&value)
        ));
    };
    if let (Some(begun), Some(ended)) = (&run.log.begun, &run.log.ended) {
        row("First and last word in the log", format!("{begun} to {ended}"));
    }
    if let Some(session) = run.sessions.last() {
        row("slotcon", session.version.clone());
        row("libtorch", session.libtorch.clone());
        row("Device", session.device.clone());
        row(
            "Threads, cores",
            format!("{}, {}", session.threads, session.cores),
        );
        row("System", session.system.clone());
        row(
            "Pictures",
            format!("{} in {}", session.pictures, session.data.join(", ")),
        );
        for line in &session.left_out {
            row("Beside them", line.clone());
        }
    }
    for resumed in run.sessions.iter().filter(|s| s.from_step > 0).rev().take(10) {
        row(
            "Resumed",
            format!(
                "{} from step {} on {}",
                resumed.time, resumed.from_step, resumed.device
            ),
        );
    }
    if rows.is_empty() {
        return "<p class=\"card\">The run says nothing about it.</p>\n".into();
    }
    format!("<table class=\"small\">\n{rows}</table>\n")
}

fn recipe(run: &Run) -> String {
    format!(
        "<p class=\"small quiet\">Everything resolved; <code>slotcon pretrain --recipe RUN/recipe.toml</code> repeats the run.</p>\n\
         <details><summary>recipe.toml</summary><pre>{}</pre></details>\n",
        escape(&run.recipe_text)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A task that the frame has never heard of.
    struct Digits;

    impl Panel for Digits {
        fn facts(&self) -> Vec<String> {
            vec!["ten digits".into()]
        }

        fn curves(&self) -> Vec<CurveSpec> {
            vec![CurveSpec::new("validation.accuracy", "Accuracy").with_normal((0.9, 1.0))]
        }

        fn figures(&self, record: &Record) -> Vec<Figure> {
            let last = record.curve("validation.accuracy").last();
            last.map(|value| Figure {
                name: "Accuracy",
                value: page::percent(value),
            })
            .into_iter()
            .collect()
        }

        fn health(&self, record: &Record) -> Vec<HealthCheck> {
            let found = format!("{} steps", record.lines);
            vec![HealthCheck::new(
                "Digits are told apart",
                State::Bad,
                found,
                "Look at <them>.",
            )]
        }

        fn sections(&self) -> Vec<Section> {
            vec![Section {
                id: "mistakes",
                title: "Mistakes",
                html: "<p>7 for 1</p>\n".into(),
            }]
        }
    }

    #[test]
    fn another_task_brings_its_own_part() {
        let folder = tempfile::tempdir().unwrap();
        let directory = RunDirectory::at(folder.path());
        std::fs::write(directory.recipe(), "[digits]\nlayers = 2\n").unwrap();
        let lines: String = (1..=5)
            .map(|i| {
                format!("{{\"step\":{i},\"loss\":0.5,\"lr\":0.1,\"validation\":{{\"accuracy\":0.{i}}}}}\n")
            })
            .collect();
        std::fs::write(directory.metrics(), lines).unwrap();
        let path = folder.path().join("page.html");
        Run::read(directory)
            .unwrap()
            .write_report(&path, &Digits)
            .unwrap();
        let html = std::fs::read_to_string(&path).unwrap();

        let order = [
            "badge bad",
            "ten digits · no checkpoint yet",
            "<dd class=\"figures\">0.50</dd>",
            "<dd class=\"figures\">50 %</dd>",
            "<h3>Digits are told apart</h3>",
            "Look at &lt;them&gt;.",
            "<h3>Every step was taken</h3>",
            "<p>7 for 1</p>",
            "<code>loss</code>",
            "<code>validation.accuracy</code>",
            "<code>lr</code>",
            "layers = 2",
        ];
        let mut rest = html.as_str();
        for part in order {
            let at = rest
                .find(part)
                .unwrap_or_else(|| panic!("{part} is not where it belongs in {html}"));
            rest = &rest[at + part.len()..];
        }
        for link in html.split("href=\"#").skip(1) {
            let id = link.split('"').next().unwrap();
            assert!(html.contains(&format!("<section id=\"{id}\">")), "{id}");
        }
        assert!(html.contains("<a href=\"#mistakes\">Mistakes</a>"));
        assert!(!html.to_lowercase().contains("prototype"), "{html}");
    }
}
