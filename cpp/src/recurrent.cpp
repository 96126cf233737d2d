#include "ecocore/recurrent.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>
#include <numeric>

#include "ecocore/error.hpp"
#include "gate_panels.hpp"
#include "kernels/table.hpp"
#include "number_rows.hpp"

namespace ecocore {
namespace {

// Rows that advance together: enough for the weights to be read from cache once per block of rows, few enough for
// their states to stay in cache.
constexpr std::int64_t kBlockRows = 84;  // a multiple of every tile height but AVX2's five

// Fewer where there are few, so that no thread waits long for another's last block.
std::int64_t block_rows(std::int64_t rows, int threads) {
  return threads > 1 && rows < 16 * threads * kBlockRows ? kBlockRows / 2 : kBlockRows;
}

// What one call of advance() is about. Rows are worked on in an order of falling length. Their states are read and
// written in h and c or, where these are null, read from `from` and written to the scratch's out_h and out_c.
struct Task {
  const Events& events;
  const std::vector<std::int64_t>& order;
  float *h, *c;
  StateRows from;
};

struct Range {  // of `order`
  std::int64_t begin, end;
};

struct Layer {
  Panels input, recurrent;
  Panels start;            // the bias that the input's sum starts from
  Panels apart;            // GRU: the candidate's recurrent bias
  std::int64_t depth = 0;  // of the input
};

struct Table {
  std::int64_t size = 0;
  bool projected = true;
  NumberRows rows;  // [size, width]: start + W x for the first table, W x for the others; or, not projected,
                    // [size, depth]: the embedding itself, multiplied on the fly
  Panels panels;    // W of this table's columns, where not projected
};

}  // namespace

Cell parse_cell(const std::string& name) {
  if (name == "rnn") return Cell::kRnn;
  if (name == "gru") return Cell::kGru;
  if (name == "lstm") return Cell::kLstm;
  throw InvalidArgument("cell: expected 'rnn', 'gru' or 'lstm'; got '" + name + "'");
}

int gates_of(Cell cell) {
  return cell == Cell::kLstm ? 4 : cell == Cell::kGru ? 3 : 1;
}

struct RecurrentNet::Impl {
  Cell cell;
  int gates, lanes;
  RecurrentKernels::Project project, project_linear;
  RecurrentKernels::Step step;
  std::int64_t hidden, padded, width;  // width of a row of pre-activations
  std::vector<Layer> layers;
  std::vector<Table> tables;
  Panels query_panels, query_bias;
  std::int64_t query_size;
  bool query_is_state;
  bool copies_input;  // whether pre-activations are made in scratch memory rather than pointed at

  GatePanels panels(const Panels& weights, std::int64_t depth) const { return {weights.data(), depth, padded / lanes}; }

  // Scratch of one thread.
  struct Scratch {
    std::vector<float> h, next, c, x, input, lower, out_h, out_c;
    std::vector<float*> next_rows, c_rows, out_rows;
    std::vector<const float*> h_rows, in_rows, x_rows, start_rows;
    std::vector<std::int64_t> row, begin, length;
    std::array<std::vector<const char*>, kAheads> ahead;

    const std::int64_t rows;  // room

    Scratch(const Impl& net, std::int64_t n) : rows(n) {
      const auto size = [](std::int64_t a, std::int64_t b) { return static_cast<std::size_t>(a * b); };
      const auto depth = static_cast<std::int64_t>(net.layers.size());
      h.assign(size(rows * depth, net.padded), 0.0f);
      next.assign(size(rows * depth, net.padded), 0.0f);
      if (net.cell == Cell::kLstm) c.assign(size(rows * depth, net.padded), 0.0f);
      if (net.copies_input) input.resize(size(rows, net.width));
      if (!net.tables[0].projected) x.resize(size(rows, net.tables[0].rows.cols()));
      if (depth > 1) lower.resize(size(rows, net.width));
      for (auto* v : {&next_rows, &c_rows, &out_rows}) v->resize(static_cast<std::size_t>(rows));
      for (auto* v : {&h_rows, &in_rows, &x_rows, &start_rows}) v->resize(static_cast<std::size_t>(rows));
      for (auto* v : {&row, &begin, &length}) v->resize(static_cast<std::size_t>(rows));
      for (auto& v : ahead) v.reserve(static_cast<std::size_t>(rows));
    }
  };

