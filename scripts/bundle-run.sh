#!/bin/sh
# Tests and measures the kernels in this folder; needs neither network nor anything installed.
#   ./run.sh test [vitest arguments]      the kernel suites on the device
#   ./run.sh bench [anneal bench options] kernels beside their floors, the cost of a call, training steps; writes results/
#   ./run.sh sanitize                     the suites under compute-sanitizer: memcheck, racecheck, synccheck, initcheck
#   ./run.sh doctor                       what was found on this machine
# ANNEAL_DEVICE chooses the device: cuda (default), simt or cpu.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "$here"
export ANNEAL_DEVICE="${ANNEAL_DEVICE:-cuda}"
# The system's own libraries come first; the copies here serve where it has none.
export LD_LIBRARY_PATH="${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}$here/lib64"
node="$here/bin/node"
vitest="$here/node_modules/vitest/vitest.mjs"
anneal="$here/dist/cli/main.js"

usage() {
  sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
  exit 2
}

sanitize() {
  if [ "$ANNEAL_DEVICE" != cuda ]; then
    echo "compute-sanitizer watches CUDA kernels; on $ANNEAL_DEVICE the suites run as they are." >&2
    exec "$node" "$vitest" run "$@"
  fi
  if ! command -v compute-sanitizer >/dev/null; then
    echo "compute-sanitizer is not on PATH; it is part of the CUDA toolkit." >&2
    exit 1
  fi
  for tool in memcheck racecheck synccheck initcheck; do
    echo "== $tool"
    compute-sanitizer --tool "$tool" --target-processes all --error-exitcode 9 \
      "$node" "$vitest" run --maxWorkers=1 --testTimeout=600000 "$@"
  done
}

# Whole training steps, each workload within a limit of time; the small ones where there is no GPU.
bench_steps() {
  if [ "$ANNEAL_DEVICE" = cuda ]; then workloads="gpt2-124m deepseek-v2-lite-9l"; else workloads="char-gpt deepseek-mini"; fi
  if [ "$ANNEAL_DEVICE" = simt ]; then small="--steps 1 --warmup 0 --batch-size 1 --sequence-length 8"; else small=""; fi
  for workload in $workloads; do
    # shellcheck disable=SC2086 # $small is several words
    timeout "${ANNEAL_STEP_LIMIT:-600}" "$node" "$anneal" bench step --workload "$workload" --dtype bf16 $small \
      --device "$ANNEAL_DEVICE" --out "results/step-$workload-$ANNEAL_DEVICE-$1.json" ||
      echo "step $workload: not measured (ended with status $?)" >&2
  done
}

command=${1:-}
[ $# -gt 0 ] && shift
case "$command" in
  test) exec "$node" "$vitest" run "$@" ;;
  bench)
    mkdir -p results
    stamp=$(date -u +%Y-%m-%d)
    "$node" "$anneal" bench kernels --device "$ANNEAL_DEVICE" --out "results/kernels-$ANNEAL_DEVICE-$stamp.json" "$@"
    "$node" "$anneal" bench dispatch --device "$ANNEAL_DEVICE"
    bench_steps "$stamp"
    ;;
  sanitize) sanitize "$@" ;;
  doctor) exec "$node" "$anneal" doctor "$@" ;;
  *) usage ;;
esac
