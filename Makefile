# make PYTHON=/path/to/python picks another interpreter; everything runs in its environment.
PYTHON ?= python

.PHONY: build test bench lint sanitize clean

build:
	$(PYTHON) -m pip install -e ".[dev]"

test:
	$(PYTHON) -m pytest

bench:
	$(PYTHON) -m pytest bench --benchmark-quiet

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	for file in csrc/*.c; do \
		$(CC) -std=c11 -O2 -Wall -Wextra -Werror -fsyntax-only $$file || exit 1; \
	done

# A copy of the project, built with AddressSanitizer and UndefinedBehaviorSanitizer, passes the
# tests. Python itself leaks by design, so leaks are not looked
# for; allocations that cannot be granted fail as malloc does.
SANITIZED = build/sanitize
sanitize:
	rm -rf $(SANITIZED)
	mkdir -p $(SANITIZED)
	cp -r csrc lenet_c tests setup.py pyproject.toml README.md LICENSE $(SANITIZED)
	rm -f $(SANITIZED)/lenet_c/*.so
	cd $(SANITIZED) && LENET_C_SANITIZE=1 $(PYTHON) setup.py -q build_ext --inplace
	cd $(SANITIZED) && PYTHONPATH=$$PWD \
		LD_PRELOAD="$$($(CC) -print-file-name=libasan.so) $$($(CC) -print-file-name=libubsan.so)" \
		ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 $(PYTHON) -m pytest -p no:cacheprovider

clean:
	rm -rf build dist *.egg-info lenet_c/*.so