  // Pre-activations of the first layer for the event `t` of each of `n` rows: pointers in s.in_rows.
  void look_up(const Events& events, std::int64_t n, std::int64_t t, Scratch& s) const {
    const auto at = [&](std::int64_t i) { return static_cast<std::size_t>(i); };
    const Table& first = tables[0];
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t id = events.ids[0][s.begin[at(i)] + t];
      if (first.projected) {
        s.in_rows[at(i)] = first.rows.read(id, copies_input ? s.input.data() + i * width : nullptr);
      } else {
        s.x_rows[at(i)] = first.rows.read(id, s.x.data() + i * first.rows.cols());
        s.start_rows[at(i)] = layers[0].start.data();
        s.out_rows[at(i)] = s.input.data() + i * width;
        s.in_rows[at(i)] = s.out_rows[at(i)];
      }
    }
    if (!first.projected)
      project(panels(first.panels, first.rows.cols()), n, s.x_rows.data(), s.start_rows.data(), s.out_rows.data());
    for (std::size_t j = 1; j < tables.size(); ++j)
      for (std::int64_t i = 0; i < n; ++i) {
        const float* more = tables[j].rows.read(events.ids[j][s.begin[at(i)] + t], nullptr);  // kept as float
        const float* from = s.in_rows[at(i)];
        float* to = s.input.data() + i * width;
        for (std::int64_t w = 0; w < width; ++w) to[w] = from[w] + more[w];
        s.in_rows[at(i)] = to;
      }
  }

  // What look_up will read of the first table at `t`. (The other tables are small and stay in cache.) Rows of a table
  // lie anywhere in memory, and waiting for each would take longer than a step.
  Ahead items_ahead(const Task& task, Range rows, std::int64_t t, std::vector<const char*>& room) const {
    const Events& events = task.events;
    room.clear();
    for (std::int64_t i = rows.begin; i < rows.end; ++i) {
      const std::int64_t row = task.order[static_cast<std::size_t>(i)], event = events.indptr[row] + t;
      if (event >= events.indptr[row + 1]) break;
      room.push_back(tables[0].rows.locate(events.ids[0][event]));
    }
    return {room.data(), static_cast<std::int64_t>(room.size()), tables[0].rows.row_bytes()};
  }

  // The states that a block begins with, where they lie anywhere.
  Ahead states_ahead(const float* const* from, const Task& task, Range rows, std::vector<const char*>& room) const {
    room.clear();
    for (std::int64_t i = rows.begin; from && i < rows.end; ++i)
      if (const float* p = from[task.order[static_cast<std::size_t>(i)]])
        room.push_back(reinterpret_cast<const char*>(p));
    const auto bytes = static_cast<std::int64_t>(layers.size() * sizeof(float)) * hidden;
    return {room.data(), static_cast<std::int64_t>(room.size()), bytes};
  }

  // All that a block reads from far away at its start.
  std::array<Ahead, kAheads> block_ahead(const Task& task, Range rows, Scratch& s) const {
    return {items_ahead(task, rows, 0, s.ahead[0]), states_ahead(task.from.h, task, rows, s.ahead[1]),
            states_ahead(task.from.c, task, rows, s.ahead[2])};
  }

  static void copy_or_zero(const float* from, std::int64_t n, float* to) {
    if (from)
      std::copy_n(from, n, to);
    else
      std::fill_n(to, n, 0.0f);
  }

