#!/bin/bash
# Tests, measurements and training on a machine with a GPU that has no Rust, no network and little time.
#
# On the machine that builds, into one folder to be taken along (at most 64 MiB; warns where it is more):
#   tools/gpu_run.sh prepare FOLDER [--only tests,compare,train] [--debs DIR]
#     [--structures DIR --textures DIR [--validate DIR --validate-truths DIR] [--every N]] [--run DIR]
#   --debs   Debian packages of the Vulkan loader (libvulkan1), where the other machine has none; without them NVIDIA's driver
#            is not found: libglvnd0 libegl1 libgl1 libglx0 libopengl0 libgles2
#   --every  take every Nth picture of the structures, and of the validation every 10 Nth
#   --run    folder of a training run to go on with [default: weights/training, where it has a checkpoint]
#
# On the machine with the GPU; each ends within 9 minutes, and leaves at most 8 files of at most 15 MiB in RESULTS:
#   FOLDER/gpu_run.sh tests RESULTS                       the GPU tests: operators, fixtures, kernels, bench, embed
#   FOLDER/gpu_run.sh compare RESULTS [OPTION...]         sasnet bench, beside the model of it (gpu_model.py); PyTorch (options
#                                                         of torch_gpu.py)
#   FOLDER/gpu_run.sh train RESULTS [MINUTES [OPTION...]] trains, 8.5 minutes by default, from the newest checkpoint in
#                                                         FOLDER/run; options of sasnet train (--steps N, where the run has
#                                                         done all of its steps, as that in weights/training has)
#   SASNET_ADAPTER=NAME  the adapter [default: NVIDIA];  SASNET_RUNNER=COMMAND  starts programs on a Vulkan driver;
#   PYTHON=COMMAND [default: python3]
#
# Back on the first, to take the checkpoint and the run's tables over, before the next `prepare --run RUN`:
#   tools/gpu_run.sh join RESULTS RUN
set -euo pipefail
shopt -s nullglob

usage() { sed -n '2,/^set/{/^set/d;s/^# \?//;p}' "$0" >&2; exit 2; }

