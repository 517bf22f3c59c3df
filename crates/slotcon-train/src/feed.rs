//! Pictures on their way to the network: on a GPU the next batch is copied, from pinned memory on a stream of its own, while
//! the step before computes.

use std::sync::{Arc, OnceLock};

use slotcon_data::loader::PixelBuffer;
use slotcon_data::picture::left_as_they_lie;
use slotcon_data::{BadPicture, BufferBytes, BufferSource, Dataset, Loader, LoaderConfig, MakeSample};
use slotcon_torch::Stopwatch;
use slotcon_torch::upload::{Pinned, Upload, Uploader};
use tch::{Device, Tensor};

use crate::error::Error;
use crate::task::Batches;

/// Batches of a [`Loader`] on a device.
///
/// Memory: the loader's, and on a GPU one batch more.
#[derive(Debug)]
pub struct Feed<M: MakeSample> {
    loader: Loader<M>,
    uploader: Uploader,
    /// GPU: the next batch, on its way already.
    next: Option<Result<Incoming<M::Info>, Error>>,
    /// The batch in use: the loader gets its buffers back when the one after it has been asked for.
    current: Option<Vec<Upload<PixelBuffer>>>,
    /// Batches and pictures handed over.
    steps: u64,
    pictures: u64,
    /// [`left_as_they_lie`] at the beginning.
    turned_before: u64,
    pins: Option<Arc<Pins>>,
}

/// Steps after which pictures are told whose orientation is not applied; an epoch, if that is shorter.
const ORIENTATION_STEPS: u64 = 20;

/// A batch between loader and network.
#[derive(Debug)]
struct Incoming<I> {
    pixels: Vec<Upload<PixelBuffer>>,
    info: Vec<I>,
    bad: Vec<BadPicture>,
}

/// One batch on the device.
#[derive(Debug)]
pub struct DeviceBatch<I> {
    /// The bytes of all samples, one after the other, in each of the maker's buffers.
    pub pixels: Vec<Tensor>,
    /// What belongs to each sample besides its bytes.
    pub info: Vec<I>,
}

impl<M: MakeSample> Feed<M> {
    /// Starts the loader.
    ///
    /// # Errors
    /// As [`Loader::new`]; a GPU that is not there.
    pub fn new(dataset: Arc<Dataset>, maker: M, config: LoaderConfig, device: Device) -> Result<Self, Error> {
        let pins = device.is_cuda().then(Arc::<Pins>::default);
        let loader = match &pins {
            None => Loader::new(dataset, maker, config)?,
            Some(pins) => Loader::with_buffers(dataset, maker, config, pins.clone())?,
        };
        Ok(Self {
            loader,
            uploader: Uploader::new(device)?,
            next: None,
            current: None,
            steps: 0,
            pictures: 0,
            turned_before: left_as_they_lie(),
            pins,
        })
    }

    fn begin(&mut self, stopwatch: &Stopwatch) -> Result<Incoming<M::Info>, Error> {
        let batch = stopwatch.time("wait_for_data", || self.loader.next())?;
        let pixels = batch.pixels.into_iter();
        Ok(Incoming {
            pixels: pixels
                .map(|buffer| self.uploader.start(buffer))
                .collect::<Result<_, _>>()?,
            info: batch.info,
            bad: batch.bad,
        })
    }
}

impl<M: MakeSample> Batches for Feed<M> {
    type Batch = DeviceBatch<M::Info>;

    fn steps_per_epoch(&self) -> u64 {
        self.loader.steps_per_epoch()
    }

    fn next(&mut self, stopwatch: &Stopwatch) -> Result<(Self::Batch, Vec<BadPicture>), Error> {
        let Incoming { pixels, info, bad } = match self.next.take() {
            Some(incoming) => incoming?,
            None => self.begin(stopwatch)?,
        };
        let on_device = stopwatch.time("copy_in", || {
            pixels.iter().map(Upload::tensor).collect::<Result<Vec<_>, _>>()
        })?;
        // On a CPU its bytes have been read; on a GPU those of the batch before certainly have.
        self.current = self.uploader.is_async().then_some(pixels);
        self.steps += 1;
        self.pictures += info.len() as u64;
        let batch = DeviceBatch {
            pixels: on_device,
            info,
        };
        Ok((batch, bad))
    }

    /// On a GPU: waits for the loader and begins to copy the next batch. An error is kept for [`Feed::next`], so that the step
    /// before it counts.
    fn prepare(&mut self, stopwatch: &Stopwatch) {
        if self.uploader.is_async() && self.next.is_none() {
            self.next = Some(self.begin(stopwatch));
        }
    }

    /// Pictures that carry an orientation which is not applied; why memory could not be pinned: copies then wait for the host.
    fn warning(&mut self) -> Option<String> {
        let looked_at = self.loader.steps_per_epoch().min(ORIENTATION_STEPS);
        if self.steps == looked_at {
            let turned = left_as_they_lie().saturating_sub(self.turned_before);
            if turned > 0 {
                return Some(format!(
                    "{turned} of about {} pictures read so far carry an EXIF orientation that is not applied: \
                     data.exif_orientation = true turns them",
                    self.pictures
                ));
            }
        }
        let reason = self.pins.as_ref()?.failed.get()?;
        let text = format!(
            "memory for pictures cannot be pinned ({reason}): copies to the GPU are slower; see ulimit -l"
        );
        self.pins = None;
        Some(text)
    }
}

/// Pins the loader's buffers when they come into being, once for the whole run.
#[derive(Debug, Default)]
struct Pins {
    failed: OnceLock<String>,
}

impl BufferSource for Pins {
    fn allocate(&self, size: usize) -> Box<dyn BufferBytes> {
        match Pinned::zeroed(size) {
            Ok(bytes) => Box::new(bytes),
            Err(error) => {
                let _ = self.failed.set(error.to_string());
                Box::new(vec![0; size])
            }
        }
    }
}
