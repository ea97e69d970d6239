#!/bin/sh
# Uses sono in a CI job, with any POSIX shell: `sono-ci.sh install` installs a release, `sono-ci.sh run` runs it. Both read
# their settings from environment variables, listed in docs/ci.md. action.yml calls this script.
set -eu

fail() {
    echo "sono-ci: $*" >&2
    exit 1
}

fetch() { # FILE: from the release into the working directory
    case $SONO_RELEASE_URL in
    file://*) cp "${SONO_RELEASE_URL#file://}/$1" . ;;
    *)
        if command -v curl >/dev/null; then
            curl --fail --silent --show-error --location --retry 3 --output "$1" "$SONO_RELEASE_URL/$1"
        else
            wget -q -O "$1" "$SONO_RELEASE_URL/$1"
        fi
        ;;
    esac || fail "cannot fetch $SONO_RELEASE_URL/$1"
}

# Only SHA256SUMS identifies the expected file: without its line, nothing is unpacked.
verify() { # SUMS FILE
    if command -v sha256sum >/dev/null; then
        found=$(sha256sum "$2")
    else
        found=$(shasum -a 256 "$2")
    fi
    expected=$(awk -v name="$2" '{ sub(/^\*/, "", $2) } $2 == name { print $1 }' "$1")
    [ -n "$expected" ] || fail "SHA256SUMS has no line for $2"
    [ "$expected" = "${found%% *}" ] || fail "checksum mismatch of $2: SHA256SUMS has $expected, the file has ${found%% *}"
    # SHA256SUMS has the same origin as the file. A pinned digest and an attestation do not.
    if [ -n "${SONO_SHA256:-}" ]; then
        pinned=
        for digest in $SONO_SHA256; do
            [ "${digest#sha256:}" != "$expected" ] || pinned=true
        done
        [ -n "$pinned" ] || fail "$2 has the SHA-256 $expected, which is not in SONO_SHA256"
    elif [ -n "${SONO_ATTESTATION_REPO:-}" ]; then
        attested "$2"
    fi
}

# Verifies with GitHub's attestation that the release workflow built the file.
attested() { # FILE
    if ! command -v gh >/dev/null; then
        echo "sono-ci: cannot verify the attestation of $1: gh is not installed" >&2
    elif ! gh attestation verify --help >/dev/null 2>&1; then
        echo "sono-ci: cannot verify the attestation of $1: gh is too old" >&2
    else
        gh attestation verify "$1" --repo "$SONO_ATTESTATION_REPO" >&2 ||
            fail "$1 has no valid attestation of $SONO_ATTESTATION_REPO; to accept the file by its digest, set SONO_SHA256"
    fi
}

install() {
    : "${SONO_RELEASE_URL:?base URL of the release files}"
    : "${SONO_BIN:?directory to install sono into}"
    case $(uname -s) in
    Linux) system=linux ending=tar.gz ;;
    Darwin) system=darwin ending=tar.gz ;;
    MINGW* | MSYS* | CYGWIN*) system=windows ending=zip ;;
    *) fail "no release is built for $(uname -s)" ;;
    esac
    case $(uname -m) in
    x86_64 | amd64) architecture=amd64 ;;
    aarch64 | arm64) architecture=arm64 ;;
    *) fail "no release is built for $(uname -m)" ;;
    esac
    mkdir -p "$SONO_BIN"
    bin=$(cd "$SONO_BIN" && pwd)
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    cd "$work"
    fetch SHA256SUMS
    # The archive's name contains the version.
    name=$(awk -v end="_${system}_$architecture.$ending" '
        { sub(/^\*/, "", $2) }
        $2 ~ /^sono_[0-9A-Za-z.+-]+_[a-z]+_[0-9a-z]+\./ && substr($2, length($2) - length(end) + 1) == end { print $2 }
    ' SHA256SUMS)
    [ -n "$name" ] || fail "$SONO_RELEASE_URL has no archive for $system on $architecture"
    [ "$(echo "$name" | wc -l)" -eq 1 ] || fail "$SONO_RELEASE_URL has more than one archive for $system on $architecture"
    fetch "$name"
    verify SHA256SUMS "$name"
    mkdir unpacked
    case $ending in
    zip) unzip -q "$name" -d unpacked ;;
    *) tar -xzf "$name" -C unpacked ;;
    esac
    program=sono
    [ "$ending" = tar.gz ] || program=sono.exe
    [ -f "unpacked/$program" ] || fail "$name does not contain $program"
    chmod +x "unpacked/$program"
    mv "unpacked/$program" "$bin/"
    "$bin/$program" version --short
    if [ -n "${GITHUB_PATH:-}" ]; then
        echo "$bin" >>"$GITHUB_PATH"
    fi
}

