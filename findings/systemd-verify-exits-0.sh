#!/bin/bash
# Guess: `systemd-analyze verify` ends with an error for a unit with an unknown key, a value that cannot be read or a mistyped
# section, so that it can guard a build; --recursive-errors=no makes it milder.
# True: it prints each and ends with 0: the lines are ignored by systemd too. Given --recursive-errors with any value, `no`
# among them, it ends with 1 for them: `no` means only that other units' faults do not count. What does fail
# without the option is what cannot start: no ExecStart, a program that is missing, a missing Requires=.
# Seen: systemd 252.39; 2026-11-30.
. "$(dirname "$0")/lib.sh"
deb bookworm systemd=252.39-1~deb12u2 libsystemd-shared=252.39-1~deb12u2
verify() { # ARG...: the exit status
    local status=0
    LD_LIBRARY_PATH=$work/bookworm/usr/lib/x86_64-linux-gnu/systemd "$work/bookworm/usr/bin/systemd-analyze" verify "$@" \
        >"$work/said" 2>&1 || status=$?
    echo $status
}
mkdir "$work/units"
cd "$work/units"
printf '[Unit]\nDescriptoin=a typo\n[Service]\nExecStart=/bin/true\nMemoryMax=lots\n[Instal]\nWantedBy=multi-user.target\n' >bad.service
printf '[Unit]\nWants=bad.service\n[Service]\nExecStart=/bin/true\n' >good.service
printf '[Service]\nExecStart=/no/such/program\n' >program.service
same "three faults, exit status" 0 "$(verify ./bad.service)"
same "lines that told of them" 3 "$(grep -cE 'ignoring|Ignoring' "$work/said")"
for value in no one yes; do
    same "the same with --recursive-errors=$value" 1 "$(verify --recursive-errors=$value ./bad.service)"
done
same "a good unit that wants the bad one" 0 "$(verify ./good.service)"
same "the same with --recursive-errors=no" 0 "$(verify --recursive-errors=no ./good.service)"
same "the same with --recursive-errors=yes" 1 "$(verify --recursive-errors=yes ./good.service)"
same "a program that is missing" 1 "$(verify ./program.service)"
