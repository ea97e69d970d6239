#!/bin/sh
# Stand-in for the example that reports progress: sends a few posts like an HTML form, then writes one file.
set -eu
url=http://localhost:${SONOBUOY_PROGRESS_PORT:-8099}/progress
for completed in 1 2 3; do
    # The worker's container may start after this one.
    for try in 1 2 3 4 5 6 7 8 9 10; do
        wget -q -O /dev/null --post-data "{\"msg\":\"step $completed\",\"total\":3,\"completed\":$completed}" "$url" && break
        sleep 0.3
    done
done
echo finished > "$SONOBUOY_RESULTS_DIR/myresults"
printf %s "$SONOBUOY_RESULTS_DIR/myresults" > "$SONOBUOY_RESULTS_DIR/done"
