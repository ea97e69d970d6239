#!/bin/sh
# What a CI job does with sono, for any POSIX shell: `sono-ci.sh install` puts a release on this machine, `sono-ci.sh run`
# runs it. Both take what they need from variables; docs/ci.md lists them. action.yml is made of these two.
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

# The line of SHA256SUMS is the only thing that says what the file should be: without it nothing is unpacked.
verify() { # SUMS FILE
    if command -v sha256sum >/dev/null; then
        found=$(sha256sum "$2")
    else
        found=$(shasum -a 256 "$2")
    fi
    expected=$(awk -v name="$2" '{ sub(/^\*/, "", $2) } $2 == name { print $1 }' "$1")
    [ -n "$expected" ] || fail "SHA256SUMS has no line for $2"
    [ "$expected" = "${found%% *}" ] || fail "$2 is not what SHA256SUMS says: expected $expected, got ${found%% *}"
    # The sums come from where the file comes from. These two do not.
    if [ -n "${SONO_SHA256:-}" ]; then
        pinned=
        for digest in $SONO_SHA256; do
            [ "${digest#sha256:}" != "$expected" ] || pinned=true
        done
        [ -n "$pinned" ] || fail "$2 has the SHA-256 $expected, which SONO_SHA256 does not name"
    elif [ -n "${SONO_ATTESTATION_REPO:-}" ]; then
        attested "$2"
    fi
}

# Whether the release's workflow has made the file, which GitHub attests.
attested() { # FILE
    if ! command -v gh >/dev/null; then
        echo "sono-ci: the attestation of $1 is not verified: gh is not installed" >&2
    elif ! gh attestation verify --help >/dev/null 2>&1; then
        echo "sono-ci: the attestation of $1 is not verified: gh is too old" >&2
    else
        gh attestation verify "$1" --repo "$SONO_ATTESTATION_REPO" >&2 ||
            fail "$1 has no valid attestation of $SONO_ATTESTATION_REPO; SONO_SHA256 takes a file by its digest instead"
    fi
}

install() {
    : "${SONO_RELEASE_URL:?where the files of the release are}"
    : "${SONO_BIN:?the directory that sono goes to}"
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
    # The release says which version it is: the name of its archive.
    name=$(awk -v end="_${system}_$architecture.$ending" '
        { sub(/^\*/, "", $2) }
        $2 ~ /^sono_[0-9A-Za-z.+-]+_[a-z]+_[0-9a-z]+\./ && substr($2, length($2) - length(end) + 1) == end { print $2 }
    ' SHA256SUMS)
    [ -n "$name" ] || fail "$SONO_RELEASE_URL has nothing for $system on $architecture"
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
    [ -f "unpacked/$program" ] || fail "$name has no program in it"
    chmod +x "unpacked/$program"
    mv "unpacked/$program" "$bin/"
    "$bin/$program" version --short
    if [ -n "${GITHUB_PATH:-}" ]; then
        echo "$bin" >>"$GITHUB_PATH"
    fi
}

# Sums of what `sono results` counts. Names of tests stand behind an empty line, so they are never taken for counts.
count() { # WORD, with the report on standard input
    awk -v word="$1:" '
        /^Plugin: / && (NR == 1 || empty) { head = 1 }
        { empty = ($0 == "") }
        empty { head = 0 }
        head && $1 == word && $2 ~ /^[0-9]+$/ { sum += $2 }
        END { print sum + 0 }
    '
}

run() {
    case ${SONO_FAIL_ON:=failures} in
    failures | run | never) ;;
    *) fail "SONO_FAIL_ON is failures, run or never, not $SONO_FAIL_ON" ;;
    esac
    mkdir -p "${SONO_DIRECTORY:=sono-results}"
    said=$(mktemp)
    trap 'rm -f "$said"' EXIT
    # Words, without the shell's own meaning of * and ?.
    set -f
    # shellcheck disable=SC2086 # they are lists of words
    set -- ${SONO_ARGUMENTS:-}
    # shellcheck disable=SC2086
    for plugin in ${SONO_PLUGINS:-}; do
        # A path is meant from here.
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
    code=0
    (cd "$SONO_DIRECTORY" && exec sono run --exit-code "$@") >"$said" || code=$?
    archive=$(tail -n 1 "$said")
    passed=0 failed=0
    if [ -n "$archive" ] && [ -f "$SONO_DIRECTORY/$archive" ]; then
        archive=$SONO_DIRECTORY/$archive
        sono results "$archive" >"$said" || true
        passed=$(count Passed <"$said")
        failed=$(count Failed <"$said")
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
    for line in "archive=$archive" "status=$status" "passed=$passed" "failed=$failed"; do
        echo "$line"
        if [ -n "${SONO_OUTPUT:-${GITHUB_OUTPUT:-}}" ]; then
            echo "$line" >>"${SONO_OUTPUT:-$GITHUB_OUTPUT}"
        fi
    done
    case $SONO_FAIL_ON:$status in
    never:* | *:passed | run:failed | run:unknown) exit 0 ;;
    *) exit "$code" ;;
    esac
}

case ${1:-} in
install | run) "$1" ;;
*) fail "sono-ci.sh install|run" ;;
esac
