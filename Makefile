# Everything a developer does, and what CI runs. `make demo` needs Python >= 3.11 and nothing else.
SHELL := /bin/sh
VENV ?= .venv
BIN := $(VENV)/$(if $(filter Windows_NT,$(OS)),Scripts,bin)
PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
TORCH := $(shell sed -n 's/^torch==.*/&/p' constraints.txt)
TORCH_CPU_INDEX := https://download.pytorch.org/whl/cpu
PERSONAS := $(patsubst personas/%/persona.toml,%,$(wildcard personas/*/persona.toml))
CPP := $(wildcard server/kernel/*.h server/kernel/*.cpp server/kernel/*.inl) \
	$(shell find native_client tests/native tests/conformance/cpp unreal_client tests/unreal \
		-name '*.h' -o -name '*.c' -o -name '*.cpp') \
	tests/unity/csharp/fake_client.c
# What the native client is built with: command or header, and the Debian package that has it.
NATIVE_TOOLS := cmake:cmake ninja:ninja-build c++:g++ protoc:protobuf-compiler grpc_cpp_plugin:protobuf-compiler-grpc
NATIVE_HEADERS := grpcpp/grpcpp.h:libgrpc++-dev
SANITIZERS := asan:address,undefined tsan:thread
BENCHMARKS := town first-token scale overhead profile
INSTALLED_FROM := pyproject.toml constraints.txt hatch_build.py proto/generate.py \
	$(wildcard proto/townsfolk/v1/*.proto server/kernel/*)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help demo test test-slow test-gpu test-remote lint format proto kernel native native-tools native-sanitize train \
	bench bench-peers model clean distclean

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name what; do \
		printf '  %-15s  %s\n' "$$name" "$$what"; done

demo: $(VENV)/.installed ## Hear the whole town talk at once (installs itself, pulls the model)
	@$(BIN)/townsfolk demo

test: $(VENV)/.installed-dev model ## Run the tests, a few of them on the real model
	@$(MAKE) --no-print-directory --silent native || test -z "$$TOWNSFOLK_REQUIRE_NATIVE"
	TOWNSFOLK_REQUIRE_MODEL=1 $(BIN)/python -m pytest -m "not slow and not train and not gpu and not remote" $(PYTEST_ARGS)

test-slow: $(VENV)/.installed-dev model ## Run the slow tests and all on the real model
	TOWNSFOLK_REQUIRE_MODEL=1 $(BIN)/python -m pytest -m "(slow or real_model or train) and not gpu and not remote" $(PYTEST_ARGS)

test-gpu: $(VENV)/.installed-dev ## Run the tests that need an NVIDIA card
	$(BIN)/python -m pytest -m gpu $(PYTEST_ARGS)

test-remote: $(VENV)/.installed-dev model ## Test real servers, llama.cpp and vLLM (installs them first)
	TOWNSFOLK_REQUIRE_MODEL=1 $(BIN)/python -m pytest tests/remote tests/engine/test_behaviours.py -m remote $(PYTEST_ARGS)

lint: $(VENV)/.installed-dev ## Check style, types and the API definition
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/buf lint
	$(BIN)/buf format --diff --exit-code
	@echo "clang-format --dry-run -Werror (all C and C++ files)"
	@$(BIN)/clang-format --dry-run -Werror $(CPP)

format: $(VENV)/.installed-dev ## Bring the Python code and the API definition into their one format
	$(BIN)/ruff check --fix-only --select I
	$(BIN)/ruff format
	$(BIN)/buf format -w
	$(BIN)/clang-format -i $(CPP)

proto: $(VENV)/.installed-dev ## Generate the Python stubs of the API again
	$(BIN)/python proto/generate.py

kernel: $(VENV)/.installed-dev ## Compile the CPU kernel again
	$(BIN)/python server/kernel/build.py

native: native-tools ## Build the native client for game engines into build/native
	cmake -S native_client -B build/native -G Ninja
	cmake --build build/native --parallel 2

native-sanitize: NATIVE_HEADERS += gtest/gtest.h:libgtest-dev
native-sanitize: $(VENV)/.installed-dev native ## Test the native client under sanitizers (compiles it twice more)
	for build in $(SANITIZERS); do \
		cmake -S native_client -B build/native-$${build%%:*} -G Ninja -DTOWNSFOLK_TESTS=ON -DTOWNSFOLK_SANITIZE=$${build#*:} && \
		TOWNSFOLK_REQUIRE_NATIVE=1 TOWNSFOLK_NATIVE_BUILD=build/native-$${build%%:*} TOWNSFOLK_TEST_CLOSINGS=200 \
			$(BIN)/python -m pytest tests/native/test_native_client.py $(PYTEST_ARGS) || exit; done

native-tools:
	@missing=; for need in $(NATIVE_TOOLS); do \
		command -v $${need%%:*} >/dev/null || missing="$$missing $${need#*:}"; done; \
	for need in $(NATIVE_HEADERS); do \
		echo "#include <$${need%%:*}>" | c++ -std=c++17 -x c++ -E - >/dev/null 2>&1 || missing="$$missing $${need#*:}"; done; \
	test -z "$$missing" || { echo "The native client needs more to be built; on Debian: sudo apt-get install$$missing"; exit 1; }

train: $(VENV)/.installed-dev model ## Train the adapters of all personas that are not up to date
	for persona in $(PERSONAS); do $(BIN)/townsfolk train $$persona || exit; done

bench: $(VENV)/.installed-dev model ## Measure this machine, into bench/results (keep it idle meanwhile)
	for benchmark in $(BENCHMARKS); do $(BIN)/townsfolk bench $$benchmark --out bench/results || exit; done

bench-peers: $(VENV)/.installed-dev model ## Measure Townsfolk beside llama.cpp, PEFT and vLLM (installs them first)
	$(BIN)/python bench/peers/run.py

model: $(VENV)/.installed ## Pull the default model into your cache
	@$(BIN)/townsfolk models pull

clean: ## Remove caches and builds
	rm -rf build dist out .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

distclean: clean ## Remove the virtual environment and the generated stubs as well
	rm -rf $(VENV) server/townsfolk/v1

$(VENV)/.python:
	@test -n "$(PYTHON)" || { echo "Townsfolk needs Python 3.11 or newer; on Debian 12 or later: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "This Python cannot make virtual environments; on Debian: sudo apt-get install python3-venv"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@touch $@

# On Linux the package index serves torch with several GB of CUDA libraries. Without an NVIDIA GPU take PyTorch's own
# CPU build, where its index can be reached; it satisfies the same pin.
$(VENV)/.torch: constraints.txt | $(VENV)/.python
	@if [ "$$(uname -s)" = Linux ] && ! command -v nvidia-smi >/dev/null && ! $(BIN)/python -c 'import torch' 2>/dev/null && \
		$(BIN)/python -c 'import urllib.request; urllib.request.urlopen("$(TORCH_CPU_INDEX)/torch/", timeout=5)' 2>/dev/null; then \
		$(BIN)/python -m pip install --disable-pip-version-check -q --index-url $(TORCH_CPU_INDEX) $(TORCH); fi
	@touch $@

$(VENV)/.installed: $(INSTALLED_FROM) | $(VENV)/.torch
	@echo "Installing Townsfolk into $(VENV); the first time that takes a few minutes ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[embedded]'
	@touch $@

$(VENV)/.installed-dev: $(INSTALLED_FROM) | $(VENV)/.torch
	@echo "Installing Townsfolk and the tools of its developers into $(VENV); the first time that takes a few minutes ..."
	@$(BIN)/python -m pip install --disable-pip-version-check -q -c constraints.txt -e '.[dev,train]'
	@touch $@ $(VENV)/.installed
