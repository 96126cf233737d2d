// Zeroed memory that the system hands out page by page as it is touched.
#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>

namespace ecocore {

// Rows of T, which zeros must be a value of. Rows are found by chance, so that large pages are asked for: with small
// ones the processor would look up an address for nearly every row it reads.
template <class T>
class LazyArray {
 public:
  LazyArray() = default;
  LazyArray(std::int64_t rows, std::int64_t columns) : columns_(columns) {
    if (__builtin_mul_overflow(static_cast<std::size_t>(rows), static_cast<std::size_t>(columns), &bytes_) ||
        __builtin_mul_overflow(bytes_, sizeof(T), &bytes_))
      throw std::bad_alloc();
    if (bytes_ == 0) return;
    void* p = mmap(nullptr, bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) throw std::bad_alloc();
    if (bytes_ >= kLargePage) madvise(p, bytes_, MADV_HUGEPAGE);  // no more than a wish
    data_ = static_cast<T*>(p);
  }
  LazyArray(LazyArray&& other) noexcept { *this = std::move(other); }
  LazyArray& operator=(LazyArray&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
    std::swap(columns_, other.columns_);
    return *this;
  }
  ~LazyArray() {
    if (data_) munmap(data_, bytes_);
  }

  bool empty() const { return bytes_ == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  T* row(std::int64_t i) { return data_ + i * columns_; }
  const T* row(std::int64_t i) const { return data_ + i * columns_; }

 private:
  static constexpr std::size_t kLargePage = 2u << 20;

  T* data_ = nullptr;
  std::size_t bytes_ = 0;
  std::int64_t columns_ = 0;
};

}  // namespace ecocore
