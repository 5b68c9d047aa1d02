// The backward sweep: the gates again (or as kept), their gradients, and three products.
#pragma once

#include "forward.h"

namespace {

// For each vector of input features: for each row of neighbours and each gate's feature the
// weights of left, centre and right; then for each gate's feature the weight of the cell itself.
template <typename T>
struct GradPanels {
    T* data;
    int64_t size;

    GradPanels(Memory& memory, const Shape& s, const SdnSweep& sweep)
        : size(3 * s.features * (s.taps() + 1) * lanes<T>) {
        data = memory.zeros<T>(s.vectors * size);
        if (!data) return;
        const T *w_ih = static_cast<const T*>(sweep.w_ih), *w_hh = static_cast<const T*>(sweep.w_hh);
        int64_t F = s.features, seen = s.taps() * F;
        for (int64_t f = 0; f < F; f++) {
            T* to = data + f / lanes<T> * size + f % lanes<T>;
            for (int64_t tap_row = 0; tap_row < s.tap_rows; tap_row++)
                for (int64_t k = 0; k < 3 * F; k++)
                    for (int64_t tap = 0; tap < 3; tap++, to += lanes<T>)
                        *to = w_ih[k * seen + (3 * tap_row + tap) * F + f];
            for (int64_t k = 0; k < 3 * F; k++, to += lanes<T>) *to = w_hh[k * F + f];
        }
    }
};

// Gradients of the weights, one thread's share, in the order in which they are added to: for each
// vector of input features and each gate's feature, of the three neighbours on each row above and
// of the cell itself. Biases sum over every cell with nothing to average out their rounding,
// hence double.
template <typename T>
struct WeightGrads {
    T* neighbours;   // (tap rows, vectors, 3C, 3 taps, lanes)
    T* cell;         // (vectors, 3C, lanes)
    double* biases;  // (4, C padded): of reset, update, candidate, and of what reset scales
    int64_t rows, vectors;

    WeightGrads(Memory& memory, const Shape& s)
        : neighbours(memory.zeros<T>(s.vectors * s.taps() * 3 * s.features * lanes<T>)),
          cell(memory.zeros<T>(s.vectors * 3 * s.features * lanes<T>)),
          biases(memory.zeros<double>(4 * s.padded)), rows(3 * s.features), vectors(s.vectors) {}

    T* of_neighbours(int64_t tap_row, int64_t vector, int64_t row) const {
        return neighbours + ((tap_row * vectors + vector) * rows + row) * 3 * lanes<T>;
    }
    T* of_cell(int64_t vector, int64_t row) const {
        return cell + (vector * rows + row) * lanes<T>;
    }
};

// Cells whose operands stay in the nearest caches while all weight gradients pass over them.
struct Batch {
    static constexpr int64_t enough = 64;
    Part parts[enough];
    int64_t count = 0, cells = 0;

    void add(const Part& part) {
        parts[count++] = part;
        cells += part.count;
    }
};

template <typename T>
struct Backward {
    const SdnSweep& sweep;
    Shape s;
    Map<T> x, y, gates, grad_y, grad_x;
    GatePanels<T> panels;
    GradPanels<T> grad_panels;
    WeightGrads<T>* weight_grads;  // of each thread

    Backward(Memory& memory, const SdnSweep& sweep, WeightGrads<T>* weight_grads)
        : sweep(sweep), s(Shape::of<T>(sweep)), x(sweep.x, s), y(sweep.y, s, s.features),
          gates(kept_gates<T>(sweep, s)), grad_y(sweep.grad_y, s),
          grad_x(sweep.grad_x, s), panels(memory, s, sweep),
          grad_panels(memory, s, sweep), weight_grads(weight_grads) {}

    struct Scratch {
        Line<T> above[2], hidden;  // y of the line above (in turns) and x of this line
        Line<T> carried;           // gradient that reaches y from the line below
        Line<T> direct;            // gradient that reaches x past the gates
        Line<T> grads;             // of reset, update, candidate, and of what reset scales

