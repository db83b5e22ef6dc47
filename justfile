# What a change has to pass. `just` lists the recipes; `just check` is what CI runs.

_list:
    @just --list --unsorted

# Everything a change has to pass, in the order of how soon it tells
check:
    .ci/run

# Formatting, only looked at
fmt:
    cargo fmt --all --check
    cargo fmt --manifest-path fuzz/Cargo.toml --check

# Lints, all of them errors
clippy:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Unit, integration and documentation tests of every crate
test:
    cargo test --workspace --locked

# The API documentation, where a broken link is an error
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

# Bans, licenses and sources of the dependency tree
deny:
    cargo deny --offline check bans licenses sources

# Known vulnerabilities of the dependency tree; fetches the advisory database
advisories:
    cargo deny check advisories

# Ratios of benchmarks, held to what bench/ratios.toml says
guard:
    cargo run --locked --release -p peerbound-bench-guard

# A chain of three hosts beside other ways to relay, as root: `just chain --quick`
chain *options:
    cargo build --locked --release -p peerbound -p peerbound-bench-chain
    target/release/peerbound-bench-chain {{ options }}

# Feeds one fuzz target for some seconds: `just fuzz frame 60`
fuzz target seconds="60":
    RUSTC_BOOTSTRAP=1 cargo fuzz run {{ target }} -- -max_total_time={{ seconds }}
