# The two commands that matter: `make demo` and `make test`. CMake does the building.
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
WERROR ?= OFF
PREFIX ?= /usr/local
# AUTO: the report's page is built if node and npm are there; ON: it must be; OFF: it is not.
WEB ?= AUTO

# Data beside the checkout (the tests that use it are skipped, visibly, without it).
MASSACT_SHARED ?= $(if $(wildcard ../shared/data),$(abspath ../shared))
export MASSACT_SHARED

# Each step prints its name and how long it took.
stage = @tools/stage.sh
configure = cmake --preset $(1) --log-level=WARNING -DMASSACT_WERROR=$(WERROR) $(2)
build = cmake --build build/$(1) -j$(JOBS) $(if $(2),--target $(2))
ctest = ctest --test-dir build/$(1) -j$(JOBS) --output-on-failure --no-label-summary $(2)

.PHONY: help build demo gallery test check-all train bench install format check-format clean deps-%

help:
	@echo "make demo       install what is needed, build, scan a model, print what was found"
	@echo "make test       install what is needed, build, run the tests (unit tests also under ASan/UBSan)"
	@echo "make check-all  the format check, ThreadSanitizer, a longer fuzz run, then make test"
	@echo "make build      only build the program: build/release/bin/massact"
	@echo "make train      build the training program: build/train/bin/massact-train (installs libtorch)"
	@echo "make gallery    draw docs/gallery again from the shipped models"
	@echo "make bench      build and run the benchmarks (some minutes)"
	@echo "make install    install the program, the library and its CMake package to PREFIX ($(PREFIX))"
	@echo "make format     run clang-format on all sources"
	@echo "make clean      remove build/"

deps-%:
	@tools/install-deps.sh $(subst -, ,$*)

# A tree that was configured with tests stays so; a fresh one needs no test packages.
build: deps-build-report
	@test -f build/release/build.ninja || $(call configure,release,-DMASSACT_TESTS=OFF -DMASSACT_TRAIN=OFF -DMASSACT_WEB=$(WEB))
	$(stage) "build (release)" $(call build,release,massact)

demo: build
	@tools/demo.sh build/release/bin/massact

gallery: deps-test build
	@tools/gallery.sh build/release/bin/massact build/release/web

# The release run comes last, so that its summary closes the output.
test: deps-build-report-test
	$(stage) "configure (ASan, UBSan)" $(call configure,asan-ubsan,-DMASSACT_TRAIN=OFF)
	$(stage) "build (ASan, UBSan)" $(call build,asan-ubsan,unit_tests)
	$(stage) "unit tests (ASan, UBSan)" $(call ctest,asan-ubsan,-L unit)
	$(stage) "configure (release)" $(call configure,release,-DMASSACT_TESTS=ON -DMASSACT_TRAIN=AUTO -DMASSACT_WEB=$(WEB))
	$(stage) "build (release)" $(call build,release)
	@echo "== tests (release)"
	@$(call ctest,release)

check-all: deps-build-report-test-check check-format
	$(stage) "configure (TSan)" $(call configure,tsan,-DMASSACT_TRAIN=OFF)
	$(stage) "build (TSan)" $(call build,tsan,base_test executor_test)
	$(stage) "threads and executor (TSan)" $(call ctest,tsan,-R "Thread|Executor|Interrupt")
	$(stage) "fuzz (ASan, UBSan)" tools/fuzz-smoke.sh
	@$(MAKE) --no-print-directory test

train: deps-build-train
	$(stage) "configure (train)" $(call configure,release,-B build/train -DMASSACT_TRAIN=ON -DMASSACT_TESTS=OFF -DMASSACT_WEB=OFF)
	$(stage) "build (train)" $(call build,train,massact-train)
	@echo "try: build/train/bin/massact-train run --preset smoke"

bench: deps-build-bench
	$(stage) "configure (bench)" $(call configure,release,-B build/bench -DMASSACT_TESTS=OFF -DMASSACT_TRAIN=OFF -DMASSACT_WEB=OFF -DMASSACT_BENCH=ON)
	$(stage) "build (bench)" $(call build,bench)
	@tools/bench.sh build/bench

install: build
	$(stage) "build (release, all)" $(call build,release)
	cmake --install build/release --prefix $(PREFIX)

sources = $(shell git ls-files '*.h' '*.cpp')
format: deps-check
	@clang-format-14 -i $(sources)

check-format: deps-check
	@clang-format-14 --dry-run -Werror $(sources)

clean:
	rm -rf build
