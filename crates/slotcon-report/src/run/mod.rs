//! A run on one page: verdicts, segments, prototypes, curves, what went wrong, the recipe and where it was made.
//!
//! Everything comes from the run directory and from some of the pictures; whatever is missing is said in the page, and the
//! rest is there all the same. The page runs no script.

pub mod health_check;
pub mod record;
mod samples;

use std::path::{Path, PathBuf};

use slotcon::Recipe;
use slotcon_eval::whole::write_whole;
use slotcon_eval::{Segmenter, Which};
use slotcon_train::checkpoint::About;
use slotcon_train::environment::Session;
use slotcon_train::{RunDirectory, TaskRecipe};
use tch::Device;

use crate::curve::Curve;
use crate::error::Error;
use crate::page::{self, escape};
use health_check::{State, Verdict, group_loss_of_nothing, normal, verdicts};
use record::{Lines, Log, Record};
use samples::samples;

const STYLE: &str = include_str!("report.css");

/// How a report is made.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to look for pictures instead of the folders that the run used.
    pub data: Option<Vec<PathBuf>>,
    /// Where the network computes.
    pub device: Device,
}

/// Writes the report of the run in `directory` to `path`. Pictures or checkpoints that cannot be used are said in the page.
///
/// # Errors
/// A folder that holds no run; files of it that cannot be read; a page that cannot be written (nothing half-written stays).
pub fn write(directory: &RunDirectory, path: &Path, options: &Options) -> Result<(), Error> {
    Ok(write_whole(path, html(directory, options)?.as_bytes())?)
}

/// What is known of a run.
struct Run {
    name: String,
    recipe: Recipe,
    recipe_text: String,
    record: Record,
    log: Log,
    sessions: Vec<Session>,
    /// Steps done and planned, by the last checkpoint.
    steps: Option<(u64, u64)>,
}

fn html(directory: &RunDirectory, options: &Options) -> Result<String, Error> {
    let root = directory.root();
    let text = std::fs::read_to_string(directory.recipe()).map_err(|source| Error::Read {
        path: directory.recipe(),
        source,
    })?;
    let last = About::open(&directory.last()).ok();
    let progress = last.map(|last| (last.progress.step, last.progress.total_steps));
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_path_buf());
    let run = Run {
        name: absolute.file_name().map_or_else(
            || root.display().to_string(),
            |name| name.to_string_lossy().into_owned(),
        ),
        recipe: Recipe::from_toml(&text, &directory.recipe().display().to_string())?,
        recipe_text: text,
        record: Record::read(&directory.metrics())?,
        log: Log::read(&directory.log())?,
        sessions: Session::read_all(&directory.environment())?,
        steps: progress,
    };
    let seen = see(directory, &run, options);
    let (segments, prototypes) = match &seen {
        Ok(samples) => (samples.segments.clone(), samples.prototypes.clone()),
        Err(reason) => {
            let text = format!("<p class=\"card\">Nothing to show: {}</p>\n", escape(reason));
            (text.clone(), text)
        }
    };
    let judged = verdicts(&run.record, run.recipe.model.prototypes);
    Ok([
        page::head(&format!("Run {}", run.name), STYLE, false),
        header(&run, &judged),
        health(&judged),
        section("segments", "Segments", &segments),
        section("prototypes", "Prototypes", &prototypes),
        section("curves", "Curves", &curves(&run)),
        section("trouble", "What went wrong", &trouble(&run)),
        section("environment", "Environment", &environment(&run)),
        section("recipe", "Recipe", &recipe(&run)),
        page::TAIL.to_owned(),
    ]
    .concat())
}

fn section(id: &str, title: &str, content: &str) -> String {
    format!("<section id=\"{id}\">\n<h2>{title}</h2>\n{content}</section>\n")
}

/// Segments and prototypes, or why there are none.
fn see(directory: &RunDirectory, run: &Run, options: &Options) -> Result<samples::Samples, String> {
    let data = options
        .data
        .clone()
        .or_else(|| run.sessions.last().map(|s| s.data.clone()));
    let data = data.ok_or(
        "the run does not say where its pictures are; name them with `slotcon report RUN --data DIR`.",
    )?;
    let segmenter =
        Segmenter::open(&directory.last(), Which::Teacher, options.device).map_err(|e| e.to_string())?;
    // A folder named by hand is taken as it is.
    let layout = match options.data {
        Some(_) => slotcon_data::Layout::Folder,
        None => run.recipe.data.layout,
    };
    samples(&segmenter, &data, layout).map_err(|e| e.to_string())
}

