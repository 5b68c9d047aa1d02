#define SDN_NAME(pass) sdn_##pass##_avx2
#define SDN_VECTOR_BYTES 32
#define SDN_GATE_CELLS 3
#define SDN_GRAD_CELLS 8
#define SDN_WEIGHT_ROWS 3
#define SDN_CARRY_ROWS 4
#include "schedule.h"
