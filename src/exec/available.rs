//! How much memory this process may still take: of the machine, of the control groups that it is in (a container's
//! limit), and of its address space (`ulimit -v`). A process that takes more is killed, or ends on an allocation.

use std::path::Path;

/// Gives back what the allocator keeps of memory that was freed: otherwise it counts as taken, and of two equal pictures
/// the second would not fit.
pub(crate) fn release_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it takes no pointer, changes nothing that is allocated, and may be called from any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Bytes of memory that this process may still take, as far as the system tells.
pub(crate) fn available_memory() -> u64 {
    memory_limits().into_iter().filter_map(|(_, free)| free).min().unwrap_or(u64::MAX)
}

/// What limits the memory of this process, and the bytes that each of them leaves; None where it does not, or the
/// system does not tell.
pub fn memory_limits() -> [(&'static str, Option<u64>); 3] {
    let root = Path::new("/");
    [("machine", machine()), ("control groups", control_groups(root)), ("address space", address_space(root))]
}

/// Bytes of memory that this process has; None where the system does not tell.
pub(crate) fn resident_memory() -> Option<u64> {
    status(Path::new("/"), "VmRSS:")
}

/// Without the command line nobody asks the machine: the caller says how much there is
/// ([`crate::Smoother::with_max_memory`]).
#[cfg(not(feature = "cli"))]
fn machine() -> Option<u64> {
    None
}

#[cfg(feature = "cli")]
fn machine() -> Option<u64> {
    let mut system = sysinfo::System::new();
    system.refresh_memory();
    Some(system.available_memory()).filter(|bytes| *bytes > 0)
}

/// What the control groups leave, of version 1 or 2, the process's own and all above it. What they hold of files goes
/// when memory is wanted, and is no use of it.
fn control_groups(root: &Path) -> Option<u64> {
    let groups = read(root, "proc/self/cgroup")?;
    let free = groups.lines().flat_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kinds, path) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
        let version: Option<Version> = match kinds {
            "" => Some(&V2),
            kinds => kinds.split(',').any(|kind| kind == "memory").then_some(&V1),
        }
        .copied();
        // In a container the path may be that outside of it, where the group lies at the top.
        let path = Path::new(path.trim_start_matches('/')).to_path_buf();
        version.into_iter().flat_map(move |version| {
            let free: Vec<u64> =
                path.ancestors().filter_map(|group| version.free(&root.join(version.folder).join(group))).collect();
            free
        })
    });
    free.min()
}

/// The files of a version of control groups.
#[derive(Clone, Copy)]
struct Version {
    folder: &'static str,
    limit: &'static str,
    usage: &'static str,
    files: [&'static str; 2],
}

const V1: Version = Version {
    folder: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_active_file", "total_inactive_file"],
};
const V2: Version = Version {
    folder: "sys/fs/cgroup",
    limit: "memory.max",
    usage: "memory.current",
    files: ["active_file", "inactive_file"],
};

impl Version {
    /// Bytes that a group leaves; None without a limit.
    fn free(&self, group: &Path) -> Option<u64> {
        let number = |name: &str| read(group, name)?.trim().parse::<u64>().ok();
        // Version 1 says no limit by a number that no machine has.
        let limit = number(self.limit).filter(|limit| *limit < 1 << 60)?;
        let usage = number(self.usage)?;
        let stat = read(group, "memory.stat").unwrap_or_default();
        let of = |line: &str| {
            let (name, value) = line.split_once(' ')?;
            self.files.contains(&name).then(|| value.trim().parse::<u64>().ok())?
        };
        let files: u64 = stat.lines().filter_map(of).sum();
        Some(limit.saturating_sub(usage.saturating_sub(files)))
    }
}

/// What the limit of the address space leaves.
fn address_space(root: &Path) -> Option<u64> {
    let limits = read(root, "proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(limit.saturating_sub(status(root, "VmSize:")?))
}

/// A line of the process's status, in bytes.
fn status(root: &Path, name: &str) -> Option<u64> {
    let status = read(root, "proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    Some(1024 * line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?)
}

fn read(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok()
}

#[cfg(all(test, feature = "files"))]
mod tests {
    use super::*;

    fn system(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = root.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn control_groups_of_both_versions() {
        let v1 = system(&[
            ("proc/self/cgroup", "5:cpu:/\n4:cpuset,memory:/docker/a\n0::/\n"),
            ("sys/fs/cgroup/memory/docker/a/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/docker/a/memory.usage_in_bytes", "700\n"),
            ("sys/fs/cgroup/memory/docker/a/memory.stat", "rss 400\ntotal_active_file 100\ntotal_inactive_file 50\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "7000\n"),
        ]);
        assert_eq!(control_groups(v1.path()), Some(450));
        // A container of version 2 sees its own group at the top; that above another's is less.
        let v2 = system(&[
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("sys/fs/cgroup/outer/inner/memory.max", "max\n"),
            ("sys/fs/cgroup/outer/inner/memory.current", "10\n"),
            ("sys/fs/cgroup/outer/memory.max", "500\n"),
            ("sys/fs/cgroup/outer/memory.current", "600\n"),
            ("sys/fs/cgroup/outer/memory.stat", "anon 1\nactive_file 0\ninactive_file 300\n"),
        ]);
        assert_eq!(control_groups(v2.path()), Some(200));
        let top = system(&[
            ("proc/self/cgroup", "0::/not/seen/from/here\n"),
            ("sys/fs/cgroup/memory.max", "500\n"),
            ("sys/fs/cgroup/memory.current", "100\n"),
        ]);
        assert_eq!(control_groups(top.path()), Some(400));
        assert_eq!(control_groups(system(&[("proc/self/cgroup", "0::/\n")]).path()), None);
        assert_eq!(control_groups(system(&[]).path()), None);
    }

    #[test]
    fn address_spaces() {
        let status = ("proc/self/status", "Name:\tx\nVmSize:\t     100 kB\nVmRSS:\t      20 kB\n");
        let limits = |soft: &str| {
            format!("Limit  Soft Limit  Hard Limit  Units\nMax address space         {soft}   unlimited   bytes\n")
        };
        let free = |soft: &str| address_space(system(&[status, ("proc/self/limits", &limits(soft))]).path());
        assert_eq!(free("1024000"), Some(1024000 - 102400));
        assert_eq!(free("1000"), Some(0));
        assert_eq!(free("unlimited"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_memory_and_may_take_more() {
        assert!(resident_memory().unwrap() > 1 << 20 && available_memory() > 1 << 20);
    }
}
