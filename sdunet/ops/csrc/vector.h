// Vectors of SDN_VECTOR_BYTES, and the functions of the gates on them.
//
// Everything here has internal linkage: this file is compiled once for each instruction set, and
// the linker must never give one set's code to another.
#pragma once

#include <cstdint>
#include <cstring>

// Vectors in registers do not survive a call.
#define SDN_INLINE inline __attribute__((always_inline))

namespace {

template <typename T>
struct Types;

template <>
struct Types<float> {
    typedef float Vector __attribute__((vector_size(SDN_VECTOR_BYTES)));
    typedef int32_t Bits __attribute__((vector_size(SDN_VECTOR_BYTES)));
    static constexpr int mantissa = 23, bias = 127, terms = 7;
    static constexpr float limit = 87, log2_high = 0.693359375f, log2_low = -2.12194440e-4f;
};

template <>
struct Types<double> {
    typedef double Vector __attribute__((vector_size(SDN_VECTOR_BYTES)));
    typedef int64_t Bits __attribute__((vector_size(SDN_VECTOR_BYTES)));
    static constexpr int mantissa = 52, bias = 1023, terms = 13;
    static constexpr double limit = 708, log2_high = 6.93145751953125e-1,
                            log2_low = 1.42860682030941723212e-6;
};

template <typename T>
using Vector = typename Types<T>::Vector;

template <typename T>
constexpr int lanes = SDN_VECTOR_BYTES / int(sizeof(T));

template <typename T>
SDN_INLINE Vector<T> load(const T* from) {
    Vector<T> value;
    memcpy(&value, from, sizeof value);
    return value;
}

// Adding zero would cost an operation: it changes -0.
template <typename T>
SDN_INLINE Vector<T> broadcast(T value) {
    return value - Vector<T>{};
}

template <typename T>
SDN_INLINE void store(T* to, Vector<T> value) {
    memcpy(to, &value, sizeof value);
}

// The first `count` lanes; the others are zero.
template <typename T>
SDN_INLINE Vector<T> load_lanes(const T* from, int64_t count) {
    if (count >= lanes<T>) return load(from);
    Vector<T> value = {};
    memcpy(&value, from, count * sizeof(T));
    return value;
}

template <typename T>
SDN_INLINE void store_lanes(T* to, Vector<T> value, int64_t count) {
    if (count >= lanes<T>) return store(to, value);
    memcpy(to, &value, count * sizeof(T));
}

// exp(x) = scale * (1 + rest) with scale a power of two. NaN stays NaN.
template <typename T>
struct Exponential {
    Vector<T> scale, rest;
};

template <typename T>
SDN_INLINE Exponential<T> exponential(Vector<T> x) {
    using Traits = Types<T>;
    x = x < -Traits::limit ? broadcast<T>(-Traits::limit) : x;
    x = x > Traits::limit ? broadcast<T>(Traits::limit) : x;
    // Adding 1.5 * 2^mantissa rounds to an integer and leaves it in the lowest bits.
    constexpr T shift = T(3ll << (Traits::mantissa - 1)), log2_of_e = T(1.4426950408889634074);
    Vector<T> shifted = x * log2_of_e + shift;
    Vector<T> power = shifted - shift;
    Vector<T> r = (x - power * Traits::log2_high) - power * Traits::log2_low;
    typename Traits::Bits bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + Traits::bias) << Traits::mantissa;
    Exponential<T> result;
    memcpy(&result.scale, &bits, sizeof bits);
    // Taylor's series, |r| <= log(2) / 2: the first term left out is below half a last digit.
    constexpr double factorials[] = {1,    1,     2,      6,       24,       120,       720,
                                     5040, 40320, 362880, 3628800, 39916800, 479001600, 6227020800};
    Vector<T> sum = Vector<T>{} + T(1 / factorials[Traits::terms]);
#pragma GCC unroll 32
    for (int n = Traits::terms - 1; n >= 2; n--) sum = sum * r + T(1 / factorials[n]);
    result.rest = r * r * sum + r;
    return result;
}

template <typename T>
SDN_INLINE Vector<T> sigmoid(Vector<T> x) {
    Exponential<T> e = exponential<T>(-x);
    return T(1) / (T(1) + (e.scale + e.scale * e.rest));
}

// By exp(2x) - 1, so that no digits cancel near zero.
template <typename T>
SDN_INLINE Vector<T> hyperbolic_tangent(Vector<T> x) {
    Exponential<T> e = exponential<T>(x + x);
    Vector<T> less_one = e.scale * e.rest + (e.scale - T(1));
    return less_one / (less_one + T(2));
}

}  // namespace
