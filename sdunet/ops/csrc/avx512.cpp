#define SDN_NAME(pass) sdn_##pass##_avx512
#define SDN_VECTOR_BYTES 64
#define SDN_GATE_CELLS 7
#define SDN_GRAD_CELLS 12
#define SDN_WEIGHT_ROWS 6
#define SDN_CARRY_ROWS 8
#include "schedule.h"
