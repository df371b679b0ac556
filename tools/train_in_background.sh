#!/bin/sh
# Trains in the background of other work, at the lowest priority, for as long as the machine is there.
#
#   tools/train_in_background.sh start RUN [OPTIONS]   starts, or goes on from RUN's last checkpoint; OPTIONS are those of
#                                                      `sasnet train`
#   tools/train_in_background.sh start RUN --kept [OPTIONS]
#                                                      a new RUN that goes on from the checkpoint in weights/training/: give
#                                                      its data, and more --steps than it has done
#   tools/train_in_background.sh status RUN            its last lines, and whether it runs
#   tools/train_in_background.sh pause|continue RUN    stops it for a while, as for a measurement
#   tools/train_in_background.sh stop RUN              ends it with a checkpoint
#   tools/train_in_background.sh keep RUN              puts its last checkpoint into weights/training/, in place of the one
#                                                      there, in parts below 15 MiB
#
# THREADS=1 NICE=0 before it gives a run a core of its own, where other work fills the machine. RUN is a folder. Its log is RUN.log, its process RUN.pid.
set -eu
[ $# -ge 2 ] || { sed -n '2,17s/^# \{0,1\}//p' "$0" >&2; exit 2; }
command=$1 run=${2%/}
case $run in /*) ;; *) run=$PWD/$run ;; esac
shift 2
here=$(cd "$(dirname "$0")/.." && pwd)
kept=$here/weights/training

running() { [ -f "$run.pid" ] && kill -0 "$(cat "$run.pid")" 2>/dev/null; }
there() { running || { echo "$run: nothing runs there" >&2; exit 1; }; }

case $command in
start)
  running && { echo "$run: runs already, as process $(cat "$run.pid")" >&2; exit 1; }
  took=
  if [ "${1:-}" = --kept ]; then
    shift
    [ ! -e "$run" ] || { echo "$run: is there already; --kept begins a new run, start without it goes on" >&2; exit 1; }
    [ -e "$kept/checkpoint.json" ] || { echo "$kept: has no checkpoint to go on from" >&2; exit 1; }
    took=yes
  fi
  (cd "$here" && cargo build --release --locked)
  if [ -n "$took" ]; then
    mkdir -p "$run"
    cp "$kept"/checkpoint* "$kept"/*.csv "$run"
    echo "goes on from $kept"
  fi
  # A copy: the one in target/ is replaced by the next build.
  mkdir -p "$(dirname "$run")"
  cp "$here/target/release/sasnet" "$run.bin"
  resume=
  [ -e "$run/checkpoint.json" ] && resume=--resume
  # THREADS and NICE: a share of a machine that other work fills (with both cores at the lowest priority, each step waits for both).
  RAYON_NUM_THREADS=${THREADS:-$(nproc)} setsid nohup nice -n "${NICE:-19}" "$run.bin" train -o "$run" $resume --checkpoint-part 14MiB "$@" >>"$run.log" 2>&1 &
  echo $! >"$run.pid"
  # Where Linux groups processes by session, niceness counts within one, and each session gets the same share.
  { echo "${NICE:-19}" >"/proc/$(cat "$run.pid")/autogroup"; } 2>/dev/null || true
  sleep 5
  tail -n 4 "$run.log"
  running && exit
  # It has ended already: by an error, or because there was little to do.
  code=0
  wait "$(cat "$run.pid")" || code=$?
  if [ "$code" = 0 ]; then
    echo "$run: has ended already"
  else
    echo "$run: ended with an error ($code), which $run.log has" >&2
    [ -z "$took" ] || rm -r "$run" # of which nothing but the copy is there
  fi
  exit "$code"
  ;;
status)
  tail -n 3 "$run.log"
  running && echo "runs as process $(cat "$run.pid")" || echo "does not run"
  ;;
pause) there; kill -STOP "$(cat "$run.pid")" ;;
continue) there; kill -CONT "$(cat "$run.pid")" ;;
stop)
  there
  kill -CONT "$(cat "$run.pid")"
  kill -TERM "$(cat "$run.pid")"
  while running; do sleep 1; done
  tail -n 2 "$run.log"
  ;;
keep)
  running && { "$0" stop "$run"; echo "stopped: start it again to go on" >&2; }
  [ -e "$run/checkpoint.json" ] || { echo "$run: has no checkpoint in parts to keep; $kept stays as it is" >&2; exit 1; }
  # Complete beside the one before, until it takes its place. Not data.json, which has the paths of this machine.
  new=$kept.new
  rm -rf "$new"
  mkdir -p "$new"
  cp "$run"/checkpoint.json "$run"/checkpoint-*.part* "$new"
  [ ! -e "$run/validation.csv" ] || cp "$run/validation.csv" "$new"
  rm -rf "$kept"
  mv "$new" "$kept"
  du -sh "$kept"
  ;;
*) echo "$command: give start, status, pause, continue, stop or keep" >&2; exit 2 ;;
esac
