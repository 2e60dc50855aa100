//! What a measurement ran on, and how much memory the process has taken.

use serde::Serialize;

use crate::gpu::Gpu;
use crate::graph::half::Storage;
use crate::ops::Family;
use crate::ops::gemm::Matrices;

/// A machine, as far as a measurement depends on it.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// Version of the program, and how it was built.
    pub program: String,
    /// Name of the adapter; none where none was used.
    pub adapter: Option<Adapter>,
    /// Name of the processor, as far as the system tells.
    pub processor: String,
    /// Threads it runs at once.
    pub cores: usize,
    /// Main memory, where the system tells.
    pub memory_bytes: Option<u64>,
    /// Operating system and instruction set.
    pub system: String,
}

/// An adapter.
#[derive(Clone, Debug, Serialize)]
pub struct Adapter {
    /// Its name.
    pub name: String,
    /// Discrete, integrated, CPU and so on.
    pub kind: String,
    /// The interface it is driven through.
    pub backend: String,
    /// Its driver.
    pub driver: String,
    /// Which kernels it runs.
    pub kernels: String,
}

impl Machine {
    /// This machine, with the adapter that is used.
    pub fn here(gpu: Option<&Gpu>) -> Self {
        let build = match cfg!(debug_assertions) {
            true => "development build, slower than a release",
            false => "release build",
        };
        Self {
            program: format!("spadework {}, {build}", env!("CARGO_PKG_VERSION")),
            adapter: gpu.map(Adapter::of),
            processor: processor(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_bytes: kilobytes("/proc/meminfo", "MemTotal:"),
            system: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
        }
    }
}

impl Adapter {
    fn of(gpu: &Gpu) -> Self {
        let info = &gpu.info;
        Self {
            name: info.name.clone(),
            kind: format!("{:?}", info.device_type),
            backend: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info)
                .trim()
                .to_owned(),
            kernels: kernels(gpu.family) + stored(gpu.storage()) + &multiplied(gpu.matrices()),
        }
    }
}

/// A kernel family in words.
pub fn kernels(family: Family) -> String {
    match family {
        Family::Tiled(buffering) => format!("tiled in {} KiB", buffering.most_bytes() >> 10),
        Family::Subgroup(lanes) => format!("subgroup of {lanes} lanes"),
    }
}

/// How values are stored, where that is not in 32 bits.
fn stored(storage: Storage) -> &'static str {
    match storage {
        Storage::Single => "",
        Storage::Half | Storage::HalfState => ", stored in 16 bits",
        Storage::HalfMaps => ", maps in 16 bits",
    }
}

/// Units for matrices in words, where they are used.
fn multiplied(matrices: Option<Matrices>) -> String {
    matrices.map_or_else(String::new, |matrices| {
        let side = matrices.side();
        format!(", cooperative matrices of {side}x{side}")
    })
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let name = named
        .and_then(|rest| rest.split_once(':'))
        .map(|(_, name)| name.trim());
    name.unwrap_or("unknown processor").to_owned()
}

/// A value in kB of a file of the system that lists such values by name.
fn kilobytes(file: &str, name: &str) -> Option<u64> {
    let text = std::fs::read_to_string(file).ok()?;
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    let number: u64 = rest.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(number << 10)
}

/// The most memory the process had in use at once since [`forget_peak`], where the system tells: Linux does.
pub fn peak_bytes() -> Option<u64> {
    kilobytes("/proc/self/status", "VmHWM:")
}

/// Lets [`peak_bytes`] begin anew, where the system can; elsewhere the peak stays that since the start.
pub fn forget_peak() {
    // 5 is the order to forget the peak; a system without it has nothing to lose.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn the_peak_covers_what_was_in_use() {
        let before = peak_bytes().unwrap();
        let filled = vec![1u8; 64 << 20];
        assert!(peak_bytes().unwrap() >= before.max(filled.len() as u64));
        assert!(Machine::here(None).memory_bytes.unwrap() > 1 << 20);
    }
}
