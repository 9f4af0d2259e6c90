//! Settings of a throwaway server: what makes a restore fast and need not survive a loss of power, within the
//! memory of the machine, on which other things run.

/// What is known of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Machine {
    /// Memory in MiB that can be had without pushing others out.
    pub(super) memory_mib: u64,
    /// Cores.
    pub(super) cores: usize,
}

impl Machine {
    /// This one. Where it does not tell its memory, 2 GiB.
    pub(super) fn look() -> Self {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let available = available_mib(&text).unwrap_or(2048);
        let limit = ["/sys/fs/cgroup/memory.max"]
            .into_iter()
            .filter_map(|path| std::fs::read_to_string(path).ok())
            .find_map(|text| text.trim().parse::<u64>().ok());
        Self {
            memory_mib: limit.map_or(available, |bytes| available.min(bytes >> 20)),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        }
    }
}

/// `MemAvailable` of `/proc/meminfo`, which is in KiB.
fn available_mib(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib >> 10)
}

/// Connections that the server takes: ours, and the pools of applications that checks ask.
const CONNECTIONS_MAX: usize = 100;
/// Locks for each connection at least: PostgreSQL's own default.
const LOCKS_MIN: usize = 64;

/// Settings by name. `tables` is the number of tables: dumping its structure locks all of them at once.
pub(super) fn settings(machine: &Machine, tables: usize) -> Vec<(&'static str, String)> {
    let memory = machine.memory_mib;
    let shared_mib = (memory / 8).clamp(32, 512);
    // Sorts are the faster the better they fit into the processor's cache.
    let maintenance_mib = (memory / 16).clamp(16, 32);
    let locks = LOCKS_MIN.max(4 * tables / CONNECTIONS_MAX + LOCKS_MIN);
    let flag = |name, value: &str| (name, value.to_owned());
    vec![
        flag("fsync", "off"),
        flag("synchronous_commit", "off"),
        flag("full_page_writes", "off"),
        flag("wal_level", "minimal"),
        flag("max_wal_senders", "0"),
        flag("max_wal_size", "4GB"),
        flag("checkpoint_timeout", "1d"),
        flag("log_checkpoints", "off"),
        flag("autovacuum", "off"),
        flag("jit", "off"),
        flag("bgwriter_lru_maxpages", "0"),
        ("max_connections", CONNECTIONS_MAX.to_string()),
        ("max_locks_per_transaction", locks.to_string()),
        ("shared_buffers", format!("{shared_mib}MB")),
        ("maintenance_work_mem", format!("{maintenance_mib}MB")),
        flag("work_mem", "32MB"),
        (
            "max_parallel_maintenance_workers",
            machine.cores.saturating_sub(1).min(4).to_string(),
        ),
        // A session whose client is gone ends in the middle of its work, also when we are killed.
        flag("client_connection_check_interval", "2s"),
        // A server that crashed under a check is not to come back as if nothing had happened.
        flag("restart_after_crash", "off"),
        flag("logging_collector", "off"),
        flag("lc_messages", "C"),
        flag("timezone", "UTC"),
        flag("log_timezone", "UTC"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(machine: Machine, tables: usize, name: &str) -> String {
        let found = settings(&machine, tables);
        let found = found.into_iter().find(|(setting, _)| *setting == name);
        found.expect(name).1
    }

    #[test]
    fn memory_follows_the_machine_within_limits() {
        let machine = |memory_mib| Machine {
            memory_mib,
            cores: 2,
        };
        assert_eq!(value(machine(128), 0, "shared_buffers"), "32MB");
        assert_eq!(value(machine(4096), 0, "shared_buffers"), "512MB");
        assert_eq!(value(machine(1 << 20), 0, "shared_buffers"), "512MB");
        assert_eq!(value(machine(4096), 0, "maintenance_work_mem"), "32MB");
    }

    #[test]
    fn every_table_can_be_locked_at_once() {
        let machine = Machine {
            memory_mib: 2048,
            cores: 2,
        };
        assert_eq!(value(machine, 3, "max_locks_per_transaction"), "64");
        let locks: usize = value(machine, 20_000, "max_locks_per_transaction")
            .parse()
            .expect("a number");
        assert!(locks * CONNECTIONS_MAX >= 2 * 20_000);
    }

    #[test]
    fn the_memory_is_read_from_the_kernel() {
        let text = "MemTotal: 9 kB\nMemAvailable:   2097152 kB\n";
        assert_eq!(available_mib(text), Some(2048));
        assert_eq!(available_mib(""), None);
    }
}
