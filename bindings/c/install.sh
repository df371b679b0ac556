#!/bin/sh
# Builds the C library and installs it with its header and pkg-config file: bindings/c/install.sh [PREFIX], by default
# /usr/local. Linux and macOS.
set -eu
mkdir -p "${1:-/usr/local}"
prefix=$(cd "${1:-/usr/local}" && pwd)
cd "$(dirname "$0")/../.."
cargo build --release --locked -p sasnet-c
built=${CARGO_TARGET_DIR:-target}/release
version=$(sed -n 's/^version = "\(.*\)"/\1/p' bindings/c/Cargo.toml)
mkdir -p "$prefix/include" "$prefix/lib/pkgconfig"
cp bindings/c/include/sasnet.h "$prefix/include/"
cp "$built/libsasnet_c.a" "$prefix/lib/"
if [ "$(uname)" = Darwin ]; then
  cp "$built/libsasnet_c.dylib" "$prefix/lib/"
  shared=libsasnet_c.dylib
  private="-lobjc -liconv -lm -framework Foundation -framework Metal -framework QuartzCore -framework CoreGraphics"
else
  # As build.rs names it: 0.1 of 0.1.2, 1 of 1.2.3.
  case $version in 0.*) major=${version%.*} ;; *) major=${version%%.*} ;; esac
  shared=libsasnet_c.so.$major
  cp "$built/libsasnet_c.so" "$prefix/lib/$shared"
  ln -sf "$shared" "$prefix/lib/libsasnet_c.so"
  private="-lgcc_s -lutil -lrt -lpthread -lm -ldl -lc"
fi
# Lines of source are four fifths of it.
strip -S "$prefix/lib/libsasnet_c.a" "$prefix/lib/$shared"
sed "s|@prefix@|$prefix|; s|@version@|$version|; s|@private@|$private|" bindings/c/sasnet.pc.in >"$prefix/lib/pkgconfig/sasnet.pc"
