//! What was taken for what: pixels by true and predicted class.

use serde::Deserialize;
use slotcon_train::RunDirectory;

use crate::page::{escape, percent};

/// A table of more classes is not to be read any more: then only the largest confusions stand there.
const MOST_CLASSES: usize = 40;
/// Largest confusions that are listed.
const LISTED: usize = 12;

#[derive(Deserialize)]
struct Counts {
    classes: Vec<String>,
    /// Pixels by true class, then by predicted class.
    confusion: Vec<Vec<u64>>,
}

/// The last validation of the run in `directory` as HTML; `None` where nothing was measured.
pub(super) fn of(directory: &RunDirectory) -> Option<String> {
    let text = std::fs::read_to_string(directory.validation()).ok()?;
    let counts: Counts = serde_json::from_str(&text).ok()?;
    let square = counts
        .confusion
        .iter()
        .all(|row| row.len() == counts.classes.len());
    (square && counts.confusion.len() == counts.classes.len()).then(|| html(&counts))
}

/// The part of a true class that was predicted as each class.
fn shares(row: &[u64]) -> Vec<Option<f64>> {
    let all: u64 = row.iter().sum();
    row.iter()
        .map(|&n| (all > 0).then(|| n as f64 / all as f64))
        .collect()
}

fn html(counts: &Counts) -> String {
    let shares = Vec::from_iter(counts.confusion.iter().map(|row| shares(row)));
    let names = Vec::from_iter(counts.classes.iter().map(|name| escape(name)));
    let mut text = String::from(
        "<p class=\"quiet small\">Of the pixels of a true class (row), the part that was predicted as each class (column), in the last \
         validation.</p>\n",
    );
    if names.len() <= MOST_CLASSES {
        text +=
            "<div class=\"card\" style=\"overflow-x:auto\"><table class=\"figures small\">\n<tr><th></th>";
        for name in &names {
            text += &format!("<th>{name}</th>");
        }
        text += "</tr>\n";
        for (name, row) in names.iter().zip(&shares) {
            text += &format!("<tr><th>{name}</th>");
            for share in row {
                match share {
                    Some(share) => {
                        let shade = (100.0 * share).round();
                        let value = if *share < 0.005 {
                            String::new()
                        } else {
                            format!("{shade}")
                        };
                        text += &format!(
                            "<td style=\"background:color-mix(in srgb, var(--accent) {}%, transparent)\">{value}</td>",
                            shade * 0.6
                        );
                    }
                    None => text += "<td>–</td>",
                }
            }
            text += "</tr>\n";
        }
        text += "</table></div>\n";
    }
    let mut wrong = Vec::new();
    for (class, row) in counts.confusion.iter().enumerate() {
        let others = row
            .iter()
            .enumerate()
            .filter(|(found, pixels)| *found != class && **pixels > 0);
        wrong.extend(others.map(|(found, &pixels)| (pixels, class, found)));
    }
    wrong.sort_by(|a, b| b.cmp(a));
    let total: u64 = counts.confusion.iter().flatten().sum();
    if !wrong.is_empty() {
        text += "<table class=\"card\">\n<tr><th>true class</th><th>predicted as</th><th>of its pixels</th><th>of all pixels</th></tr>\n";
        for &(pixels, class, found) in wrong.iter().take(LISTED) {
            text += &format!(
                "<tr><td>{}</td><td>{}</td><td class=\"figures\">{}</td><td class=\"figures\">{}</td></tr>\n",
                names[class],
                names[found],
                shares[class][found].map_or_else(|| "–".into(), percent),
                percent(pixels as f64 / total.max(1) as f64)
            );
        }
        text += "</table>\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_confusion_comes_first_and_names_are_escaped() {
        let counts = Counts {
            classes: vec!["sky".into(), "<road>".into(), "none".into()],
            confusion: vec![vec![90, 10, 0], vec![30, 70, 0], vec![0, 0, 0]],
        };
        let text = html(&counts);
        assert!(text.contains("&lt;road&gt;") && !text.contains("<road>"));
        let first = text
            .find("<td>&lt;road&gt;</td><td>sky</td><td class=\"figures\">30")
            .unwrap();
        let second = text.find("<td>sky</td><td>&lt;road&gt;</td>").unwrap();
        assert!(first < second, "{text}");
        assert!(
            text.contains("<td>–</td>"),
            "a class that never occurs has no shares"
        );
    }
}
