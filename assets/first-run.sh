#!/bin/sh
# The first minutes on a new machine: a Vulkan driver where there is none, the build, and a first look: landscapes in many
# styles, and a network that learns.
set -eu
cd "$(dirname "$0")/.."

sh assets/setup.sh
cargo build --release
echo "spadework is ./target/release/spadework; cargo install --path . puts it on your path."
echo
./target/release/spadework demo "$@"
