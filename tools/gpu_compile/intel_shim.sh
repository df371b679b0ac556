#!/bin/sh
# Builds DIR/lib/libintel_noop_drm_shim.so, which pretends to be the kernel's driver of an Intel GPU, as the shims do that
# Debian packages for other makers: `intel_shim.sh DIR`, of what `software-vulkan.sh DIR` unpacked. From the sources of
# Debian 13's Mesa (50 MB; those of its backports are not on every mirror), without touching the system. On Debian 12
# (amd64, root, gcc).
set -eu
dir=$(realpath "${1:?usage: intel_shim.sh DIR}")
[ ! -e "$dir/lib/libintel_noop_drm_shim.so" ] || exit 0
. "$(dirname "$0")/../debian13.sh"
debian13 "deb trixie" "deb-src trixie"
mkdir -p "$tmp/root" "$tmp/mesa" "$tmp/gen/intel/dev"
cd "$tmp"
# shellcheck disable=SC2086
{
  apt-get $opts download -qq libdrm-dev python3-mako python3-markupsafe
  apt-get $opts source -qq --download-only mesa
}
for deb in *.deb; do dpkg-deb -x "$deb" root; done
tar -xf mesa_*.orig.tar.xz -C mesa --strip-components 1 --wildcards \
  '*/include/*' '*/src/drm-shim/*' '*/src/intel/*' '*/src/util/*' '*/src/c11/*' '*/src/compiler/*.h'

src=$tmp/mesa/src dev=$tmp/mesa/src/intel/dev
export PYTHONPATH="$tmp/root/usr/lib/python3/dist-packages"
python3 "$dev/gen_wa_helpers.py" "$dev/mesa_defs.json" gen/intel/dev/intel_wa.h gen/intel_wa.c
python3 "$dev/intel_device_info_gen_h.py" gen/intel/dev/intel_device_info_gen.h
python3 "$dev/intel_device_info_serialize_gen_c.py" gen/intel_device_info_serialize_gen.c
touch gen/git_sha1.h

flags="-DNDEBUG -O1 -w -fPIC -std=gnu11 -fvisibility=hidden -D_GNU_SOURCE -DHAVE_PTHREAD -DHAVE_STRUCT_TIMESPEC
  -DHAVE_TIMESPEC_GET -DHAVE_DLFCN_H -DHAVE_ENDIAN_H -DHAVE_UINT128 -DHAVE_SECURE_GETENV -DHAVE_MEMFD_CREATE
  -DHAVE_REALLOCARRAY -DHAVE_OPEN_MEMSTREAM -DHAVE_LIBDRM -DUSE_LIBDRM=0 -DUTIL_ARCH_LITTLE_ENDIAN=1
  -DUTIL_ARCH_BIG_ENDIAN=0 -DPACKAGE_VERSION=\"\""
for name in CTZ FFS FFSLL POPCOUNT POPCOUNTLL CLZ CLZLL EXPECT UNREACHABLE; do flags="$flags -DHAVE___BUILTIN_$name"; done
for name in PACKED UNUSED MALLOC PURE CONST FORMAT NORETURN WARN_UNUSED_RESULT; do
  flags="$flags -DHAVE_FUNC_ATTRIBUTE_$name"
done
for folder in gen gen/intel gen/intel/dev mesa/include mesa/src mesa/src/intel mesa/src/intel/dev mesa/src/intel/common \
  mesa/src/util root/usr/include root/usr/include/libdrm; do flags="$flags -I $tmp/$folder"; done
compile() { # object, file
  # shellcheck disable=SC2086
  gcc $flags -c "$2" -o "$1"
}
mkdir own used
for file in "$src"/drm-shim/*.c "$src/intel/tools/intel_noop_drm_shim.c" gen/intel_device_info_serialize_gen.c; do
  compile "own/$(basename "$file").o" "$file"
done
# What those use, of which the linker takes what it needs.
cd "$src"
for file in intel/dev/*device_info.c intel/dev/*/*device_info.c intel/dev/intel_hwconfig.c intel/dev/intel_kmd.c \
  intel/dev/intel_debug.c intel/common/*engine.c intel/common/*/*engine.c intel/common/*gem.c intel/common/*/*gem.c \
  intel/common/xe/intel_device_query.c c11/impl/threads_posix.c c11/impl/time.c util/hash_table.c util/set.c util/ralloc.c \
  util/vma.c util/anon_file.c util/u_debug.c util/log.c util/os_misc.c util/os_file.c util/parson.c util/rb_tree.c \
  util/strtod.c util/u_call_once.c util/simple_mtx.c util/u_thread.c util/xxhash.c util/u_process.c util/futex.c \
  util/os_time.c util/memstream.c util/u_printf.c util/blob.c "$tmp/gen/intel_wa.c"; do
  [ ! -e "$file" ] || compile "$tmp/used/$(echo "$file" | tr / _).o" "$file"
done
cd "$tmp"
ar rcs used.a used/*.o
gcc -shared -o libintel_noop_drm_shim.so own/*.o used.a "$dir/lib/libdrm.so.2" -ldl -lpthread -lm -Wl,-z,lazy \
  -Wl,--allow-shlib-undefined
cp libintel_noop_drm_shim.so "$dir/lib/"