# Sums the counts printed by `sono results`. Names of tests follow an empty line, so they are never counted.
count() { # WORD, with the report on standard input
    awk -v word="$1:" '
        /^Plugin: / && (NR == 1 || empty) { head = 1 }
        { empty = ($0 == "") }
        empty { head = 0 }
        head && $1 == word && $2 ~ /^[0-9]+$/ { sum += $2 }
        END { print sum + 0 }
    '
}

# Puts what changed since the baseline first in the step's summary, and sets `changes` and `worse`.
compare() { # ARCHIVE
    if [ -n "$recorded" ]; then
        set -- latest~1 latest --history "$baseline"
    else
        set -- "$baseline" "$1" --no-history
    fi
    compared=0
    sono diff "$@" -o markdown >"$said" || compared=$?
    case $compared in
    0 | 4) worse=false ;;
    3) worse=true ;;
    *)
        echo "sono-ci: there is no earlier run to compare with" >&2
        return
        ;;
    esac
    changes=$(sed -n 3p "$said")
    if [ -n "${GITHUB_STEP_SUMMARY:-}" ]; then
        [ ! -f "$GITHUB_STEP_SUMMARY" ] || { echo && cat "$GITHUB_STEP_SUMMARY"; } >>"$said"
        cat "$said" >"$GITHUB_STEP_SUMMARY"
    fi
}

run() {
    case ${SONO_FAIL_ON:=failures} in
    failures | regressions | run | never) ;;
    *) fail "SONO_FAIL_ON must be failures, regressions, run or never, not $SONO_FAIL_ON" ;;
    esac
    mkdir -p "${SONO_DIRECTORY:=sono-results}"
    said=$(mktemp)
    trap 'rm -f "$said"' EXIT
    # Splits into words, without globbing.
    set -f
    # shellcheck disable=SC2086 # lists of words
    set -- ${SONO_ARGUMENTS:-}
    # shellcheck disable=SC2086
    for plugin in ${SONO_PLUGINS:-}; do
        # Paths are relative to the current directory.
        case $plugin in
        /* | *://*) ;;
        *) [ ! -e "${plugin%%@*}" ] || plugin=$PWD/$plugin ;;
        esac
        set -- "$@" --plugin "$plugin"
    done
    set +f
    if [ "${SONO_LOCAL:-false}" = true ]; then
        set -- --local ${SONO_WAIT:+"--wait=$SONO_WAIT"} "$@"
    else
        set -- --rm "--wait=${SONO_WAIT:-60m}" "$@"
    fi
    baseline='' recorded='' changes='' worse=''
    if [ -n "${SONO_BASELINE:-}" ]; then
        case $SONO_BASELINE in
        /*) baseline=$SONO_BASELINE ;;
        *) baseline=$PWD/$SONO_BASELINE ;;
        esac
        # An archive, a directory with an extracted archive, or else a history, which need not exist yet.
        if [ ! -f "$baseline" ] && [ ! -d "$baseline/plugins" ]; then
            recorded=true
            set -- --history "$baseline" "$@"
        fi
    fi
    code=0
    (cd "$SONO_DIRECTORY" && exec sono run --exit-code "$@") >"$said" || code=$?
    archive=$(tail -n 1 "$said")
    passed=0 failed=0
    if [ -n "$archive" ] && [ -f "$SONO_DIRECTORY/$archive" ]; then
        archive=$SONO_DIRECTORY/$archive
        sono results "$archive" >"$said" || true
        passed=$(count Passed <"$said")
        failed=$(count Failed <"$said")
        [ -z "$baseline" ] || compare "$archive"
    else
        archive=
    fi
    case $code in
    0) status=passed ;;
    3) status=failed ;;
    4) status=unknown ;;
    5) status=run-failed ;;
    6) status=timed-out ;;
    *) status=error ;;
    esac
    set -- "archive=$archive" "status=$status" "passed=$passed" "failed=$failed"
    [ -z "$changes" ] || set -- "$@" "changes=$changes"
    for line in "$@"; do
        echo "$line"
        if [ -n "${SONO_OUTPUT:-${GITHUB_OUTPUT:-}}" ]; then
            echo "$line" >>"${SONO_OUTPUT:-$GITHUB_OUTPUT}"
        fi
    done
    case $SONO_FAIL_ON:$status:$worse in
    never:* | run:failed:* | run:unknown:* | regressions:failed:false | regressions:unknown:false) exit 0 ;;
    # A passed run can be worse too, for example if a test is missing.
    regressions:passed:true) exit 3 ;;
    *:passed:*) exit 0 ;;
    *) exit "$code" ;;
    esac
}

case ${1:-} in
install | run) "$1" ;;
*) fail "usage: sono-ci.sh install|run" ;;
esac
