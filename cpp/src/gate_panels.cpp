#include "gate_panels.hpp"

#include <string>

#include "ecocore/error.hpp"

namespace ecocore {

Panels pack(MatrixView<const float> m, std::int64_t first, std::int64_t depth, int gates, int lanes) {
  const std::int64_t hidden = m.rows / gates, blocks = blocks_of(hidden, lanes);
  Panels out(static_cast<std::size_t>(blocks * depth * gates * lanes), 0.0f);
  for (std::int64_t unit = 0; unit < hidden; ++unit)
    for (int g = 0; g < gates; ++g) {
      const float* row = m.row(g * hidden + unit) + first;
      float* to = out.data() + (unit / lanes) * depth * gates * lanes + g * lanes + unit % lanes;
      for (std::int64_t k = 0; k < depth; ++k) to[k * gates * lanes] = row[k];
    }
  return out;
}

Panels pack_bias(const float* bias, std::int64_t hidden, int gates, int lanes) {
  return pack({bias, gates * hidden, 1}, 0, 1, gates, lanes);
}

void require_finite(const float* p, std::int64_t n, const char* what) {
  for (std::int64_t i = 0; i < n; ++i)
    if (!(p[i] - p[i] == 0.0f))
      throw InvalidArgument(std::string(what) +
                            ": expected finite weights, got NaN or inf; train or export the model again");
}

}  // namespace ecocore