        Scratch(Memory& memory, const Shape& s, int64_t images)
            : above{{memory, s, images, s.padded}, {memory, s, images, s.padded}},
              hidden(memory, s, images, s.padded), carried(memory, s, images, s.padded),
              direct(memory, s, images, s.padded), grads(memory, s, images, 4 * s.padded) {}
    };

    void run(const Scratch& scratch, int64_t first, int64_t images, const Team& team,
             int thread) const {
        auto own_parts = [&](const auto& body) { for_own_parts(s, images, team, body); };
        const WeightGrads<T>& own = weight_grads[thread];
        own_parts([&](const Part& part) {
            memset(scratch.carried.at(part.image, part.row, part.start), 0,
                   part.count * s.padded * sizeof(T));
        });
        for (int64_t t = s.lines - 1; t > 0; t--) {
            const Line<T>& above = scratch.above[t % 2];
            own_parts([&](const Part& part) {
                read(s, above, y, part, first, t - 1);
                read(s, scratch.hidden, x, part, first, t);
                add(s, scratch.carried, grad_y, part, first, t);
            });
            wait_for_all(team);
            for (int64_t v = 0; v < s.vectors; v++)
                own_parts([&](const Part& part) { gate_grads(scratch, above, part, first, t, v); });
            wait_for_all(team);
            for (int64_t v = 0; v < s.vectors; v++)
                own_parts([&](const Part& part) { cell_grads(scratch, part, v); });
            Batch batch;
            own_parts([&](const Part& part) {
                write(s, grad_x, scratch.direct, part, first, t);
                for (int64_t done = 0; done < part.count; done += Batch::enough) {
                    int64_t rest = part.count - done;
                    int64_t count = rest < Batch::enough ? rest : Batch::enough;
                    batch.add(Part{part.image, part.row, part.start + done, count});
                    if (batch.cells < Batch::enough) continue;
                    add_weight_grads(scratch, above, batch, own);
                    batch = Batch();
                }
            });
            if (batch.count) add_weight_grads(scratch, above, batch, own);
        }
        own_parts([&](const Part& part) {
            add(s, scratch.carried, grad_y, part, first, 0);
            write(s, grad_x, scratch.carried, part, first, 0);
        });
    }

    void gate_grads(const Scratch& scratch, const Line<T>& above, const Part& part, int64_t first,
                    int64_t t, int64_t v) const {
        const T* panel = panels.data + v * panels.size;
        int64_t lane = v * lanes<T>, count = s.features - lane;
        in_blocks<SDN_GATE_CELLS>(part.count, [&](auto cells, int64_t start) {
            int64_t at = part.start + start;
            const T* old = scratch.hidden.at(part.image, part.row, at);
            const T* carried = scratch.carried.at(part.image, part.row, at) + lane;
            T* direct = scratch.direct.at(part.image, part.row, at) + lane;
            T* grads = scratch.grads.at(part.image, part.row, at) + lane;
            auto emit = [&](int c, const Gates<T>& g) __attribute__((always_inline)) {
                Vector<T> h = load(old + c * s.padded + lane), dy = load(carried + c * s.padded);
                Vector<T> to_candidate = dy * (1 - g.update) * (1 - g.candidate * g.candidate);
                T* to = grads + 4 * c * s.padded;
                store(to, to_candidate * g.cell * g.reset * (1 - g.reset));
                store(to + s.padded, dy * (h - g.candidate) * g.update * (1 - g.update));
                store(to + 2 * s.padded, to_candidate);
                store(to + 3 * s.padded, to_candidate * g.reset);
                store(direct + c * s.padded, dy * g.update);
            };
            if (sweep.gates) {
                for (int c = 0; c < cells.value; c++) {
                    const T* kept = gates.at(first + part.image, t - 1, part.row, at + c) + lane;
                    emit(c, Gates<T>{load_lanes(kept, count), load_lanes(kept + s.features, count),
                                     load_lanes(kept + 2 * s.features, count),
                                     load_lanes(kept + 3 * s.features, count)});
                }
            } else {
                const T* seen = above.at(part.image, part.row - s.border(), at - 1);
                gates_of<T, cells.value>(s, seen, above.row, old, panel, emit);
            }
        });
    }

