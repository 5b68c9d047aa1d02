// The carrying sweep backwards: gates and values again, their gradients, and what flows to the line
// above.
//
// With a the shares of the taps, c the carry gate, v the value, m the mix of the line above and
// y = c m + (1 - c) v:
//   dc = dy (m - v) c (1 - c),  dv = dy (1 - c),  dm = dy c,
//   da_k = a_k (p_k - sum_j a_j p_j) with p_k = sum over the group of dm times the neighbour k,
// and the neighbour k gets a_k dm. The gradient of x is all these gradients times their weights.
#pragma once

#include "carry.h"

namespace {

template <typename T>
struct CarryBackward : Carry<T> {
    using Carry<T>::s;
    Map<T> grad_y, grad_x;
    T* padded_weights;  // (outputs, features padded)
    ProductGrads<T>* weight_grads;

    CarryBackward(Memory& memory, const SdnCarry& call, TileScratch<T>* tiles,
                  ProductGrads<T>* weight_grads)
        : Carry<T>(call, tiles), grad_y(call.grad_y, s), grad_x(call.grad_x, s),
          weight_grads(weight_grads) {
        padded_weights = pad_weights<T>(memory, s, this->weights, s.outputs());
    }

    struct Scratch {
        Planes<T> above[2];  // y of the line above, in turns
        Planes<T> carried;   // gradient that reaches y from the line below
        Planes<T> to_mix;    // gradient at the mix
        Planes<T> shares;    // of the taps; zero around the line, as is the gradient at the mix

        Scratch(Memory& memory, const CarryShape& s, int64_t images)
            : above{{memory, s, images, s.features}, {memory, s, images, s.features}},
              carried(memory, s, images, s.features), to_mix(memory, s, images, s.features),
              shares(memory, s, images, s.taps() * s.groups) {}
    };

    void run(const Scratch& scratch, int64_t first, int64_t images, const Team& team,
             int thread) const {
        const TileScratch<T>& own = this->tiles[thread];
        FlushTiny flushing;
        auto own_tiles = [&](const auto& body) { for_own_tiles<T>(s, images, team, body); };
        own_tiles([&](const Tile& tile) {
            for (int64_t f = 0; f < s.features; f++)
                memset(scratch.carried.at(tile, f), 0, s.padded(tile.count) * sizeof(T));
        });
        for (int64_t t = s.lines - 1; t >= 0; t--) {
            const Planes<T>& above = scratch.above[t % 2];
            if (t > 0) {
                own_tiles([&](const Tile& tile) {
                    read_cells(s, own.other_cells, this->y, tile, first, t - 1);
                    to_planes<false>(s, above.at(tile, 0), above.plane, own.other_cells,
                                     tile.count);
                    this->close(above, tile);
                });
                wait_for_all(team);
            }
            own_tiles([&](const Tile& tile) {
                read_cells(s, own.other_cells, grad_y, tile, first, t);
                to_planes<true>(s, scratch.carried.at(tile, 0), scratch.carried.plane,
                                own.other_cells, tile.count);
                this->read_tile(own, tile, first, t);
                if (t == 0) {
                    for (int64_t f = 0; f < s.features; f++)
                        memcpy(own.value(s, f), scratch.carried.at(tile, f),
                               s.padded(tile.count) * sizeof(T));
                } else {
                    this->terms_of(own, tile);
                    if (s.taps() == 3)
                        term_grads<3>(own, scratch, above, tile);
                    else
                        term_grads<9>(own, scratch, above, tile);
                }
                int64_t row = t == 0 ? s.gates() : 0;  // line 0 has no gates
                cell_grads(own, tile, first, t, row);
                weight_grads[thread].add(s, own.outputs, own.cells, row, tile.count);
            });
            if (t == 0) break;
            wait_for_all(team);
            own_tiles([&](const Tile& tile) { flow_up(scratch, tile); });
        }
    }

