// A swept map is projected to values and gates, and mixed by them with another map, in one pass:
//   y = v + g (other - v),  [v, g'] = W swept + b,  g = sigmoid(g').
// Backwards, with dy:  dother = dy g,  dv = dy - dother,  dg' = dv g (other - v).
#pragma once

#include "tiles.h"

namespace {

template <typename T>
struct Mix {
    const SdnMix& call;
    CarryShape in, out;  // of the swept map and of the other ones
    Map<T> swept, other;
    const T *weights, *bias;

    static CarryShape shape(const SdnMix& call, int64_t features) {
        return {call.images, 1, 1, call.cells, features, 1, 1, false, lanes<T>};
    }

    explicit Mix(const SdnMix& call)
        : call(call), in(shape(call, call.features)), out(shape(call, call.outputs)),
          swept(const_cast<void*>(call.swept), in, in.features),
          other(const_cast<void*>(call.other), out, out.features),
          weights(static_cast<const T*>(call.w)), bias(static_cast<const T*>(call.b)) {}

    int64_t rows() const { return 2 * out.features; }

    // What a thread needs for one tile.
    struct Scratch {
        T *cells, *other_cells;  // features side by side
        T* numbers;              // of the swept map, a plane a feature
        T* gates;                // values, then gates; then their gradients
        T *other, *grad;         // planes; `other` becomes the result or its own gradient

        Scratch(Memory& memory, const Mix& mix)
            : cells(memory.zeros<T>(tile_cells<T> * mix.in.padded(mix.in.features))),
              other_cells(memory.zeros<T>(tile_cells<T> * mix.out.padded(mix.out.features))),
              numbers(memory.zeros<T>(tile_step<T> * mix.in.features)),
              gates(memory.zeros<T>(tile_step<T> * mix.rows())),
              other(memory.zeros<T>(tile_step<T> * mix.out.features)),
              grad(memory.zeros<T>(tile_step<T> * mix.out.features)) {}
    };

    void read_tile(const Scratch& own, const Tile& tile) const {
        read_cells(in, own.cells, swept, tile, 0, 0);
        to_planes<false>(in, own.numbers, tile_step<T>, own.cells, tile.count);
        multiply(own.gates, weights, bias, own.numbers, rows(), in.features, tile.count);
        read_cells(out, own.other_cells, other, tile, 0, 0);
        to_planes<false>(out, own.other, tile_step<T>, own.other_cells, tile.count);
    }

    // Calls `body(value, gate, other, cell)` for every vector of a tile, by the addresses.
    template <typename Body>
    void for_vectors(const Scratch& own, const Tile& tile, const Body& body) const {
        int64_t O = out.features;
        for (int64_t o = 0; o < O; o++)
            for (int64_t c = 0; c < tile.count; c += lanes<T>) {
                int64_t at = o * tile_step<T> + c;
                body(own.gates + at, own.gates + O * tile_step<T> + at, own.other + at,
                     own.grad + at);
            }
    }

    void write_cells(const Scratch& own, void* data, const Tile& tile) const {
        int64_t padded = out.padded(out.features);
        to_cells(out, own.other_cells, own.other, tile.count);
        T* to = Map<T>(data, out, out.features).at(tile.image, 0, 0, tile.start);
        for (int64_t c = 0; c < tile.count; c++)
            copy_cell(to + c * out.features, own.other_cells + c * padded, out.features);
    }

    // Of a map whose planes lie apart.
    T* plane(const void* data, const Tile& tile, int64_t o) const {
        int64_t row = tile.image * out.features + o;
        return static_cast<T*>(const_cast<void*>(data)) + row * call.cells + tile.start;
    }

    void forward(const Scratch& own, const Tile& tile) const {
        read_tile(own, tile);
        for_vectors(own, tile, [&](const T* value, const T* gate, T* mixed, T*) {
            Vector<T> v = load(value);
            store(mixed, v + sigmoid<T>(load(gate)) * (load(mixed) - v));
        });
        if (!call.planes) return write_cells(own, call.y, tile);
        for (int64_t o = 0; o < out.features; o++)
            memcpy(plane(call.y, tile, o), own.other + o * tile_step<T>, tile.count * sizeof(T));
    }

    void read_grad(const Scratch& own, const Tile& tile) const {
        if (!call.planes) {
            Map<T> map(const_cast<void*>(call.grad_y), out, out.features);
            read_cells(out, own.other_cells, map, tile, 0, 0);
            return to_planes<false>(out, own.grad, tile_step<T>, own.other_cells, tile.count);
        }
        for (int64_t o = 0; o < out.features; o++)
            for (int64_t c = 0; c < tile.count; c += lanes<T>)
                store(own.grad + o * tile_step<T> + c,
                      load_lanes(plane(call.grad_y, tile, o) + c, tile.count - c));
    }

    void backward(const Scratch& own, const Tile& tile, const T* padded_weights,
                  const ProductGrads<T>& sums) const {
        read_tile(own, tile);
        read_grad(own, tile);
        for_vectors(own, tile, [&](T* value, T* gate, T* mixed, const T* grad) {
            Vector<T> g = sigmoid<T>(load(gate)), dy = load(grad);
            Vector<T> to_other = dy * g, to_value = dy - to_other;
            store(gate, to_value * g * (load(mixed) - load(value)));
            store(value, to_value);
            store(mixed, to_other);
        });
        write_cells(own, call.grad_other, tile);
        T* to = Map<T>(call.grad_swept, in, in.features).at(tile.image, 0, 0, tile.start);
        multiply_back(in, to, in.features, padded_weights,
                      own.gates, rows(), tile.count);
        sums.add(in, own.gates, own.cells, 0, tile.count);
    }
};

// The tiles of all images, dealt out to threads.
template <typename T>
struct MixWork {
    const Mix<T>& mix;
    const typename Mix<T>::Scratch* scratch;  // of each thread
    const T* padded_weights;                  // backward only
    const ProductGrads<T>* sums;              // of each thread, backward only

    static void work(void* data, const Team& team) {
        const MixWork& all = *static_cast<MixWork*>(data);
        const auto& own = all.scratch[team.rank];
        for_own_tiles<T>(all.mix.in, all.mix.call.images, team, [&](const Tile& tile) {
            if (all.sums)
                all.mix.backward(own, tile, all.padded_weights, all.sums[team.rank]);
            else
                all.mix.forward(own, tile);
        });
    }
};

template <typename T>
int mix_all(const SdnMix& call, bool back) {
    Memory memory;
    Mix<T> mix(call);
    int64_t work = call.images * call.cells * mix.rows() * call.features;
    int64_t threads = work / (1 << 19) < call.threads ? work / (1 << 19) : call.threads;
    if (threads < 1) threads = 1;
    auto* scratch = memory.zeros<typename Mix<T>::Scratch>(threads);
    auto* sums = back ? memory.zeros<ProductGrads<T>>(threads) : nullptr;
    T* padded = back ? pad_weights<T>(memory, mix.in, mix.weights, mix.rows()) : nullptr;
    for (int64_t i = 0; !memory.failed && i < threads; i++) {
        scratch[i] = typename Mix<T>::Scratch(memory, mix);
        if (back) sums[i] = ProductGrads<T>(memory, mix.in, mix.rows());
    }
    if (memory.failed) return 1;
    MixWork<T> all{mix, scratch, padded, sums};
    if (work) run_team(int(threads), MixWork<T>::work, &all);
    if (back) write_product_grads(mix.in, sums, threads, call.grad_w, call.grad_b);
    return 0;
}

}  // namespace