    // Adjoint of the products: from the gates' gradients to y of the line above and to x.
    void cell_grads(const Scratch& scratch, const Part& part, int64_t v) const {
        int64_t lane = v * lanes<T>, step = 4 * s.padded;
        in_blocks<SDN_GRAD_CELLS>(part.count, [&](auto count, int64_t start) {
            constexpr int cells = count.value;
            int64_t at = part.start + start;
            const T* panel = grad_panels.data + v * grad_panels.size;
            Vector<T> sums[cells] = {};
            for (int64_t tap_row = 0; tap_row < s.tap_rows; tap_row++) {
                // A cell is seen from the row below it by that row's neighbours above.
                const T* grads = scratch.grads.at(part.image, part.row + s.border() - tap_row, at);
                for (int64_t gate = 0; gate < 3; gate++, grads += s.padded)
                    for (int64_t k = 0; k < s.features; k++, panel += 3 * lanes<T>)
                        add_taps<cells>(sums, grads + k, step, panel);
            }
            T* to = scratch.carried.at(part.image, part.row, at) + lane;
            for (int c = 0; c < cells; c++) store(to + c * s.padded, sums[c]);

            to = scratch.direct.at(part.image, part.row, at) + lane;
            for (int c = 0; c < cells; c++) sums[c] = load(to + c * s.padded);
            const T* grads = scratch.grads.at(part.image, part.row, at);
            for (int gate = 0; gate < 3; gate++) {
                if (gate == 2) grads += s.padded;  // past the candidate, to what reset scales
                for (int64_t k = 0; k < s.features; k++, panel += lanes<T>) {
                    Vector<T> weights = load(panel);
#pragma GCC unroll 32
                    for (int c = 0; c < cells; c++) sums[c] += grads[c * step + k] * weights;
                }
                grads += s.padded;
            }
            for (int c = 0; c < cells; c++) store(to + c * s.padded, sums[c]);
        });
    }

    // A gradient at cell c reaches the cells c - 1, c, c + 1 of the line above.
    template <int cells>
    static SDN_INLINE void add_taps(Vector<T>* sums, const T* grads, int64_t step, const T* panel) {
        Vector<T> left = load(panel), centre = load(panel + lanes<T>);
        Vector<T> right = load(panel + 2 * lanes<T>);
#pragma GCC unroll 32
        for (int c = -1; c <= cells; c++) {
            Vector<T> value = broadcast<T>(grads[c * step]);
            if (c > 0) sums[c - 1] += value * left;
            if (c >= 0 && c < cells) sums[c] += value * centre;
            if (c < cells - 1) sums[c + 1] += value * right;
        }
    }

    void add_weight_grads(const Scratch& scratch, const Line<T>& above, const Batch& batch,
                          const WeightGrads<T>& sums) const {
        Operands operands[Batch::enough];
        for (int64_t i = 0; i < batch.count; i++) {
            const Part& part = batch.parts[i];
            operands[i] = {scratch.grads.at(part.image, part.row, part.start),
                           above.at(part.image, part.row - s.border(), part.start - 1),
                           scratch.hidden.at(part.image, part.row, part.start), part.count};
            add_bias_grads(operands[i], sums.biases);
        }
        for (int64_t tap_row = 0; tap_row < s.tap_rows; tap_row++)
            for (int64_t v = 0; v < s.vectors; v++)
                for (int64_t gate = 0; gate < 3; gate++)
                    in_blocks<SDN_WEIGHT_ROWS>(s.features, [&](auto rows, int64_t feature) {
                        int64_t row = gate * s.features + feature;
                        int64_t from = gate * s.padded + feature, lane = v * lanes<T>;
                        add_outer<rows.value, 3>(operands, batch.count, from, &Operands::seen,
                                                 lane + tap_row * above.row,
                                                 sums.of_neighbours(tap_row, v, row));
                        if (tap_row > 0) return;
                        if (gate == 2) from += s.padded;  // to what reset scales
                        add_outer<rows.value, 1>(operands, batch.count, from, &Operands::hidden,
                                                 lane, sums.of_cell(v, row));
                    });
    }

