#!/usr/bin/env bash
# Builds the Debian package into target/debian. Wants cargo-deb: `cargo install --locked cargo-deb`.
#
# The man pages and completions in it are made by the program that it installs.
set -euo pipefail
cd "$(dirname "$0")/../.."

cargo build --locked --release --bin peerbound
peerbound=target/release/peerbound
rm -rf target/package
mkdir -p target/package/man target/package/completions
"$peerbound" man --dir target/package/man
gzip --best --no-name target/package/man/*.1
"$peerbound" completions bash >target/package/completions/peerbound
"$peerbound" completions zsh >target/package/completions/_peerbound
"$peerbound" completions fish >target/package/completions/peerbound.fish
cargo deb --locked --no-build --strip --package peerbound "$@"
