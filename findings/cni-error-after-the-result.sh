#!/bin/bash
# Guess: a CNI plugin that fails prints an error and has done nothing, or at least prints one JSON object.
# True: plugins of 1.9.1 check after the work that CNI_NETNS is not their own network namespace. host-local, which does not care for
# the namespace, then has given out the address and printed the result, prints the error after it and exits with 1. The lease
# stays; DEL takes it away, and fails in the same manner. 1.1.1 has no such check. So a test or a tool that runs
# an IPAM plugin with its own namespace works on Debian 12 and loses an address a try with newer plugins.
# Seen: containernetworking-plugins 1.1.1 and 1.9.1; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm containernetworking-plugins=1.1.1+ds1-3+b5
deb sid containernetworking-plugins=1.9.1+ds1-1
host_local() { # SUITE COMMAND: exit status and the first keys of the JSON objects it printed
    local status=0
    CNI_COMMAND=$2 CNI_CONTAINERID=one CNI_IFNAME=eth0 CNI_NETNS=/proc/self/ns/net CNI_PATH=/ \
        "$work/$1/usr/lib/cni/host-local" <<END >"$work/answer" || status=$?
{"cniVersion": "0.4.0", "name": "net", "type": "any",
 "ipam": {"type": "host-local", "dataDir": "$work/leases-$1", "subnet": "10.9.0.0/29"}}
END
    echo "$status" $(grep -oE '"(ips|code)"' "$work/answer")
}
leases() { find "$work/leases-$1" -name '10.*' | wc -l; }
same "1.1.1, ADD: status and objects" '0 "ips"' "$(host_local bookworm ADD)"
same "1.1.1, DEL: status and objects" '0' "$(host_local bookworm DEL)"
same "1.9.1, ADD: status and objects" '1 "ips" "code"' "$(host_local sid ADD)"
like "1.9.1, the error" 'should not be the same' "$(grep msg "$work/answer")"
same "1.9.1, leases after the ADD that failed" 1 "$(leases sid)"
same "1.9.1, DEL: status and objects" '1 "code"' "$(host_local sid DEL)"
same "1.9.1, leases after the DEL that failed" 0 "$(leases sid)"
