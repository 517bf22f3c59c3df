//! How this process was started: which rank it is, how many there are, and where they meet.

use crate::error::Error;

/// PyTorch's own default.
const DEFAULT_PORT: u16 = 29500;

/// One process of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// This process, from 0.
    pub rank: usize,
    /// How many there are.
    pub size: usize,
    /// This process among those of this machine, from 0: which GPU it takes.
    pub local_rank: usize,
    /// How many there are on this machine: how many share its cores.
    pub local_size: usize,
    /// Host of the store at which they meet.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the launcher keeps the store; otherwise rank 0 does.
    pub store_elsewhere: bool,
    /// Sets this attempt apart from others at the same store.
    pub attempt: String,
}

impl Default for Launch {
    fn default() -> Self {
        Self {
            rank: 0,
            size: 1,
            local_rank: 0,
            local_size: 1,
            host: "127.0.0.1".into(),
            port: DEFAULT_PORT,
            store_elsewhere: false,
            attempt: String::new(),
        }
    }
}

/// A launcher's variables: name, rank, size, rank on this machine, size on this machine (several names: the first that
/// is set).
struct Launcher {
    name: &'static str,
    rank: &'static str,
    size: &'static str,
    local_rank: &'static [&'static str],
    local_size: &'static [&'static str],
}

/// Asked in this order: whoever starts torchrun through srun means torchrun.
const LAUNCHERS: [Launcher; 4] = [
    Launcher {
        name: "torchrun",
        rank: "RANK",
        size: "WORLD_SIZE",
        local_rank: &["LOCAL_RANK"],
        local_size: &["LOCAL_WORLD_SIZE"],
    },
    Launcher {
        name: "Open MPI",
        rank: "OMPI_COMM_WORLD_RANK",
        size: "OMPI_COMM_WORLD_SIZE",
        local_rank: &["OMPI_COMM_WORLD_LOCAL_RANK"],
        local_size: &["OMPI_COMM_WORLD_LOCAL_SIZE"],
    },
    Launcher {
        name: "MPICH",
        rank: "PMI_RANK",
        size: "PMI_SIZE",
        local_rank: &["MPI_LOCALRANKID", "PMI_LOCAL_RANK", "SLURM_LOCALID"],
        local_size: &["MPI_LOCALNRANKS", "PMI_LOCAL_SIZE"],
    },
    // A batch script itself has SLURM_PROCID, too, but only what srun starts has the number of tasks of a step.
    Launcher {
        name: "Slurm",
        rank: "SLURM_PROCID",
        size: "SLURM_STEP_NUM_TASKS",
        local_rank: &["SLURM_LOCALID"],
        local_size: &[],
    },
];

impl Launch {
    /// From this process's environment: of torchrun (or by hand: `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT`,
    /// `LOCAL_RANK`), Open MPI, MPICH or Slurm. Alone where none of them is there.
    ///
    /// # Errors
    /// A variable that is missing or no number, with its name and value.
    pub fn from_environment() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// The same from any source of variables.
    ///
    /// # Errors
    /// As [`Launch::from_environment`].
    pub fn from_variables(get: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let number = |name: &str| -> Result<Option<usize>, Error> {
            let Some(text) = get(name) else { return Ok(None) };
            text.trim()
                .parse()
                .map(Some)
                .map_err(|_| bad(format!("{name}={text} is not a number")))
        };
        let first = |names: &[&str]| names.iter().find_map(|name| number(name).transpose()).transpose();

        let Some(launcher) = LAUNCHERS
            .iter()
            .find(|l| get(l.rank).is_some() && (get(l.size).is_some() || l.name == "torchrun"))
        else {
            return match get("WORLD_SIZE") {
                Some(size) if size.trim() != "1" => Err(bad(format!(
                    "WORLD_SIZE={size} is set but RANK is not: set RANK to this process's number, from 0"
                ))),
                _ => Ok(Self::default()),
            };
        };
        let Some(size) = number(launcher.size)? else {
            return Err(bad(format!(
                "{} is set but {} is not: set it to the number of processes",
                launcher.rank, launcher.size
            )));
        };
        let rank = number(launcher.rank)?.unwrap_or_default();
        if rank >= size {
            return Err(bad(format!(
                "{}={rank} with {}={size}: ranks count from 0 to {}",
                launcher.rank,
                launcher.size,
                size.saturating_sub(1)
            )));
        }
        let tasks = || number("SLURM_NTASKS_PER_NODE");
        let nodes = first(&["SLURM_STEP_NUM_NODES", "SLURM_NNODES"])?;
        let local_size = match first(launcher.local_size)? {
            Some(n) => n,
            None => match (tasks()?, nodes) {
                (Some(n), _) => n,
                (None, Some(nodes)) if nodes > 0 => size.div_ceil(nodes),
                _ => size,
            },
        };
        let local_rank = first(launcher.local_rank)?.unwrap_or(rank % local_size.max(1));
        if size == 1 {
            return Ok(Self {
                local_rank,
                ..Self::default()
            });
        }
        let host = match (get("MASTER_ADDR"), get("SLURM_STEP_NODELIST")) {
            (Some(host), _) => host,
            (None, Some(list)) => first_host(&list),
            (None, None) if local_size >= size => "127.0.0.1".into(),
            (None, None) => {
                return Err(bad(format!(
                    "{} started {size} processes on several machines: set MASTER_ADDR to the one of rank 0, as every \
                     machine can reach it",
                    launcher.name
                )));
            }
        };
        let port = match (get("MASTER_PORT"), number("SLURM_JOB_ID")?) {
            (Some(text), _) => text
                .trim()
                .parse()
                .map_err(|_| bad(format!("MASTER_PORT={text} is not a port: 1 to 65535")))?,
            // Two jobs that share a machine should not share a port.
            (None, Some(job)) => 15000 + (job % 10000) as u16,
            (None, None) => DEFAULT_PORT,
        };
        let attempt =
            ["TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"].map(|name| get(name).unwrap_or_default());
        Ok(Self {
            rank,
            size,
            local_rank,
            local_size: local_size.clamp(1, size),
            host,
            port,
            store_elsewhere: get("TORCHELASTIC_USE_AGENT_STORE")
                .is_some_and(|v| v.eq_ignore_ascii_case("true")),
            attempt: attempt.join("/"),
        })
    }

