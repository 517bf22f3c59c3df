//! The processes that train together: how they find each other ([`launch`], `rendezvous`), make sure that they mean the same
//! run, decide together, and name the one that fails ([`heartbeat`]). A process alone is a group of one, for which all of it
//! is free.

pub mod heartbeat;
pub mod launch;
mod rendezvous;

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use slotcon_torch::distributed::{Join, Ranks, Store, Traffic};
use tch::Device;

use heartbeat::Heartbeat;
pub use launch::Launch;
use rendezvous::Rendezvous;

use crate::error::Error;

/// Told in a sentence who is waited for, while one waits.
pub type Waiting = Arc<dyn Fn(&str) + Send + Sync>;

/// This process and the others.
#[derive(Debug)]
pub struct ProcessGroup {
    launch: Launch,
    ranks: Ranks,
    together: Option<(Rendezvous, Heartbeat)>,
}

/// Keeps the store for processes that this one starts, at any free port.
///
/// # Errors
/// No free port.
pub fn keep_store(attempt: &str, timeout: Duration) -> Result<Store, Error> {
    Ok(Store::keep(0, timeout, &rendezvous::prefix(attempt))?)
}

/// What a rank wants before a step; of all ranks together: what any of them wants, and the sum of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Intent {
    /// The run should end in good order.
    pub stop: bool,
    /// The pictures cannot be used.
    pub no_pictures: bool,
    /// Pictures that were replaced.
    pub bad_pictures: u64,
}

impl ProcessGroup {
    /// Finds the other processes of `launch`, waiting for them for as long as `timeout`; `waiting` is told who is missing.
    ///
    /// # Errors
    /// A port that is taken, a master that cannot be reached, ranks that do not come, come twice, or are another version
    /// or number.
    pub fn join(launch: &Launch, timeout: Duration, waiting: &Waiting) -> Result<Self, Error> {
        let together = if launch.is_alone() {
            None
        } else {
            let (rendezvous, names) = Rendezvous::new(launch, timeout, waiting)?;
            let heartbeat = Heartbeat::start(launch, names, rendezvous.connect_again()?, timeout);
            Some((rendezvous, heartbeat))
        };
        Ok(Self {
            launch: launch.clone(),
            together,
            ..Self::alone()
        })
    }

    /// This process's place.
    pub fn launch(&self) -> &Launch {
        &self.launch
    }

    /// Whether this process writes the run directory.
    pub fn is_first(&self) -> bool {
        self.launch.rank == 0
    }

    /// This process, with nobody beside it.
    pub fn alone() -> Self {
        Self {
            launch: Launch::default(),
            ranks: Ranks::alone(),
            together: None,
        }
    }

    /// What the ranks compute together; [`Ranks::alone`] before [`ProcessGroup::connect`].
    pub fn ranks(&self) -> &Ranks {
        &self.ranks
    }

    /// The value that `make` gives on rank 0, on every rank; it travels as JSON. If it fails there, all end.
    ///
    /// # Errors
    /// That of `make`, or a rank that is gone.
    pub fn broadcast_from_first<V: Serialize + DeserializeOwned>(
        &self,
        name: &str,
        make: impl FnOnce() -> Result<V, Error>,
    ) -> Result<V, Error> {
        let Some((rendezvous, _)) = &self.together else {
            return make();
        };
        if self.is_first() {
            let value = make()?;
            let text = serde_json::to_string(&value).map_err(Error::task)?;
            rendezvous.set(name, &text)?;
            return Ok(value);
        }
        serde_json::from_str(&rendezvous.wait_for(name)?).map_err(Error::task)
    }

