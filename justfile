# What a person runs while working here. CI runs the same steps through .ci/run, which needs no `just`.

# List the recipes.
default:
    @just --list

# Start the issuer, a protected MCP server and a demo user.
quickstart:
    cargo run --locked -- quickstart

# Format the source.
fmt:
    cargo fmt

# Formatting, lints and what may enter the dependency tree.
check:
    .ci/run format lint licences

# Every test, on both databases; installs what is missing.
test *ARGS:
    scripts/test {{ARGS}}

# Only the tests that need nothing but cargo.
unit *ARGS:
    cargo test --locked {{ARGS}}

# Write docs/CONFIG.md anew from the code.
docs:
    cargo run --quiet --locked -- docs config > docs/CONFIG.md

# Fuzz every target, or one, for some seconds each.
fuzz SECONDS="60" *TARGETS:
    fuzz/run {{SECONDS}} {{TARGETS}}

# Load the release binary over loopback and print latency and CPU per request.
bench *ARGS:
    cargo bench --locked {{ARGS}}

# The stripped binary.
release:
    cargo build --release --locked

# The container image.
image:
    docker build --tag postern:local .

# All that CI runs, in its order.
ci:
    .ci/run
