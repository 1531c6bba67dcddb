# What the scripts share; sourced from the top folder of the tree. Changes nothing by itself.
# shellcheck shell=bash

cache=${XDG_CACHE_HOME:-$HOME/.cache}/meseta
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$cache/target}
# Where cargo leaves programs: .cargo/config.toml names the target.
programs=$CARGO_TARGET_DIR/x86_64-unknown-linux-gnu

# What cargo tells the tests it runs would make a build that they start, and the next one by hand, build ring and all that
# stands on it anew.
unset CARGO_MANIFEST_DIR CARGO_MANIFEST_PATH "${!CARGO_PKG_@}"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }

die() {
    say "$*"
    exit 1
}

need() {
    local tool
    for tool in "$@"; do
        command -v "$tool" >/dev/null || die "$tool is missing; scripts/setup installs it"
    done
}

need_root() { [ "$(id -u)" = 0 ] || die "needs root: network namespaces, mounts and cgroups"; }

# The comment below the first line of a script is its help.
usage() { awk 'NR > 1 && !/^#/ { exit } NR > 1 { sub(/^# ?/, ""); print }' "$0"; }

# until_true SECONDS COMMAND...: asks again and again; false if it was never true.
until_true() {
    local end=$((SECONDS + $1))
    shift
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}

# build ARGUMENTS OF CARGO BUILD...: with what the console serves in its place.
build() {
    scripts/assets
    cargo build --quiet "$@"
}
