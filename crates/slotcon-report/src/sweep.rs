//! Many runs side by side: the same recipe with some keys varied, each combination from several seeds.

use std::path::Path;

use serde_json::Value;
use slotcon_eval::Spread;
use slotcon_train::RunDirectory;
use slotcon_weights::atomic_file::write_bytes;

use crate::curve::{Curve, CurveSpec, number};
use crate::error::Error;
use crate::page::{self, escape};
use crate::pretraining;
use crate::run::STYLE;
use crate::run::record::Record;
use crate::series::Series;

/// Curves of a sweep: key of `metrics.jsonl` and title.
fn curves() -> impl Iterator<Item = (&'static str, &'static str)> {
    std::iter::once(("loss", "Loss")).chain(pretraining::CURVES)
}

/// A run of a sweep.
#[derive(Debug, Clone)]
pub struct SweepRun {
    /// The varied keys with their values, as people read them.
    pub combination: String,
    /// Its seed.
    pub seed: u64,
    /// What it left behind.
    pub directory: RunDirectory,
    /// Whether it got to its end; one that did not counts in no mean.
    pub finished: bool,
    /// What was measured with labels, by name.
    pub measured: Vec<(String, f64)>,
}

/// What a run amounts to.
#[derive(Debug, Clone)]
struct Row {
    run: SweepRun,
    /// Steps done.
    steps: u64,
    /// Last values of the measures, by column.
    values: Vec<Option<f64>>,
    /// Those of [`curves`].
    curves: Vec<Series>,
}

/// The results of a sweep.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// Names of the measures: those of the last logged step, then those measured with labels.
    columns: Vec<String>,
    /// In the order in which they were given.
    rows: Vec<Row>,
}

impl Sweep {
    /// Reads what `runs` have logged; one that has logged nothing, or has failed and cannot be read, has no values.
    ///
    /// # Errors
    /// A file of a finished run that is there and cannot be read.
    pub fn read(runs: Vec<SweepRun>) -> Result<Self, Error> {
        let keys = Vec::from_iter(curves().map(|(key, _)| key));
        let (mut columns, mut found) = (Vec::new(), Vec::new());
        for run in runs {
            let record = match Record::read(&run.directory.metrics(), &keys) {
                // Why it failed was told when it did.
                Err(_) if !run.finished => Record::default(),
                read => read?,
            };
            let mut values = last_values(record.last.as_ref());
            // Labelled measures are the last columns.
            let logged = values.iter().map(|(name, _)| name);
            for name in logged {
                if !columns.contains(name) {
                    columns.push(name.clone());
                }
            }
            values.extend(run.measured.iter().cloned());
            let curves = keys.iter().map(|key| record.curve(key)).collect();
            found.push((run, record.count("step"), values, curves));
        }
        for (run, ..) in &found {
            for (name, _) in &run.measured {
                if !columns.contains(name) {
                    columns.push(name.clone());
                }
            }
        }
        let rows = found.into_iter().map(|(run, steps, values, curves)| Row {
            values: columns
                .iter()
                .map(|column| values.iter().find(|(name, _)| name == column).map(|(_, v)| *v))
                .collect(),
            run,
            steps,
            curves,
        });
        Ok(Self {
            rows: rows.collect(),
            columns,
        })
    }

    /// One line a run: combination, seed, whether it is finished, steps, then the last values of the measures; empty where there
    /// is none.
    pub fn csv(&self) -> String {
        let mut text = String::from("combination,seed,finished,steps");
        for column in &self.columns {
            text += &format!(",{}", field(column));
        }
        for row in &self.rows {
            let run = &row.run;
            text += &format!(
                "\n{},{},{},{}",
                field(&run.combination),
                run.seed,
                run.finished,
                row.steps
            );
            for value in &row.values {
                text += &value.map_or(",".into(), |value| format!(",{value}"));
            }
        }
        text + "\n"
    }