    struct Operands {
        const T *grads, *seen, *hidden;
        int64_t cells;
    };

    // Adds the outer products of `rows` gates' gradients with a vector of each of `taps` cells
    // side by side, the first of them at `map` and `lane`.
    template <int rows, int taps>
    void add_outer(const Operands* operands, int64_t count, int64_t grad, const T* Operands::*map,
                   int64_t lane, T* to) const {
        Vector<T> sums[rows][taps] = {};
        for (int64_t i = 0; i < count; i++) {
            const T *grads = operands[i].grads + grad, *cell = operands[i].*map + lane;
            for (int64_t c = operands[i].cells; c > 0; c--) {
                Vector<T> values[taps];
#pragma GCC unroll 3
                for (int tap = 0; tap < taps; tap++) values[tap] = load(cell + tap * s.padded);
#pragma GCC unroll 32
                for (int row = 0; row < rows; row++) {
                    Vector<T> value = broadcast<T>(grads[row]);
#pragma GCC unroll 3
                    for (int tap = 0; tap < taps; tap++) sums[row][tap] += value * values[tap];
                }
                grads += 4 * s.padded;
                cell += s.padded;
            }
        }
#pragma GCC unroll 32
        for (int row = 0; row < rows; row++)
#pragma GCC unroll 3
            for (int tap = 0; tap < taps; tap++, to += lanes<T>)
                store(to, load(to) + sums[row][tap]);
    }

    void add_bias_grads(const Operands& operands, double* to) const {
        for (int64_t k = 0; k < 4 * s.padded; k += lanes<T>) {
            Vector<T> sum = {};
            for (int64_t c = 0; c < operands.cells; c++)
                sum += load(operands.grads + 4 * c * s.padded + k);
            for (int lane = 0; lane < lanes<T>; lane++) to[k + lane] += sum[lane];
        }
    }

    // Adds up the threads' shares, in their order, into the gradients asked for.
    void write_weight_grads(int threads) const {
        T *w_ih = static_cast<T*>(sweep.grad_w_ih), *w_hh = static_cast<T*>(sweep.grad_w_hh);
        T *b_ih = static_cast<T*>(sweep.grad_b_ih), *b_hh = static_cast<T*>(sweep.grad_b_hh);
        int64_t F = s.features;
        auto bias = [&](int64_t gate, int64_t f) {
            double total = 0;
            for (int i = 0; i < threads; i++) total += weight_grads[i].biases[gate * s.padded + f];
            return T(total);
        };
        auto total = [&](auto part) {
            T sum = 0;
            for (int i = 0; i < threads; i++) sum += *part(weight_grads[i]);
            return sum;
        };
        for (int64_t k = 0; k < 3 * F; k++) {
            for (int64_t tap = 0; tap < s.taps(); tap++)
                for (int64_t f = 0; f < F; f++)
                    *w_ih++ = total([&](const WeightGrads<T>& sums) {
                        return sums.of_neighbours(tap / 3, f / lanes<T>, k) + tap % 3 * lanes<T> +
                               f % lanes<T>;
                    });
            for (int64_t f = 0; f < F; f++)
                *w_hh++ = total([&](const WeightGrads<T>& sums) {
                    return sums.of_cell(f / lanes<T>, k) + f % lanes<T>;
                });
            int64_t gate = k / F, f = k % F;
            b_ih[k] = bias(gate, f);
            b_hh[k] = bias(gate == 2 ? 3 : gate, f);
        }
    }
};

}  // namespace
