// Tiles of a map whose lanes are neighbouring cells, and products of all their features.
//
// So the product of a cell's features with any number of weights comes out without padding. Maps lie
// in main memory with the features of a cell side by side: tiles are transposed on the way.
#pragma once

#include "buffers.h"

namespace {

struct CarryShape {
    int64_t images, lines, rows, cells, features, groups;
    int64_t tap_rows;  // 1 or 3 rows of three neighbours
    bool reverse;
    int64_t lane;  // numbers in a vector

    template <typename T>
    static CarryShape of(const SdnCarry& call) {
        return {call.images, call.lines,          call.rows,
                call.cells,  call.features,       call.groups,
                call.volume ? 3 : 1, call.reverse != 0, lanes<T>};
    }
    int64_t border() const { return tap_rows / 2; }
    int64_t taps() const { return 3 * tap_rows; }
    int64_t line_cells() const { return rows * cells; }
    int64_t group() const { return features / groups; }
    int64_t gates() const { return features + (taps() - 1) * groups; }
    int64_t outputs() const { return gates() + features; }  // rows of the product
    int64_t weights() const { return outputs() * features; }
    // Of a cell; gates and mix take three times as long as what has to be multiplied for them.
    int64_t products() const { return 4 * weights(); }
    int64_t padded(int64_t count) const { return (count + lane - 1) / lane * lane; }
};

// While it lives, numbers too small for full precision count as zero: shares of taps and gradients
// that fade over many lines become such, and processors take a hundred times longer for them.
struct FlushTiny {
#if defined(__x86_64__)
    unsigned before = __builtin_ia32_stmxcsr();
    FlushTiny() { __builtin_ia32_ldmxcsr(before | 0x8040); }
    ~FlushTiny() { __builtin_ia32_ldmxcsr(before); }
#endif
};

// Cells of one row of one image that are worked on together, in the nearest cache.
constexpr int64_t tile_bytes = 512;  // of one feature

template <typename T>
constexpr int64_t tile_cells = tile_bytes / int64_t(sizeof(T));

// From one plane of a tile to the next: a power of two would crowd all into few lines of the cache.
template <typename T>
constexpr int64_t tile_step = (tile_bytes + 64) / int64_t(sizeof(T));

// Cells that are fetched from main memory while others are worked on.
constexpr int64_t cells_ahead = 16;

struct Tile {
    int64_t image, row, start, count;
};

// Calls `body` for the tiles of a line that fall to one thread of the team.
template <typename T, typename Body>
inline void for_own_tiles(const CarryShape& s, int64_t images, const Team& team, const Body& body) {
    int64_t share = s.padded((s.line_cells() * images + team.size - 1) / team.size);
    int64_t length = share < tile_cells<T> ? share : tile_cells<T>;
    int64_t per_row = (s.cells + length - 1) / length, all = images * s.rows * per_row;
    for (int64_t i = all * team.rank / team.size; i < all * (team.rank + 1) / team.size; i++) {
        int64_t row = i / per_row, start = i % per_row * length;
        int64_t count = s.cells - start < length ? s.cells - start : length;
        body(Tile{row / s.rows, row % s.rows, start, count});
    }
}

// Planes of one number a cell, one for each feature, of one line of several images; room for the
// cells around and for whole vectors.
template <typename T>
struct Planes {
    T* data = nullptr;
    int64_t row = 0, plane = 0, image = 0, border = 0;

