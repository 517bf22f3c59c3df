//! Reads files within a time: a file system that does not answer costs one picture.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::error::PictureError;
use crate::source::Dataset;

/// What is read next, with the memory to read it into, and what came of it.
type Order = (usize, Vec<u8>);
type Answer = (Result<(), PictureError>, Vec<u8>);

/// Reads the files of a data set, each within a time.
///
/// A read that the system never ends cannot be broken off. It is done by a thread beside; when that takes too long the
/// thread is left behind (it ends when its read does), and the next file is read by a new one.
#[derive(Debug)]
pub struct Reader {
    dataset: Arc<Dataset>,
    timeout: Duration,
    beside: Option<(Sender<Order>, Receiver<Answer>)>,
}

impl Reader {
    /// A reader that waits for each file for `timeout`; for ever where that is zero.
    pub fn new(dataset: Arc<Dataset>, timeout: Duration) -> Self {
        Self {
            dataset,
            timeout,
            beside: None,
        }
    }

    /// The data set.
    pub fn dataset(&self) -> &Dataset {
        &self.dataset
    }

    /// Reads picture `index` into `bytes`.
    ///
    /// # Errors
    /// When it cannot be read, or not in time.
    pub fn read(&mut self, index: usize, bytes: &mut Vec<u8>) -> Result<(), PictureError> {
        if self.timeout.is_zero() {
            return self.dataset.read(index, bytes);
        }
        let (orders, answers) = match self.beside.take() {
            Some(beside) => beside,
            None => self.start()?,
        };
        if orders.send((index, std::mem::take(bytes))).is_err() {
            return Err(PictureError::Panic("the reading thread has ended".into()));
        }
        match answers.recv_timeout(self.timeout) {
            Ok((result, read)) => {
                *bytes = read;
                self.beside = Some((orders, answers));
                result
            }
            Err(RecvTimeoutError::Timeout) => Err(PictureError::Stalled(self.timeout.as_secs_f64())),
            Err(RecvTimeoutError::Disconnected) => {
                Err(PictureError::Panic("the reading thread has ended".into()))
            }
        }
    }

    fn start(&self) -> Result<(Sender<Order>, Receiver<Answer>), PictureError> {
        let (orders, received) = channel::<Order>();
        let (answer, answers) = channel::<Answer>();
        let dataset = Arc::clone(&self.dataset);
        std::thread::Builder::new().name("reader".into()).spawn(move || {
            for (index, mut bytes) in received {
                let result = dataset.read(index, &mut bytes);
                if answer.send((result, bytes)).is_err() {
                    break;
                }
            }
        })?;
        Ok((orders, answers))
    }
}
