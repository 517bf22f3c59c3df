//! A look at every picture of an annotation file before anything is trained or measured.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{AnnotatedPicture, Annotations};

/// Why a picture cannot be used, and which one in words.
type Reason = (&'static str, String);

/// Leaves out the pictures that are not there, are none, or have another size than the file says. Only their headers are read.
pub(super) fn leave_out_unusable(annotations: &mut Annotations) {
    let pictures = &annotations.pictures;
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicUsize::new(0);
    let found: Mutex<Vec<(usize, Reason)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some((index, picture)) = {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    pictures.get(index).map(|picture| (index, picture))
                } {
                    if let Some(reason) = unusable(picture) {
                        found
                            .lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((index, reason));
                    }
                }
            });
        }
    });
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(index, _)| *index);
    let mut found = found.into_iter().peekable();
    let mut index = 0;
    let left_out = &mut annotations.left_out;
    annotations.pictures.retain(|_| {
        let reason = found.next_if(|(of, _)| *of == index);
        index += 1;
        match reason {
            Some((_, (reason, which))) => {
                left_out.picture(reason, || which);
                false
            }
            None => true,
        }
    });
}

fn unusable(picture: &AnnotatedPicture) -> Option<Reason> {
    let path = picture.path.display();
    if !picture.path.is_file() {
        return Some(("not there", path.to_string()));
    }
    let size = match imagesize::size(&picture.path) {
        Ok(size) => size,
        Err(error) => return Some(("that are no pictures", format!("{path}: {error}"))),
    };
    let announced = (picture.width as usize, picture.height as usize);
    // A picture that is turned as its EXIF orientation says has its sides exchanged.
    if (size.width, size.height) == announced || (size.height, size.width) == announced {
        return None;
    }
    let (width, height) = announced;
    Some((
        "of another size than the annotation file says",
        format!(
            "{path}: {}x{} instead of {width}x{height}",
            size.width, size.height
        ),
    ))
}
