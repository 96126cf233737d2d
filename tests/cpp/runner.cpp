// Runs all tests, or those whose name contains the argument.
#include <cstdio>
#include <cstring>
#include <exception>

#include "check.hpp"
#include "ecocore/error.hpp"
#include "ecocore/isa.hpp"

std::vector<check::Test>& check::tests() {
  static std::vector<Test> all;
  return all;
}

int main(int argc, char** argv) {
  try {
    std::printf("instruction set %s\n", std::string(ecocore::isa_name(ecocore::active_isa())).c_str());
  } catch (const ecocore::DeviceUnavailable& e) {
    std::printf("skipped: %s\n", e.what());
    return 77;
  }
  int failed = 0, run = 0;
  for (const check::Test& test : check::tests()) {
    if (argc > 1 && !std::strstr(test.name, argv[1])) continue;
    ++run;
    try {
      test.run();
      std::printf("ok      %s\n", test.name);
    } catch (const check::Skip& e) {
      std::printf("skipped %s: %s\n", test.name, e.what());
    } catch (const std::exception& e) {
      ++failed;
      std::printf("FAILED  %s\n        %s\n", test.name, e.what());
    }
    std::fflush(stdout);
  }
  std::printf("%d tests, %d failed\n", run, failed);
  return failed > 0 || run == 0 ? 1 : 0;
}
