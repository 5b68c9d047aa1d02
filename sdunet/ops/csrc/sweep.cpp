#include "sweep.h"

#if defined(__x86_64__) && !defined(SDN_PORTABLE_ONLY)
#define SDN_X86
#endif

#define SDN_DECLARE(set)                          \
    int sdn_forward_##set(const SdnSweep&);        \
    int sdn_backward_##set(const SdnSweep&);       \
    int sdn_carry_forward_##set(const SdnCarry&);  \
    int sdn_carry_backward_##set(const SdnCarry&); \
    int sdn_mix_forward_##set(const SdnMix&);      \
    int sdn_mix_backward_##set(const SdnMix&);
SDN_DECLARE(portable)
#ifdef SDN_X86
SDN_DECLARE(avx2)
SDN_DECLARE(avx512)
#endif

namespace {

template <typename Call>
using Pass = int (*)(const Call&);

// Of the same pass for each instruction set, the one to run; null if the processor lacks it.
template <typename Call>
Pass<Call> choose(const Call& call, bool narrow, Pass<Call> portable, Pass<Call> avx2,
                  Pass<Call> avx512) {
    int best = sdn_best_instructions();
    int64_t wanted = call.instructions == SDN_BEST ? best : call.instructions;
    if (wanted > best) return nullptr;
    if (wanted == SDN_AVX512 && !(narrow && call.instructions == SDN_BEST)) return avx512;
    return wanted >= SDN_AVX2 ? avx2 : portable;
}

// Half of a wide vector would stay empty.
bool is_narrow(const SdnSweep& sweep) { return sweep.features * sweep.bytes <= 32; }
bool is_narrow(const SdnCarry& call) { return call.cells * call.bytes <= 32; }
bool is_narrow(const SdnMix& call) { return call.cells * call.bytes <= 32; }

template <typename Call>
int run(const Call& call, Pass<Call> portable, Pass<Call> avx2, Pass<Call> avx512) {
    Pass<Call> pass = choose(call, is_narrow(call), portable, avx2, avx512);
    return pass ? pass(call) : 2;
}

}  // namespace

#ifdef SDN_X86
#define SDN_RUN(function, call) \
    run(call, function##_portable, function##_avx2, function##_avx512)
#else
#define SDN_RUN(function, call) \
    run(call, function##_portable, function##_portable, function##_portable)
#endif

int sdn_best_instructions(void) {
#ifdef SDN_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq")) return SDN_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return SDN_AVX2;
#endif
    return SDN_PORTABLE;
}

int sdn_forward(const SdnSweep* sweep) { return SDN_RUN(sdn_forward, *sweep); }
int sdn_backward(const SdnSweep* sweep) { return SDN_RUN(sdn_backward, *sweep); }
int sdn_carry_forward(const SdnCarry* call) { return SDN_RUN(sdn_carry_forward, *call); }
int sdn_carry_backward(const SdnCarry* call) { return SDN_RUN(sdn_carry_backward, *call); }
int sdn_mix_forward(const SdnMix* call) { return SDN_RUN(sdn_mix_forward, *call); }
int sdn_mix_backward(const SdnMix* call) { return SDN_RUN(sdn_mix_backward, *call); }

int sdn_version(void) { return SDN_VERSION; }
int sdn_call_size(void) { return int(sizeof(SdnSweep)); }
int sdn_carry_size(void) { return int(sizeof(SdnCarry)); }
int sdn_mix_size(void) { return int(sizeof(SdnMix)); }
