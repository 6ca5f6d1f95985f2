# Read by the scripts beside it: what all of them ask.
set -euo pipefail
export LC_ALL=C TZ=UTC
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${SETLET_PACKAGE_OUT:-$PWD/target/package}

# Cargo's version; SETLET_VERSION is for tests of upgrades.
crate_version() { echo "${SETLET_VERSION:-$(sed -nE 's/^version = "(.*)"$/\1/p' Cargo.toml | head -n 1)}"; }

# As deb and rpm sort it: 1.2.0~rc.1 is before 1.2.0 for both, 1.2.0-rc.1 for neither.
package_version() { crate_version | sed 's/-/~/; s/-/./g'; }

# All times in a package: the caller's, or that of the last commit, or of the changelog.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null ||
    date -d "$(sed -n 's/^ -- .*>  //p' packaging/changelog | head -n 1)" +%s)}
export SOURCE_DATE_EPOCH

# The program of an architecture that packages are made for.
program_of() { echo "$PWD/target/$1-unknown-linux-gnu/release/setlet"; }

deb_arch() {
    case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) echo "no packages for $1: x86_64 or aarch64" >&2 && return 2 ;;
    esac
}
