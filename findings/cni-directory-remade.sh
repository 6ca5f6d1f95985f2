#!/bin/bash
# Guess: containerd sees a CNI configuration whenever one is in its directory, also when the directory itself is replaced, as
# by `mv`, by a package's reinstallation or a mount.
# True: it watches the directory that was there at its start and stops watching for good when that goes. A file in the directory that is
# now at the path is never read, Status does not look either: NetworkReady stays false until containerd is started
# anew. (2.1 ends itself instead, for systemd to start it again; that is not tried here.)
# Seen: containerd 1.6.20 and 1.7.24; 2026-11-30.
. "$(dirname "$0")/lib.sh"
remake() {
    cri <<'P'
folder = os.path.dirname(sys.argv[1]) + "/net.d"
def ready():
    return bool(dec(dec(call("Status")[1][0])[1][1]).get(2, [0])[0])
def put():
    with open(folder + "/.new", "w") as file:
        file.write('{"cniVersion": "0.4.0", "name": "one", "plugins": [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}]}')
    os.rename(folder + "/.new", folder + "/10-net.conflist")
def settle(wanted, seconds=5):
    for _ in range(seconds * 10):
        if ready() == wanted: break
        time.sleep(0.1)
    return ready()
put()
told("with a file", True, settle(True))
os.rename(folder, folder + ".away")
told("the directory renamed away", False, settle(False))
os.mkdir(folder)
put()
told("another in its place, with the same file, after 10 s", False, settle(True, 10))
P
}
for it in "${containerds[@]:0:2}"; do
    on_containerd "$it" remake
done
