#include "ecocore/cpu_quota.hpp"

#include <algorithm>
#include <cstdint>
#include <fstream>
#include <limits>

namespace ecocore {
namespace {

// One cpu.max file: "200000 100000", or "max 100000" for no limit. 0 = no limit, or no such file.
int quota_of(const std::string& file) {
  std::ifstream in(file);
  std::int64_t quota = 0, period = 0;
  if (!(in >> quota >> period) || quota <= 0 || period <= 0) return 0;
  const std::int64_t cpus = quota / period + (quota % period != 0 ? 1 : 0);
  return static_cast<int>(std::min<std::int64_t>(cpus, std::numeric_limits<int>::max()));
}

}  // namespace

int cgroup_cpus(const std::string& membership, const std::string& mount) {
  // The line of version 2 is "0::/path"; inside a container the path is often just "/".
  std::ifstream in(membership);
  std::string group;
  for (std::string line; std::getline(in, line);)
    if (line.rfind("0::", 0) == 0) group = line.substr(3);
  if (group.empty() || group[0] != '/') return 0;

  int tightest = 0;
  while (true) {
    while (!group.empty() && group.back() == '/') group.pop_back();
    if (const int cpus = quota_of(mount + group + "/cpu.max"); cpus > 0)
      tightest = tightest == 0 ? cpus : std::min(tightest, cpus);
    if (group.empty()) return tightest;
    group.resize(group.rfind('/'));
  }
}

}  // namespace ecocore
