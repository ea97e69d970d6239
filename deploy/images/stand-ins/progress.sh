#!/bin/sh
# Stands in for the example that reports progress: a few posts as an HTML form would send them, then one file.
set -eu
url=http://localhost:${SONOBUOY_PROGRESS_PORT:-8099}/progress
for completed in 1 2 3; do
    wget -q -O /dev/null --post-data "{\"msg\":\"step $completed\",\"total\":3,\"completed\":$completed}" "$url"
done
echo finished > "$SONOBUOY_RESULTS_DIR/myresults"
printf %s "$SONOBUOY_RESULTS_DIR/myresults" > "$SONOBUOY_RESULTS_DIR/done"
