#!/bin/sh
# Stand-in for the example that runs commands: writes the output of each to a file, and packs the files.
results=${RESULTS_DIR:-/tmp/results}
finish() {
    cd "$results" || exit 1
    tar -czf results.tar.gz *
    printf %s "$results/results.tar.gz" > "$results/done"
}
trap finish EXIT
number=0
for command in "$@"; do
    sh -c "$command" > "$results/out$number" 2>&1
    number=$((number + 1))
done
