//! What the machine has left. Owns how much memory a process may still take, on Linux; elsewhere
//! it is not known. Does not own what anybody makes of that.
#![deny(unsafe_code)]

use std::path::Path;

/// Files of a control group in its two versions: where the groups are, the limit, what is used, and
/// the line of `memory.stat` that counts files the system can let go of.
const V1: [&str; 4] = [
    "sys/fs/cgroup/memory",
    "memory.limit_in_bytes",
    "memory.usage_in_bytes",
    "total_inactive_file",
];
const V2: [&str; 4] = [
    "sys/fs/cgroup",
    "memory.max",
    "memory.current",
    "inactive_file",
];

/// Bytes that this process may still take, where the system tells: what is free, within the limits
/// of the control groups that it is in, as batch systems and containers set them.
pub fn available_memory() -> Option<u64> {
    below(Path::new("/"))
}

fn below(root: &Path) -> Option<u64> {
    let text = |name: &str| std::fs::read_to_string(root.join(name)).ok();
    let free = field(&text("proc/meminfo")?, "MemAvailable:")?.saturating_mul(1 << 10);
    let groups = text("proc/self/cgroup").unwrap_or_default();
    let limits = groups.lines().flat_map(|line| {
        // number:controllers:path
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        let version = match controllers {
            "" => Some(V2),
            some => some.split(',').any(|c| c == "memory").then_some(V1),
        };
        let groups = version.into_iter().flat_map(|version| {
            let above = Path::new(path.trim_start_matches('/')).ancestors();
            above.map(move |group| (version, group.to_path_buf()))
        });
        groups.filter_map(|(version, group)| rest(&root.join(version[0]).join(group), &version))
    });
    Some(limits.fold(free, u64::min))
}

/// What a group may still take; `None` without a limit.
fn rest(group: &Path, [_, limit, used, files]: &[&str; 4]) -> Option<u64> {
    let text = |name: &str| std::fs::read_to_string(group.join(name)).ok();
    let number = |name: &str| text(name)?.trim().parse::<u64>().ok();
    let files = text("memory.stat").and_then(|stat| field(&stat, files));
    let used = number(used)?.saturating_sub(files.unwrap_or(0));
    Some(number(limit)?.saturating_sub(used))
}

/// The number behind the first word of a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().map(str::split_whitespace);
    lines.find_map(|mut words| match words.next() {
        Some(first) if first == name => words.next()?.parse().ok(),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    const FREE: (&str, &str) = (
        "proc/meminfo",
        "MemTotal:       24683824 kB\nMemFree: 1 kB\nMemAvailable:       4000 kB\n",
    );

    #[test]
    fn the_tightest_limit_counts() {
        let none = machine(&[]);
        assert_eq!(below(none.path()), None);
        let free = machine(&[FREE]);
        assert_eq!(below(free.path()), Some(4_096_000));
        // Version 2: a job within a slice within a container.
        let mut files = vec![
            FREE,
            ("proc/self/cgroup", "0::/slice/job\n"),
            ("sys/fs/cgroup/slice/job/memory.max", "max\n"),
            ("sys/fs/cgroup/slice/job/memory.current", "500\n"),
            ("sys/fs/cgroup/slice/memory.max", "9000\n"),
            ("sys/fs/cgroup/slice/memory.current", "2000\n"),
        ];
        assert_eq!(below(machine(&files).path()), Some(7000));
        // What can be let go of is not taken.
        let stat = "anon 1\ninactive_file 1500\nactive_file 7\n";
        files.push(("sys/fs/cgroup/slice/memory.stat", stat));
        assert_eq!(below(machine(&files).path()), Some(8500));
        files.push(("sys/fs/cgroup/memory.max", "600\n"));
        files.push(("sys/fs/cgroup/memory.current", "700\n"));
        assert_eq!(below(machine(&files).path()), Some(0));
    }

    #[test]
    fn groups_of_version_1_have_a_tree_of_their_own() {
        let root = machine(&[
            FREE,
            (
                "proc/self/cgroup",
                "5:cpu,cpuacct:/x\n4:memory:/job\n1:name=systemd:/y\n",
            ),
            (
                "sys/fs/cgroup/memory/memory.limit_in_bytes",
                "9223372036854771712\n",
            ),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "77\n"),
            ("sys/fs/cgroup/memory/job/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/job/memory.usage_in_bytes", "400\n"),
            (
                "sys/fs/cgroup/memory/job/memory.stat",
                "inactive_file 9\ntotal_inactive_file 100\n",
            ),
        ]);
        assert_eq!(below(root.path()), Some(700));
    }

    #[test]
    fn this_machine_has_memory_left() {
        // Where the system does not tell, nothing is claimed.
        assert!(available_memory().is_none_or(|left| left < 1 << 60));
        assert_eq!(available_memory().is_some(), cfg!(target_os = "linux"));
    }
}