prepare() {
  local folder=$1 only=tests,compare,train every=1 structures= textures= validate= truths= run= debs=
  shift
  while [ $# -gt 1 ]; do
    case $1 in
      --only) only=$2 ;; --debs) debs=$2 ;; --every) every=$2 ;; --run) run=$2 ;;
      --structures) structures=$2 ;; --textures) textures=$2 ;;
      --validate) validate=$2 ;; --validate-truths) truths=$2 ;;
      *) usage ;;
    esac
    shift 2
  done
  [ $# = 0 ] || usage
  if [[ $only == *train* ]] && [ -z "$structures" -o -z "$textures" ]; then
    echo "train needs --structures and --textures; --only tests,compare leaves it out" >&2
    exit 2
  fi
  local root
  root=$(cd "$(dirname "$0")/.." && pwd)
  mkdir -p "$folder/bin"
  folder=$(cd "$folder" && pwd)
  cp "$0" "$folder/gpu_run.sh"
  pack() { strip -o "$folder/bin/$2" "$1"; gzip -f "$folder/bin/$2"; }
  (cd "$root" && cargo build --release --locked)
  pack "$root/target/release/sasnet" sasnet
  if [[ $only == *tests* ]]; then
    local built
    built=$(cd "$root" && cargo test --release --locked --no-run --test operators --test fixtures --test kernels \
      --test bench --test embed 2>&1 | tee /dev/stderr | sed -n 's|^ *Executable tests/\(.*\)\.rs (\(.*\))$|\1 \2|p')
    while read -r name path; do pack "$root/$path" "$name"; done <<<"$built"
    mkdir -p "$folder/tests/fixtures"
    cp "$root"/tests/fixtures/*.safetensors "$folder/tests/fixtures/"
  fi
  if [[ $only == *compare* ]]; then
    mkdir -p "$folder/compare"
    cp -r "$root"/tools/compare/{network,torch_gpu}.py "$root"/tools/gpu_{model.py,compile} "$folder/compare/"
  fi
  if [ -n "$debs" ]; then
    mkdir -p "$folder/debs"
    cp "$debs"/*.deb "$folder/debs/"
  fi
  if [ -n "$structures" ]; then
    local pictures
    pictures=$(mktemp -d)
    take() { # pictures of a folder and its subfolders, every Nth, under names without folders
      mkdir -p "$pictures/$2"
      find -L "$1" -type f -regextype egrep -iregex '.*\.(png|jpe?g|webp|tiff?|bmp)' -printf '%P\n' | sort |
        awk -v n="$3" 'NR % n == 1 || n == 1' | while read -r f; do cp "$1/$f" "$pictures/$2/${f//\//_}"; done
    }
    take "$structures" structures "$every"
    take "$textures" textures 1
    if [ -n "$validate" ]; then
      take "$validate" validate $((10 * every))
      [ -z "$truths" ] || take "$truths" truths 1
    fi
    tar -C "$pictures" -cf "$folder/data.tar" .
    rm -r "$pictures"
  fi
  # The run that tools/train_in_background.sh has kept, where there is no other.
  [ -n "$run" ] || [ ! -e "$root/weights/training/checkpoint.json" ] || run=$root/weights/training
  if [ -n "$run" ]; then
    mkdir -p "$folder/run"
    cp "$run"/checkpoint* "$run"/*.csv "$folder/run/"
  fi
  du -sh "$folder" >&2
  [ "$(du -sb "$folder" | cut -f1)" -le $((64 << 20)) ] || echo "warning: more than 64 MiB" >&2
}

join() {
  mkdir -p "$2"
  rm -f "$2"/checkpoint*
  cp "$1"/checkpoint* "$2/"
  for f in "$1"/{loss,validation}.csv "$1"/{weights.safetensors,samples.png}; do [ ! -e "$f" ] || cp "$f" "$2/"; done
}

# What the parts on the GPU machine begin with.
open() {
  folder=$(cd "$(dirname "$0")" && pwd)
  mkdir -p "$1"
  results=$(cd "$1" && pwd)
  for f in "$folder"/bin/*.gz; do gzip -dkf "$f"; chmod +x "${f%.gz}"; done
  for deb in "$folder"/debs/*.deb; do dpkg -x "$deb" "$folder/loader"; done
  if [ -d "$folder/loader" ]; then
    # Asking for it by LD_LIBRARY_PATH leaves the system as it is.
    local loader
    loader=$(find "$folder/loader" -name '*.so*' -printf '%h\n' | sort -u | paste -sd:)
    export LD_LIBRARY_PATH=$loader${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
  fi
  export SASNET_ADAPTER=${SASNET_ADAPTER:-NVIDIA} SASNET_FIXTURES=$folder/tests/fixtures
  # shellcheck disable=SC2206 # a command and its arguments
  runner=(${SASNET_RUNNER:-})
  sasnet=("${runner[@]}" "$folder/bin/sasnet")
  "${sasnet[@]}" devices
  if ! "${sasnet[@]}" devices | grep -qiF "$SASNET_ADAPTER"; then
    echo "no adapter is called $SASNET_ADAPTER: is the driver there, and the Vulkan loader (--debs)?" >&2
    exit 1
  fi
}

# A step with a time limit, in the log; a failure does not stop the next one.
failed=()
step() { # log, seconds, command
  local log=$1 seconds=$2 code=0
  shift 2
  echo "== $* (at most $seconds s)" | tee -a "$log"
  timeout "$seconds" "$@" 2>&1 | tee -a "$log" || code=$?
  if [ $code != 0 ]; then failed+=("$(basename "$1") ($code)"); fi
}

# Within 9 minutes of the start, however long the parts before took.
left() { echo $((540 - SECONDS > 5 ? 540 - SECONDS : 5)); }

finish() {
  find "$results" -type f -size +15M | while read -r f; do
    echo "$f is larger than 15 MiB: cut" >&2
    truncate -s 15M "$f"
  done
  ls -l "$results"
  if [ ${#failed[@]} != 0 ]; then echo "FAILED: ${failed[*]}"; exit 1; fi
  echo "all parts succeeded"
}

tests() {
  open "$1"
  for name in fixtures kernels bench embed operators; do
    if [ -e "$folder/bin/$name" ]; then
      step "$results/tests.log" "$(left)" "${runner[@]}" "$folder/bin/$name" --test-threads 4 "${skip[@]}"
    else
      failed+=("$name is missing")
    fi
  done
  finish
}
# Tests that start the command by the path of the machine that built it.
skip=(--skip the_command_prints --skip wrong_options_are_named)

compare() {
  open "$1"
  shift
  step "$results/bench.txt" 60 "${sasnet[@]}" bench --layers --adapter "$SASNET_ADAPTER" --runs 30 ${BENCH:-}
  step "$results/model.md" 20 "${PYTHON:-python3}" "$folder/compare/gpu_model.py" --sasnet "$folder/bin/sasnet" \
    --measured "$results/bench.txt"
  step "$results/bench-train.txt" 100 "${sasnet[@]}" bench --train --layers --adapter "$SASNET_ADAPTER" ${BENCH_TRAIN:-}
  step "$results/compare.md" "$(left)" "${PYTHON:-python3}" "$folder/compare/torch_gpu.py" \
    --sasnet "$folder/bin/sasnet" --adapter "$SASNET_ADAPTER" --vulkan "${SASNET_RUNNER:-}" --json "$results/compare.json" "$@"
  finish
}

train() {
  local minutes=${2:-8.5} resume=()
  open "$1"
  shift $(($# < 2 ? $# : 2))
  local data=$folder/data run=$folder/run
  mkdir -p "$data" "$run"
  [ -e "$data/structures" ] || tar -C "$data" -xf "$folder/data.tar"
  [ ! -e "$run/checkpoint.json" ] && [ ! -e "$run/checkpoint.safetensors" ] || resume=(--resume)
  local options=(--out "$run" --checkpoint-part 15MiB --structures "$data/structures" --textures "$data/textures" --adapter "$SASNET_ADAPTER")
  if [ -e "$data/validate" ]; then
    options+=(--validate "$data/validate")
    [ ! -e "$data/truths" ] || options+=(--validate-truths "$data/truths")
  fi
  step "$results/train.log" "$(left)" "${sasnet[@]}" train "${options[@]}" "${resume[@]}" --max-time "$minutes" "$@"
  # In what this run said: the log has those before, too.
  ! awk '/^== /{none=0} /nothing is trained/{none=1} END{exit !none}' "$results/train.log" || failed+=("nothing was trained: give more --steps than the run has done")
  rm -f "$results"/checkpoint*
  cp "$run"/checkpoint* "$run"/*.csv "$results/"
  for f in "$run"/{weights.safetensors,samples.png}; do [ ! -e "$f" ] || cp "$f" "$results/"; done
  finish
}

[ $# -ge 2 ] || usage
case $1 in
  prepare | join | tests | compare | train) "$@" ;;
  *) usage ;;
esac
