#!/bin/bash
# The paper's Table 3 at a small budget: trains SASNet, the same without attention, at x4 and x8, and an auto-encoder and a
# U-net, each with the same data, seed, samples and steps, and prints their scores side by side with parameters and GMAC.
# With --rivals the deep methods of its Table 1 instead: SASNet, ResNet, DRF, DEAF and JESSNet, of widths of about as many
# operations (DRF of its own); `sasnet eval --table1 --weights NAME=FILE` sets them beside the filters.
#
#   tools/ablations.sh OUT [--rivals] [--steps N] [--set NAME=DIR]... [-- OPTION...]
#
# OUT gets a run's folder for each network, table.md and scores.json. Goes on where it was interrupted. OPTIONs are those
# of `sasnet train`: without any it trains on generated pictures. Without --set it scores 40 generated pairs of 256x256
# of another seed.  SASNET=COMMAND [default: target/release/sasnet]
set -euo pipefail

usage() { sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2; exit 2; }

[ $# -ge 1 ] && [[ $1 != -* ]] || usage
out=$1 steps=800 rivals= sets=() train=()
shift
while [ $# -gt 0 ]; do
  case $1 in
    --rivals) rivals=1; shift ;;
    --steps) [ $# -ge 2 ] || usage; steps=$2; shift 2 ;;
    --set) [ $# -ge 2 ] || usage; sets+=(--set "$2"); shift 2 ;;
    --) shift; train=("$@"); break ;;
    *) usage ;;
  esac
done
sasnet=${SASNET:-$(dirname "$0")/../target/release/sasnet}
mkdir -p "$out"
if [ ${#sets[@]} = 0 ]; then
  [ -e "$out/generated" ] || "$sasnet" synth -o "$out/generated" --count 40 --size 256 --seed 1000003
  sets=(--set "generated=$out/generated")
fi

weights=()
run() { # name, options of the network
  local folder=$out/$1 name=$1 resume=()
  shift
  if [ ! -e "$folder/weights.safetensors" ]; then
    echo "== $name" >&2
    if [ -e "$folder/checkpoint.safetensors" ]; then
      resume=(--resume)
    else
      resume=("$@" --steps "$steps")
      for setting in "--batch 8" "--crop 96" "--seed 1"; do
        # What the caller gives counts.
        [[ " ${train[*]} " == *" ${setting% *} "* ]] || resume+=($setting)
      done
    fi
    "$sasnet" train -o "$folder" "${resume[@]}" --validate-every "$steps" "${train[@]}"
  fi
  weights+=(--weights "$name=$folder/weights.safetensors")
}
run sasnet --blocks 4 --features 32
if [ -n "$rivals" ]; then
  run resnet --architecture resnet --features 12
  run drf --architecture drf
  # Of a weaker solve than the paper's for L0: a network that has learned little finds differences that are not to be trusted.
  run deaf --architecture deaf --features 36 --beta 4
  run jessnet --architecture jessnet --features 8
else
  run no-attention --blocks 4 --features 32 --no-attention
  run x4 --blocks 2,2 --features 32
  run x8 --blocks 2,2,2 --features 32
  run autoencoder --architecture autoencoder --features 16
  run unet --architecture unet --features 16
fi
"$sasnet" eval "${sets[@]}" "${weights[@]}" --details --markdown "$out/table.md" --json "$out/scores.json" \
  $(case " ${train[*]} " in *" --adapter cpu "*) echo --adapter cpu ;; esac)
