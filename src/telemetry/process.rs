//! Metrics of the process, read at each scrape. Those with the names that all Prometheus client libraries use come from `/proc`;
//! without it (on other systems than Linux) only the start time is correct.

use std::{fs, sync::atomic::AtomicU64};

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};
use tokio::runtime::Handle;

/// Clock ticks in a second of `/proc/PID/stat`: USER_HZ, 100 on every platform that this program is built for (proc(5)).
const TICKS: f64 = 100.0;

/// The families of the process.
#[derive(Debug, Default)]
pub(super) struct Process {
    cpu_seconds: Counter<f64, AtomicU64>,
    resident_bytes: Gauge,
    virtual_bytes: Gauge,
    open_fds: Gauge,
    max_fds: Gauge,
    tasks: Gauge,
}

impl Process {
    /// Registers the families. `started` is the start time of the process in Unix time.
    pub fn register(&self, registry: &mut Registry, started: f64) {
        let start_time = Gauge::<f64, AtomicU64>::default();
        start_time.set(started);
        registry.register(
            "process_start_time_seconds",
            "Start time of the process in Unix time",
            start_time,
        );
        registry.register(
            "process_cpu_seconds",
            "User and system CPU time used",
            self.cpu_seconds.clone(),
        );
        registry.register(
            "process_resident_memory_bytes",
            "Resident memory",
            self.resident_bytes.clone(),
        );
        registry.register(
            "process_virtual_memory_bytes",
            "Virtual memory",
            self.virtual_bytes.clone(),
        );
        registry.register(
            "process_open_fds",
            "Open file descriptors",
            self.open_fds.clone(),
        );
        registry.register(
            "process_max_fds",
            "Maximum number of open file descriptors",
            self.max_fds.clone(),
        );
        registry.register(
            "opcancel_tasks",
            "Tasks of the runtime that have not ended",
            self.tasks.clone(),
        );
    }

    /// Updates the values. A value that cannot be read stays unchanged.
    pub fn read(&self) {
        if let Some(now) = fs::read_to_string("/proc/self/stat")
            .ok()
            .as_deref()
            .and_then(cpu_seconds)
        {
            let before = self.cpu_seconds.get();
            self.cpu_seconds.inc_by((now - before).max(0.0));
        }
        if let Ok(status) = fs::read_to_string("/proc/self/status") {
            set(&self.resident_bytes, kilobytes(&status, "VmRSS:"));
            set(&self.virtual_bytes, kilobytes(&status, "VmSize:"));
        }
        let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
        set(&self.max_fds, max_fds(&limits));
        if let Ok(folder) = fs::read_dir("/proc/self/fd") {
            // One of them is the open directory itself.
            set(
                &self.open_fds,
                i64::try_from(folder.count()).ok().map(|count| count - 1),
            );
        }
        if let Ok(runtime) = Handle::try_current() {
            let tasks = runtime.metrics().num_alive_tasks();
            set(&self.tasks, i64::try_from(tasks).ok());
        }
    }
}

fn set(gauge: &Gauge, value: Option<i64>) {
    if let Some(value) = value {
        gauge.set(value);
    }
}

/// `utime` and `stime`, the 14th and 15th field; the second, the name, may hold spaces and brackets.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut ticks = after_name
        .split_whitespace()
        .skip(11)
        .map(|field| field.parse::<f64>().ok());
    Some((ticks.next()?? + ticks.next()??) / TICKS)
}

fn kilobytes(status: &str, key: &str) -> Option<i64> {
    let value = status.lines().find_map(|line| line.strip_prefix(key))?;
    value
        .split_whitespace()
        .next()?
        .parse::<i64>()
        .ok()?
        .checked_mul(1024)
}

fn max_fds(limits: &str) -> Option<i64> {
    let soft = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"))?;
    soft.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_read_as_its_manual_says() {
        let stat = "7 (odd) name)) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 12 1000 10";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("7 (short) S 1"), None);
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t    12 kB\n";
        assert_eq!(
            (kilobytes(status, "VmRSS:"), kilobytes(status, "VmHWM:")),
            (Some(12288), None)
        );
        let limits = "Limit                     Soft Limit           Hard Limit           Units     \nMax open files            1024                 524288               files     \n";
        assert_eq!(max_fds(limits), Some(1024));
        assert_eq!(
            max_fds("Max open files            unlimited            unlimited            files"),
            None
        );
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn all_values_of_this_process_are_positive() {
        let process = Process::default();
        process.read();
        for gauge in [
            &process.resident_bytes,
            &process.virtual_bytes,
            &process.open_fds,
            &process.max_fds,
        ] {
            assert!(gauge.get() > 0, "{process:?}");
        }
    }

    #[tokio::test]
    async fn tasks_that_have_not_ended_are_counted() {
        let process = Process::default();
        let tasks = || {
            process.read();
            process.tasks.get()
        };
        let before = tasks();
        let waiting = tokio::spawn(std::future::pending::<()>());
        assert_eq!(tasks(), before + 1);
        waiting.abort();
        assert!(waiting.await.is_err());
        assert_eq!(tasks(), before);
    }
}
