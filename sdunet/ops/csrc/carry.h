// The carrying sweep: gates and values of the cell alone, and a line mixed from the one above.
//
// As the lanes of a vector are neighbouring cells (tiles.h), reading a neighbour is a load one number
// aside.
#pragma once

#include "tiles.h"

namespace {

// What a thread needs for one tile.
template <typename T>
struct TileScratch {
    T *cells, *other_cells;  // of x; of y or a gradient: features side by side
    T* numbers;              // x, a plane a feature
    T* outputs;              // a plane a row of the product: carry gates, side taps, values; then
                             // their gradients
    T* centre;               // share of the cell right above, a plane a group

    TileScratch(Memory& memory, const CarryShape& s)
        : cells(memory.zeros<T>(tile_cells<T> * s.padded(s.features))),
          other_cells(memory.zeros<T>(tile_cells<T> * s.padded(s.features))),
          numbers(memory.zeros<T>(tile_step<T> * s.features)),
          outputs(memory.zeros<T>(tile_step<T> * s.outputs())),
          centre(memory.zeros<T>(tile_step<T> * s.groups)) {}

    T* output(int64_t row) const { return outputs + row * tile_step<T>; }
    T* gate(int64_t f) const { return output(f); }
    T* value(const CarryShape& s, int64_t f) const { return output(s.gates() + f); }
    T* share(const CarryShape& s, int64_t tap, int64_t group) const {
        int64_t middle = s.taps() / 2;
        if (tap == middle) return centre + group * tile_step<T>;
        return output(s.features + (tap - (tap > middle)) * s.groups + group);
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
    void read_tile(const TileScratch<T>& own, const Tile& tile, int64_t first, int64_t t) const {
        read_cells(s, own.cells, x, tile, first, t);
        to_planes<false>(s, own.numbers, tile_step<T>, own.cells, tile.count);
    }

    // Rows of the product for a tile that was read, from one on.
    void outputs_of(const TileScratch<T>& own, const Tile& tile, int64_t row) const {
        multiply(own.output(row), weights + row * s.features, bias + row, own.numbers,
                 s.outputs() - row, s.features, s.padded(tile.count));
    }

    // Carry gates, shares of the taps and values of a tile that was read.
    void terms_of(const TileScratch<T>& own, const Tile& tile) const {
        int64_t cells = s.padded(tile.count);
        outputs_of(own, tile, 0);
        for (int64_t f = 0; f < s.features; f++)
            for (int64_t c = 0; c < cells; c += lanes<T>)
                store(own.gate(f) + c, sigmoid<T>(load(own.gate(f) + c)));
        for (int64_t g = 0; g < s.groups; g++)
            for (int64_t c = 0; c < cells; c += lanes<T>) softmax(own, g, c);
    }

    // Over the taps of a group; the exponent of the one right above is zero.
    SDN_INLINE void softmax(const TileScratch<T>& own, int64_t group, int64_t c) const {
        T* sides = own.output(s.features + group) + c;
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
                    this->outputs_of(own, tile, s.gates());
                    for (int64_t f = 0; f < s.features; f++)
                        memcpy(below.at(tile, f), own.value(s, f), tile.count * sizeof(T));
                } else {
                    this->terms_of(own, tile);
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
                    Vector<T> value = load(own.value(s, f) + c), carry = load(own.gate(f) + c);
                    store(below.at(tile, f) + c, value + carry * (mixed - value));
                }
            }
    }
};

}  // namespace
