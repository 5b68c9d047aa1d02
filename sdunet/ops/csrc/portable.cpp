#define SDN_FORWARD sdn_forward_portable
#define SDN_BACKWARD sdn_backward_portable
#define SDN_VECTOR_BYTES 16
#define SDN_GATE_CELLS 3
#define SDN_GRAD_CELLS 8
#define SDN_WEIGHT_ROWS 3
#include "kernels.h"