  // Advances the block `rows`. `then` is what this thread does next.
  void advance_block(const Task& task, Range rows, Range then, Scratch& s) const {
    const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
    const auto& [events, order, h, c, from] = task;
    const std::int64_t n = rows.end - rows.begin, depth = static_cast<std::int64_t>(layers.size());
    const bool has_c = cell == Cell::kLstm;
    for (std::int64_t i = 0; i < n; ++i) {
      const std::int64_t row = order[at(rows.begin + i)];
      s.row[at(i)] = row;
      s.begin[at(i)] = events.indptr[row];
      s.length[at(i)] = events.indptr[row + 1] - events.indptr[row];
      const float* old_h = h ? h + row * depth * hidden : from.h[row];
      const float* old_c = c ? c + row * depth * hidden : from.c ? from.c[row] : nullptr;
      for (std::int64_t l = 0; l < depth; ++l) {
        const std::int64_t to = (l * s.rows + i) * padded;
        copy_or_zero(old_h ? old_h + l * hidden : nullptr, hidden, s.h.data() + to);
        if (has_c) copy_or_zero(old_c ? old_c + l * hidden : nullptr, hidden, s.c.data() + to);
      }
    }
    std::int64_t active = n;
    for (std::int64_t t = 0;; ++t) {
      while (active > 0 && s.length[at(active - 1)] <= t) {
        --active;
        for (std::int64_t l = 0; l < depth; ++l) {
          const std::int64_t to = ((h ? s.row[at(active)] : active) * depth + l) * hidden;
          const std::int64_t done = (l * s.rows + active) * padded;
          std::copy_n(s.h.data() + done, hidden, (h ? h : s.out_h.data()) + to);
          if (has_c) std::copy_n(s.c.data() + done, hidden, (c ? c : s.out_c.data()) + to);
        }
      }
      if (active == 0) return;
      look_up(events, active, t, s);
      std::array<Ahead, kAheads> ahead{items_ahead(task, {rows.begin, rows.begin + active}, t + 1, s.ahead[0])};
      if (ahead[0].count == 0) ahead = block_ahead(task, then, s);
      for (std::int64_t l = 0; l < depth; ++l) {
        const Layer& layer = layers[at(l)];
        for (std::int64_t i = 0; i < active; ++i) {
          const std::int64_t state = (l * s.rows + i) * padded;
          s.h_rows[at(i)] = s.h.data() + state;
          s.next_rows[at(i)] = s.next.data() + state;
          if (has_c) s.c_rows[at(i)] = s.c.data() + state;
        }
        if (l > 0) {
          for (std::int64_t i = 0; i < active; ++i) {
            s.x_rows[at(i)] = s.next.data() + ((l - 1) * s.rows + i) * padded;
            s.start_rows[at(i)] = layer.start.data();
            s.out_rows[at(i)] = s.lower.data() + i * width;
            s.in_rows[at(i)] = s.out_rows[at(i)];
          }
          project(panels(layer.input, layer.depth), active, s.x_rows.data(), s.start_rows.data(), s.out_rows.data());
        }
        step(panels(layer.recurrent, hidden), layer.apart.data(), active, s.in_rows.data(), s.h_rows.data(),
             s.next_rows.data(), has_c ? s.c_rows.data() : nullptr, l == 0 ? ahead.data() : nullptr);
      }
      // Finished rows keep their last state: only the active ones change sides, and they are a prefix of every layer.
      if (active == n) {
        s.h.swap(s.next);
      } else {
        for (std::int64_t l = 0; l < depth; ++l)
          std::copy_n(s.next.data() + l * s.rows * padded, active * padded, s.h.data() + l * s.rows * padded);
      }
    }
  }

  void advance(const Events& events, float* h, float* c, const StateRows& from, const RowsDone& done, int threads,
               const Poll& poll) const;
};

