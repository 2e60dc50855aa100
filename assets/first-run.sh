#!/bin/sh
# The first minutes on a new machine: a Vulkan driver where there is none, the build, a short training on the built-in
# landscapes, and pictures to look at.
set -eu
cd "$(dirname "$0")/.."

sh assets/setup.sh
cargo build --release
run="runs/first-$(date +%Y%m%d-%H%M%S)"
./target/release/spadework devices
./target/release/spadework train --preset tiny --landscapes --out "$run" --max-steps 150
echo
echo "Pictures to look at, each row a label map, what the network makes of it, and the true picture:"
echo "  $run/samples/"
echo "Train on:"
echo "  ./target/release/spadework train --resume --out $run"
