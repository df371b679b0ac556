#!/bin/sh
# The browser's part of the project: `web/`, and the page and the npm package that are made of it.
#
#   tools/web.sh build    makes target/web/site (the page, a folder for any static host) and target/web/sasnet-*.tgz
#   tools/web.sh serve    serves that page on this machine
#   tools/web.sh test     uses it in Chromium, as a person would, and compares with the program on the CPU; `test quick`
#                         leaves out the engine for browsers without a GPU, whose compiling takes as long again
#   tools/web.sh compare  times it beside onnxruntime-web in Chromium, which takes some minutes
#   tools/web.sh large    smooths 12 megapixels within 512 MB in Chromium: time and memory
#   tools/web.sh dawn     gives all shaders to Dawn, the WebGPU of Chromium, and runs the kernels in f16 by it
#
# The Rust toolchain in use compiles, if it has the target wasm32-unknown-unknown. Otherwise Debian's rustc-web is
# unpacked into target/web/rust, without touching the system, and the standard library is built from its source.
# Node's packages go into web/tests/node_modules.
#
# SASNET_CARGO="--features mpi" builds the program and its tests with these options of cargo: those of a build that is
# there already, which it then takes.
set -eu
cd "$(dirname "$0")/.."
web=$PWD/target/web

has_node() {
  command -v node >/dev/null && command -v npm >/dev/null
}

packages() { # Node's, for the tests
  has_node || { echo "node and npm are missing: apt-get install nodejs npm" >&2; exit 1; }
  [ web/tests/node_modules/.package-lock.json -nt web/tests/package-lock.json ] && return
  echo "fetching playwright-core, webgpu and typescript (180 MB) into web/tests/node_modules" >&2
  (cd web/tests && npm ci --silent --ignore-scripts --no-audit --no-fund)
  touch web/tests/node_modules/.package-lock.json
}

dawn() {
  packages
  mkdir -p "$web"
  # shellcheck disable=SC2086 # two words or none
  SASNET_DAWN=$web/dawn.json cargo test --release --locked ${SASNET_CARGO:-} --test operators -- \
    --ignored write_for_dawn >"$web/dawn.log" || { cat "$web/dawn.log" >&2; exit 1; }
  node web/tests/dawn.mjs "$web/dawn.json" compile
  tools/software-vulkan.sh target/software-vulkan
  target/software-vulkan/run "$(command -v node)" web/tests/dawn.mjs "$web/dawn.json" run
}

