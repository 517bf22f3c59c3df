//! A look at every label map of a set before anything is trained or measured: what would go wrong later is named now.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{ClassTable, Pair, same_proportions};
use crate::augment::semantic::IGNORED;
use crate::error::Error;

/// What a set of label maps holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelSummary {
    /// Pixels of each class.
    pub pixels: Vec<u64>,
    /// Pixels that count for nothing.
    pub ignored: u64,
    /// Maps that have another size than their pictures, in the same proportions.
    pub other_size: usize,
}

impl LabelSummary {
    /// What there is to say of the maps' sizes, if anything.
    pub fn sizes(&self) -> Option<String> {
        (self.other_size > 0).then(|| {
            format!(
                "{} label maps have another size than their pictures; they are resized to it, every pixel taking the nearest class",
                self.other_size
            )
        })
    }

    /// The part of all pixels that counts for nothing, 0 to 1.
    pub fn ignored_share(&self) -> f64 {
        let all = self.ignored + self.pixels.iter().sum::<u64>();
        self.ignored as f64 / all.max(1) as f64
    }

    /// The classes that never occur.
    pub fn absent(&self) -> impl Iterator<Item = usize> {
        let pixels = self.pixels.iter().enumerate();
        pixels.filter(|(_, count)| **count == 0).map(|(class, _)| class)
    }
}

/// Reads the label map of every pair and the size of its picture.
///
/// # Errors
/// The first pair, in their order, with a file that cannot be read, a map of other proportions than its picture, or a number that is
/// no class: file, value and what would be right.
pub fn check_labels(pairs: &[Pair], table: &ClassTable) -> Result<LabelSummary, Error> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let empty = || LabelSummary {
        pixels: vec![0; table.len()],
        ignored: 0,
        other_size: 0,
    };
    let total = Mutex::new(empty());
    let first_error: Mutex<Option<(usize, Error)>> = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut own = empty();
                let mut classes = Vec::new();
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(pair) = pairs.get(index) else { break };
                    if let Err(error) = check(pair, table, &mut classes, &mut own) {
                        let mut first = first_error.lock().unwrap_or_else(PoisonError::into_inner);
                        if first.as_ref().is_none_or(|(earlier, _)| index < *earlier) {
                            *first = Some((index, error));
                        }
                        // Those before it may still be at work; what comes after it does not matter.
                        next.store(pairs.len(), Ordering::Relaxed);
                        break;
                    }
                }
                let mut total = total.lock().unwrap_or_else(PoisonError::into_inner);
                total.ignored += own.ignored;
                total.other_size += own.other_size;
                total
                    .pixels
                    .iter_mut()
                    .zip(own.pixels)
                    .for_each(|(sum, n)| *sum += n);
            });
        }
    });
    match first_error.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some((_, error)) => Err(error),
        None => Ok(total.into_inner().unwrap_or_else(PoisonError::into_inner)),
    }
}

fn check(
    pair: &Pair,
    table: &ClassTable,
    classes: &mut Vec<u8>,
    into: &mut LabelSummary,
) -> Result<(), Error> {
    let map = table.read(&pair.labels, classes)?;
    let size = imagesize::size(&pair.picture)
        .map_err(|e| Error::labels(&pair.picture, format!("is no picture: {e}")))?;
    let lying = (size.width as u32, size.height as u32);
    // A picture that is turned as its EXIF orientation says has its sides exchanged.
    let turned = (lying.1, lying.0);
    if map != lying && map != turned {
        if !same_proportions(map, lying) && !same_proportions(map, turned) {
            return Err(Error::labels(
                &pair.labels,
                format!(
                    "has {}x{} pixels, its picture {} has {}x{}; both must have the same proportions",
                    map.0,
                    map.1,
                    pair.picture.display(),
                    lying.0,
                    lying.1
                ),
            ));
        }
        into.other_size += 1;
    }
    for &class in classes.iter() {
        match class {
            IGNORED => into.ignored += 1,
            class => into.pixels[usize::from(class)] += 1,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::labelled::Classes;

    fn png(path: &Path, width: u32, colour: png::ColorType, data: &[u8]) {
        let height = data.len() as u32 / width / colour.samples() as u32;
        let mut encoder = png::Encoder::new(std::fs::File::create(path).unwrap(), width, height);
        encoder.set_color(colour);
        encoder.write_header().unwrap().write_image_data(data).unwrap();
    }

    #[test]
    fn what_is_wrong_is_named_with_file_and_value() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let classes = Classes {
            classes: vec!["a".into(), "b".into(), "c".into()],
            ignore_index: 255,
            things: None,
            ids: None,
            palette: None,
        };
        let table = ClassTable::new(&classes).unwrap();
        let pair = |name: &str, labels: &[u8]| {
            png(&at(&format!("{name}.png")), 2, png::ColorType::Rgb, &[50; 12]);
            png(
                &at(&format!("{name}-labels.png")),
                2,
                png::ColorType::Grayscale,
                labels,
            );
            Pair {
                picture: at(&format!("{name}.png")),
                labels: at(&format!("{name}-labels.png")),
            }
        };
        let good = pair("good", &[0, 0, 2, 255]);
        let summary = check_labels(std::slice::from_ref(&good), &table).unwrap();
        assert_eq!((summary.pixels.clone(), summary.ignored), (vec![2, 0, 1], 1));
        assert_eq!(summary.absent().collect::<Vec<_>>(), [1]);
        assert!((summary.ignored_share() - 0.25).abs() < 1e-12);

        let stranger = pair("stranger", &[0, 9, 0, 0]);
        let small = pair("small", &[0, 0]);
        let said = |pairs: &[Pair]| check_labels(pairs, &table).unwrap_err().to_string();
        let error = said(&[good.clone(), stranger.clone(), small.clone()]);
        assert!(
            error.contains("stranger-labels.png") && error.contains("label 9"),
            "{error}"
        );
        let error = said(&[good.clone(), small]);
        assert!(
            error.contains("small-labels.png: has 2x1") && error.contains("2x2"),
            "{error}"
        );
        let gone = Pair {
            labels: at("gone.png"),
            ..good
        };
        assert!(said(&[gone]).contains("gone.png"));
    }
}
