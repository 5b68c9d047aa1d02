// Threads that work on one call together.
#pragma once

struct Barrier;

struct Team {
    int rank, size;
    Barrier* barrier;
};

// Runs `body` in up to `threads` threads at once. Their number may turn out smaller.
void run_team(int threads, void (*body)(void* data, const Team& team), void* data);

// Waits until all threads of the team have come here.
void wait_for_all(const Team& team);