    /// The combinations in their order.
    fn combinations(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !names.contains(&row.run.combination.as_str()) {
                names.push(&row.run.combination);
            }
        }
        names
    }

    /// The finished runs of a combination.
    fn finished<'a>(&'a self, combination: &'a str) -> impl Iterator<Item = &'a Row> {
        let of_it = move |row: &&Row| row.run.finished && row.run.combination == combination;
        self.rows.iter().filter(of_it)
    }

    /// Mean and standard deviation of each measure over the finished runs of a combination.
    fn spreads(&self, combination: &str) -> Vec<Option<Spread>> {
        (0..self.columns.len())
            .map(|column| {
                let values = self.finished(combination).filter_map(|row| row.values[column]);
                Spread::of(&values.collect::<Vec<_>>())
            })
            .collect()
    }

    /// Mean ± standard deviation over seeds: one block a combination, one line a measure.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for combination in self.combinations() {
            let seeds = self.finished(combination).count();
            text += &format!("\n{combination} ({seeds} finished)\n");
            for (column, spread) in self.columns.iter().zip(self.spreads(combination)) {
                if let Some(spread) = spread {
                    text += &format!("  {column:<26}{}\n", shown(spread));
                }
            }
        }
        text
    }

    /// Writes the table and the curves of all combinations as one page that needs no network.
    ///
    /// # Errors
    /// A page that cannot be written; nothing half-written stays.
    pub fn write_page(&self, path: &Path, title: &str) -> Result<(), Error> {
        let html = page::head(title, STYLE, false)
            + &format!(
                "<h1>{}</h1>\n<p class=\"quiet\">Mean ± standard deviation over the finished seeds, of the last logged step. A \
                 curve is the mean of the seeds, its band their range.</p>\n",
                escape(title)
            )
            + &self.html_table()
            + &self.html_curves()
            + page::TAIL;
        Ok(write_bytes(path, html.as_bytes())?)
    }

    fn html_table(&self) -> String {
        let mut html = String::from(
            "<div style=\"overflow-x:auto\"><table><thead><tr><th>combination</th><th>seeds</th>",
        );
        for column in &self.columns {
            html += &format!("<th>{}</th>", escape(column));
        }
        html += "</tr></thead><tbody>\n";
        for combination in self.combinations() {
            let all = self.rows.iter().filter(|row| row.run.combination == combination);
            html += &format!(
                "<tr><td>{}</td><td>{} of {}</td>",
                escape(combination),
                self.finished(combination).count(),
                all.count()
            );
            for spread in self.spreads(combination) {
                let cell = spread.map_or_else(|| "-".into(), shown);
                html += &format!("<td class=\"figures\">{}</td>", escape(&cell));
            }
            html += "</tr>\n";
        }
        html + "</tbody></table></div>\n"
    }

    /// For each measure a curve a combination, all on one scale.
    fn html_curves(&self) -> String {
        let mut html = String::new();
        for (i, (key, title)) in curves().enumerate() {
            let curves: Vec<(&str, Series)> = self
                .combinations()
                .into_iter()
                .map(|name| {
                    let runs: Vec<Series> = self.finished(name).map(|row| row.curves[i].clone()).collect();
                    (name, Series::together(&runs))
                })
                .collect();
            let ranges = curves.iter().filter_map(|(_, series)| series.range());
            let Some(range) = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) else {
                continue;
            };
            html += &format!("<h2>{}</h2>\n<div class=\"curves\">\n", escape(title));
            for (name, series) in curves {
                let spec = CurveSpec::new(key, name.to_owned()).with_range(range);
                html += &Curve { spec, series }.html();
            }
            html += "</div>\n";
        }
        html
    }
}

/// `loss`, the other losses, and all of `groups` of a logged step.
fn last_values(line: Option<&Value>) -> Vec<(String, f64)> {
    let Some(Value::Object(line)) = line else {
        return Vec::new();
    };
    let losses = line
        .iter()
        .filter(|(key, _)| *key == "loss" || key.ends_with("_loss"))
        .map(|(key, value)| (key.clone(), value));
    let groups = line.get("groups").and_then(Value::as_object);
    let groups = groups
        .into_iter()
        .flatten()
        .map(|(key, value)| (format!("groups.{key}"), value));
    losses
        .chain(groups)
        .filter_map(|(key, value)| Some((key, value.as_f64()?)))
        .collect()
}

fn shown(spread: Spread) -> String {
    format!("{} ± {}", number(spread.mean), number(spread.std))
}

/// A field of a CSV file (RFC 4180).
fn field(text: &str) -> String {
    match text.contains([',', '"', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(folder: &Path, combination: &str, seed: u64, loss: f64, miou: Option<f64>) -> SweepRun {
        let root = folder.join(format!("{combination}-{seed}"));
        std::fs::create_dir_all(&root).unwrap();
        let lines = format!(
            "{{\"step\":1,\"loss\":9,\"groups\":{{\"in_use\":0.5}}}}\n{{\"step\":2,\"loss\":{loss},\"groups\":{{\"in_use\":1}}}}\n"
        );
        std::fs::write(root.join("metrics.jsonl"), lines).unwrap();
        SweepRun {
            combination: combination.into(),
            seed,
            directory: RunDirectory::at(&root),
            finished: miou.is_some(),
            measured: miou.map(|miou| ("miou".into(), miou)).into_iter().collect(),
        }
    }

    #[test]
    fn means_are_over_the_finished_seeds() {
        let folder = tempfile::tempdir().unwrap();
        let runs = vec![
            run(folder.path(), "a=<1>", 0, 2.0, Some(0.25)),
            run(folder.path(), "a=<1>", 1, 4.0, Some(0.75)),
            run(folder.path(), "b=1,2", 0, 5.0, None),
        ];
        let sweep = Sweep::read(runs).unwrap();
        assert_eq!(
            sweep.csv(),
            "combination,seed,finished,steps,loss,groups.in_use,miou\n\
             a=<1>,0,true,2,2,1,0.25\na=<1>,1,true,2,4,1,0.75\n\"b=1,2\",0,false,2,5,1,\n"
        );
        let text = sweep.text();
        assert!(text.contains("a=<1> (2 finished)"), "{text}");
        assert!(
            text.contains("3 ± 1.414") && text.contains("0.5 ± 0.3536"),
            "{text}"
        );
        assert!(!text.contains('5') || !text.contains(" 5 ±"), "{text}");

        let path = folder.path().join("sweep.html");
        sweep.write_page(&path, "A sweep").unwrap();
        let html = std::fs::read_to_string(path).unwrap();
        assert!(html.contains("a=&lt;1&gt;") && html.contains("3 ± 1.414") && html.contains("0 of 1"));
        // One curve each of loss and prototypes in use: the other combination has not finished.
        assert_eq!(html.matches("<figure").count(), 2);
    }
}
