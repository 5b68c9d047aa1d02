#include "threads.h"

#include <dlfcn.h>

#include <atomic>
#include <thread>
#include <vector>

struct Barrier {
    std::atomic<int> arrived{0}, round{0};
};

void wait_for_all(const Team& team) {
    if (team.size == 1) return;
    Barrier& barrier = *team.barrier;
    int round = barrier.round.load(std::memory_order_relaxed);
    if (barrier.arrived.fetch_add(1, std::memory_order_acq_rel) == team.size - 1) {
        barrier.arrived.store(0, std::memory_order_relaxed);
        barrier.round.store(round + 1, std::memory_order_release);
        return;
    }
    // A line takes microseconds, less than the way through the kernel; but yield if it takes long.
    for (int spins = 0; barrier.round.load(std::memory_order_acquire) == round; spins++)
        if (spins > 4000) std::this_thread::yield();
}

namespace {

struct Call {
    void (*body)(void*, const Team&);
    void* data;
    Barrier barrier;
    int (*rank)();
    int (*size)();
};

// PyTorch's own threads, if it runs on GNU OpenMP. They spin for a while after each operator, so
// threads of our own would have to share the processors with them.
struct OpenMP {
    void (*parallel)(void (*)(void*), void*, unsigned, unsigned) = nullptr;
    int (*rank)() = nullptr;
    int (*size)() = nullptr;

    OpenMP() {
        find(parallel, "GOMP_parallel");
        find(rank, "omp_get_thread_num");
        find(size, "omp_get_num_threads");
        if (!rank || !size) parallel = nullptr;
    }

    template <typename Function>
    static void find(Function& function, const char* name) {
        function = reinterpret_cast<Function>(dlsym(RTLD_DEFAULT, name));
    }
};

}  // namespace

void run_team(int threads, void (*body)(void*, const Team&), void* data) {
    Call call{body, data, {}, nullptr, nullptr};
    if (threads <= 1) {
        body(data, Team{0, 1, &call.barrier});
        return;
    }
    static const OpenMP openmp;
    if (openmp.parallel) {
        call.rank = openmp.rank;
        call.size = openmp.size;
        auto run = [](void* shared) {
            Call& call = *static_cast<Call*>(shared);
            call.body(call.data, Team{call.rank(), call.size(), &call.barrier});
        };
        openmp.parallel(run, &call, unsigned(threads), 0);
        return;
    }
    std::vector<std::thread> others;
    for (int rank = 1; rank < threads; rank++)
        others.emplace_back(body, data, Team{rank, threads, &call.barrier});
    body(data, Team{0, threads, &call.barrier});
    for (std::thread& other : others) other.join();
}
