//! How processes find each other: a store at which each says who it is and waits for the rest.

use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use slotcon_torch::distributed::Store;

use super::Waiting;
use super::launch::Launch;
use crate::error::Error;
use crate::machine::host_name;

/// Between two looks at whether a key is there.
const POLL: Duration = Duration::from_millis(20);

/// When to say what is waited for: after 5 s (sooner where all waiting is short), after three times that, and so on.
#[derive(Debug)]
struct Reminder {
    start: Instant,
    next: Duration,
}

impl Reminder {
    fn within(timeout: Duration) -> Self {
        Self {
            start: Instant::now(),
            next: (timeout / 10).min(Duration::from_secs(5)),
        }
    }

    /// Whether it is time for a word.
    fn is_due(&mut self) -> bool {
        let due = self.start.elapsed() >= self.next;
        if due {
            self.next *= 3;
        }
        due
    }
}

/// What a rank says of itself.
#[derive(Debug, Serialize, Deserialize)]
struct Hello {
    size: usize,
    version: String,
    host: String,
    process: u32,
}

/// A connection to the store, and how long to wait there.
#[derive(Debug)]
pub(super) struct Rendezvous {
    store: Store,
    prefix: String,
    launch: Launch,
    timeout: Duration,
    names: Vec<String>,
}

impl Rendezvous {
    /// Waits until all ranks are there and say the same of the run. Returns their names for messages, too. `waiting` is told
    /// who is missing, by the first of those that are there.
    pub fn new(launch: &Launch, timeout: Duration, waiting: &Waiting) -> Result<(Self, Vec<String>), Error> {
        let prefix = prefix(&launch.attempt);
        let store = open(launch, timeout, &prefix, launch.keeps_store(), waiting)?;
        let rendezvous = Self {
            store,
            prefix,
            launch: launch.clone(),
            timeout,
            names: Vec::new(),
        };
        let found = rendezvous.greet(waiting);
        if found.is_err() && launch.keeps_store() {
            // The others should see the mismatch as well, not only a store that is gone.
            std::thread::sleep(Duration::from_secs(1));
        }
        let names = found?;
        Ok((
            Self {
                names: names.clone(),
                ..rendezvous
            },
            names,
        ))
    }