RecurrentNet::RecurrentNet(Cell cell, const std::vector<LayerWeights>& layers, const std::vector<EventTable>& tables,
                           const LinearWeights& query, std::int64_t table_bytes, int threads) {
  require(!layers.empty() && !tables.empty(), "layers, tables: expected at least one of each");
  const RecurrentKernels& k = kernels().recurrent;
  auto net = std::make_unique<Impl>();
  net->cell = cell;
  net->gates = gates_of(cell);
  net->lanes = k.lanes;
  net->project = cell == Cell::kLstm ? k.project_lstm : cell == Cell::kGru ? k.project_gru : k.project_rnn;
  net->project_linear = k.project_rnn;
  net->step = cell == Cell::kLstm ? k.step_lstm : cell == Cell::kGru ? k.step_gru : k.step_rnn;
  net->hidden = layers[0].recurrent.cols;
  require(net->hidden > 0, "layers: expected a hidden size of at least 1");
  net->padded = blocks_of(net->hidden, k.lanes) * k.lanes;
  net->width = net->padded * net->gates;
  const std::int64_t gate_rows = net->gates * net->hidden;

  for (std::size_t l = 0; l < layers.size(); ++l) {
    const LayerWeights& from = layers[l];
    const std::string where = "layer " + std::to_string(l);
    require(from.input.rows == gate_rows && from.recurrent.rows == gate_rows && from.recurrent.cols == net->hidden,
            where + ": expected W and R with " + std::to_string(gate_rows) + " rows and R with " +
                std::to_string(net->hidden) + " columns");
    require(l == 0 || from.input.cols == net->hidden,
            where + ": expected W with as many columns as the layer below has units");
    require_finite(from.input.data, from.input.size(), "W");
    require_finite(from.recurrent.data, from.recurrent.size(), "R");
    if (from.bias) require_finite(from.bias, 2 * gate_rows, "B");
    Layer layer;
    layer.depth = from.input.cols;
    layer.recurrent = pack(from.recurrent, 0, net->hidden, net->gates, k.lanes);
    std::vector<float> start(static_cast<std::size_t>(gate_rows), 0.0f), apart(start);
    if (from.bias)
      for (std::int64_t i = 0; i < gate_rows; ++i) {
        const bool candidate = cell == Cell::kGru && i >= 2 * net->hidden;
        const auto at = static_cast<std::size_t>(i);
        start[at] = from.bias[i] + (candidate ? 0.0f : from.bias[gate_rows + i]);
        if (candidate) apart[at] = from.bias[gate_rows + i];
      }
    layer.start = pack_bias(start.data(), net->hidden, net->gates, k.lanes);
    layer.apart = pack_bias(apart.data(), net->hidden, net->gates, k.lanes);
    if (l > 0) layer.input = pack(from.input, 0, layer.depth, net->gates, k.lanes);
    net->layers.push_back(std::move(layer));
  }

  const std::vector<float> zero(static_cast<std::size_t>(net->width), 0.0f);
  for (std::size_t j = 0; j < tables.size(); ++j) {
    const NumberView& e = tables[j].embedding;
    require(e.rows > 0 && e.cols > 0 && tables[j].offset >= 0 && tables[j].offset + e.cols <= layers[0].input.cols,
            "tables: expected embeddings that fit into the first layer's input");
    NumberRows embedding(e);
    Table table;
    table.size = e.rows;
    table.panels = pack(layers[0].input, tables[j].offset, e.cols, net->gates, k.lanes);
    const Number type = j == 0 ? e.type : Number::kFloat32;  // only the items' table is large
    NumberRows projected(type, 0, net->width);
    if (j == 0 && e.rows * projected.row_bytes() > table_bytes) {
      table.projected = false;
      table.rows = std::move(embedding);
    } else {
      projected = NumberRows(type, e.rows, net->width);
      const GatePanels panels = net->panels(table.panels, e.cols);
      const float* start = j == 0 ? net->layers[0].start.data() : zero.data();
      parallel_for(0, e.rows, kBlockRows, threads, [&](std::int64_t b, std::int64_t end, int) {
        std::vector<float> room(static_cast<std::size_t>(kBlockRows * (e.cols + net->width)));
        std::array<const float*, kBlockRows> x, from;
        std::array<float*, kBlockRows> out;
        for (std::int64_t i = b; i < end; ++i) {
          const auto at = static_cast<std::size_t>(i - b);
          x[at] = embedding.read(i, room.data() + (i - b) * e.cols);
          from[at] = start;
          out[at] = room.data() + kBlockRows * e.cols + (i - b) * net->width;
        }
        net->project(panels, end - b, x.data(), from.data(), out.data());
        for (std::int64_t i = b; i < end; ++i) {
          const float* row = out[static_cast<std::size_t>(i - b)];
          require_finite(row, net->width, "W times embedding");
          projected.set(i, row);
        }
      });
      table.rows = std::move(projected);
      table.panels.clear();
    }
    net->tables.push_back(std::move(table));
  }
  net->copies_input =
      net->tables.size() > 1 || !net->tables[0].projected || tables[0].embedding.type != Number::kFloat32;

  net->query_is_state = query.weights.rows == 0;
  net->query_size = net->query_is_state ? net->hidden : query.weights.rows;
  if (!net->query_is_state) {
    require(query.weights.cols == net->hidden, "query: expected weights with a column for every hidden unit");
    require_finite(query.weights.data, query.weights.size(), "query");
    net->query_panels = pack(query.weights, 0, net->hidden, 1, k.lanes);
    const std::vector<float> none(static_cast<std::size_t>(net->query_size), 0.0f);
    if (query.bias) require_finite(query.bias, net->query_size, "query bias");
    net->query_bias = pack_bias(query.bias ? query.bias : none.data(), net->query_size, 1, k.lanes);
  }
  impl_ = std::move(net);
}

