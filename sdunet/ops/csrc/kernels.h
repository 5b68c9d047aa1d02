// The sweep for one instruction set. Included once for each, after a definition of
//   SDN_FORWARD, SDN_BACKWARD  names of the two functions
//   SDN_VECTOR_BYTES           width of the vectors
//   SDN_GATE_CELLS             cells whose four gate sums stay in registers together
//   SDN_GRAD_CELLS             cells whose gradient stays in registers together
//   SDN_WEIGHT_ROWS            rows of three weight gradients that stay in registers together
#pragma once

#include "backward.h"

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

int64_t threads_for(const Shape& s, int64_t most) {
    int64_t worth = s.images * s.lines * s.line_cells() * s.products() / thread_products;
    int64_t threads = worth < most ? worth : most;
    return threads > 1 ? threads : 1;
}

template <typename T, typename Pass>
int sweep_all(const Pass& pass, Memory& memory, int64_t threads) {
    const Shape& s = pass.s;
    int64_t weight_bytes = s.products() * int64_t(sizeof(T));
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

}  // namespace

int SDN_FORWARD(const SdnSweep& sweep) {
    return sweep.bytes == 4 ? forward<float>(sweep) : forward<double>(sweep);
}

int SDN_BACKWARD(const SdnSweep& sweep) {
    return sweep.bytes == 4 ? backward<float>(sweep) : backward<double>(sweep);
}