    /// Every rank's `value`, in the order of ranks.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn all_gather(&self, name: &str, value: &str) -> Result<Vec<String>, Error> {
        let Some((rendezvous, _)) = &self.together else {
            return Ok(vec![value.to_owned()]);
        };
        rendezvous.set(&format!("{name}/{}", self.launch.rank), value)?;
        (0..self.launch.size)
            .map(|rank| rendezvous.wait_for(&format!("{name}/{rank}")))
            .collect()
    }

    /// Refuses to go on unless `value` is the same on every rank; `what` it is, in words.
    ///
    /// # Errors
    /// The first rank that differs from rank 0, with both values.
    pub fn require_same(&self, name: &str, what: &str, value: &str) -> Result<(), Error> {
        let all = self.all_gather(name, value)?;
        match all.iter().position(|other| *other != all[0]) {
            None => Ok(()),
            Some(rank) => Err(Error::ProcessGroup(format!(
                "{what} differs between ranks: {} on rank 0, {} on rank {rank}; start all ranks alike",
                all[0], all[rank]
            ))),
        }
    }

    /// Connects the ranks for computing on `device`, each operation waiting `timeout` at most.
    ///
    /// # Errors
    /// GPUs in a build for the CPU; ranks that cannot reach each other.
    pub fn connect(&mut self, device: Device, timeout: Duration) -> Result<(), Error> {
        let Some((rendezvous, heartbeat)) = &self.together else {
            return Ok(());
        };
        let local = matches!(self.launch.host.as_str(), "127.0.0.1" | "localhost" | "::1");
        self.ranks = Ranks::join(&Join {
            store: rendezvous.store(),
            rank: self.launch.rank,
            size: self.launch.size,
            timeout,
            address: if local { "127.0.0.1" } else { "" },
            device,
        })?;
        heartbeat.count_operations_of(&self.ranks);
        Ok(())
    }

    /// What the ranks together want, before a step.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn agree(&self, own: Intent) -> Result<Intent, Error> {
        let numbers = [
            i64::from(own.stop),
            i64::from(own.no_pictures),
            own.bad_pictures as i64,
        ];
        let [stop, no_pictures, bad] = self.ranks.sum_numbers(numbers, Traffic::Control)?;
        Ok(Intent {
            stop: stop > 0,
            no_pictures: no_pictures > 0,
            bad_pictures: bad as u64,
        })
    }

    /// Runs `f`, which another rank's end does not interrupt: writing a file.
    pub fn uninterrupted<T>(&self, f: impl FnOnce() -> T) -> T {
        match &self.together {
            Some((_, heartbeat)) => heartbeat.uninterrupted(f),
            None => f(),
        }
    }

    /// Has `act` called with the cause where another rank's failure ends this process.
    pub fn on_failure(&self, act: impl Fn(&str) + Send + 'static) {
        if let Some((_, heartbeat)) = &self.together {
            heartbeat.on_failure(act);
        }
    }

    /// Leaves the group after `outcome`. An error of working together becomes one that names the rank at fault; an own one
    /// is told to the others.
    ///
    /// # Errors
    /// That of `outcome`, explained.
    pub fn leave<T>(self, outcome: Result<T, Error>) -> Result<T, Error> {
        let Self { ranks, together, .. } = self;
        let Some((rendezvous, heartbeat)) = together else {
            return outcome;
        };
        let outcome = outcome.and_then(|value| rendezvous.wait_for_all_to_end(&self.launch).map(|()| value));
        match outcome {
            Ok(value) => {
                heartbeat.leave();
                rendezvous.close(&self.launch);
                Ok(value)
            }
            // Not its own fault, so it asks whose.
            Err(error)
                if ranks.broken() || matches!(error, Error::RankLost | Error::NoPicturesOnAnotherRank) =>
            {
                let trouble = error.to_string();
                let cause = heartbeat.why_it_ended(&trouble);
                if cause == trouble {
                    heartbeat.report_failure(&format!("{}: {trouble}", rendezvous.name(self.launch.rank)));
                }
                heartbeat.let_others_read();
                // Its end would wait for operations that no longer end.
                std::mem::forget(ranks);
                Err(Error::ProcessGroup(cause))
            }
            Err(error) => {
                heartbeat.report_failure(&format!(
                    "{} ended with an error: {error}",
                    rendezvous.name(self.launch.rank)
                ));
                heartbeat.let_others_read();
                std::mem::forget(ranks);
                Err(error)
            }
        }
    }
}
