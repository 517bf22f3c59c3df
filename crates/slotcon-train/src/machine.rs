//! What this machine is.

/// Cores that the program may use.
pub fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Its name in the network.
pub fn host_name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}

/// Threads of the loader of one of `processes` on this machine: its share of the cores, or half of it where the network
/// wants the cores, too.
pub fn loader_threads(device: tch::Device, processes: usize) -> usize {
    let cores = cores() / processes;
    if device.is_cuda() {
        cores.max(1)
    } else {
        (cores / 2).max(1)
    }
}
