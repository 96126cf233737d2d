// Recurrent networks over sequences of events: RNN, GRU and LSTM cells that advance many users at once.
//
// An event is a small set of ids (the item, perhaps the event's type and a bucket of the time since the last event).
// What the first layer makes of an id before it meets the state, W x + b, is computed once for every id and then looked
// up: half of the operations of an LSTM with equal widths. Where that table would pass `table_bytes`, the embedding is
// multiplied on the fly instead; the order of summation, and so every bit, is the same.
//
// Embeddings may come in fewer bits, and the table of what is looked up is then kept in as few: float16, or int8 with a
// scale for each row (symmetric, the row's largest magnitude is 127). Numbers are widened as they are read and all sums
// are float32, so nothing about a row depends on its batch. (Only then does the table round once more than the
// multiplication on the fly, and the two differ.)
//
// A row's result depends on its own events and state alone: the same bits alone, in any batch, in any cut of time, on
// any number of threads, and with AVX2 as with AVX-512.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ecocore/parallel.hpp"
#include "ecocore/views.hpp"

namespace ecocore {

enum class Cell { kRnn, kGru, kLstm };

Cell parse_cell(const std::string& name);  // "rnn" (tanh), "gru" (reset after the product), "lstm"
int gates_of(Cell cell);

// The weights of one layer as ONNX lays them out: gate order i, o, f, c (LSTM) and z, r, h (GRU).
struct LayerWeights {
  MatrixView<const float> input;      // W, [gates * hidden, input size]
  MatrixView<const float> recurrent;  // R, [gates * hidden, hidden]
  const float* bias = nullptr;        // [2 * gates * hidden], W's then R's; null for none
};

enum class Number { kFloat32, kFloat16, kInt8 };

// A matrix of float, of IEEE half precision (std::uint16_t), or of int8 codes, code times the row's scale.
struct NumberView {
  Number type = Number::kFloat32;
  const void* data = nullptr;
  const float* scale = nullptr;  // [rows], kInt8 only
  std::int64_t rows = 0, cols = 0;
};

// One of the ids of an event: its embedding, and where in the first layer's input it lands. Tables that share an offset
// are summed, others are concatenated.
struct EventTable {
  NumberView embedding;  // [ids, columns]
  std::int64_t offset = 0;
};

struct LinearWeights {
  MatrixView<const float> weights;  // [outputs, hidden]; no rows: the query is the last layer's state
  const float* bias = nullptr;
};

// The events of many rows: row i has the events [indptr[i], indptr[i + 1]) of every array in `ids`, one per table.
struct Events {
  std::int64_t rows = 0;
  const std::int64_t* indptr = nullptr;
  std::vector<const std::int32_t*> ids;
};

// Where the states of many rows are read, each [layers * hidden] floats; null for the zero state.
struct StateRows {
  const float* const* h = nullptr;
  const float* const* c = nullptr;  // LSTM only
};

// Told what became of some rows: h and c (LSTM only), each [rows, layers, hidden], and the query [rows, query_size]
// where there is one. Called from several threads; what is pointed at is gone after the call.
using RowsDone =
    std::function<void(std::span<const std::int64_t> rows, const float* h, const float* c, const float* query)>;

class RecurrentNet {
 public:
  // Copies what it needs.
  RecurrentNet(Cell cell, const std::vector<LayerWeights>& layers, const std::vector<EventTable>& tables,
               const LinearWeights& query, std::int64_t table_bytes, int threads);
  ~RecurrentNet();

  Cell cell() const;
  std::int64_t layers() const;
  std::int64_t hidden() const;
  std::int64_t tables() const;
  std::int64_t table_size(std::int64_t table) const;  // ids run from 0 to here
  std::int64_t query_size() const;
  bool query_is_state() const;
  bool projected() const;             // whether the first table was multiplied ahead
  std::int64_t table_memory() const;  // bytes of what is looked up by ids
  std::int64_t operations() const;    // multiplications and additions of one event, without the query

  // Advances h and c, each [rows, layers, hidden] (c null but for LSTM), over the rows' events. Rows without events are
  // left as they are. Throws InvalidArgument for an id out of range, before anything is written.
  void advance(const Events& events, float* h, float* c, int threads, const Poll& poll = {}) const;

  // The same, from states that lie elsewhere, to `done`, which gets no query. Once it was called nothing fails.
  void advance(const Events& events, const StateRows& from, int threads, const RowsDone& done) const;

  // query [rows, query_size] of h [rows, layers, hidden].
  void query(std::int64_t rows, const float* h, float* query, int threads) const;

 private:
  struct Impl;
  std::unique_ptr<const Impl> impl_;
};

}  // namespace ecocore
