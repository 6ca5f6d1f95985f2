# The few calls of CRI v1 that the findings need, without generated code: messages are written as
# lists of (field number, value) and read as dictionaries of lists by field number.
# grpc comes from the package grpcio that the script unpacked; argument 1 is the runtime's socket.
import atexit, os, sys, time
import grpc

def varint(n):
    n &= (1 << 64) - 1
    out = bytearray()
    while n > 127:
        out.append(n & 127 | 128)
        n >>= 7
    return bytes(out + bytes([n]))

def enc(fields):
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            data = value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else enc(value)
            out += varint(number << 3 | 2) + varint(len(data)) + data
    return out

def dec(data):
    at, out = 0, {}
    def number():
        nonlocal at
        n = shift = 0
        while True:
            byte = data[at]
            at += 1
            n |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return n
    while at < len(data):
        key = number()
        if key & 7 == 0:
            value = number()
        elif key & 7 == 2:
            size = number()
            value, at = data[at:at + size], at + size
        else:
            width = 8 if key & 7 == 1 else 4
            value, at = data[at:at + width], at + width
        out.setdefault(key >> 3, []).append(value)
    return out

failed = []
atexit.register(lambda: failed and (sys.stdout.flush(), os._exit(1)))

def told(what, expected, seen):
    """Says what is seen, and makes the script fail where it is not what the finding tells."""
    if expected == seen:
        print(f"as told  {what}: {seen}")
    else:
        print(f"CHANGED  {what}: told {expected!r}, seen {seen!r}")
        failed.append(what)

channel = grpc.insecure_channel("unix://" + sys.argv[1])

def call(method, fields=(), timeout=30):
    service = "ImageService" if "Image" in method else "RuntimeService"
    return dec(channel.unary_unary(f"/runtime.v1.{service}/{method}")(enc(fields), timeout=timeout))

def attempt(method, fields=(), timeout=30):
    """The answer, or the text of the error."""
    try:
        return call(method, fields, timeout)
    except grpc.RpcError as error:
        return f"{error.code().name}: {error.details()}"

def text(message, number):
    return message[number][0].decode() if number in message else ""

HOST = (8, [(2, [(1, [(1, 2)])])])  # the pod's linux part: host network

def pod(name, *more):
    return [(1, [(1, name), (2, "uid-" + name), (3, "default")]), *(more or (HOST,))]

def run_pod(name, *more):
    return text(call("RunPodSandbox", [(1, pod(name, *more))]), 1)

def container(name, *command, image="finding.test/pause:1", more=()):
    return [(1, [(1, name)]), (2, [(1, image)]), *((3, c) for c in command), *more]

def create(sandbox, pod_name, config):
    return text(call("CreateContainer", [(1, sandbox), (2, config), (3, pod(pod_name))]), 1)

def start(ident):
    return attempt("StartContainer", [(1, ident)])

def status(ident):
    return dec(call("ContainerStatus", [(1, ident)])[1][0])

STATES = ["created", "running", "exited", "unknown"]

def state(ident):
    return STATES[status(ident).get(3, [0])[0]]

VERSION = text(call("Version"), 3).split("~")[0].split("+")[0]
print(f"on       containerd {VERSION}")