RecurrentNet::~RecurrentNet() = default;

Cell RecurrentNet::cell() const {
  return impl_->cell;
}
std::int64_t RecurrentNet::layers() const {
  return static_cast<std::int64_t>(impl_->layers.size());
}
std::int64_t RecurrentNet::hidden() const {
  return impl_->hidden;
}
std::int64_t RecurrentNet::tables() const {
  return static_cast<std::int64_t>(impl_->tables.size());
}
std::int64_t RecurrentNet::table_size(std::int64_t table) const {
  return impl_->tables[static_cast<std::size_t>(table)].size;
}
std::int64_t RecurrentNet::query_size() const {
  return impl_->query_size;
}
bool RecurrentNet::query_is_state() const {
  return impl_->query_is_state;
}
bool RecurrentNet::projected() const {
  return impl_->tables[0].projected;
}
std::int64_t RecurrentNet::table_memory() const {
  std::int64_t bytes = 0;
  for (const Table& table : impl_->tables) bytes += table.rows.bytes();
  return bytes;
}

void RecurrentNet::Impl::advance(const Events& events, float* h, float* c, const StateRows& from, const RowsDone& done,
                                 int threads, const Poll& poll) const {
  require(events.ids.size() == tables.size(), "events: expected one array of ids for each table of the model");
  const std::int64_t total = events.rows == 0 ? 0 : events.indptr[events.rows];
  for (std::size_t j = 0; j < tables.size(); ++j)
    for (std::int64_t i = 0; i < total; ++i) {
      const std::int32_t id = events.ids[j][i];
      if (id < 0 || id >= tables[j].size)
        throw InvalidArgument("events: expected ids from 0 to " + std::to_string(tables[j].size - 1) + " in input " +
                              std::to_string(j) + "; got " + std::to_string(id) + " at position " + std::to_string(i));
    }
  if (cell != Cell::kLstm) c = nullptr;

  std::vector<std::int64_t> order(static_cast<std::size_t>(events.rows));
  std::iota(order.begin(), order.end(), std::int64_t{0});
  const auto length = [&](std::int64_t row) { return events.indptr[row + 1] - events.indptr[row]; };
  if (events.rows > 1)
    std::stable_sort(order.begin(), order.end(), [&](std::int64_t a, std::int64_t b) { return length(a) > length(b); });

  // A block's cost is its rows' events; blocks are handed out from the longest, so that the last to finish is short. A
  // thread takes the next block before it has done with one, to ask for what that needs.
  threads = num_threads(threads);  // asked once: it may change before parallel_for asks again
  const std::int64_t size = std::clamp<std::int64_t>(events.rows, 1, block_rows(events.rows, threads));
  std::vector<std::unique_ptr<Scratch>> scratch;
  for (std::int64_t i = 0; i < threads && i * size < events.rows; ++i) {
    scratch.push_back(std::make_unique<Scratch>(*this, size));
    if (h) continue;
    scratch.back()->out_h.resize(static_cast<std::size_t>(size * hidden) * layers.size());
    if (cell == Cell::kLstm) scratch.back()->out_c.resize(scratch.back()->out_h.size());
  }
  const Task task{events, order, h, c, from};
  std::atomic<std::int64_t> next{0};
  const auto take = [&] {
    const std::int64_t begin = std::min(next.fetch_add(size), events.rows);
    return Range{begin, std::min(begin + size, events.rows)};
  };
  const auto work = [&](std::int64_t i, std::int64_t, int slot) {
    Scratch& s = *scratch[static_cast<std::size_t>(i)];
    Range rows = take();
    for (const Ahead& a : block_ahead(task, rows, s)) a.ask(0, 1);
    while (rows.begin < events.rows) {
      const Range then = take();
      advance_block(task, rows, then, s);
      try {
        if (done)
          done({order.data() + rows.begin, static_cast<std::size_t>(rows.end - rows.begin)}, s.out_h.data(),
               s.out_c.data(), nullptr);
        if (poll && slot == 0) poll();
      } catch (...) {
        next = events.rows;
        throw;
      }
      rows = then;
    }
  };
  parallel_for(0, static_cast<std::int64_t>(scratch.size()), 1, threads, work);
}

