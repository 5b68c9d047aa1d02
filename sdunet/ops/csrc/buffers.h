// Lines of cells in scratch memory, maps in main memory, and the ways between.
#pragma once

#include <cstdlib>
#include <utility>

#include "sweep.h"
#include "threads.h"
#include "vector.h"

namespace {

template <int n>
struct Count {
    static constexpr int value = n;
};

template <int most, typename Body>
inline void last_block(int64_t count, int64_t start, const Body& body) {
    if constexpr (most > 0) {
        if (count == most)
            body(Count<most>{}, start);
        else
            last_block<most - 1>(count, start, body);
    }
}

// Calls `body(Count<n>, start)` for blocks of n = `size`, and once for what is left.
template <int size, typename Body>
inline void in_blocks(int64_t count, const Body& body) {
    int64_t start = 0;
    for (; start + size <= count; start += size) body(Count<size>{}, start);
    last_block<size - 1>(count - start, start, body);
}

class Memory {
    void* blocks = nullptr;

public:
    bool failed = false;

    // Zeros, at the start of a cache line.
    template <typename T>
    T* zeros(int64_t count) {
        size_t bytes = 64 + (size_t(count) * sizeof(T) + 63) / 64 * 64;
        void* block = aligned_alloc(64, bytes);
        if (!block) {
            failed = true;
            return nullptr;
        }
        memset(block, 0, bytes);
        memcpy(block, &blocks, sizeof blocks);
        blocks = block;
        return reinterpret_cast<T*>(static_cast<char*>(block) + 64);
    }

    ~Memory() {
        while (void* block = blocks) {
            memcpy(&blocks, block, sizeof blocks);
            free(block);
        }
    }
};

struct Shape {
    int64_t images, lines, rows, cells, features;
    int64_t tap_rows;  // 1 or 3 rows of three neighbours
    int64_t padded;    // features rounded up to whole vectors
    int64_t vectors;
    bool reverse;

    template <typename T>
    static Shape of(const SdnSweep& sweep) {
        int64_t vectors = (sweep.features + lanes<T> - 1) / lanes<T>;
        return {sweep.images,         sweep.lines,        sweep.rows, sweep.cells,
                sweep.features,       sweep.volume ? 3 : 1, vectors * lanes<T>, vectors,
                sweep.reverse != 0};
    }
    int64_t border() const { return tap_rows / 2; }
    int64_t taps() const { return 3 * tap_rows; }
    int64_t line_cells() const { return rows * cells; }
    int64_t weights() const { return 3 * features * features * (taps() + 1); }
    int64_t products() const { return weights(); }  // of a cell
};

// A map in main memory.
template <typename T>
struct Map {
    T* data;
    int64_t image, line, row, cell;

    template <typename Shape>
    Map(const SdnMap& map, const Shape& shape)
        : data(static_cast<T*>(map.data)),
          image(map.image), line(map.line), row(map.row), cell(map.cell) {
        if (shape.reverse) turn(shape.lines);
    }
    // Contiguous, with so many numbers a cell.
    template <typename Shape>
    Map(void* data, const Shape& shape, int64_t numbers)
        : data(static_cast<T*>(data)), image(shape.lines * shape.line_cells() * numbers),
          line(shape.line_cells() * numbers), row(shape.cells * numbers), cell(numbers) {
        if (shape.reverse) turn(shape.lines);
    }
    void turn(int64_t lines) {
        data += (lines - 1) * line;
        line = -line;
    }

    T* at(int64_t i, int64_t t, int64_t r, int64_t c) const {
        return data + i * image + t * line + r * row + c * cell;
    }
};

// One line of several images in scratch memory, zero cells around it.
template <typename T>
struct Line {
    T* data = nullptr;
    int64_t cell = 0, row = 0, image = 0, border = 0;

    Line() = default;
    Line(Memory& memory, const Shape& shape, int64_t images, int64_t numbers)
        : cell(numbers), row(cell * (shape.cells + 2)),
          image(row * (shape.rows + 2 * shape.border())), border(shape.border()) {
        data = memory.zeros<T>(images * image);
    }
    T* at(int64_t i, int64_t r, int64_t c) const {
        return data + i * image + (r + border) * row + (c + 1) * cell;
    }
};

// A stretch of cells on one row of one image.
struct Part {
    int64_t image, row, start, count;
};

// Calls `body` for the parts of a line that fall to one thread of the team.
template <typename Body>
inline void for_own_parts(const Shape& shape, int64_t images, const Team& team, const Body& body) {
    int64_t all = images * shape.line_cells();
    int64_t begin = all * team.rank / team.size, end = all * (team.rank + 1) / team.size;
    while (begin < end) {
        int64_t row = begin / shape.cells, start = begin % shape.cells;
        int64_t count = shape.cells - start < end - begin ? shape.cells - start : end - begin;
        body(Part{row / shape.rows, row % shape.rows, start, count});
        begin += count;
    }
}

template <typename T>
SDN_INLINE void copy_cell(T* to, const T* from, int64_t features) {
    for (int64_t f = 0; f < features; f += lanes<T>)
        store_lanes(to + f, load_lanes(from + f, features - f), features - f);
}

template <typename T>
void read(const Shape& s, const Line<T>& line, const Map<T>& map, const Part& part, int64_t image,
          int64_t t) {
    const T* from = map.at(image + part.image, t, part.row, part.start);
    T* to = line.at(part.image, part.row, part.start);
    for (int64_t c = 0; c < part.count; c++) {
        __builtin_prefetch(from + c * map.cell + map.line);
        copy_cell(to + c * line.cell, from + c * map.cell, s.features);
    }
}

template <typename T>
void add(const Shape& s, const Line<T>& line, const Map<T>& map, const Part& part, int64_t image,
         int64_t t) {
    const T* from = map.at(image + part.image, t, part.row, part.start);
    T* to = line.at(part.image, part.row, part.start);
    for (int64_t c = 0; c < part.count; c++)
        for (int64_t f = 0; f < s.features; f++) to[c * line.cell + f] += from[c * map.cell + f];
}

template <typename T>
void write(const Shape& s, const Map<T>& map, const Line<T>& line, const Part& part, int64_t image,
           int64_t t) {
    const T* from = line.at(part.image, part.row, part.start);
    T* to = map.at(image + part.image, t, part.row, part.start);
    for (int64_t c = 0; c < part.count; c++)
        copy_cell(to + c * map.cell, from + c * line.cell, s.features);
}

}  // namespace
