//! A labelled data set of segmented pictures, as `evaluate` and `finetune semantic` read it: images/, labels/, classes.json.

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use slotcon_data::labelled::Palette;
use slotcon_data::source::{Inputs, readable};
use slotcon_eval::segment::{NamedSegments, masks};
use slotcon_weights::atomic_file::{WriteError, write_bytes};

use super::write_legend;
use crate::results::{Taken, make_folder, place_below};

/// A data set while its pictures come. The classes, without which nobody reads it, are written last.
#[derive(Debug)]
pub(super) struct DatasetWriter {
    folder: PathBuf,
    rows: Vec<Row>,
}

/// What is said of a picture.
#[derive(Debug)]
struct Row {
    picture: String,
    confidence: f64,
    labelled: f64,
}

impl DatasetWriter {
    /// Begins the data set of `inputs` in `folder`.
    ///
    /// # Errors
    /// A folder that holds something or cannot be made; two pictures whose label maps would have one name.
    pub(super) fn begin(folder: &Path, inputs: &Inputs) -> anyhow::Result<Self> {
        let mut known: HashMap<PathBuf, usize> = HashMap::new();
        for i in 0..inputs.len() {
            if let Some(other) = known.insert(label_name(inputs.name(i)), i)
                && inputs.path(other) != inputs.path(i)
            {
                bail!(
                    "{} and {} would have one label map, {}: rename one of them",
                    inputs.path(other).display(),
                    inputs.path(i).display(),
                    folder.join("labels").join(label_name(inputs.name(i))).display()
                );
            }
        }
        make_folder(folder)?;
        let mut holds =
            std::fs::read_dir(folder).with_context(|| format!("{}: cannot be listed", folder.display()))?;
        if let Some(Ok(entry)) = holds.next() {
            bail!(
                "--dataset {}: holds something already ({}); name a new or an empty folder, so that no label maps of other names \
                 stay among the new ones",
                folder.display(),
                entry.file_name().to_string_lossy()
            );
        }
        Ok(Self {
            folder: folder.into(),
            rows: Vec::new(),
        })
    }

    /// Adds a picture called `name`: its file as it is, or its pixels where it was turned, and its label map.
    ///
    /// # Errors
    /// What the file system says; nothing of the picture stays.
    pub(super) fn add(
        &mut self,
        taken: &Taken,
        name: &Path,
        found: &NamedSegments,
        palette: Palette,
    ) -> Result<(), WriteError> {
        let picture = &taken.picture;
        let labels = place_below(&self.folder.join("labels"), &label_name(name))?;
        let images = self.folder.join("images");
        let image = if taken.turned {
            // Who reads it may not turn it again.
            let image = place_below(&images, &label_name(name))?;
            masks::write_picture(&image, picture)?;
            image
        } else {
            let image = place_below(&images, name)?;
            write_bytes(&image, taken.bytes)?;
            image
        };
        masks::write_index_png(&labels, picture.width(), picture.height(), &found.labels, palette)
            .inspect_err(|_| {
                // A picture without labels spoils the set; that it could not be removed either is not the first trouble.
                let _ = std::fs::remove_file(&image);
            })?;
        self.rows.push(Row {
            picture: readable(image.strip_prefix(&images).unwrap_or(&image)),
            confidence: found.confidence(),
            labelled: found.labelled(),
        });
        Ok(())
    }

    /// Writes confidence.csv and, last, classes.json.
    ///
    /// # Errors
    /// No picture; what the file system says.
    pub(super) fn finish(mut self, names: &[String], palette: Palette) -> anyhow::Result<()> {
        if self.rows.is_empty() {
            bail!(
                "{}: no picture could be used, so this is no data set",
                self.folder.display()
            );
        }
        self.rows.sort_by(|a, b| a.confidence.total_cmp(&b.confidence));
        let mut text = String::from("picture,confidence,labelled\n");
        for row in &self.rows {
            writeln!(
                text,
                "{},{:.4},{:.4}",
                quoted(&row.picture),
                row.confidence,
                row.labelled
            )?;
        }
        write_bytes(&self.folder.join("confidence.csv"), text.as_bytes())?;
        Ok(write_legend(&self.folder, names, palette)?)
    }
}

/// What the label map of a picture called `name` is called.
fn label_name(name: &Path) -> PathBuf {
    name.with_extension("png")
}

/// A field of a CSV file (RFC 4180).
fn quoted(text: &str) -> String {
    match text.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
