"""Run a program that was compiled to WebAssembly: `python -m tests.wasi PROGRAM [ARGUMENT...]`.

It has this process's output streams, and what begins with LENET_C_ of its environment. Needs the
package wasmtime, which has no command of its own on PyPI.
"""

import os
import sys

import wasmtime


def run(arguments: list[str]) -> int:
    """Run the program arguments[0] and give its exit code."""
    config = wasmtime.Config()
    config.wasm_simd = True
    config.wasm_relaxed_simd = True
    engine = wasmtime.Engine(config)
    linker = wasmtime.Linker(engine)
    linker.define_wasi()
    store = wasmtime.Store(engine)
    wasi = wasmtime.WasiConfig()
    wasi.argv = arguments
    wasi.env = [(name, text) for name, text in os.environ.items() if name.startswith("LENET_C_")]
    wasi.inherit_stdout()
    wasi.inherit_stderr()
    store.set_wasi(wasi)
    module = wasmtime.Module.from_file(engine, arguments[0])
    try:
        linker.instantiate(store, module).exports(store)["_start"](store)
    except wasmtime.ExitTrap as end:
        return end.code
    return 0


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
