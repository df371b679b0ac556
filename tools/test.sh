#!/bin/sh
# All checks: format, lints, documentation, tests. On a machine without a GPU it first fetches a software Vulkan driver
# (Debian, into target/), and where they are missing the SPIR-V validator, Open MPI, and what C, C++ and Python hosts
# take; a machine with a GPU tests that GPU.
#
#   tools/test.sh                 everything
#   tools/test.sh swiftshader     the GPU tests alone, on SwiftShader, an independent driver
#   tools/test.sh web             the page and the package alone, with the engine for browsers without a GPU, too, whose
#                                 compiling takes minutes, and which everything else leaves out
set -eu
cd "$(dirname "$0")/.."
case ${1:-} in
'' | swiftshader) ;;
web) exec tools/web.sh test ;;
*)
  sed -n '2,10s/^# \{0,1\}//p' "$0" >&2
  exit 2
  ;;
esac

install() { # Debian packages, where the machine lets us
  echo "installing $*" >&2
  if [ "$(id -u)" = 0 ]; then run=; else run=sudo; fi
  $run apt-get update -qq && $run apt-get install -y -qq --no-install-recommends "$@" >/dev/null
}
command -v spirv-val >/dev/null || install spirv-tools
command -v c++ >/dev/null || install g++
command -v pkg-config >/dev/null || install pkg-config
has_numpy() { python3 -c 'import numpy' 2>/dev/null; }
has_numpy || install python3-numpy
has_numpy || { # another Python stands before Debian's
  mkdir -p target/python
  ln -sf /usr/bin/python3 target/python/python3
  PATH="$PWD/target/python:$PATH"
}

vulkan=target/software-vulkan
if [ "${1:-}" = swiftshader ]; then
  tools/software-vulkan.sh $vulkan
  tools/swiftshader.sh target/swiftshader
  export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$PWD/target/swiftshader/run" SASNET_ADAPTER=swiftshader
  exec cargo test --release --locked --test fixtures --test operators --test kernels
fi
# Training by several processes: the feature mpi needs an MPI, and libclang with its headers to read that one's.
has_mpi() {
  command -v mpirun && command -v mpicc && find /usr/lib -path '*clang*/include/stddef.h' 2>/dev/null | grep -q .
}
mpi="--features mpi"
has_mpi >/dev/null || install libopenmpi-dev openmpi-bin libclang-dev || {
  echo "NOT TESTED: training by several processes (tests/mpi.rs): there is no MPI, and it cannot be installed" >&2
  mpi=
}
# The page's tests take the program that is built here.
export SASNET_CARGO="$mpi"
# Tests leave no compiled kernels in the user's folder, and take none from there.
export SASNET_CACHE=

cargo fmt --all --check
# shellcheck disable=SC2086 # two words or none
cargo clippy --release --locked --all-targets $mpi -- -D warnings
# What hosts build, and the program without MPI.
cargo clippy --release --locked -p sasnet-c -- -D warnings
cargo clippy --locked -p sasnet-header --all-targets -- -D warnings
cargo clippy --release --locked -p sasnet-web -- -D warnings
for features in "" builtin builtin,cpu files cli; do
  cargo clippy --release --locked --lib --no-default-features --features "$features" -- -D warnings
done
RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --no-deps $mpi
cargo build --release --locked $mpi
if ! ./target/release/sasnet devices | grep -q " GPU"; then
  tools/software-vulkan.sh $vulkan
  export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="$PWD/$vulkan/run"
  # This driver's cooperative matrices need shorter vectors.
  LP_NATIVE_VECTOR_WIDTH=256 SASNET_KERNELS=matrix \
    cargo test --release --locked $mpi --test fixtures --test operators --test misuse -- \
    hidden wrong_kernels rows_alone devices_open
fi
# The viewer, a workspace of its own, in a window that nobody sees: what it shows is what the library makes of the picture.
viewer=examples/viewer_egui/Cargo.toml
cargo fmt --check --manifest-path $viewer
# Clippy compiles it, too: checking a window system's libraries by themselves takes minutes.
RUSTC_WORKSPACE_WRAPPER=clippy-driver cargo build --release --locked --manifest-path $viewer --target-dir target
command -v xvfb-run >/dev/null && command -v xauth >/dev/null || install xvfb xauth
# Mesa's lavapipe draws with short vectors alone.
LP_NATIVE_VECTOR_WIDTH=256 GALLIVM_PERF=no_aos_sampling xvfb-run -a -s "-screen 0 1000x800x24" \
  ${CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER:-} target/release/viewer_egui docs/beads.jpg --screenshot target/viewer.jpg
# Each benchmark once: that it is complete and right, not how fast.
cargo test --release --locked $mpi --bench operators --bench data --bench embed
# Programs that use the C library are in tests/bindings.rs.
cargo test --profile dev --locked -p sasnet-header
cargo test --release --locked $mpi
# The WebGPU of a browser, which takes its shaders more strictly than wgpu does.
command -v npm >/dev/null || install nodejs npm
tools/web.sh dawn
# The page in a browser.
command -v chromium >/dev/null || install chromium
tools/web.sh test quick