# The compiler for wasm32-unknown-unknown: exports RUSTC where it is not the one in use, and sets `std` to what cargo must
# be told of the standard library.
compiler() {
  std=
  [ ! -d "$(rustc --print target-libdir --target wasm32-unknown-unknown)" ] || return 0
  linker=$(rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld
  if [ ! -x "$web/rust/rustc" ]; then
    echo "fetching Debian's rustc-web (170 MB) into $web/rust; \`rustup target add wasm32-unknown-unknown\` spares it" >&2
    rm -rf "$web/rust" "$web/debs"
    mkdir -p "$web/debs"
    apt-get update -qq || true # without the right to fetch lists, those there must do
    version=$(apt-cache show rustc-web | sed -n 's/^Version: \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1)
    llvm=$(apt-cache depends "libstd-rust-web-$version" | grep -o 'libllvm[0-9]*' | head -n 1)
    (cd "$web/debs" && apt-get -oAPT::Sandbox::User=root download -qq rustc-web rust-web-src \
      libstd-rust-web-dev "libstd-rust-web-$version" "$llvm")
    for deb in "$web"/debs/*.deb; do dpkg-deb -x "$deb" "$web/rust"; done
    rm -r "$web/debs"
    printf '#!/bin/sh\nexport LD_LIBRARY_PATH=%s\nexec %s "$@"\n' "$web/rust/usr/lib/x86_64-linux-gnu" \
      "$web/rust/usr/bin/rustc" >"$web/rust/rustc"
    chmod +x "$web/rust/rustc"
  fi
  # Building the standard library is for nightly compilers alone; it is the compiler's own.
  export RUSTC="$web/rust/rustc" RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$linker"
  std="-Z build-std=std,panic_abort"
}

engine() { # folder, features: the WebAssembly, and the JavaScript side of it
  (
    compiler
    # What computes on the CPU is compiled for speed: twice as fast, and a tenth more to load.
    speed=
    [ "$2" != cpu ] || speed="--config profile.web.package.sasnet.opt-level=3"
    # SIMD is in every browser that has WebGPU.
    export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="-C target-feature=+simd128"
    # shellcheck disable=SC2086 # several words or none
    cargo build --locked --profile web $speed -p sasnet-web --features "$2" $std --target wasm32-unknown-unknown \
      --target-dir "$web/cargo"
  )
  target/release/sasnet-bindgen "$web/cargo/wasm32-unknown-unknown/web/sasnet_web.wasm" "$1"
}

build() {
  has_node || { echo "node and npm are missing: apt-get install nodejs npm" >&2; exit 1; }
  mkdir -p "$web"
  cargo build --release --locked -p sasnet-bindgen
  rm -rf "$web/sasnet" "$web/site" "$web"/sasnet-*.tgz
  mkdir -p "$web/sasnet/weights"
  cp web/npm/* LICENSE-APACHE LICENSE-MIT "$web/sasnet/"
  cp weights/small.safetensors weights/soft.safetensors "$web/sasnet/weights/"
  engine "$web/sasnet/gpu" ""
  [ "${1:-}" = quick ] || engine "$web/sasnet/cpu" cpu
  (cd "$web/sasnet" && npm pack --silent --pack-destination ..)

  cp -r web/page "$web/site"
  cp -r "$web/sasnet" "$web/site/sasnet"
  mkdir "$web/site/samples"
  cp docs/mosaic.jpg docs/beads.jpg docs/LICENSE-photos "$web/site/samples/"
  # What the service worker keeps is of this build.
  id=$(find "$web/site" -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c 1-12)
  sed -i "s/sasnet-BUILD/sasnet-$id/" "$web/site/sw.js"
  sizes
}

sizes() { # of what a page loads: bytes, gzip, brotli
  for file in gpu/sasnet_web_bg.wasm gpu/sasnet_web.js index.js worker.js cpu/sasnet_web_bg.wasm weights/small.safetensors; do
    [ ! -e "$web/sasnet/$file" ] || node -e '
      const { brotliCompressSync, gzipSync } = require("zlib");
      const bytes = require("fs").readFileSync(process.argv[1]);
      const sizes = [bytes, gzipSync(bytes), brotliCompressSync(bytes)].map(({ length }) => String(length).padStart(9));
      console.log(process.argv[2].padEnd(28), ...sizes);
    ' "$web/sasnet/$file" "$file"
  done
}

program() {
  # shellcheck disable=SC2086 # two words or none
  cargo build --release --locked ${SASNET_CARGO:-}
}

browser() {
  packages
  command -v chromium >/dev/null || { echo "chromium is missing: apt-get install chromium" >&2; exit 1; }
}

compare() { # repeats, sizes
  browser
  program
  [ -d "$web/sasnet/cpu" ] || build
  version=1.30.0
  if [ ! -d "$web/onnxruntime-$version" ]; then
    echo "fetching onnxruntime-web $version (150 MB) into $web/onnxruntime-$version" >&2
    npm install --silent --ignore-scripts --no-audit --no-fund --prefix "$web/onnxruntime-$version" "onnxruntime-web@$version"
  fi
  rm -rf "$web/compare"
  mkdir "$web/compare"
  ln -s "$web/sasnet" "$web/compare/sasnet"
  ln -s "$web/onnxruntime-$version/node_modules/onnxruntime-web/dist" "$web/compare/ort"
  cp web/tests/compare.html "$web/compare/"
  target/release/sasnet weights small --onnx "$web/compare/model.onnx"
  SITE=$web/compare node web/tests/compare.mjs "$@"
}

large() {
  browser
  [ -d "$web/sasnet/cpu" ] || build
  for run in "cpu gf" "cpu sasnet" "software gf" "software sasnet 4000x3000 512e6 0.05"; do
    # shellcheck disable=SC2086 # several words
    SITE=$web/site node web/tests/large.mjs $run
  done
}

test_page() {
  browser
  build "$1"
  if [ "$1" = quick ]; then # both engines have the types of the one that is there
    mkdir "$web/site/sasnet/cpu"
    cp "$web"/site/sasnet/gpu/*.d.ts "$web/site/sasnet/cpu/"
  fi
  # What the worker asks of the engine, the page of the package, and the package of its own types.
  web/tests/node_modules/.bin/tsc -p web/tests
  program
  SITE=$web/site SASNET=$PWD/target/release/sasnet node --test web/tests/page.test.mjs
}

case ${1:-} in
  build) build ;;
  serve)
    [ -d "$web/site" ] || build
    exec node web/serve.mjs "$web/site" "${2:-8000}"
    ;;
  test) test_page "${2:-}" ;;
  compare)
    shift
    compare "$@"
    ;;
  large) large ;;
  dawn) dawn ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2; exit 2 ;;
esac
