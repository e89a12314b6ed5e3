"""The wire of agentd/base/frame.h and the values of agentd/base/codec.h, for
tests that talk to a real executor."""
import os
import select
import struct
import subprocess
import time

REQUEST, BLOB, CANCEL, PING, BYE, GO = 1, 2, 3, 4, 5, 6
HELLO, PROGRESS, NEED, DATA, RESULT, PONG, HELD = 64, 65, 66, 67, 68, 69, 70
FAILED, AHEAD = 1, 2
NONCE = "0123456789abcdef" * 2


def varint(n):
    out = bytearray()
    while n >= 0x80:
        out.append(n & 0x7F | 0x80)
        n >>= 7
    out.append(n)
    return bytes(out)


def encode(v):
    if v is None:
        return b"\x01"
    if v is False:
        return b"\x02"
    if v is True:
        return b"\x03"
    if isinstance(v, int):
        return b"\x04" + varint(v * 2 if v >= 0 else -v * 2 - 1)
    if isinstance(v, float):
        return b"\x05" + struct.pack("<d", v)
    if isinstance(v, str):
        b = v.encode()
        return b"\x06" + varint(len(b)) + b
    if isinstance(v, (list, tuple)):
        return b"\x07" + varint(len(v)) + b"".join(map(encode, v))
    if isinstance(v, dict):
        return b"\x08" + varint(len(v)) + b"".join(
            encode(k) + encode(x) for k, x in v.items())
    raise TypeError(type(v))


class Decoder:
    def __init__(self, data):
        self.data, self.at = data, 0

    def varint(self):
        n = shift = 0
        while True:
            c = self.data[self.at]
            self.at += 1
            n |= (c & 0x7F) << shift
            shift += 7
            if c < 0x80:
                return n

    def take(self, n):
        self.at += n
        return self.data[self.at - n:self.at]

    def value(self):
        tag = self.data[self.at] & 0x1F
        self.at += 1
        if tag == 1:
            return None
        if tag in (2, 3):
            return tag == 3
        if tag == 4:
            n = self.varint()
            return n >> 1 if n & 1 == 0 else -(n >> 1) - 1
        if tag == 5:
            return struct.unpack("<d", self.take(8))[0]
        if tag == 6:
            return self.take(self.varint()).decode()
        if tag == 7:
            return [self.value() for _ in range(self.varint())]
        if tag == 8:
            return {self.value(): self.value() for _ in range(self.varint())}
        raise ValueError("tag %d" % tag)


def decode(data):
    return Decoder(data).value()


def frame(kind, ident, payload=b"", flags=0):
    return struct.pack("<IBBHI", len(payload), kind, flags, 0, ident) + payload


class Frame:
    def __init__(self, kind, flags, ident, payload):
        self.kind, self.flags, self.id, self.payload = kind, flags, ident, payload

    @property
    def value(self):
        return decode(self.payload)

    def __repr__(self):
        return "Frame(%d, id %d, %d bytes)" % (self.kind, self.id, len(self.payload))


class Executor:
    """A running executor; stdout is read with deadlines, never for ever."""

    def __init__(self, path, **options):
        self.proc = subprocess.Popen([path, NONCE], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                     bufsize=0, **options)
        self.buf = b""
        self.hello = None
        self.next_id = 1
        ready = (NONCE + " READY\n").encode()
        self.fill_until(lambda: len(self.buf) >= len(ready), 10)
        assert self.buf.startswith(ready), self.buf
        self.buf = self.buf[len(ready):]
        hello = self.read()
        assert hello.kind == HELLO, hello
        self.hello = hello.value

    def fill_until(self, enough, timeout):
        end = time.monotonic() + timeout
        while not enough():
            left = end - time.monotonic()
            if left <= 0:
                raise TimeoutError("nothing from the executor")
            if select.select([self.proc.stdout], [], [], left)[0]:
                data = os.read(self.proc.stdout.fileno(), 1 << 16)
                if not data:
                    raise EOFError("the executor closed its output")
                self.buf += data

    def read(self, timeout=15):
        self.fill_until(lambda: len(self.buf) >= 12, timeout)
        length, kind, flags, zero, ident = struct.unpack("<IBBHI", self.buf[:12])
        assert zero == 0
        self.fill_until(lambda: len(self.buf) >= 12 + length, timeout)
        payload, self.buf = self.buf[12:12 + length], self.buf[12 + length:]
        return Frame(kind, flags, ident, payload)

    def send(self, *frames):
        os.write(self.proc.stdin.fileno(), b"".join(frames))

    def request(self, module, args, ahead=False, **more):
        ident, self.next_id = self.next_id, self.next_id + 1
        self.send(frame(REQUEST, ident, encode(dict(more, module=module, args=args)), AHEAD if ahead else 0))
        return ident

    def result(self, ident, timeout=15):
        while True:
            f = self.read(timeout)
            if f.kind == RESULT:
                assert f.id == ident, (f, ident)
                return f.value

    def run(self, module, args, **more):
        return self.result(self.request(module, args, **more))

    def bye(self):
        self.send(frame(BYE, 0))
        self.proc.stdin.close()
        return self.proc.wait(15)

    def close(self):
        for f in (self.proc.stdin, self.proc.stdout, self.proc.stderr):
            f.close()
        try:
            self.proc.wait(15)
        except subprocess.TimeoutExpired:
            self.proc.kill()
            self.proc.wait()
            raise
