#!/bin/bash
# Guess: host-local's lease files are lines of text, `DEL` of the container gives its address back whatever the file
# says, and an empty file, as a power cut leaves it, is taken for free or mended.
# True: a lease is two fields parted by CR LF, without a newline at the end. An empty one counts as given out for ever: DEL of
# its container succeeds and leaves it there, ADD passes over it and runs out of addresses, CHECK fails. Only removing
# the file gives the address back. (A free address is given out again last: the search goes on from the last one.)
# Seen: containernetworking-plugins 1.1.1 and 1.9.1; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm containernetworking-plugins=1.1.1+ds1-3+b5
deb sid containernetworking-plugins=1.9.1+ds1-1
host_local() { # SUITE COMMAND CONTAINER: its answer in one line
    local status=0
    CNI_COMMAND=$2 CNI_CONTAINERID=$3 CNI_IFNAME=eth0 CNI_NETNS=/run/netns/gone CNI_PATH=/ CNI_NETNS_OVERRIDE=1 \
        "$work/$1/usr/lib/cni/host-local" <<END >"$work/answer" || status=$?
{"cniVersion": "0.4.0", "name": "net", "type": "any",
 "ipam": {"type": "host-local", "dataDir": "$work/leases-$1", "subnet": "10.9.0.0/29"}}
END
    echo "$status $(grep -oE '"(address|msg)": "[^"]*"' "$work/answer" | head -n 1)"
}
for suite in bookworm sid; do
    same "$suite, ADD one" '0 "address": "10.9.0.2/29"' "$(host_local $suite ADD one)"
    lease=$work/leases-$suite/net/10.9.0.2
    same "$suite, its lease" 'one\r\neth0' "$(sed 's/\r$/\\r\\n/' "$lease" | tr -d '\n')"
    : >"$lease"
    same "$suite, DEL one, its lease being empty" '0 ' "$(host_local $suite DEL one)"
    same "$suite, bytes of the lease that is still there" 0 "$(stat -c %s "$lease")"
    for last in 3 4 5 6; do
        same "$suite, ADD another" "0 \"address\": \"10.9.0.$last/29\"" "$(host_local $suite ADD "c$last")"
    done
    like "$suite, ADD a last one" '^1 "msg": .*no IP addresses available' "$(host_local $suite ADD late)"
    rm "$lease"
    same "$suite, ADD it with the file removed" '0 "address": "10.9.0.2/29"' "$(host_local $suite ADD late)"
done