    /// Whether there are no other processes.
    pub fn is_alone(&self) -> bool {
        self.size == 1
    }

    /// Whether this process keeps the store.
    pub fn keeps_store(&self) -> bool {
        self.rank == 0 && !self.store_elsewhere
    }
}

fn bad(text: String) -> Error {
    Error::ProcessGroup(text)
}

/// `node07` of `node[07-09,12],gpu1`.
fn first_host(list: &str) -> String {
    let Some((name, rest)) = list.split_once('[').filter(|(name, _)| !name.contains(',')) else {
        return list.split(',').next().unwrap_or(list).to_owned();
    };
    let number = rest.split(['-', ',', ']']).next().unwrap_or_default();
    let suffix = rest.split_once(']').map_or("", |(_, after)| after);
    let suffix = suffix.split(',').next().unwrap_or_default();
    format!("{name}{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(variables: &[(&str, &str)]) -> Result<Launch, String> {
        let get = |name: &str| {
            let found = variables.iter().find(|(n, _)| *n == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Launch::from_variables(get).map_err(|e| e.to_string())
    }

    #[test]
    fn nobody_started_it() {
        assert_eq!(launch(&[]), Ok(Launch::default()));
        // What a Slurm batch script itself sees.
        assert_eq!(
            launch(&[("SLURM_PROCID", "0"), ("SLURM_NTASKS", "4")]),
            Ok(Launch::default())
        );
    }

    #[test]
    fn torchrun() {
        let variables = [
            ("RANK", "5"),
            ("WORLD_SIZE", "8"),
            ("LOCAL_RANK", "1"),
            ("LOCAL_WORLD_SIZE", "4"),
            ("MASTER_ADDR", "gpu1"),
            ("MASTER_PORT", "4242"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
            ("SLURM_PROCID", "0"),
            ("SLURM_STEP_NUM_TASKS", "2"),
        ];
        let expected = Launch {
            rank: 5,
            size: 8,
            local_rank: 1,
            local_size: 4,
            host: "gpu1".into(),
            port: 4242,
            store_elsewhere: true,
            attempt: "/2".into(),
        };
        assert_eq!(launch(&variables), Ok(expected));
    }

    #[test]
    fn slurm() {
        let variables = [
            ("SLURM_PROCID", "9"),
            ("SLURM_STEP_NUM_TASKS", "16"),
            ("SLURM_LOCALID", "1"),
            ("SLURM_STEP_NUM_NODES", "2"),
            ("SLURM_STEP_NODELIST", "gpu[07-08]"),
            ("SLURM_JOB_ID", "1234567"),
        ];
        let expected = Launch {
            rank: 9,
            size: 16,
            local_rank: 1,
            local_size: 8,
            host: "gpu07".into(),
            port: 19567,
            store_elsewhere: false,
            attempt: "/".into(),
        };
        assert_eq!(launch(&variables), Ok(expected));
        for (list, first) in [
            ("a1", "a1"),
            ("a1,b[2-3]", "a1"),
            ("n[3,5-9]-ib,x", "n3-ib"),
            ("n[010-012]", "n010"),
        ] {
            assert_eq!(first_host(list), first);
        }
    }

    #[test]
    fn mpi() {
        let open = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "2"),
            ("OMPI_COMM_WORLD_LOCAL_RANK", "1"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        let found = launch(&open).unwrap();
        assert_eq!((found.rank, found.size, found.local_rank), (1, 2, 1));
        assert_eq!((found.host.as_str(), found.port), ("127.0.0.1", 29500));
        let mpich = [("PMI_RANK", "3"), ("PMI_SIZE", "4"), ("MPI_LOCALRANKID", "1")];
        let found = launch(&mpich).unwrap();
        assert_eq!((found.rank, found.size, found.local_rank), (3, 4, 1));
        let spread = [
            ("OMPI_COMM_WORLD_RANK", "1"),
            ("OMPI_COMM_WORLD_SIZE", "4"),
            ("OMPI_COMM_WORLD_LOCAL_SIZE", "2"),
        ];
        assert!(launch(&spread).unwrap_err().contains("MASTER_ADDR"));
    }

    #[test]
    fn wrong_variables_are_named() {
        for (variables, named) in [
            (&[("RANK", "0")][..], "WORLD_SIZE"),
            (&[("WORLD_SIZE", "2")], "RANK"),
            (&[("RANK", "2"), ("WORLD_SIZE", "2")], "RANK=2"),
            (&[("RANK", "one"), ("WORLD_SIZE", "2")], "RANK=one"),
            (
                &[("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_PORT", "99999")],
                "MASTER_PORT=99999",
            ),
        ] {
            let said = launch(variables).unwrap_err();
            assert!(said.contains(named), "{said}");
        }
        assert_eq!(launch(&[("RANK", "0"), ("WORLD_SIZE", "1")]).unwrap().size, 1);
    }
}
