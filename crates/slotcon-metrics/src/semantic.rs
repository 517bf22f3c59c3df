//! Mean intersection over union and accuracy of predicted classes against labels, as MMSegmentation's mIoU metric.
//!
//! With I_c the pixels of class c that are predicted as c, L_c those labelled c and P_c those predicted as c (ignored labels
//! left out), all summed over the whole set: IoU_c = I_c / (L_c + P_c - I_c), Acc_c = I_c / L_c.

use crate::confusion::Confusion;
use crate::error::Error;

/// How well predicted classes meet the labels over a whole set. All numbers are in 0..=1.
#[derive(Debug, Clone, PartialEq)]
pub struct SemanticScore {
    /// IoU by class. None for a class that is neither labelled nor predicted anywhere; 0 for one that is predicted only.
    pub iou: Vec<Option<f64>>,
    /// Accuracy by class: the share of its pixels that are predicted as it. None for a class that is labelled nowhere.
    pub accuracy: Vec<Option<f64>>,
    /// mIoU: the mean of `iou` over the classes that have one.
    pub miou: f64,
    /// mAcc: the mean of `accuracy` over the classes that have one.
    pub mean_accuracy: f64,
    /// aAcc: the share of all counted pixels whose class is predicted.
    pub pixel_accuracy: f64,
}

impl SemanticScore {
    /// Scores a matrix of C classes by C predicted classes.
    ///
    /// # Errors
    /// [`Error::NotSquare`] for predictions that are no classes, [`Error::NothingCounted`] where no pixel was counted.
    pub fn of(confusion: &Confusion) -> Result<Self, Error> {
        let classes = confusion.classes();
        if classes != confusion.clusters() {
            return Err(Error::NotSquare {
                classes,
                clusters: confusion.clusters(),
            });
        }
        let total = confusion.total();
        if total == 0 {
            return Err(Error::NothingCounted);
        }
        let correct = |class| confusion.count(class, class);
        let by_class = |size: &dyn Fn(usize) -> u64| -> Vec<Option<f64>> {
            let share = |class| ratio(correct(class), size(class));
            (0..classes).map(share).collect()
        };
        let labelled = |class| confusion.class_size(class);
        let union = |class| labelled(class) + confusion.cluster_size(class) - correct(class);
        let (iou, accuracy) = (by_class(&union), by_class(&labelled));
        Ok(Self {
            miou: mean(&iou),
            mean_accuracy: mean(&accuracy),
            pixel_accuracy: (0..classes).map(correct).sum::<u64>() as f64 / total as f64,
            iou,
            accuracy,
        })
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The mean of what is there. Where a pixel was counted, that is at least one class.
fn mean(values: &[Option<f64>]) -> f64 {
    let there: Vec<f64> = values.iter().copied().flatten().collect();
    there.iter().sum::<f64>() / there.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_hand() {
        // Class 0: 4 pixels, 3 right, one taken for 1. Class 1: 2 pixels, 1 right, one taken for 2. Class 2 is predicted
        // once and labelled nowhere, class 3 neither.
        let mut confusion = Confusion::new(4, 4, 255);
        confusion
            .add(&[0, 0, 0, 0, 1, 1, 255], &[0, 0, 0, 1, 1, 2, 3])
            .unwrap();
        let score = SemanticScore::of(&confusion).unwrap();
        assert_eq!(score.iou, [Some(3.0 / 4.0), Some(1.0 / 3.0), Some(0.0), None]);
        assert_eq!(score.accuracy, [Some(3.0 / 4.0), Some(1.0 / 2.0), None, None]);
        assert_eq!(score.miou, (3.0 / 4.0 + 1.0 / 3.0 + 0.0) / 3.0);
        assert_eq!(score.mean_accuracy, (3.0 / 4.0 + 1.0 / 2.0) / 2.0);
        assert_eq!(score.pixel_accuracy, 4.0 / 6.0);
    }

    #[test]
    fn clusters_are_no_classes_and_nothing_is_no_score() {
        assert_eq!(
            SemanticScore::of(&Confusion::new(2, 3, 255)),
            Err(Error::NotSquare {
                classes: 2,
                clusters: 3
            })
        );
        assert_eq!(
            SemanticScore::of(&Confusion::new(2, 2, 255)),
            Err(Error::NothingCounted)
        );
    }
}
