# What people and CI run. Every target installs the Debian packages that it misses and says which.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test bench scale lab ebpf clean

# The lab looks for its ztunnel in target/release of this tree.
unexport CARGO_TARGET_DIR CARGO_BUILD_TARGET_DIR CARGO_BUILD_TARGET

BENCH_ARGS ?=
SCALE_ARGS ?=
LAB_ARGS ?= up

help:
	@echo 'make demo    two pods on two nodes talk through two ztunnels, and you see what happened (root, under two minutes)'
	@echo 'make test    everything that CI runs (root, or the tests that need namespaces are skipped)'
	@echo 'make bench   raw TCP and the mesh side by side (root); BENCH_ARGS="--help" shows the options'
	@echo 'make scale   a mesh of 100,000 workloads: the controller, a ztunnel, one change; SCALE_ARGS="--help" shows the options'
	@echo 'make lab     a lab to play with, until Ctrl-C (root); LAB_ARGS="up --capture iptables"'
	@echo 'make ebpf    builds the programs of the kernel anew, into ebpf/objects (root, the first time)'
	@echo 'make clean   removes what dead labs left, and everything that was built'

demo:
	@scripts/demo

test:
	@scripts/test

bench:
	@scripts/install
	cargo build --release --locked -p ztunnel -p controller -p waypoint -p bench
	target/release/bench $(BENCH_ARGS)

scale:
	@scripts/install
	cargo build --release --locked -p ztunnel -p controller -p scale
	target/release/scale $(SCALE_ARGS)

lab:
	@scripts/install
	cargo build --release --locked -p ztunnel -p controller -p waypoint
	cargo run --locked -p lab -- $(LAB_ARGS)

ebpf:
	@scripts/ebpf

clean:
	-cargo run --quiet --locked -p lab -- clean
	cargo clean
