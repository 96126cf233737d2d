// The exceptions of the core. Bindings map each to a Python class of the same name (bindings/errors.cpp).
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

namespace ecocore {

// A caller's mistake. The message names the argument, what was expected, what came, and the remedy.
class InvalidArgument : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

// An instruction set or a device was asked for by name and is not there.
class DeviceUnavailable : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Somebody asked the calling thread to stop (Ctrl-C). What it was about to do for others is still to be done.
class Interrupted : public std::exception {
 public:
  const char* what() const noexcept override { return "interrupted"; }
};

inline void require(bool ok, const char* message) {
  if (!ok) throw InvalidArgument(message);
}

inline void require(bool ok, const std::string& message) {
  if (!ok) throw InvalidArgument(message);
}

}  // namespace ecocore
