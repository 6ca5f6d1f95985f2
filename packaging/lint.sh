#!/bin/bash
# lintian and rpmlint on the packages in target/package; anything that packaging/ does not explain fails.
. "$(dirname "$0")/lib.sh"
status=0
for package in "$out"/*.deb; do
    [ -e "$package" ] || continue
    echo "$package: $(stat -c %s "$package") bytes"
    # Without systemd whoever has another init starts `setlet run` by it. No override: lintian 2.122 does not
    # know the tag any more, and an override of a tag it does not know is an error.
    said=$(lintian --allow-root --fail-on none --display-info --tag-display-limit 0 "$package" |
        grep -v ' package-supports-alternative-init-but-no-init.d-script ') || true
    [ -z "$said" ] || { echo "$said" && status=1; }
done
for package in "$out"/*.rpm; do
    [ -e "$package" ] || continue
    echo "$package: $(stat -c %s "$package") bytes"
    said=$(rpmlint -s -c packaging/rpm/rpmlint.toml "$package") || status=1
    tail -n 3 <<<"$said"
    ! grep -E ': [EW]: ' <<<"$said" || status=1
done
exit "$status"
