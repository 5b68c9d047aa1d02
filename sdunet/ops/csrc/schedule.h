// The sweep for one instruction set. Included once for each, after a definition of
//   SDN_NAME(pass)             name of a pass for this set
//   SDN_VECTOR_BYTES           width of the vectors
//   SDN_GATE_CELLS             cells whose four gate sums stay in registers together
//   SDN_GRAD_CELLS             cells whose gradient stays in registers together
//   SDN_WEIGHT_ROWS            rows of three weight gradients that stay in registers together
//   SDN_CARRY_ROWS             gates of two vectors of cells that stay in registers together
#pragma once

#include "backward.h"
#include "carry_backward.h"
#include "mix.h"

namespace {

// Products that are worth a thread, and that are worth waiting for each other at a line's end.
constexpr int64_t thread_products = 1 << 19, line_products = 1 << 17;
// With weights larger than this every line of all images is swept together, so that the weights
// are read once a line; else each thread sweeps an image of its own.
constexpr int64_t cached_bytes = 1 << 19;

template <typename Pass>
struct Schedule {
    const Pass& pass;
    int64_t alone;     // images that are swept by one thread each
    int64_t together;  // images at the end that all threads share, line by line
    const typename Pass::Scratch* scratch;  // of each thread, then the shared one

    static void work(void* data, const Team& team) {
        const Schedule& plan = *static_cast<Schedule*>(data);
        for (int64_t i = team.rank; i < plan.alone; i += team.size)
            plan.pass.run(plan.scratch[team.rank + 1], i, 1, Team{0, 1, nullptr}, team.rank);
        if (plan.together)
            plan.pass.run(plan.scratch[0], plan.alone, plan.together, team, team.rank);
    }
};

template <typename Shape>
int64_t threads_for(const Shape& s, int64_t most) {
    int64_t worth = s.images * s.lines * s.line_cells() * s.products() / thread_products;
    int64_t threads = worth < most ? worth : most;
    return threads > 1 ? threads : 1;
}

template <typename T, typename Pass>
int sweep_all(const Pass& pass, Memory& memory, int64_t threads) {
    const auto& s = pass.s;
    int64_t weight_bytes = s.weights() * int64_t(sizeof(T));
    int64_t alone = weight_bytes > cached_bytes ? 0 : s.images / threads * threads;
    int64_t line = s.line_cells() * s.products();
    if (weight_bytes <= cached_bytes && (s.images - alone) * line < threads * line_products)
        alone = s.images;
    int64_t together = s.images - alone;

    using Scratch = typename Pass::Scratch;
    Scratch* scratch = memory.zeros<Scratch>(threads + 1);
    if (!scratch) return 1;
    for (int64_t i = 0; i <= threads; i++) scratch[i] = Scratch(memory, s, i ? alone > 0 : together);
    if (memory.failed) return 1;
    Schedule<Pass> schedule{pass, alone, together, scratch};
    run_team(int(threads), Schedule<Pass>::work, &schedule);
    return 0;
}

template <typename T>
int forward(const SdnSweep& sweep) {
    Memory memory;
    Forward<T> pass(memory, sweep);
    if (memory.failed) return 1;
    return sweep_all<T>(pass, memory, threads_for(pass.s, sweep.threads));
}

template <typename T>
int backward(const SdnSweep& sweep) {
    Memory memory;
    int64_t threads = threads_for(Shape::of<T>(sweep), sweep.threads);
    WeightGrads<T>* sums = memory.zeros<WeightGrads<T>>(threads);
    if (!sums) return 1;
    for (int64_t i = 0; i < threads; i++) sums[i] = WeightGrads<T>(memory, Shape::of<T>(sweep));
    Backward<T> pass(memory, sweep, sums);
    if (memory.failed || sweep_all<T>(pass, memory, threads)) return 1;
    pass.write_weight_grads(int(threads));
    return 0;
}

template <typename T>
TileScratch<T>* tiles_for(Memory& memory, const CarryShape& s, int64_t threads) {
    auto* tiles = memory.zeros<TileScratch<T>>(threads);
    for (int64_t i = 0; tiles && i < threads; i++) tiles[i] = TileScratch<T>(memory, s);
    return tiles;
}

template <typename T>
int carry_forward(const SdnCarry& call) {
    Memory memory;
    CarryShape s = CarryShape::of<T>(call);
    int64_t threads = threads_for(s, call.threads);
    CarryForward<T> pass(call, tiles_for<T>(memory, s, threads));
    return memory.failed ? 1 : sweep_all<T>(pass, memory, threads);
}

template <typename T>
int carry_backward(const SdnCarry& call) {
    Memory memory;
    CarryShape s = CarryShape::of<T>(call);
    int64_t threads = threads_for(s, call.threads);
    auto* sums = memory.zeros<ProductGrads<T>>(threads);
    for (int64_t i = 0; sums && i < threads; i++) sums[i] = ProductGrads<T>(memory, s, s.outputs());
    CarryBackward<T> pass(memory, call, tiles_for<T>(memory, s, threads), sums);
    if (memory.failed || sweep_all<T>(pass, memory, threads)) return 1;
    write_product_grads(s, sums, threads, call.grad_w, call.grad_b);
    return 0;
}

template <typename T>
int mix_forward(const SdnMix& call) {
    return mix_all<T>(call, false);
}

template <typename T>
int mix_backward(const SdnMix& call) {
    return mix_all<T>(call, true);
}

}  // namespace

#define SDN_DEFINE(pass, Call)                                                 \
    int SDN_NAME(pass)(const Call& call) {                                     \
        return call.bytes == 4 ? pass<float>(call) : pass<double>(call);       \
    }
SDN_DEFINE(forward, SdnSweep)
SDN_DEFINE(backward, SdnSweep)
SDN_DEFINE(carry_forward, SdnCarry)
SDN_DEFINE(carry_backward, SdnCarry)
SDN_DEFINE(mix_forward, SdnMix)
SDN_DEFINE(mix_backward, SdnMix)