    Planes() = default;
    Planes(Memory& memory, const CarryShape& s, int64_t images, int64_t planes)
        : row(s.padded(s.cells) + 2 * s.lane), plane(row * (s.rows + 2 * s.border())),
          image(plane * planes), border(s.border()) {
        data = memory.zeros<T>(images * image);
    }
    T* at(int64_t i, int64_t p, int64_t r, int64_t c) const {
        return data + i * image + p * plane + (r + border) * row + lanes<T> + c;
    }
    T* at(const Tile& tile, int64_t p) const { return at(tile.image, p, tile.row, tile.start); }
    int64_t aside(int64_t tap) const {  // from a cell to its neighbour
        return (tap / 3 - border) * row + tap % 3 - 1;
    }
};

#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
#define SDN_SHUFFLES
#endif
#endif

#ifdef SDN_SHUFFLES
// Transposes a square of numbers in registers: swaps blocks of half its side, then of a quarter ...
template <int distance, typename V, size_t... lane>
SDN_INLINE void swap_blocks(V& a, V& b, std::index_sequence<lane...>) {
    constexpr int n = sizeof...(lane);
    V low = __builtin_shufflevector(a, b, (lane & distance ? n + lane - distance : lane)...);
    V high = __builtin_shufflevector(a, b, (lane & distance ? n + lane : lane + distance)...);
    a = low;
    b = high;
}

template <typename T, int distance = lanes<T> / 2>
SDN_INLINE void transpose(Vector<T> (&rows)[lanes<T>]) {
    if constexpr (distance > 0) {
#pragma GCC unroll 32
        for (int i = 0; i < lanes<T>; i++)
            if (!(i & distance))
                swap_blocks<distance>(rows[i], rows[i + distance],
                                      std::make_index_sequence<lanes<T>>{});
        transpose<T, distance / 2>(rows);
    }
}
#else
template <typename T>
inline void transpose(Vector<T> (&rows)[lanes<T>]) {
    for (int i = 0; i < lanes<T>; i++)
        for (int j = 0; j < i; j++) {
            T number = rows[i][j];
            rows[i][j] = rows[j][i];
            rows[j][i] = number;
        }
}
#endif

// Cells of a tile, features side by side and padded to whole vectors; what pads is zero.
template <typename T>
void read_cells(const CarryShape& s, T* to, const Map<T>& map, const Tile& tile, int64_t image,
                int64_t t) {
    int64_t padded = s.padded(s.features);
    const T* from = map.at(image + tile.image, t, tile.row, tile.start);
    for (int64_t c = 0; c < tile.count; c++) {
        // Not the next line: of cells a power of two apart a whole line does not stay in a cache.
        __builtin_prefetch(from + (c + cells_ahead) * map.cell);
        copy_cell(to + c * padded, from + c * map.cell, s.features);
    }
    int64_t rest = s.padded(tile.count) - tile.count;
    memset(to + tile.count * padded, 0, rest * padded * sizeof(T));
}

// A square of numbers: row i is loaded from `from + i * step`, column i given to `emit(i, column)`.
template <typename T, typename Load, typename Emit>
SDN_INLINE void turn_square(int64_t columns, const Load& load_row, const Emit& emit) {
    Vector<T> square[lanes<T>];
#pragma GCC unroll 32
    for (int i = 0; i < lanes<T>; i++) square[i] = load_row(i);
    transpose<T>(square);
    if (columns >= lanes<T>) {
#pragma GCC unroll 32
        for (int i = 0; i < lanes<T>; i++) emit(i, square[i]);
        return;
    }
    for (int i = 0; i < columns; i++) emit(i, square[i]);
}

// From cells to planes that lie `plane` numbers apart; adds to them if `adds`.
template <bool adds, typename T>
void to_planes(const CarryShape& s, T* to, int64_t plane, const T* cells, int64_t count) {
    int64_t padded = s.padded(s.features);
    for (int64_t f = 0; f < s.features; f += lanes<T>)
        for (int64_t c = 0; c < count; c += lanes<T>)
            turn_square<T>(
                s.features - f, [&](int i) { return load(cells + (c + i) * padded + f); },
                [&](int i, Vector<T> column) {
                    T* at = to + (f + i) * plane + c;
                    store(at, adds ? load(at) + column : column);
                });
}

// From the planes of a tile back to cells, features padded to whole vectors.
template <typename T>
void to_cells(const CarryShape& s, T* to, const T* planes, int64_t count) {
    int64_t padded = s.padded(s.features);
    for (int64_t f = 0; f < s.features; f += lanes<T>)
        for (int64_t c = 0; c < count; c += lanes<T>)
            turn_square<T>(
                lanes<T>,
                [&](int i) {
                    bool real = f + i < s.features;
                    return real ? load(planes + (f + i) * tile_step<T> + c) : Vector<T>{};
                },
                [&](int i, Vector<T> cell) { store(to + (c + i) * padded + f, cell); });
}

template <typename T>
void write_planes(const CarryShape& s, const Map<T>& map, const Planes<T>& planes,
                  const Tile& tile, int64_t image, int64_t t) {
    T* to = map.at(image + tile.image, t, tile.row, tile.start);
    for (int64_t f = 0; f < s.features; f += lanes<T>)
        for (int64_t c = 0; c < tile.count; c += lanes<T>) {
            int64_t most = s.features - f;
            turn_square<T>(
                tile.count - c,
                [&](int i) {
                    return i < most ? load(planes.at(tile, f + i) + c) : Vector<T>{};
                },
                [&](int i, Vector<T> cell) {
                    store_lanes(to + (c + i) * map.cell + f, cell, most);
                });
        }
}

// `rows` rows of the product of weights (rows, features) with `vectors` vectors of cells.
template <typename T, int rows, int vectors>
SDN_INLINE void multiply_block(T* to, const T* weights, const T* bias, const T* numbers,
                               int64_t features) {
    Vector<T> sums[rows][vectors];
#pragma GCC unroll 32
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++) sums[i][v] = broadcast<T>(bias[i]);
    for (int64_t f = 0; f < features; f++) {
        Vector<T> of_cells[vectors];
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            of_cells[v] = load(numbers + f * tile_step<T> + v * lanes<T>);
#pragma GCC unroll 32
        for (int i = 0; i < rows; i++) {
            Vector<T> weight = broadcast<T>(weights[i * features + f]);
#pragma GCC unroll 8
            for (int v = 0; v < vectors; v++) sums[i][v] += weight * of_cells[v];
        }
    }
#pragma GCC unroll 32
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 8
        for (int v = 0; v < vectors; v++)
            store(to + i * tile_step<T> + v * lanes<T>, sums[i][v]);
}

