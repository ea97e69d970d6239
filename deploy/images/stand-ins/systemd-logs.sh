#!/bin/sh
# Stands in for the collector of host logs: the journal or log directory of the host below $CHROOT_DIR, as one JSON line a file.
set -eu
results=${RESULTS_DIR:-/tmp/results}
host=${CHROOT_DIR:-/node}
for directory in var/log/journal run/log/journal var/log; do
    if [ -d "$host/$directory" ]; then
        printf '{"node":"%s","log":"%s"}\n' "${NODE_NAME:-}" "/$directory"
    fi
done > "$results/systemd_logs"
printf %s "$results/systemd_logs" > "$results/done.new"
mv "$results/done.new" "$results/done"