    fn greet(&self, waiting: &Waiting) -> Result<Vec<String>, Error> {
        let Launch { rank, size, .. } = self.launch;
        let own = Hello {
            size,
            version: env!("CARGO_PKG_VERSION").into(),
            host: host_name(),
            process: std::process::id(),
        };
        let at = format!("{}:{}", self.launch.host, self.launch.port);
        let lost = |error| {
            Error::ProcessGroup(format!(
                "the store at {at} is gone while the ranks meet: the process that keeps it ended, and says why ({error})"
            ))
        };
        if self.store.add(&format!("here/{rank}"), 1).map_err(lost)? > 1 {
            return Err(Error::ProcessGroup(format!(
                "another process at {at} is rank {rank} already: two runs share the port (set another MASTER_PORT), or two \
                 processes were given the same rank"
            )));
        }
        // Before anything else: whoever is there has a heartbeat.
        self.store.set(&format!("heartbeat/{rank}"), "0").map_err(lost)?;
        let text = serde_json::to_string(&own).map_err(|e| Error::ProcessGroup(e.to_string()))?;
        self.store.set(&format!("hello/{rank}"), &text).map_err(lost)?;

        let mut reminder = Reminder::within(self.timeout);
        let mut names = vec![None; size];
        loop {
            for (other, name) in names.iter_mut().enumerate().filter(|(_, name)| name.is_none()) {
                let key = format!("hello/{other}");
                if !self.store.has(&key).map_err(lost)? {
                    continue;
                }
                let text = self.store.get(&key).map_err(lost)?;
                let hello: Hello = serde_json::from_str(&text).map_err(|_| {
                    Error::ProcessGroup(format!("rank {other} says '{text}': another version of slotcon"))
                })?;
                let differs = |what: &str, theirs: &str, mine: &str| {
                    Err(Error::ProcessGroup(format!(
                        "rank {other} ({}, process {}) has {what} {theirs}, rank {rank} has {mine}",
                        hello.host, hello.process
                    )))
                };
                if hello.version != own.version {
                    return differs("version", &hello.version, &own.version);
                }
                if hello.size != size {
                    return differs("world size", &hello.size.to_string(), &size.to_string());
                }
                *name = Some(format!(
                    "rank {other} ({}, process {})",
                    hello.host, hello.process
                ));
            }
            if names.iter().all(Option::is_some) {
                return Ok(names.into_iter().flatten().collect());
            }
            let missing = || {
                let missing = (0..size).filter(|&r| names[r].is_none()).take(8);
                let missing = Vec::from_iter(missing.map(|r| r.to_string())).join(", ");
                format!("missing: rank {missing} (run.rank_timeout is how long to wait)")
            };
            let here = names.iter().flatten().count();
            if reminder.start.elapsed() > self.timeout {
                return Err(Error::ProcessGroup(format!(
                    "{here} of {size} ranks came to {at} within {} s; {}",
                    self.timeout.as_secs_f64(),
                    missing()
                )));
            }
            if reminder.is_due() && names.iter().position(Option::is_some) == Some(rank) {
                waiting(&format!(
                    "{here} of {size} ranks have come to {at}; {}",
                    missing()
                ));
            }
            std::thread::sleep(POLL);
        }
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    /// What `rank` is called in messages.
    pub fn name(&self, rank: usize) -> &str {
        &self.names[rank]
    }

    /// A further connection to the same store.
    pub fn connect_again(&self) -> Result<Store, Error> {
        let nobody: Waiting = Arc::new(|_| ());
        let mut launch = self.launch.clone();
        if launch.keeps_store() {
            launch.host = "localhost".into();
        }
        open(&launch, self.timeout, &self.prefix, false, &nobody)
    }

    pub fn set(&self, key: &str, value: &str) -> Result<(), Error> {
        self.store
            .set(&format!("run/{key}"), value)
            .map_err(|_| Error::RankLost)
    }

    /// Waits for a key of another rank; the heartbeat looks after whoever never writes it.
    pub fn wait_for(&self, key: &str) -> Result<String, Error> {
        let key = format!("run/{key}");
        let start = Instant::now();
        let lost = |_| Error::RankLost;
        while !self.store.has(&key).map_err(lost)? {
            if start.elapsed() > self.timeout {
                return Err(Error::RankLost);
            }
            std::thread::sleep(POLL);
        }
        self.store.get(&key).map_err(lost)
    }

    /// No rank goes before all are done.
    pub fn wait_for_all_to_end(&self, launch: &Launch) -> Result<(), Error> {
        self.set(&format!("done/{}", launch.rank), "")?;
        (0..launch.size).try_for_each(|rank| self.wait_for(&format!("done/{rank}")).map(drop))
    }

    /// Ends the rendezvous: whoever keeps the store waits until nobody needs it.
    pub fn close(self, launch: &Launch) {
        // Everybody is done: whatever fails now is no error.
        let _ = self.set(&format!("bye/{}", launch.rank), "");
        if launch.keeps_store() {
            let briefly = Self {
                timeout: Duration::from_secs(10),
                ..self
            };
            for rank in 0..launch.size {
                let _ = briefly.wait_for(&format!("bye/{rank}"));
            }
        }
    }
}

/// Keys of one attempt, apart from those of others at the same store.
pub(crate) fn prefix(attempt: &str) -> String {
    format!("slotcon/{attempt}/")
}

/// Opens the store, in the given time whatever happens.
fn open(
    launch: &Launch,
    timeout: Duration,
    prefix: &str,
    keep: bool,
    waiting: &Waiting,
) -> Result<Store, Error> {
    let (host, port) = (launch.host.clone(), launch.port);
    let prefix = prefix.to_owned();
    let (send, receive) = mpsc::channel();
    // A foreign program at that port may take the connection and never answer.
    std::thread::spawn(move || {
        let store = if keep {
            Store::keep(port, timeout, &prefix)
        } else {
            Store::connect(&host, port, timeout, &prefix)
        };
        let _ = send.send(store);
    });
    let Launch { rank, host, .. } = launch;
    let mut reminder = Reminder::within(timeout);
    let waited = timeout + Duration::from_secs(2);
    let found = loop {
        let left = waited.saturating_sub(reminder.start.elapsed());
        let next = reminder.next.saturating_sub(reminder.start.elapsed());
        match receive.recv_timeout(left.min(next)) {
            Err(mpsc::RecvTimeoutError::Timeout) if left > next => {
                if reminder.is_due() {
                    waiting(&format!(
                        "rank {rank} is waiting for the store of rank 0 at {host}:{port}"
                    ));
                }
            }
            found => break found,
        }
    };
    match found {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(error)) if keep => Err(Error::ProcessGroup(format!(
            "port {port}, at which the ranks should meet, cannot be opened on this machine: {error}. Set another \
             MASTER_PORT for all ranks"
        ))),
        Ok(Err(_)) | Err(_) => Err(Error::ProcessGroup(format!(
            "rank {rank} found no store at {host}:{port} within {} s: rank 0 did not start or ended, MASTER_ADDR or \
             MASTER_PORT is wrong, another program has the port, or a firewall is between (run.rank_timeout is how long \
             to wait)",
            timeout.as_secs_f64()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// Rank 0 of `size` at a store that another process keeps.
    fn first_of(size: usize, store: &Store) -> Launch {
        Launch {
            size,
            host: "localhost".into(),
            port: store.port(),
            store_elsewhere: true,
            ..Launch::default()
        }
    }

    #[test]
    fn another_version_is_named() {
        let timeout = Duration::from_secs(20);
        let waiting: Waiting = Arc::new(|_| ());
        let store = Store::keep(0, timeout, &prefix("")).unwrap();
        for (hello, named) in [
            (
                r#"{"size":2,"version":"0.0.9","host":"b","process":7}"#,
                "rank 1 (b, process 7) has version 0.0.9",
            ),
            (r#"{"who":"else"}"#, "another version of slotcon"),
        ] {
            store.set("hello/1", hello).unwrap();
            let launch = first_of(2, &store);
            let error = Rendezvous::new(&launch, timeout, &waiting)
                .unwrap_err()
                .to_string();
            assert!(error.contains(named), "{error}");
            store.add("here/0", -1).unwrap();
        }
    }

    #[test]
    fn who_is_missing_is_named_while_one_waits() {
        let timeout = Duration::from_secs(1);
        let store = Store::keep(0, timeout, &prefix("")).unwrap();
        let words = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&words);
        let waiting: Waiting = Arc::new(move |text: &str| heard.lock().unwrap().push(text.to_owned()));
        let launch = first_of(3, &store);
        let error = Rendezvous::new(&launch, timeout, &waiting)
            .unwrap_err()
            .to_string();
        assert!(error.contains("missing: rank 1, 2"), "{error}");
        // After 0.1, 0.3 and 0.9 s.
        let words = words.lock().unwrap();
        assert_eq!(words.len(), 3, "{words:?}");
        assert!(
            words[0].contains("1 of 3 ranks have come") && words[0].contains("missing: rank 1, 2"),
            "{words:?}"
        );
    }
}