std::int64_t RecurrentNet::operations() const {
  const Impl& net = *impl_;
  std::int64_t depth = net.tables[0].projected ? 0 : net.tables[0].rows.cols();
  for (const Layer& layer : net.layers)
    depth += net.hidden + static_cast<std::int64_t>(layer.input.empty() ? 0 : layer.depth);
  return 2 * net.gates * net.hidden * depth;
}

void RecurrentNet::advance(const Events& events, float* h, float* c, int threads, const Poll& poll) const {
  impl_->advance(events, h, c, {}, {}, threads, poll);
}

void RecurrentNet::advance(const Events& events, const StateRows& from, int threads, const RowsDone& done) const {
  impl_->advance(events, nullptr, nullptr, from, done, threads, {});
}

void RecurrentNet::query(std::int64_t rows, const float* h, float* query, int threads) const {
  const Impl& net = *impl_;
  const std::int64_t depth = layers();
  if (net.query_is_state) {
    for (std::int64_t i = 0; i < rows; ++i)
      std::copy_n(h + (i * depth + depth - 1) * net.hidden, net.hidden, query + i * net.hidden);
    return;
  }
  const std::int64_t blocks = blocks_of(net.query_size, net.lanes), width = blocks * net.lanes;
  const GatePanels panels{net.query_panels.data(), net.hidden, blocks};
  parallel_for(0, rows, kBlockRows, threads, [&](std::int64_t begin, std::int64_t end, int) {
    std::vector<float> out(static_cast<std::size_t>((end - begin) * width));
    std::array<const float*, kBlockRows> x, start;
    std::array<float*, kBlockRows> to;
    for (std::int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<std::size_t>(i - begin);
      x[at] = h + (i * depth + depth - 1) * net.hidden;
      start[at] = net.query_bias.data();
      to[at] = out.data() + (i - begin) * width;
    }
    net.project_linear(panels, end - begin, x.data(), start.data(), to.data());
    for (std::int64_t i = begin; i < end; ++i)
      std::copy_n(out.data() + (i - begin) * width, net.query_size, query + i * net.query_size);
  });
}

}  // namespace ecocore
