#!/bin/sh
# Keeps ptxas's report on the kernels of each file, so that the test of their registers and spills does not compile
# everything a second time.
#   report.sh <compiler> <arguments>                   compiles; the report goes to <object>.resources
#   report.sh --join <file> <nvcc version> <objects>   puts the reports of all objects into one file
if [ "$1" = --join ]; then
  joined=$2
  version=$3
  shift 3
  {
    echo "nvcc $version"
    for object in "$@"; do
      echo "object $object"
      cat "$object.resources"
    done
  } > "$joined"
  exit
fi

object=
previous=
for argument in "$@"; do
  if [ "$previous" = -o ]; then object=$argument; fi
  previous=$argument
done
report=${object:-/dev/null}
[ -n "$object" ] && report=$object.resources
"$@" 2> "$report.part"
status=$?
# The terminal gets all but the figures.
grep -Ev '^ptxas info +: (Compiling entry|Function properties|Used |Compile time|[0-9]+ bytes gmem)|^ +[0-9]+ bytes stack frame|^$' "$report.part" >&2
mv "$report.part" "$report"
exit $status
