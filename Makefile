# Two commands do everything: `make book` and `make test`. `make help` lists the rest.
PYTHON ?= python3
# The shell fills in what the user gives (paths, names), so that spaces, quotes, braces and $ in it stay as they are.
PY := "$${VIRTUAL_ENV:-.venv}/bin/python"
PRESS := $(PY) -m press
# What the user has set for other Pythons does not steer the book's, the terminal's encoding aside.
unexport $(filter-out PYTHONIOENCODING,$(filter PYTHON%,$(.VARIABLES)))
export PYTHONPATH := src
export PYTHONSAFEPATH := 1
.DEFAULT_GOAL := help
.PHONY: book test chapter page pair passes blocks check-pairs check new-chapter course grade serve list clean help setup

book: setup ## install, run the chapters and build the site: build/site/index.html
	@$(PRESS) book

test: setup ## pass all tests (builds the book first)
	@$(PRESS) book --check && $(PRESS) passes --chapters "$$PASSES" && $(PY) -m press.surroundings -m pytest -n auto --dist loadscope

chapter: setup ## run one chapter: NAME=… [PROFILE=full] [SEEDS=10] [FIRST_SEED=1000] [DATASET=my.npz] [CONTROL=1]
	@$(PRESS) chapter --name "$$NAME" --profile "$$PROFILE" --seeds "$$SEEDS" --first-seed "$$FIRST_SEED" --dataset "$$DATASET" --control "$$CONTROL"

page: setup ## render one chapter's page alone, to look at while writing: NAME=…
	@$(PRESS) page --name "$$NAME"

pair: setup ## write notebooks/ from the texts in book/
	@$(PRESS) pair

passes: setup ## rerun chapters on seeds of which two are the published ones, with PASSES=all also for identical outputs, with FIRST_SEED on fresh seeds too: [PASSES=all|touched] [FIRST_SEED=1000]
	@$(PRESS) passes --chapters "$$PASSES" --first-seed "$$FIRST_SEED"

blocks: setup ## run chapters on three other blocks of seeds and keep the verdicts for the scorecard: [NAME=…]
	@$(PRESS) blocks --name "$$NAME"

check-pairs: setup ## name notebooks that are not in step with their text
	@$(PRESS) pair --check

check: setup ## name what breaks the chapters' contract
	@$(PRESS) check

new-chapter: setup ## make the skeleton of a chapter: NAME=… PART=… [PAPER=key in book/references.bib]
	@$(PRESS) new-chapter --name "$$NAME" --part "$$PART" --paper "$$PAPER"

course: setup ## build the assignments, for students and instructor: [NAME=…] [SECRETS=how many others to try]
	@$(PY) -m course build --name "$$NAME" --secrets "$$SECRETS"

grade: setup ## grade what a class has handed in: SUBMISSIONS=folder or zip [ASSIGNMENT=…] [CLASS=…]
	@$(PY) -m course grade --submissions "$$SUBMISSIONS" --assignment "$$ASSIGNMENT" --class-name "$$CLASS"

serve: setup ## show the built site in a browser: [PORT=8000]
	@$(PRESS) serve --port "$$PORT"

list: setup ## print the names of the chapters
	@$(PRESS) names

clean: ## remove all that was made, but for the virtual environment and build/course, where grades are
	@rm -rf .snakemake && if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name course -exec rm -rf {} +; fi

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed 's/:.*## /\t/' | awk -F '\t' '{printf "make %-12s %s\n", $$1, $$2}'

setup: ## install only
	@"$(PYTHON)" src/press/environment.py
