# Thin on purpose: each target is one script, which also runs without make.
.PHONY: help demo test bench lint
.DEFAULT_GOAL := help

help: ## show this
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: ## build, and run the five use-cases from registration to containment
	@scripts/demo.sh $(ARGS)

test: ## everything that a change must pass (installs what is missing)
	@scripts/test.sh $(ARGS)

bench: ## measure a release build on this machine
	@scripts/bench.sh $(ARGS)

lint: ## format, house rules, clippy, dependencies
	@scripts/lint.sh
