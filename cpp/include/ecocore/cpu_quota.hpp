// How many CPUs a container may use. The affinity mask does not tell: a quota limits time, not places.
#pragma once

#include <string>

namespace ecocore {

// The CPU quota of a cgroup v2 (cpu.max: quota and period), rounded up to whole CPUs; 0 where there is none. The
// tightest limit from the process's group up to the root holds. `membership` is /proc/self/cgroup, `mount` the place of
// the hierarchy, /sys/fs/cgroup.
int cgroup_cpus(const std::string& membership, const std::string& mount);

}  // namespace ecocore
