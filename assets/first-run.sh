#!/bin/sh
# The first minutes on a new machine: a Vulkan driver where there is none, the build, and a first look: landscapes in many
# styles, and a network that learns.
set -eu
cd "$(dirname "$0")/.."

sh assets/setup.sh
cargo build --release
./target/release/spadework demo "$@"
echo
echo "spadework is ./target/release/spadework; cargo install --path . puts it on your path."
