#!/bin/sh
# What the compilers of real GPUs' drivers make of the kernels, without a GPU: registers, spills, workgroup memory,
# occupancy and the instructions of the inner loop of each pipeline of smoothing a picture and of a training step.
#
#   tools/gpu_compile.sh [--check | --write] [--size WIDTHxHEIGHT] [--kernels NAME]... [TARGET...]
#
# Without a TARGET: all. Prints a table for each target and family of kernels that it can run.
#   --check  compares with the tables in tools/gpu_compile/; fails where a kernel spills that did not, or where one
#            loses more than 5 %
#   --write  writes those tables
#
# The SPIR-V that a driver gets must pass spirv-val, of Debian 13, which knows cooperative matrices.
#
# TARGET: phoenix (Radeon 780M), navi31, gfx1201, navi21, vega20      AMD, by RADV
#         0x164 (RTX 20), 0x172 (RTX 30)                             NVIDIA, by NVK
#         730, 660, 830                                              Adreno, by Turnip
#         m1                                                         Apple, by Honeykrisp; it shows no machine code
#         tgl (Iris Xe), dg2 (Arc)                                   Intel, by ANV, as it takes the narrow tiles
#
# Left out: sm_90 (H100), which NVK does not know, and NVIDIA's own compiler takes no SPIR-V without its driver.
#
# The drivers are Mesa's from Debian 13's backports, unpacked into target/gpu-drivers without touching the system, with the
# shims (libraries that pretend to be the kernel's driver) that Debian packages; Intel's is built of Mesa's sources. On
# Debian 12 (amd64, root, gcc). A target takes about a minute.
set -eu
cd "$(dirname "$0")/.."
drivers=$PWD/target/gpu-drivers results=$PWD/target/gpu-compile

usage() { sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2; exit 2; }

mode=print size=512x384 kernels= targets=
while [ $# -gt 0 ]; do
  case $1 in
    --check | --write) mode=${1#--} ;;
    --size) size=${2:?}; shift ;;
    --kernels) kernels="$kernels ${2:?}"; shift ;;
    -*) usage ;;
    *) targets="$targets $1" ;;
  esac
  shift
done
[ -n "$targets" ] || targets="phoenix navi31 gfx1201 0x164 0x172 730 m1 tgl dg2"

# The shims with the libraries that they and the drivers need beside a software driver's, and the layer's headers.
tools/software-vulkan.sh "$drivers" mesa-drm-shim/trixie-backports libcap2 libdrm-amdgpu1 libdrm-intel1 libelf1t64 \
  libpciaccess0 libpng16-16t64 libudev1 libvulkan-dev libwayland-server0 libx11-6 libxcb-keysyms1 spirv-tools
layer=$drivers/lib/libVkLayer_pipelines.so
if [ ! -e "$layer" ] || [ tools/gpu_compile/layer.c -nt "$layer" ]; then
  gcc -O1 -shared -fPIC -I "$drivers/include" -o "$layer" tools/gpu_compile/layer.c
fi
cat >"$drivers/layer.json" <<X
{"file_format_version": "1.2.0", "layer": {"name": "VK_LAYER_pipelines", "type": "GLOBAL", "library_path": "$layer",
 "api_version": "1.4.0", "implementation_version": "1", "description": "writes what compilers say of pipelines"}}
X
cargo build --release --locked --example pipelines

compile() { # target, kernels: into a folder
  driver=amdgpu variable=AMDGPU_GPU_ID icd=radeon
  case $1 in
    0x*) driver=nouveau variable=NOUVEAU_CHIPSET icd=nouveau ;;
    m1) driver=asahi variable=NONE icd=asahi ;;
    tgl | dg2) driver=intel variable=INTEL_STUB_GPU_PLATFORM icd=intel ;;
    [0-9]*) driver=freedreno variable=FD_GPU_ID icd=freedreno ;;
  esac
  mkdir -p "$results/$1/$2"
  printf '{"ICD": {"api_version": "1.4.0", "library_path": "%s"}, "file_format_version": "1.0.0"}\n' \
    "$drivers/lib/libvulkan_$icd.so" >"$drivers/$icd.json"
  env "$variable=$1" VK_ICD_FILENAMES="$drivers/$icd.json" MESA_SHADER_CACHE_DISABLE=true \
    VK_LAYER_PATH="$drivers" VK_INSTANCE_LAYERS=VK_LAYER_pipelines PIPELINES="$results/$1/$2" \
    "$drivers/ld-linux-x86-64.so.2" --library-path "$drivers/lib" \
    --preload "$drivers/lib/lib${driver}_noop_drm_shim.so" \
    target/release/examples/pipelines "$2" "$size" >"$results/$1/$2/names" 2>"$results/$1/$2/log"
}

validate() { # target, kernels: each module, of which the first bad one is named
  for module in "$results/$1/$2"/*.spv; do
    "$drivers/ld-linux-x86-64.so.2" --library-path "$drivers/lib" "$drivers/bin/spirv-val" --target-env vulkan1.3 "$module" ||
      { echo "$module is not valid" >&2; return 1; }
  done
}

failed=
for target in $targets; do
  case $target in
    tgl | dg2)
      tools/gpu_compile/intel_shim.sh "$drivers"
      families="tiles-narrow tiles-narrow-f16"
      ;;
    *) families="tiles tiles-f16 matrix" ;;
  esac
  rm -rf "${results:?}/$target"
  for family in ${kernels:-$families}; do
    if compile "$target" "$family"; then
      validate "$target" "$family" || failed=y
      continue
    fi
    # That a device cannot run a family is no failure.
    if ! grep -h "cannot run the kernels" "$results/$target/$family/log" >&2; then
      tail -n 5 "$results/$target/$family/log" >&2
      failed=y
    fi
    rm -r "${results:?}/$target/$family"
  done
  python3 tools/gpu_compile/table.py $mode "$results/$target" "tools/gpu_compile/$target.md" || failed=y
done
[ -z "$failed" ]