    // Gradients of gates and values take their place.
    template <int taps>
    void term_grads(const TileScratch<T>& own, const Scratch& scratch, const Planes<T>& above,
                    const Tile& tile) const {
        int64_t group = s.group();
        for (int64_t g = 0; g < s.groups; g++)
            for (int64_t c = 0; c < tile.count; c += lanes<T>) {
                Vector<T> shares[taps], to_shares[taps];
#pragma GCC unroll 9
                for (int k = 0; k < taps; k++) {
                    shares[k] = load(own.share(s, k, g) + c);
                    to_shares[k] = Vector<T>{};
                }
                for (int64_t f = g * group; f < (g + 1) * group; f++) {
                    const T* seen = above.at(tile, f) + c;
                    Vector<T> value = load(own.value(s, f) + c), carry = load(own.gate(f) + c);
                    Vector<T> grad = load(scratch.carried.at(tile, f) + c);
                    Vector<T> to_mix = grad * carry, mixed = {};
#pragma GCC unroll 9
                    for (int k = 0; k < taps; k++) {
                        Vector<T> neighbour = load(seen + above.aside(k));
                        mixed += shares[k] * neighbour;
                        to_shares[k] += to_mix * neighbour;
                    }
                    Vector<T> to_value = grad - to_mix;
                    store(own.value(s, f) + c, to_value);
                    store(own.gate(f) + c, to_value * carry * (mixed - value));
                    store(scratch.to_mix.at(tile, f) + c, to_mix);
                }
                Vector<T> mean = {};
#pragma GCC unroll 9
                for (int k = 0; k < taps; k++) mean += shares[k] * to_shares[k];
#pragma GCC unroll 9
                for (int k = 0; k < taps; k++) {
                    store(own.share(s, k, g) + c, shares[k] * (to_shares[k] - mean));
                    store(scratch.shares.at(tile, k * s.groups + g) + c, shares[k]);
                }
            }
    }

    // Gradient of x: those of the rows of the product from one on, times their weights.
    void cell_grads(const TileScratch<T>& own, const Tile& tile, int64_t first, int64_t t,
                    int64_t row) const {
        T* to = grad_x.at(first + tile.image, t, tile.row, tile.start);
        multiply_back(s, to, grad_x.cell, padded_weights + row * s.padded(s.features),
                      own.output(row), s.outputs() - row, tile.count);
    }

    // Adjoint of the mix: each cell gathers from the cells that have seen it, and a cell at the
    // edge also from those that have seen its copy past the edge.
    void flow_up(const Scratch& scratch, const Tile& tile) const {
        int64_t group = s.group(), row = tile.row, last = s.cells - 1;
        for (int64_t f = 0; f < s.features; f++) {
            int64_t g = f / group;
            T* to = scratch.carried.at(tile, f);
            for (int64_t c = 0; c < tile.count; c += lanes<T>) store(to + c, Vector<T>{});
            auto add_row = [&](int64_t from_row) {
                for (int64_t tap_row = 0; tap_row < s.tap_rows; tap_row++)
                    add_seen(scratch, tile, f, g, tap_row,
                             from_row + s.border() - tap_row);
            };
            add_row(row);
            if (s.border() && row == 0) add_row(-1);
            if (s.border() && row == s.rows - 1) add_row(s.rows);
            // Vectors run past the row's end.
            if (tile.start + tile.count > last)
                for (int64_t c = tile.count; c < s.padded(tile.count); c++) to[c] = 0;
        }
    }

    // Adds what the cells of `row` send to this tile through one row of taps.
    SDN_INLINE void add_seen(const Scratch& scratch, const Tile& tile, int64_t f, int64_t g,
                             int64_t tap_row, int64_t row) const {
        if (row < 0 || row >= s.rows) return;
        T* to = scratch.carried.at(tile, f);
        const T* grads = scratch.to_mix.at(tile.image, f, row, tile.start);
        const T* shares[3];
        for (int tap = 0; tap < 3; tap++)
            shares[tap] = scratch.shares.at(tile.image, (3 * tap_row + tap) * s.groups + g, row,
                                            tile.start);
        for (int64_t c = 0; c < tile.count; c += lanes<T>) {
            Vector<T> sum = load(to + c);
            for (int tap = 0; tap < 3; tap++)
                sum += load(shares[tap] + c + 1 - tap) * load(grads + c + 1 - tap);
            store(to + c, sum);
        }
        if (tile.start == 0) to[0] += shares[0][0] * grads[0];
        int64_t end = tile.count - 1;
        if (tile.start + end == s.cells - 1) to[end] += shares[2][end] * grads[end];
    }
};

}  // namespace