fn header(run: &Run, judged: &[Verdict]) -> String {
    let worst = judged.iter().map(|v| v.state).max();
    let badge = worst.map_or_else(String::new, |state| {
        format!(" <span class=\"badge {}\">{}</span>", state.class(), state.word())
    });
    let model = &run.recipe.model;
    let mut facts = vec![
        format!("{}, {} prototypes", escape(&model.arch), model.prototypes),
        format!("batch {}", run.recipe.optim.batch),
    ];
    if let Some(session) = run.sessions.last() {
        facts.push(format!("{} pictures", session.pictures));
        facts.push(escape(&session.device));
    }
    let done = match run.steps {
        Some((done, total)) if done < total => format!("stopped after step {done} of {total}"),
        Some((done, _)) => format!("{done} steps, finished"),
        None => "no checkpoint yet".into(),
    };
    facts.push(done);
    let figures = [
        ("loss", "Loss"),
        ("groups.in_use", "Prototypes in use"),
        ("groups.agreement", "Agreement"),
        ("pictures_per_second", "Pictures a second"),
    ];
    let cells: String = figures
        .into_iter()
        .filter_map(|(key, name)| {
            let curve = run.record.curve(key);
            let recent = curve.recent()?;
            let shown = match key {
                "groups.in_use" => format!("{:.0} of {}", recent * model.prototypes as f64, model.prototypes),
                "groups.agreement" => page::percent(recent),
                _ => format!("{recent:.2}"),
            };
            Some(format!(
                "<div class=\"card\"><dt>{name}</dt><dd class=\"figures\">{shown}</dd></div>"
            ))
        })
        .collect();
    format!(
        "<header>\n<h1>Run {}{badge}</h1>\n<p class=\"quiet\">{}</p>\n\
         <nav aria-label=\"Parts of this page\"><a href=\"#health\">Health</a> <a href=\"#segments\">Segments</a> \
         <a href=\"#prototypes\">Prototypes</a> <a href=\"#curves\">Curves</a> <a href=\"#trouble\">What went wrong</a> \
         <a href=\"#environment\">Environment</a> <a href=\"#recipe\">Recipe</a></nav>\n<dl class=\"key\">{cells}</dl>\n\
         </header>\n",
        escape(&run.name),
        facts.join(" · ")
    )
}

fn health(judged: &[Verdict]) -> String {
    let mut html = String::new();
    if judged.is_empty() {
        html.push_str("<p class=\"card\">No step has been logged.</p>\n");
    }
    for Verdict {
        name,
        state,
        found,
        advice,
    } in judged
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
    section(
        "health",
        "Health",
        &format!("<ul class=\"verdicts\">\n{html}</ul>\n{note}"),
    )
}

fn curves(run: &Run) -> String {
    let prototypes = run.recipe.model.prototypes;
    let titles = [
        ("loss", "Loss"),
        ("group_loss", "Group loss"),
        ("slot_loss", "Slot loss"),
        ("groups.in_use", "Prototypes in use"),
        ("groups.balance", "Balance of the groups"),
        ("groups.uncertainty", "Uncertainty"),
        ("groups.agreement", "Student and teacher agree"),
        ("groups.slots_per_picture", "Slots a picture"),
        ("lr", "Learning rate"),
        ("teacher_momentum", "Teacher's momentum"),
        ("pictures_per_second", "Pictures a second"),
        ("loss_scale", "Loss scale"),
    ];
    let drawn: String = titles
        .into_iter()
        .map(|(key, title)| Curve {
            title,
            key,
            series: run.record.curve(key),
            normal: normal(key, prototypes),
            reference: (key == "group_loss").then(|| (group_loss_of_nothing(prototypes), "2 ln K")),
        })
        // The loss scale says something only where it is used.
        .filter(|c| c.key != "loss_scale" || c.series.range().is_some_and(|(low, high)| low < high))
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

fn trouble(run: &Run) -> String {
    let mut html = String::new();
    html.push_str(&lines("warnings", &run.log.warnings));
    html.push_str(&lines("times a picture was replaced", &run.log.pictures));
    if run.record.unreadable > 0 {
        html.push_str(&format!(
            "<p class=\"card\">{} lines of metrics.jsonl could not be read.</p>\n",
            run.record.unreadable
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
        let data: Vec<String> = session.data.iter().map(|d| d.display().to_string()).collect();
        row("Pictures", format!("{} in {}", session.pictures, data.join(", ")));
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
