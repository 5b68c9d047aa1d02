// The carrying sweep: gates of the cell alone, and a line that is mixed from the one above.
//
// Here the lanes of a vector are neighbouring cells, so that the gates of all features come out
// of one product without padding, and reading a neighbour is a load one number aside. Maps lie in
// main memory with the features of a cell side by side: tiles of them are transposed on the way.
#pragma once

#include "line.h"

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
    int64_t gates() const { return features + (taps() - 1) * groups; }  // rows of the product
    int64_t weights() const { return gates() * features; }
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

// Cells of a tile, features side by side and padded to whole vectors; what pads is zero. `next` is
// where the line lies that will be read after this one.
template <typename T>
void read_cells(const CarryShape& s, T* to, const Map<T>& map, const Tile& tile, int64_t image,
                int64_t t, int64_t next = 1) {
    int64_t padded = s.padded(s.features);
    const T* from = map.at(image + tile.image, t, tile.row, tile.start);
    for (int64_t c = 0; c < tile.count; c++) {
        __builtin_prefetch(from + c * map.cell + next * map.line);
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

// What a thread needs for one tile.
template <typename T>
struct TileScratch {
    T *cells, *other_cells;  // of x; of y or a gradient: features side by side
    T* numbers;              // x, a plane a feature; then the gradient that passes by the mix
    T* gates;                // a plane a gate: carry gates, then side taps; then their gradients
    T* centre;               // share of the cell right above, a plane a group

    TileScratch(Memory& memory, const CarryShape& s)
        : cells(memory.zeros<T>(tile_cells<T> * s.padded(s.features))),
          other_cells(memory.zeros<T>(tile_cells<T> * s.padded(s.features))),
          numbers(memory.zeros<T>(tile_step<T> * s.features)),
          gates(memory.zeros<T>(tile_step<T> * s.gates())),
          centre(memory.zeros<T>(tile_step<T> * s.groups)) {}

    T* number(int64_t f) const { return numbers + f * tile_step<T>; }
    T* gate(int64_t row) const { return gates + row * tile_step<T>; }
    T* share(const CarryShape& s, int64_t tap, int64_t group) const {
        int64_t middle = s.taps() / 2;
        if (tap == middle) return centre + group * tile_step<T>;
        return gate(s.features + (tap - (tap > middle)) * s.groups + group);
    }
};

template <typename T>
struct Carry {
    const SdnCarry& call;
    CarryShape s;
    Map<T> x, y;
    const T *weights, *bias;
    TileScratch<T>* tiles;  // of each thread

    Carry(const SdnCarry& call, TileScratch<T>* tiles)
        : call(call), s(CarryShape::of<T>(call)), x(call.x, s), y(call.y, s),
          weights(static_cast<const T*>(call.w)), bias(static_cast<const T*>(call.b)),
          tiles(tiles) {}

    // Reads the tile of x into cells and planes.
    void read_tile(const TileScratch<T>& own, const Tile& tile, int64_t first, int64_t t,
                   int64_t next = 1) const {
        read_cells(s, own.cells, x, tile, first, t, next);
        to_planes<false>(s, own.numbers, tile_step<T>, own.cells, tile.count);
    }

    // The carry gates of a tile that was read, and the shares of the taps.
    void gates_of(const TileScratch<T>& own, const Tile& tile) const {
        int64_t F = s.features, cells = s.padded(tile.count);
        multiply(own.gates, weights, bias, own.numbers, s.gates(), F, cells);
        for (int64_t f = 0; f < F; f++)
            for (int64_t c = 0; c < cells; c += lanes<T>)
                store(own.gate(f) + c, sigmoid<T>(load(own.gate(f) + c)));
        for (int64_t g = 0; g < s.groups; g++)
            for (int64_t c = 0; c < cells; c += lanes<T>) softmax(own, g, c);
    }

    // Over the taps of a group; the exponent of the one right above is zero.
    SDN_INLINE void softmax(const TileScratch<T>& own, int64_t group, int64_t c) const {
        T* sides = own.gate(s.features + group) + c;
        int64_t step = s.groups * tile_step<T>;
        Vector<T> most = {};
        for (int64_t k = 0; k < s.taps() - 1; k++) {
            Vector<T> tap = load(sides + k * step);
            most = tap > most ? tap : most;
        }
        Exponential<T> e = exponential<T>(-most);
        Vector<T> centre = e.scale + e.scale * e.rest, sum = centre;
        for (int64_t k = 0; k < s.taps() - 1; k++) {
            e = exponential<T>(load(sides + k * step) - most);
            Vector<T> tap = e.scale + e.scale * e.rest;
            store(sides + k * step, tap);
            sum += tap;
        }
        Vector<T> share = T(1) / sum;
        store(own.centre + group * tile_step<T> + c, centre * share);
        for (int64_t k = 0; k < s.taps() - 1; k++)
            store(sides + k * step, load(sides + k * step) * share);
    }

    // Repeats the cells at the edge of a finished tile in the cells around the line.
    void close(const Planes<T>& planes, const Tile& tile) const {
        bool first = tile.start == 0, last = tile.start + tile.count == s.cells;
        int64_t before = first ? 1 : 0, length = before + tile.count + (last ? 1 : 0);
        for (int64_t f = 0; f < s.features; f++) {
            T* at = planes.at(tile, f);
            if (first) at[-1] = at[0];
            if (last) at[tile.count] = at[tile.count - 1];
            if (!s.border()) continue;
            if (tile.row == 0)
                memcpy(at - before - planes.row, at - before, length * sizeof(T));
            if (tile.row == s.rows - 1)
                memcpy(at - before + planes.row, at - before, length * sizeof(T));
        }
    }
};

template <typename T>
struct CarryForward : Carry<T> {
    using Carry<T>::s;
    using Carry<T>::Carry;

    struct Scratch {
        Planes<T> above, below;  // the finished line and the one being made

        Scratch(Memory& memory, const CarryShape& s, int64_t images)
            : above(memory, s, images, s.features), below(memory, s, images, s.features) {}
    };

    void run(const Scratch& scratch, int64_t first, int64_t images, const Team& team,
             int thread) const {
        Planes<T> above = scratch.above, below = scratch.below;
        const TileScratch<T>& own = this->tiles[thread];
        FlushTiny flushing;
        for (int64_t t = 0; t < s.lines; t++) {
            for_own_tiles<T>(s, images, team, [&](const Tile& tile) {
                this->read_tile(own, tile, first, t);
                if (t == 0) {
                    for (int64_t f = 0; f < s.features; f++)
                        memcpy(below.at(tile, f), own.number(f), tile.count * sizeof(T));
                } else {
                    this->gates_of(own, tile);
                    mix(own, above, below, tile);
                }
                write_planes(s, this->y, below, tile, first, t);
                this->close(below, tile);
            });
            Planes<T> finished = below;
            below = above;
            above = finished;
            wait_for_all(team);
        }
    }

    void mix(const TileScratch<T>& own, const Planes<T>& above, const Planes<T>& below,
             const Tile& tile) const {
        if (s.taps() == 3)
            mix_taps<3>(own, above, below, tile);
        else
            mix_taps<9>(own, above, below, tile);
    }

    template <int taps>
    void mix_taps(const TileScratch<T>& own, const Planes<T>& above, const Planes<T>& below,
                  const Tile& tile) const {
        int64_t group = s.group();
        for (int64_t g = 0; g < s.groups; g++)
            for (int64_t c = 0; c < tile.count; c += lanes<T>) {
                Vector<T> shares[taps];
#pragma GCC unroll 9
                for (int k = 0; k < taps; k++)
                    shares[k] = load(own.share(s, k, g) + c);
                for (int64_t f = g * group; f < (g + 1) * group; f++) {
                    const T* seen = above.at(tile, f) + c;
                    Vector<T> mixed = {};
#pragma GCC unroll 9
                    for (int k = 0; k < taps; k++)
                        mixed += shares[k] * load(seen + above.aside(k));
                    Vector<T> value = load(own.number(f) + c), carry = load(own.gate(f) + c);
                    store(below.at(tile, f) + c, value + carry * (mixed - value));
                }
            }
    }
};

}  // namespace
