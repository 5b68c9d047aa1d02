#include "sweep.h"

#if defined(__x86_64__) && !defined(SDN_PORTABLE_ONLY)
#define SDN_X86
#endif

#define SDN_DECLARE(set)                   \
    int sdn_forward_##set(const SdnSweep&); \
    int sdn_backward_##set(const SdnSweep&);
SDN_DECLARE(portable)
#ifdef SDN_X86
SDN_DECLARE(avx2)
SDN_DECLARE(avx512)
#endif

namespace {

struct Pass {
    int (*forward)(const SdnSweep&);
    int (*backward)(const SdnSweep&);
};

Pass choose(const SdnSweep& sweep) {
    int best = sdn_best_instructions();
    int64_t wanted = sweep.instructions == SDN_BEST ? best : sweep.instructions;
    if (wanted > best) return {nullptr, nullptr};
#ifdef SDN_X86
    // Half of a wide vector would stay empty.
    bool narrow = sweep.instructions == SDN_BEST && sweep.features * sweep.bytes <= 32;
    if (wanted == SDN_AVX512 && !narrow) return {sdn_forward_avx512, sdn_backward_avx512};
    if (wanted >= SDN_AVX2) return {sdn_forward_avx2, sdn_backward_avx2};
#endif
    return {sdn_forward_portable, sdn_backward_portable};
}

}  // namespace

int sdn_best_instructions(void) {
#ifdef SDN_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return SDN_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return SDN_AVX2;
#endif
    return SDN_PORTABLE;
}

int sdn_forward(const SdnSweep* sweep) {
    Pass pass = choose(*sweep);
    return pass.forward ? pass.forward(*sweep) : 2;
}

int sdn_backward(const SdnSweep* sweep) {
    Pass pass = choose(*sweep);
    return pass.backward ? pass.backward(*sweep) : 2;
}

int sdn_call_size(void) { return int(sizeof(SdnSweep)); }
