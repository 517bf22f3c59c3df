//! Pictures on their way to the network: on a GPU the next batch is copied, from pinned memory on a stream of its own, while
//! the step before computes.

use std::sync::{Arc, OnceLock};

use slotcon_data::loader::PixelBuffer;
use slotcon_data::{
    AugmentConfig, BadPicture, BufferBytes, BufferSource, Dataset, Loader, LoaderConfig, PairedBatch,
};
use slotcon_torch::Stopwatch;
use slotcon_torch::upload::{Pinned, Upload, Uploader};
use tch::{Device, Tensor};

use super::batch::Normaliser;
use crate::error::Error;
use crate::method::View;

/// Batches as the network takes them.
///
/// Memory: the loader's, and on a GPU one batch more.
#[derive(Debug)]
pub struct Feed {
    loader: Loader,
    uploader: Uploader,
    normaliser: Normaliser,
    side: usize,
    /// GPU: the next batch, on its way already.
    next: Option<Result<Incoming, Error>>,
    /// The batch in use: the loader gets its buffers back when the one after it has been asked for.
    current: Option<Incoming>,
    pins: Option<Arc<Pins>>,
}

/// A batch between loader and network.
#[derive(Debug)]
struct Incoming {
    views: [IncomingView; 2],
    bad: Vec<BadPicture>,
}

#[derive(Debug)]
struct IncomingView {
    pixels: Upload<PixelBuffer>,
    coords: Vec<[f64; 4]>,
    flips: Vec<bool>,
}

/// One batch, on the device as bytes.
#[derive(Debug)]
pub struct Batch {
    sources: [Source; 2],
    normaliser: Normaliser,
    side: usize,
    /// Pictures that could not be used and were replaced.
    pub bad: Vec<BadPicture>,
}

#[derive(Debug)]
struct Source {
    pixels: Tensor,
    coords: Vec<[f64; 4]>,
    flips: Vec<bool>,
}

impl Batch {
    /// What the network takes in part `part` (from 0) of `parts` equal ones.
    pub fn views(&self, part: usize, parts: usize) -> [View; 2] {
        self.sources.each_ref().map(|source| {
            let share = source.flips.len() / parts;
            let of = part * share..(part + 1) * share;
            let picture = 3 * self.side * self.side;
            let bytes = source
                .pixels
                .narrow(0, (of.start * picture) as i64, (share * picture) as i64);
            View {
                crops: self.normaliser.apply(&bytes, self.side, self.side),
                coords: source.coords[of.clone()].to_vec(),
                flips: source.flips[of].to_vec(),
            }
        })
    }
}

impl Feed {
    /// Starts the loader.
    ///
    /// # Errors
    /// As [`Loader::new`]; a GPU that is not there.
    pub fn new(
        dataset: Arc<Dataset>,
        augment: &AugmentConfig,
        config: LoaderConfig,
        device: Device,
    ) -> Result<Self, Error> {
        let pins = device.is_cuda().then(Arc::<Pins>::default);
        let loader = match &pins {
            None => Loader::new(dataset, augment.clone(), config)?,
            Some(pins) => Loader::with_buffers(dataset, augment.clone(), config, pins.clone())?,
        };
        Ok(Self {
            loader,
            uploader: Uploader::new(device)?,
            normaliser: Normaliser::new(device),
            side: augment.image_size as usize,
            next: None,
            current: None,
            pins,
        })
    }

    /// Batches an epoch has.
    pub fn steps_per_epoch(&self) -> u64 {
        self.loader.steps_per_epoch()
    }

    /// Why memory could not be pinned, if so: copies then wait for the host. Said once.
    pub fn complaint(&mut self) -> Option<String> {
        let pins = self.pins.as_ref()?;
        let reason = pins.failed.get()?;
        let text = format!(
            "memory for pictures cannot be pinned ({reason}): copies to the GPU are slower; see ulimit -l"
        );
        self.pins = None;
        Some(text)
    }

    /// The next batch.
    ///
    /// # Errors
    /// Too many pictures that cannot be used; a GPU out of memory.
    pub fn next(&mut self, stopwatch: &Stopwatch) -> Result<Batch, Error> {
        let mut incoming = match self.next.take() {
            Some(incoming) => incoming?,
            None => self.begin(stopwatch)?,
        };
        let bad = std::mem::take(&mut incoming.bad);
        let sources = stopwatch.time("copy_in", || Self::receive(&incoming))?;
        // On a CPU its bytes have been read; on a GPU those of the batch before certainly have.
        self.current = self.uploader.is_async().then_some(incoming);
        Ok(Batch {
            sources,
            normaliser: self.normaliser.share(),
            side: self.side,
            bad,
        })
    }

    /// On a GPU, once the work of a step is queued: waits for the loader and begins to copy the next batch. An error is kept
    /// for [`Feed::next`], so that the step before it counts.
    pub fn prepare(&mut self, stopwatch: &Stopwatch) {
        if self.uploader.is_async() && self.next.is_none() {
            self.next = Some(self.begin(stopwatch));
        }
    }

    fn begin(&mut self, stopwatch: &Stopwatch) -> Result<Incoming, Error> {
        let batch = stopwatch.time("wait_for_data", || self.loader.next())?;
        let PairedBatch { views, bad, .. } = batch;
        let [first, second] = views.map(|view| {
            Ok::<_, Error>(IncomingView {
                pixels: self.uploader.start(view.pixels)?,
                coords: view.coords.iter().map(|c| c.map(f64::from)).collect(),
                flips: view.flips,
            })
        });
        Ok(Incoming {
            views: [first?, second?],
            bad,
        })
    }

    fn receive(incoming: &Incoming) -> Result<[Source; 2], Error> {
        let [first, second] = incoming.views.each_ref().map(|view| {
            Ok::<_, Error>(Source {
                pixels: view.pixels.tensor()?,
                coords: view.coords.clone(),
                flips: view.flips.clone(),
            })
        });
        Ok([first?, second?])
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
