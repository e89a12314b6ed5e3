"""The status page in headless Chromium: it looks as it should, nothing of it is blocked or runs, in light, dark and on a phone,
with and without JavaScript.  test_browser.py PROVCTL [FOLDER]: the screenshots are left in FOLDER to be looked at."""
import os
import pathlib
import re
import shutil
import socket
import socketserver
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
import zlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import support  # noqa: E402
from fleet import HOSTILE  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
KEEP = None
DARK = ["--blink-settings=preferredColorScheme=0"]


def pixels(path):
    """(width, height, rows of RGB tuples' bytes, bytes a pixel) of a PNG as Chromium writes it."""
    data, at, body = path.read_bytes(), 8, b""
    width = height = channels = 0
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", data[at + 8:at + 18])
            assert depth == 8 and colour in (2, 6)
            channels = 3 if colour == 2 else 4
        elif kind == b"IDAT":
            body += data[at + 8:at + 8 + size]
        at += size + 12
    raw, rows, last = zlib.decompress(body), [], bytearray(width * channels)
    for y in range(height):
        line = bytearray(raw[y * (width * channels + 1):(y + 1) * (width * channels + 1)])
        kind, line = line[0], line[1:]
        for i in range(len(line)):
            a = line[i - channels] if i >= channels else 0
            b, c = last[i], last[i - channels] if i >= channels else 0
            if kind == 1:
                line[i] = (line[i] + a) & 255
            elif kind == 2:
                line[i] = (line[i] + b) & 255
            elif kind == 3:
                line[i] = (line[i] + (a + b) // 2) & 255
            elif kind == 4:
                p = a + b - c
                best = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
                line[i] = (line[i] + best) & 255
        rows.append(bytes(line))
        last = line
    return width, height, rows, channels


@unittest.skipIf(CHROMIUM is None, "there is no chromium")
class Browser(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = support.Page()
        cls.page.__enter__()
        cls.profile = tempfile.mkdtemp(prefix="provctl-chromium-")

    @classmethod
    def tearDownClass(cls):
        cls.page.__exit__(None, None, None)
        shutil.rmtree(cls.profile, ignore_errors=True)

    def chromium(self, target, *options, size="1280,1000", port=None):
        """What it printed and what it logged."""
        p = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run", "--enable-logging=stderr",
                            "--disable-background-networking", "--disable-component-update", f"--user-data-dir={self.profile}",
                            f"--window-size={size}", *options, f"http://x:{self.page.token}@127.0.0.1:{port or self.page.port}{target}"],
                           capture_output=True, text=True, timeout=120)
        self.assertEqual(p.returncode, 0, p.stderr)
        # All that a page says to the console is an error: of the policy, of the script, of a file that is not there.
        said = [line for line in p.stderr.splitlines() if "CONSOLE" in line]
        self.assertEqual(said, [])
        return p.stdout

    def shot(self, name, target, *options, size="1280,1000", look=True):
        path = pathlib.Path(KEEP or self.profile) / f"{name}.png"
        self.chromium(target, f"--screenshot={path}", *options, size=size)
        if not look:
            return None
        width, height, rows, n = pixels(path)
        self.assertEqual(f"{width},{height}", size)
        return rows, n

    def colour(self, picture, x, y):
        rows, n = picture
        return tuple(rows[y][x * n:x * n + 3])

    def find(self, picture, wanted):
        rows, n = picture
        return sum(row.count(bytes(wanted)) for row in rows) > 30

    def test_light_and_dark(self):
        light, dark = self.shot("overview", "/"), \
            self.shot("overview-dark", "/", *DARK, size="1280,600")
        self.assertEqual(self.colour(light, 5, 500), (0xf6, 0xf7, 0xf9))
        self.assertEqual(self.colour(dark, 5, 500), (0x12, 0x16, 0x1c))
        for r, g, b in ((0xb3, 0x26, 0x1e), (0x7a, 0x3e, 0x9d), (0x94, 0x56, 0x0a), (0x0b, 0x5c, 0xad), (0x1f, 0x6f, 0x3e)):
            self.assertTrue(self.find(light, (r, g, b)), "a stand is not in the bar")

    def test_pages_for_eyes(self):
        """For people to look at; here it counts that nothing was blocked."""
        for name, target in (("hosts", "/hosts"), ("host", "/hosts/web17.example.org"), ("runs", "/runs"), ("run", "/runs/7"),
                             ("live", "/runs/12"), ("drift", "/drift"), ("pending", "/work"), ("sites", "/sites"), ("search", "/hosts?name=WEB1"), ("hostile", "/runs/11")):
            self.shot(name, target, look=False)

    def test_phone(self):
        """Nothing is wider than the screen: what scrolls is in a box of its own."""
        for name, target in (("phone-overview", "/"), ("phone-run", "/runs/7"), ("phone-hosts", "/hosts"), ("phone-hostile", "/runs/11")):
            picture = self.shot(name, target, size="500,700")
            # the margin on the right is free from top to bottom below the header
            rows, n = picture
            for y in range(120, 700):
                self.assertIn(tuple(rows[y][492 * n:492 * n + 3]), ((0xf6, 0xf7, 0xf9), (0xe1, 0xe5, 0xea)), (name, y))

    def test_hostile_names(self):
        """The browser, too, sees names as text: no element, no script comes of them."""
        dom = self.chromium("/runs/11", "--dump-dom")
        self.assertEqual(re.findall(r"<script[^>]*>", dom), ['<script src="/page.js" defer="">'])
        self.assertNotIn("<img", dom)
        self.assertIn(HOSTILE.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"), dom)

    def test_live(self):
        """A run under way shows what happens next by itself: what is recorded after the browser had the page is in it in the end."""
        seen = []

        def passed(target):
            seen.append(target)
            if seen.count("/runs/12") == 2:     # it looks again: now there is something new
                with sqlite3.connect(self.page.state) as db:
                    db.execute("INSERT INTO results (run_id, host_id, task_id, outcome, started_ms, duration_ms, msg) VALUES (12, 3, 1, 'failed', 1, 1, 'sudden')")
                db.close()

        with Proxy(self.page.port, passed) as port:
            dom = self.chromium("/runs/12", "--dump-dom", "--virtual-time-budget=5000", port=port)
        self.assertGreaterEqual(seen.count("/runs/12"), 2, seen)
        self.assertIn("sudden", dom)
        self.assertEqual(dom.count("<main"), 1)
        self.assertIn('<span class="chip running">running</span>', dom)
        seen.clear()
        with Proxy(self.page.port, passed) as port:
            self.chromium("/runs/7", "--dump-dom", "--virtual-time-budget=20000", port=port)
        self.assertEqual(seen.count("/runs/7"), 1, "a run that has ended is asked for again")


class Proxy:
    """Passes requests on and tells which; one request a connection, as the page has it."""

    def __init__(self, port, passed):
        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                head = b""
                while b"\r\n\r\n" not in head:
                    if not (more := self.connection.recv(65536)):
                        return
                    head += more
                if b"\r\nauthorization:" in head.lower():     # not the one that is told to come back with a password
                    passed(head.split(b" ")[1].decode())
                with socket.create_connection(("127.0.0.1", port)) as to:
                    to.sendall(head)
                    while more := to.recv(65536):
                        self.connection.sendall(more)

        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self.server.server_address[1]

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


if __name__ == "__main__":
    support.PROVCTL = sys.argv.pop(1)
    if len(sys.argv) > 1:
        KEEP = os.path.abspath(sys.argv.pop(1))
        os.makedirs(KEEP, exist_ok=True)
    unittest.main(verbosity=1)
