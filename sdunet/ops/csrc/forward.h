// The gates of a line and the forward sweep.
//
// Sums over features run down one column of a packed weight panel; the lanes of a vector are
// neighbouring output features. Products and gates of a line are one loop, so that nothing but
// input and output goes through main memory.
#pragma once

#include "buffers.h"

namespace {

// For each vector of output features: four rows of biases (reset, update, new, cell's new), then
// for each input feature of each neighbour and of the cell itself its weights of three gates.
template <typename T>
struct GatePanels {
    T* data;
    int64_t size;

    GatePanels(Memory& memory, const Shape& s, const SdnSweep& sweep)
        : size((4 + 3 * (s.taps() + 1) * s.features) * lanes<T>) {
        data = memory.zeros<T>(s.vectors * size);
        if (!data) return;
        const T *w_ih = static_cast<const T*>(sweep.w_ih), *w_hh = static_cast<const T*>(sweep.w_hh);
        const T *b_ih = static_cast<const T*>(sweep.b_ih), *b_hh = static_cast<const T*>(sweep.b_hh);
        int64_t F = s.features, seen = s.taps() * F;
        for (int64_t f = 0; f < F; f++) {
            T* to = data + f / lanes<T> * size + f % lanes<T>;
            for (int64_t row = 0; row < 4; row++, to += lanes<T>)
                *to = row < 2 ? b_ih[row * F + f] + b_hh[row * F + f]
                              : (row == 2 ? b_ih : b_hh)[2 * F + f];
            for (int64_t k = 0; k < seen; k++)
                for (int64_t gate = 0; gate < 3; gate++, to += lanes<T>)
                    *to = w_ih[(gate * F + f) * seen + k];
            for (int64_t k = 0; k < F; k++)
                for (int64_t gate = 0; gate < 3; gate++, to += lanes<T>)
                    *to = w_hh[(gate * F + f) * F + k];
        }
    }
};

template <typename T>
struct Gates {
    Vector<T> reset, update, candidate, cell;  // `cell` is the part of the candidate that r scales
};

// Adds the products of each cell's `features` numbers with their weights of three gates: reset,
// update, and sum `third`.
template <typename T, int cells, int third>
SDN_INLINE const T* add_products(Vector<T> (&sums)[cells][4], const T* numbers, const Shape& s,
                                 const T* panel) {
    for (int64_t k = 0; k < s.features; k++, panel += 3 * lanes<T>) {
        Vector<T> r = load(panel), z = load(panel + lanes<T>), n = load(panel + 2 * lanes<T>);
#pragma GCC unroll 32
        for (int c = 0; c < cells; c++) {
            Vector<T> value = broadcast<T>(numbers[c * s.padded + k]);
            sums[c][0] += value * r;
            sums[c][1] += value * z;
            sums[c][third] += value * n;
        }
    }
    return panel;
}

// The gates of `cells` neighbouring cells, one vector of features; `emit(c, gates)` uses them.
template <typename T, int cells, typename Emit>
SDN_INLINE void gates_of(const Shape& s, const T* above, int64_t above_row, const T* hidden,
                     const T* panel, const Emit& emit) {
    Vector<T> sums[cells][4];
#pragma GCC unroll 32
    for (int c = 0; c < cells; c++)
#pragma GCC unroll 4
        for (int gate = 0; gate < 4; gate++) sums[c][gate] = load(panel + gate * lanes<T>);
    panel += 4 * lanes<T>;
    for (int64_t tap = 0; tap < s.taps(); tap++) {
        const T* seen = above + tap / 3 * above_row + tap % 3 * s.padded;
        panel = add_products<T, cells, 2>(sums, seen, s, panel);
    }
    add_products<T, cells, 3>(sums, hidden, s, panel);
#pragma GCC unroll 32
    for (int c = 0; c < cells; c++) {
        Vector<T> reset = sigmoid<T>(sums[c][0]), update = sigmoid<T>(sums[c][1]);
        Vector<T> candidate = hyperbolic_tangent<T>(sums[c][2] + reset * sums[c][3]);
        emit(c, Gates<T>{reset, update, candidate, sums[c][3]});
    }
}

// Gates stand in the order of the sweep, the first line having none.
template <typename T>
Map<T> kept_gates(const SdnSweep& sweep, Shape shape) {
    shape.lines--;
    shape.reverse = false;
    return Map<T>(sweep.gates, shape, 4 * shape.features);
}

template <typename T>
struct Forward {
    const SdnSweep& sweep;
    Shape s;
    Map<T> x, y, gates;
    GatePanels<T> panels;

    Forward(Memory& memory, const SdnSweep& sweep)
        : sweep(sweep), s(Shape::of<T>(sweep)), x(sweep.x, s), y(sweep.y, s, s.features),
          gates(kept_gates<T>(sweep, s)), panels(memory, s, sweep) {}

    struct Scratch {
        Line<T> above, below, hidden;  // the finished line, the one being made, and its input

        Scratch(Memory& memory, const Shape& s, int64_t images)
            : above(memory, s, images, s.padded), below(memory, s, images, s.padded),
              hidden(memory, s, images, s.padded) {}
    };

    void run(const Scratch& scratch, int64_t first, int64_t images, const Team& team, int) const {
        Line<T> above = scratch.above, below = scratch.below;
        const Line<T>& hidden = scratch.hidden;
        for_own_parts(s, images, team, [&](const Part& part) {
            read(s, above, x, part, first, 0);
            write(s, y, above, part, first, 0);
        });
        wait_for_all(team);
        for (int64_t t = 1; t < s.lines; t++) {
            for_own_parts(s, images, team,
                          [&](const Part& part) { read(s, hidden, x, part, first, t); });
            for (int64_t v = 0; v < s.vectors; v++)
                for_own_parts(s, images, team, [&](const Part& part) {
                    update(above, below, hidden, part, first, t, v);
                });
            for_own_parts(s, images, team,
                          [&](const Part& part) { write(s, y, below, part, first, t); });
            Line<T> finished = below;
            below = above;
            above = finished;
            wait_for_all(team);
        }
    }

    void update(const Line<T>& above, const Line<T>& below, const Line<T>& hidden,
                const Part& part, int64_t first, int64_t t, int64_t v) const {
        const T* panel = panels.data + v * panels.size;
        int64_t lane = v * lanes<T>, count = s.features - lane;
        in_blocks<SDN_GATE_CELLS>(part.count, [&](auto cells, int64_t start) {
            int64_t at = part.start + start;
            const T* seen = above.at(part.image, part.row - s.border(), at - 1);
            const T* old = hidden.at(part.image, part.row, at);
            T* made = below.at(part.image, part.row, at) + lane;
            gates_of<T, cells.value>(
                s, seen, above.row, old, panel, [&](int c, const Gates<T>& g) __attribute__((always_inline)) {
                    Vector<T> h = load(old + c * s.padded + lane);
                    store(made + c * s.padded, g.candidate + g.update * (h - g.candidate));
                    if (!sweep.gates) return;
                    T* kept = gates.at(first + part.image, t - 1, part.row, at + c) + lane;
                    store_lanes(kept, g.reset, count);
                    store_lanes(kept + s.features, g.update, count);
                    store_lanes(kept + 2 * s.features, g.candidate, count);
                    store_lanes(kept + 3 * s.features, g.cell, count);
                });
        });
    }
};

}  // namespace
