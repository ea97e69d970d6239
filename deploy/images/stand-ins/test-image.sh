#!/bin/sh
# Stand-in for the image of the small plugins in Sonobuoy's own tests: `single-file` writes files unchanged, `tar-file` packs
# them; `--no-done` writes no done file, and `--done=PATH` writes another path to it.
set -eu
results=${SONOBUOY_RESULTS_DIR:-/tmp/results}
way=$1
shift
done_path=
write_done=yes
last=
for argument in "$@"; do
    case $argument in
    --no-done) write_done=no ;;
    --done=*) done_path=${argument#--done=} ;;
    *)
        cp "$argument" "$results/"
        last=$results/${argument##*/}
        ;;
    esac
done
if [ "$way" = tar-file ]; then
    # Outside the directory first, so that the archive does not contain itself.
    tar -czf /tmp/results.tar.gz -C "$results" .
    mv /tmp/results.tar.gz "$results/results.tar.gz"
    last=$results/results.tar.gz
fi
if [ "$write_done" = yes ]; then
    printf %s "${done_path:-$last}" > "$results/done.new"
    mv "$results/done.new" "$results/done"
    # Kubernetes would restart a container of a DaemonSet.
    while [ -e "$results/done" ] && [ "${SONOBUOY_STAY:-yes}" = yes ]; do sleep 1; done
fi
