// A test is a TEST(name) { ... } in any file; a failed CHECK says where, and the program goes on with the next test.
#pragma once

#include <stdexcept>
#include <string>
#include <vector>

namespace check {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// For what a machine or a sanitizer cannot do; the reason is printed.
struct Skip : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Test {
  const char* name;
  void (*run)();
};

std::vector<Test>& tests();

struct Register {
  Register(const char* name, void (*run)()) { tests().push_back({name, run}); }
};

inline void that(bool ok, const char* text, const char* file, int line) {
  if (!ok) throw Failure(std::string(file) + ":" + std::to_string(line) + ": " + text);
}

// Runs f, which must throw E with `part` in its message.
template <class E, class F>
void throws(F f, const std::string& part, const char* file, int line) {
  try {
    f();
  } catch (const E& e) {
    const bool said = std::string(e.what()).find(part) != std::string::npos;
    return that(said, ("expected a message with '" + part + "', got '" + e.what() + "'").c_str(), file, line);
  }
  that(false, ("expected an exception with '" + part + "', got none").c_str(), file, line);
}

}  // namespace check

#define TEST(name)                                                   \
  static void test_##name();                                         \
  static const check::Register register_##name(#name, &test_##name); \
  static void test_##name()
#define CHECK(condition) check::that((condition), #condition, __FILE__, __LINE__)
#define CHECK_THROWS(type, part, ...) check::throws<type>([&] { __VA_ARGS__; }, part, __FILE__, __LINE__)

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
