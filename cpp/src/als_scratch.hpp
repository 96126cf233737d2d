// Scratch memory of the ALS solvers: aligned to cache lines, of padded row length.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

#include "kernels/als.hpp"

namespace ecocore {

// Uninitialised memory on a 64-byte boundary; grows, never shrinks, forgets its contents when it grows.
template <class T>
class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(std::int64_t size) { reserve(size); }
  AlignedBuffer(AlignedBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}
  AlignedBuffer& operator=(AlignedBuffer&&) = delete;
  ~AlignedBuffer() { release(); }

  void reserve(std::int64_t size) {
    if (size <= size_) return;
    release();
    size_ = 0;
    data_ = static_cast<T*>(::operator new(static_cast<std::size_t>(size) * sizeof(T), kAlign));
    size_ = size;
  }
  void clear() {
    for (std::int64_t i = 0; i < size_; ++i) data_[i] = T{};
  }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::int64_t i) { return data_[i]; }

 private:
  static constexpr std::align_val_t kAlign{64};
  void release() {
    if (data_) ::operator delete(data_, kAlign);
    data_ = nullptr;
  }

  T* data_ = nullptr;
  std::int64_t size_ = 0;
};

inline std::int64_t als_padded(std::int64_t factors) {
  return (factors + kAlsPad - 1) / kAlsPad * kAlsPad;
}

}  // namespace ecocore
