#!/bin/sh
# What browsers make of the project.
#
#   tools/web.sh dawn     gives all shaders to Dawn, the WebGPU of Chromium, and runs the kernels in f16 by it
#
# Node's packages go into web/tests/node_modules.
set -eu
cd "$(dirname "$0")/.."
web=$PWD/target/web

has_node() {
  command -v node >/dev/null && command -v npm >/dev/null
}

packages() { # Node's, for the tests
  has_node || { echo "node and npm are missing: apt-get install nodejs npm" >&2; exit 1; }
  [ web/tests/node_modules/.package-lock.json -nt web/tests/package-lock.json ] && return
  echo "fetching playwright-core and webgpu (150 MB) into web/tests/node_modules" >&2
  (cd web/tests && npm ci --silent --ignore-scripts --no-audit --no-fund)
  touch web/tests/node_modules/.package-lock.json
}

dawn() {
  packages
  mkdir -p "$web"
  SASNET_DAWN=$web/dawn.json cargo test --release --locked --test operators -- --ignored write_for_dawn >"$web/dawn.log" ||
    { cat "$web/dawn.log" >&2; exit 1; }
  node web/tests/dawn.mjs "$web/dawn.json" compile
  tools/software-vulkan.sh target/software-vulkan
  target/software-vulkan/run "$(command -v node)" web/tests/dawn.mjs "$web/dawn.json" run
}

case ${1:-} in
  dawn) dawn ;;
  *) sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2; exit 2 ;;
esac
