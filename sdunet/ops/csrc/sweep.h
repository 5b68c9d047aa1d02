// The interface of the compiled sweep: plain C, loaded by `sdunet/ops/cpu_backend.py`.
//
// Letters as in the Python side: N images, T lines, lines of H rows of W cells (H = 1 for
// images), C features a cell, K = 3 (9) neighbours above. Strides count numbers, not bytes;
// a cell's features are adjacent. Without strides a tensor is contiguous.
#pragma once

#include <cstdint>

extern "C" {

struct SdnMap {
    void* data;
    int64_t image, line, row, cell;  // strides
};

struct SdnSweep {
    int64_t images, lines, rows, cells, features;
    int64_t reverse;       // 0: from the first line to the last, 1: from the last to the first
    int64_t volume;        // 0: 3 neighbours on one row, 1: 9 neighbours on three rows
    int64_t bytes;         // of a number: 4 or 8
    int64_t threads;       // at most
    int64_t instructions;  // 0: the best this processor has, else a number of `SdnInstructions`
    SdnMap x;
    const void *w_ih, *w_hh, *b_ih, *b_hh;
    void* y;      // written forward, read backward
    void* gates;  // (N, T - 1, H, W, 4, C) in the order of the sweep; or null, then
                  // backward computes them again
    // Backward only.
    SdnMap grad_y, grad_x;
    void *grad_w_ih, *grad_w_hh, *grad_b_ih, *grad_b_hh;
};

// The carrying sweep. G groups of features share the taps of the mix.
struct SdnCarry {
    int64_t images, lines, rows, cells, features, groups;
    int64_t reverse, volume, bytes, threads, instructions;  // as above
    SdnMap x;
    const void *w, *b;  // (C + (K-1)*G, C) and (C + (K-1)*G): carry gates, side taps
    SdnMap y;           // written forward, read backward
    // Backward only.
    SdnMap grad_y, grad_x;
    void *grad_w, *grad_b;
};

// A swept map (N, cells, C) projected to O values and O gates and mixed by them with another map
// (N, cells, O). The result and its gradient are (N, O, cells) if `planes`, else (N, cells, O).
struct SdnMix {
    int64_t images, cells, features, outputs, planes;
    int64_t bytes, threads, instructions;  // as above
    const void *swept, *other;
    const void *w, *b;  // (2O, C) and (2O)
    void* y;
    // Backward only.
    const void* grad_y;
    void *grad_swept, *grad_other, *grad_w, *grad_b;
};

enum SdnInstructions { SDN_BEST, SDN_PORTABLE, SDN_AVX2, SDN_AVX512 };

// All return 0, or 1 if there is not enough memory, or 2 if the processor lacks `instructions`.
int sdn_forward(const SdnSweep* sweep);
int sdn_backward(const SdnSweep* sweep);
int sdn_carry_forward(const SdnCarry* call);
int sdn_carry_backward(const SdnCarry* call);
int sdn_mix_forward(const SdnMix* call);
int sdn_mix_backward(const SdnMix* call);

// Raised whenever a call, or what it computes, is another than before: a library that was built from
// older sources would give other numbers.
#define SDN_VERSION 2
int sdn_version(void);

// The best instruction set that this processor has and this library was built with.
int sdn_best_instructions(void);

// Bytes of an `SdnSweep`, an `SdnCarry` and an `SdnMix`, for callers that lay them out themselves.
int sdn_call_size(void);
int sdn_carry_size(void);
int sdn_mix_size(void);

}  // extern "C"
