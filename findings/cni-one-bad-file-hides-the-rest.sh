#!/bin/bash
# Guess: of containerd's CNI directory the first file that can be used is used, a broken one is passed over; and NetworkReady
# says that pods can have a network.
# True: files are read in order of name, and the first one must load: one that is empty, no JSON, or without a type takes the network
# away though a good one stands behind it, until the directory changes again. What cannot work counts as
# ready: a plugin that is not installed is not looked for, and pods fail one by one. NetworkReady is about the file.
# Seen: containerd 1.6.20, 1.7.24, 2.1.9; 2026-11-30.
. "$(dirname "$0")/lib.sh"
files() {
    cri <<'P'
folder = os.path.dirname(sys.argv[1]) + "/net.d/"
def ready():
    return bool(dec(dec(call("Status")[1][0])[1][1]).get(2, [0])[0])
def put(name, content):
    with open(folder + "new", "w") as file:
        file.write(content)
    os.rename(folder + "new", folder + name)
def settle(wanted):
    for _ in range(50):
        if ready() == wanted: break
        time.sleep(0.1)
    return ready()
bridge = '{"cniVersion": "0.4.0", "name": "one", "plugins": [{"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.9.0.0/24"}}]}'
told("without a file", False, ready())
put("20-good.conflist", bridge)
told("with a good file", True, settle(True))
for name, content in [("10-empty.conflist", ""), ("10-text.conflist", "{no json"), ("10-untyped.conf", '{"cniVersion": "0.4.0", "name": "two"}')]:
    put(name, content)
    told(f"with {name} before it", False, settle(False))
    os.remove(folder + name)
    told("that removed", True, settle(True))
os.remove(folder + "20-good.conflist")
told("the good file removed", False, settle(False))
put("10-missing.conflist", bridge.replace("bridge", "no-such-plugin"))
told("with a plugin that is not installed", True, settle(True))
like = attempt("RunPodSandbox", [(1, pod("one", (2, "one")))])
told("a pod then", "failed to find plugin", "failed to find plugin" if "failed to find plugin" in like else like)
P
}
for it in "${containerds[@]}"; do on_containerd "$it" files; done
