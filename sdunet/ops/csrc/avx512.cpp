#define SDN_FORWARD sdn_forward_avx512
#define SDN_BACKWARD sdn_backward_avx512
#define SDN_VECTOR_BYTES 64
#define SDN_GATE_CELLS 7
#define SDN_GRAD_CELLS 12
#define SDN_WEIGHT_ROWS 6
#include "kernels.h"
