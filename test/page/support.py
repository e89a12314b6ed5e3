"""A status page on a fleet's database, for a test: `with Page() as page`."""
import base64
import http.client
import pathlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile

sys.dont_write_bytecode = True
from fleet import fleet  # noqa: E402

PROVCTL = None


class Page:
    def __init__(self, **how):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="provctl-page-"))
        self.state, self.token_file = self.dir / "state.db", self.dir / "token"
        fleet(str(self.state), **how)

    def __enter__(self):
        self.process = subprocess.Popen([PROVCTL, "page", "--state", str(self.state), "--listen", "127.0.0.1:0",
                                         "--token-file", str(self.token_file)], stderr=subprocess.PIPE, text=True)
        said = self.process.stderr.readline()
        self.port = int(re.search(r"http://127\.0\.0\.1:(\d+)/", said)[1])
        self.token = self.token_file.read_text().strip()
        return self

    def __exit__(self, *_):
        self.process.terminate()
        rest = self.process.communicate(timeout=60)[1]
        shutil.rmtree(self.dir, ignore_errors=True)
        if self.process.returncode != 0 or "Sanitizer" in rest or "runtime error" in rest:
            raise AssertionError(f"provctl page ended with {self.process.returncode}: {rest}")

    def request(self, method, target, headers=None, token=True):
        """(status, headers, body); headers None: none but what HTTP needs and the token."""
        c = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        send = dict(headers or {})
        if token:
            send.setdefault("Authorization", f"Bearer {self.token if token is True else token}")
        c.request(method, target, headers=send)
        r = c.getresponse()
        body = r.read().decode()
        c.close()
        return r.status, r.headers, body

    def get(self, target):
        status, _, body = self.request("GET", target)
        assert status == 200, (target, status, body)
        return body

    def raw(self, data, timeout=20):
        """What comes back for these bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as s:
            try:
                s.sendall(data)
                out = b""
                while chunk := s.recv(65536):
                    out += chunk
            except ConnectionError:
                pass
            return out

    def basic(self, user, password):
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}
