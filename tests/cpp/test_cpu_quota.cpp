#include "ecocore/cpu_quota.hpp"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "check.hpp"

namespace {

namespace fs = std::filesystem;

// A made-up cgroup hierarchy in a temporary folder.
class Hierarchy {
 public:
  Hierarchy() : root_(fs::temp_directory_path() / ("ecocore-cgroup-" + std::to_string(getpid()))) {
    fs::create_directories(root_);
  }
  ~Hierarchy() { fs::remove_all(root_); }

  void limit(const std::string& group, const std::string& text) {
    fs::create_directories(root_ / group);
    std::ofstream(root_ / group / "cpu.max") << text;
  }

  int cpus(const std::string& membership) {
    std::ofstream(root_ / "self") << membership;
    return ecocore::cgroup_cpus(root_ / "self", root_);
  }

 private:
  fs::path root_;
};

}  // namespace

TEST(cpu_quota_is_rounded_up) {
  for (auto [text, cpus] : {std::pair{"200000 100000\n", 2},
                            {"150000 100000\n", 2},
                            {"1000 100000\n", 1},
                            {"50000 50000\n", 1},
                            {"max 100000\n", 0},
                            {"9000000000000000000 1\n", 2147483647}}) {
    Hierarchy h;
    h.limit("", text);
    CHECK(h.cpus("0::/\n") == cpus);
  }
}

TEST(cpu_quota_takes_the_tightest_level) {
  Hierarchy h;
  h.limit("", "max 100000");
  h.limit("a", "300000 100000");
  h.limit("a/b", "max 100000");
  h.limit("a/b/c", "800000 100000");
  CHECK(h.cpus("0::/a/b/c\n") == 3);
  CHECK(h.cpus("12:memory:/x\n1:cpu:/y\n0::/a/b/c/\n") == 3);
  CHECK(h.cpus("0::/a/b/c/without/files\n") == 3);
  CHECK(h.cpus("0::/\n") == 0);
}

TEST(cpu_quota_absent_or_malformed_is_no_limit) {
  CHECK(ecocore::cgroup_cpus("/nowhere/self", "/nowhere") == 0);
  for (const char* text : {"", "100000", "x y", "-5 100000", "100000 0", "0 100000"}) {
    Hierarchy h;
    h.limit("", text);
    CHECK(h.cpus("0::/\n") == 0);
  }
  Hierarchy h;
  h.limit("", "100000 100000");
  for (const char* membership : {"", "0::", "0::relative", "1:cpu:/"}) CHECK(h.cpus(membership) == 0);
}
