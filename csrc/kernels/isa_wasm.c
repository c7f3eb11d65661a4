/* The kernels for WebAssembly where it is compiled with SIMD (-msimd128). */
#include "kernels/kernels.h"

#if defined(__wasm_simd128__)
#include "kernels/vec/wasm.h"
#include "kernels/table.h"
#endif
