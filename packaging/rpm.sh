#!/bin/bash
# target/package/setlet-VERSION-1.ARCH.rpm, from packaging/files and with rpmbuild alone:
#
#   packaging/rpm.sh x86_64|aarch64
#
# With one SOURCE_DATE_EPOCH the same bytes, wherever and whenever.
. "$(dirname "$0")/lib.sh"
arch=${1:?for which architecture: x86_64 or aarch64?}
deb_arch "$arch" >/dev/null
program=${PROGRAM:-$(program_of "$arch")}
[ -x "$program" ] || { echo "$program is not there: make program ARCH=$arch" >&2; exit 1; }
version=$(package_version)
# Always the same place, since rpm keeps no path of it and its length is in nothing.
work=$out/rpm-$arch
rm -rf "$work"
mkdir -p "$work"
packaging/stage.sh install rpm "$program" "$work/stage"
find "$work/stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

packaging/stage.sh list rpm | awk '
    $2 == "dir"  { print "%dir %attr(" $1 ",root,root) " $3 }
    $2 == "conf" { print "%config(noreplace) %attr(" $1 ",root,root) " $3 }
    $2 == "file" {
        kind = $3 ~ /\/licenses\// ? "%license " : $3 ~ /\/(doc|man)\// ? "%doc " : ""
        print kind "%attr(" $1 ",root,root) " $3
    }
    # Directories that are ours alone.
    $3 ~ /share\/(doc|licenses)\/setlet\// { sub(/\/[^\/]*$/, "", $3); if (!seen[$3]++) print "%dir %attr(755,root,root) " $3 }
' >"$work/files"

# From Debian's form: * Tue Dec 01 2026 Who <address> - VERSION
awk '
    /^setlet \(/ { match($0, /\(.*\)/); version = substr($0, RSTART + 1, RLENGTH - 2); lines = "" }
    /^  \* / { lines = lines "- " substr($0, 5) "\n" }
    /^    / { lines = lines "  " substr($0, 5) "\n" }
    /^ -- / {
        who = $0; sub(/^ -- /, "", who); sub(/  .*/, "", who)
        date = $0; sub(/.*>  /, "", date); split(date, part, /[ ,]+/)
        printf "* %s %s %02d %s %s - %s\n%s\n", part[1], part[3], part[2], part[4], who, version, lines
    }' packaging/changelog >"$work/changelog"

rpmbuild -bb --quiet --target "$arch-linux" \
    --define "_topdir $work/build" --define "_rpmdir $work/rpms" \
    --define "version_of_package $version" --define "url_of_package $(sed -nE 's/^repository = "(.*)"$/\1/p' Cargo.toml)" \
    --define "stage $work/stage" --define "lists $work/files" --define "changelog_of_package $work/changelog" \
    packaging/rpm/setlet.spec
mv "$work/rpms/$arch/setlet-$version-1.$arch.rpm" "$out/"
echo "$out/setlet-$version-1.$arch.rpm"
