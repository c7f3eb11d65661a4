# make PYTHON=/path/to/python picks another interpreter; everything runs in its environment.
PYTHON ?= python

.PHONY: build test test-arm arm-tools test-openmp bench bench-check lint sanitize clean fuzz soak

build:
	$(PYTHON) -m pip install -e ".[dev]"

test:
	$(PYTHON) -m pytest

# The C programs of tests/ on 64-bit ARM: cross-compiled, and run by an emulator. On such a machine
# itself: make test-arm ARM_CC=cc ARM_RUN=env
ARM_CC = aarch64-linux-gnu-gcc
ARM_RUN = $(if $(shell command -v qemu-aarch64),qemu-aarch64,qemu-aarch64-static)
ARM_FLAGS = -std=c11 -O2 -Wall -Wextra -Werror -static -pthread -Icsrc
test-arm: arm-tools
	mkdir -p build/arm
	for name in c_api c_kernels; do \
		$(ARM_CC) $(ARM_FLAGS) tests/$$name.c csrc/*.c -o build/arm/$$name -lm || exit 1; \
		for isa in neon portable; do \
			LENET_C_ISA=$$isa $(ARM_RUN) build/arm/$$name || exit 1; \
		done; \
	done

arm-tools:
	@{ echo '#include <stdio.h>' | $(ARM_CC) -E -x c - && command -v $(ARM_RUN); } >/dev/null 2>&1 || { \
		echo "test-arm needs a cross compiler and an emulator; Debian's packages:" \
			"gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user"; exit 1; }

bench:
	$(PYTHON) -m pytest bench --benchmark-quiet

bench-check:
	$(PYTHON) -m bench.check

# All works on a calling thread whose stack has 64 KiB, so no function takes more of it than this; only
# what reads control groups keeps paths there, 12 KiB, and calls nothing of the core.
FRAME = -Wframe-larger-than=4096
lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	for compiler in $(CC) clang; do \
		command -v $$compiler > /dev/null || continue; \
		for file in csrc/*.c bench/*.c tests/*.c; do \
			case $$file in \
				csrc/parallel.c|csrc/processors.c|bench/*|tests/*) frame=;; \
				*) frame=$(FRAME);; \
			esac; \
			$$compiler -std=c11 -O2 -Wall -Wextra -Werror $$frame -Icsrc -c $$file -o /dev/null \
				|| exit 1; \
		done; \
	done

# $(call copy,FOLDER): a copy of the project, to be built in another way
copy = rm -rf $(1) && mkdir -p $(1) && cp -r bench csrc docs lenet_c tests \
	setup.py pyproject.toml README.md LICENSE $(1) && rm -f $(1)/lenet_c/*.so

# Built with OpenMP's threads, it passes the tests that run batches.
OPENMP = build/openmp
test-openmp:
	$(call copy,$(OPENMP))
	cd $(OPENMP) && LENET_C_OPENMP=1 $(PYTHON) setup.py -q build_ext --inplace
	cd $(OPENMP) && PYTHONPATH=$$PWD $(PYTHON) -c \
		'import lenet_c; assert lenet_c.cpu_info()["threading"] == "OpenMP", lenet_c'
	cd $(OPENMP) && PYTHONPATH=$$PWD $(PYTHON) -m pytest -q -p no:cacheprovider \
		tests/test_network.py tests/test_model.py tests/test_trainer.py

# Built with AddressSanitizer and UndefinedBehaviorSanitizer, it passes all tests. Python itself
# leaks by design, so leaks are not looked for; allocations that cannot be granted fail as malloc does.
SANITIZED = build/sanitize
sanitize:
	$(call copy,$(SANITIZED))
	cd $(SANITIZED) && LENET_C_SANITIZE=1 $(PYTHON) setup.py -q build_ext --inplace
	cd $(SANITIZED) && PYTHONPATH=$$PWD \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 $(PYTHON) -m pytest -p no:cacheprovider

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

clean:
	rm -rf build dist *.egg-info lenet_c/*.so