template <typename T>
void multiply(T* to, const T* weights, const T* bias, const T* numbers, int64_t rows,
              int64_t features, int64_t count) {
    in_blocks<2>((count + lanes<T> - 1) / lanes<T>, [&](auto vectors, int64_t v) {
        in_blocks<SDN_CARRY_ROWS>(rows, [&](auto block, int64_t row) {
            multiply_block<T, block.value, vectors.value>(
                to + row * tile_step<T> + v * lanes<T>, weights + row * features, bias + row,
                numbers + v * lanes<T>, features);
        });
    });
}

// Weights (rows, features) with every row padded to whole vectors.
template <typename T>
T* pad_weights(Memory& memory, const CarryShape& s, const T* weights, int64_t rows) {
    int64_t padded = s.padded(s.features);
    T* to = memory.zeros<T>(rows * padded);
    for (int64_t row = 0; to && row < rows; row++)
        memcpy(to + row * padded, weights + row * s.features, s.features * sizeof(T));
    return to;
}

// Adjoint of `multiply` in the numbers: for each cell of a tile the gradients of its rows times
// their weights. Lanes are features here.
template <typename T>
void multiply_back(const CarryShape& s, T* to, int64_t step, const T* weights,
                   const T* grads, int64_t rows, int64_t count) {
    int64_t padded = s.padded(s.features);
    for (int64_t f = 0; f < s.features; f += lanes<T>)
        in_blocks<SDN_GRAD_CELLS>(count, [&](auto block, int64_t first) {
            constexpr int cells = block.value;
            Vector<T> sums[cells];
#pragma GCC unroll 32
            for (int c = 0; c < cells; c++) {
                sums[c] = Vector<T>{};
                __builtin_prefetch(to + (first + c + cells) * step + f, 1);
            }
            for (int64_t row = 0; row < rows; row++) {
                Vector<T> weight = load(weights + row * padded + f);
#pragma GCC unroll 32
                for (int c = 0; c < cells; c++)
                    sums[c] += weight * grads[row * tile_step<T> + first + c];
            }
#pragma GCC unroll 32
            for (int c = 0; c < cells; c++)
                store_lanes(to + (first + c) * step + f, sums[c], s.features - f);
        });
}

// Gradients of the weights of a product, one thread's share. Biases sum over every cell with
// nothing to average out their rounding, hence double.
template <typename T>
struct ProductGrads {
    T* weights;      // (rows, features padded)
    double* biases;  // (rows)
    int64_t rows;

    ProductGrads(Memory& memory, const CarryShape& s, int64_t rows)
        : weights(memory.zeros<T>(rows * s.padded(s.features))),
          biases(memory.zeros<double>(rows)), rows(rows) {}

    // Of the rows from `start` on. `grads` are planes, one a row, whose cells past `count` are zero;
    // `cells` hold features side by side.
    void add(const CarryShape& s, const T* grads, const T* cells, int64_t start,
             int64_t count) const {
        int64_t padded = s.padded(s.features);
        for (int64_t f = 0; f < s.features; f += lanes<T>)
            in_blocks<SDN_GRAD_CELLS>(rows - start, [&](auto size, int64_t from) {
                constexpr int block = size.value;
                int64_t first = start + from;
                Vector<T> total[block] = {};
                const T* of_rows = grads + first * tile_step<T>;
                for (int64_t c = 0; c < count; c++) {
                    Vector<T> numbers = load(cells + c * padded + f);
#pragma GCC unroll 32
                    for (int i = 0; i < block; i++)
                        total[i] += numbers * of_rows[i * tile_step<T> + c];
                }
#pragma GCC unroll 32
                for (int i = 0; i < block; i++) {
                    T* to = weights + (first + i) * padded + f;
                    store(to, load(to) + total[i]);
                }
            });
        for (int64_t row = start; row < rows; row++) {
            Vector<T> sum = {};
            for (int64_t c = 0; c < count; c += lanes<T>) sum += load(grads + row * tile_step<T> + c);
            T total = 0;
            for (int lane = 0; lane < lanes<T>; lane++) total += sum[lane];
            biases[row] += total;
        }
    }
};

// Adds up the threads' shares, in their order, into the gradients asked for.
template <typename T>
void write_product_grads(const CarryShape& s, const ProductGrads<T>* shares, int64_t threads,
                         void* grad_w, void* grad_b) {
    T *weights = static_cast<T*>(grad_w), *biases = static_cast<T*>(grad_b);
    int64_t padded = s.padded(s.features);
    for (int64_t row = 0; row < shares->rows; row++) {
        for (int64_t f = 0; f < s.features; f++) {
            T sum = 0;
            for (int64_t i = 0; i < threads; i++) sum += shares[i].weights[row * padded + f];
            *weights++ = sum;
        }
        double total = 0;
        for (int64_t i = 0; i < threads; i++) total += shares[i].biases[row];
        *biases++ = T(total);
    }
}

}  // namespace
