#!/bin/sh
# Stand-in for the collector of host logs: writes the host's journal or log directory below $CHROOT_DIR, one JSON line per file.
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
