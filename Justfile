# What CI runs is `.ci/run`, which makes its own environment and then runs the same as `just verify`.
# Each recipe is one line, to be run by hand where there is no `just`. All use the virtual environment
# of README.md; `just dev` adds the tools to it.

bin := ".venv/bin"

# The server on port 8080
serve *flags:
    {{bin}}/mcp-v8 --http-port 8080 {{flags}}

# All tests, or those named (`just test -n 2` in two processes, as CI does)
test *args:
    {{bin}}/python -m pytest {{args}}

# The long randomized tests
torture *args:
    {{bin}}/python -m pytest -m torture {{args}}

# The tests of the image, which they build, with podman or docker ($CONTAINER_ENGINE, $MCP_V8_TEST_IMAGE)
test-containers *args:
    {{bin}}/python -m pytest -m containers tests/containers {{args}}

# What CI checks: format, lint, strict types, tests
verify: lint types test

# Format check and lint
lint:
    {{bin}}/ruff format --check . && {{bin}}/ruff check .

# Strict types
types:
    {{bin}}/mypy

# Format and fix what can be fixed
fmt:
    {{bin}}/ruff format . && {{bin}}/ruff check --fix .

# The benchmarks (`just bench --quick` takes some minutes, `just bench --only layers` measures one section)
bench *args:
    {{bin}}/python -m benchmarks {{args}}

# What they compare with, of which they else say that it is not there; isolated-vm is compiled, for a few minutes
bench-peers:
    {{bin}}/pip install -q -e '.[peers]' && npm ci --no-audit --no-fund --prefix benchmarks/peers

# The plots of its results that docs/performance.md shows, after `pip install -e '.[bench]'`
plots:
    {{bin}}/python -m benchmarks.drawing

# The Web Platform Tests as a table; words choose cases by name
wpt *words:
    {{bin}}/python -m tests.wpt {{words}}

# Coverage-guided fuzzing of all targets, or those named (`just fuzz attempts --seconds 600 --keep`)
fuzz *args:
    {{bin}}/python -m tests.fuzz {{args}}

# What Node prints, again, after a change of the values that are compared with it
golden:
    node tests/base/node_golden.mjs > tests/base/node_golden.json

# The golden history of the event format, once for each new one
cut:
    PYTHONPATH=tests {{bin}}/python tests/golden/cut.py

# The golden bucket of the formats in S3, once for new ones
cut-bucket:
    PYTHONPATH=tests:tests/persistence {{bin}}/python tests/golden/cut_bucket.py

# The golden cluster of the formats in etcd and in S3, once for new ones
cut-cluster:
    PYTHONPATH=tests:tests/persistence {{bin}}/python tests/persistence/cut_cluster.py

# The bundled JavaScript libraries again, from npm
vendor:
    node engine/isolate/base/vendor/build.mjs

# The versions that the image is made of, again, after a change of the dependencies (the newest of each with --upgrade)
lock *args:
    {{bin}}/uv pip compile pyproject.toml -q --universal --generate-hashes --python-version 3.13 -o deploy/requirements.lock {{args}}

# The virtual environment with the development tools
dev:
    python3 -m venv .venv && {{bin}}/pip install -q -e '.[dev]'
