"""The status page over HTTP: who may, what is refused, what pages say, metrics; abused.  test_http.py PROVCTL"""
import html.parser
import os
import pathlib
import re
import socket
import sqlite3
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
sys.dont_write_bytecode = True
import support  # noqa: E402
from fleet import EVIL_HOST, HOSTILE  # noqa: E402

PAGES = ["/", "/hosts", "/hosts?state=failed", "/hosts/web17.example.org", "/runs", "/runs?host=web01.example.org", "/runs/7", "/runs/11",
         "/runs/12", "/runs/7/hosts/web04.example.org", "/drift", "/work", "/sites", "/results/1"]
TAGS = set("html head meta title link script noscript body header nav main footer a h1 h2 p b i small span div table thead tbody tr th td "
           "time dl dt dd pre code svg rect progress article ul li form input button".split())
VOID = {"meta", "link", "img", "input"}


class Strict(html.parser.HTMLParser):
    """Elements closed in order, only those that we write, none that runs or loads anything from elsewhere."""

    def __init__(self):
        super().__init__()
        self.open, self.links, self.text, self.scripts = [], [], "", []

    def handle_starttag(self, tag, attrs):
        assert tag in TAGS, f"<{tag}>"
        for k, v in attrs:
            assert not k.startswith("on") and k != "style", (tag, k, v)
            if k in ("href", "src", "action") and v != "#main":
                assert v.startswith("/") and not v.startswith("//"), v
                self.links.append(v)
        if tag == "script":
            self.scripts.append(dict(attrs).get("src"))
        if tag not in VOID and tag != "rect":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag == "rect", tag

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, (tag, self.open)
        self.open.pop()

    def handle_data(self, data):
        assert not self.open or self.open[-1] != "script" or not data.strip(), data
        self.text += data


def parse(body):
    p = Strict()
    p.feed(body)
    p.close()
    assert not p.open, p.open
    assert p.scripts == ["/page.js"], p.scripts
    return p


def metrics(text):
    """The text format, strictly: HELP and TYPE before the samples of a name, every line understood, no sample twice."""
    types, samples = {}, {}
    for line in text.splitlines():
        if m := re.fullmatch(r"# HELP ([a-z_]+) (\S.*)", line):
            assert m[1] not in types, line
        elif m := re.fullmatch(r"# TYPE ([a-z_]+) (gauge|counter)", line):
            types[m[1]] = m[2]
        else:
            m = re.fullmatch(r'([a-z_]+)(\{([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"\})? (-?[0-9]+(?:\.[0-9]+)?)', line)
            assert m, line
            assert m[1] in types, f"{line}: no TYPE before it"
            assert (m[1], m[4]) not in samples, line
            samples[m[1], re.sub(r"\\(.)", lambda e: "\n" if e[1] == "n" else e[1], m[4]) if m[4] is not None else None] = float(m[5])
    assert text.endswith("\n")
    return types, samples


class Http(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.page = support.Page()
        cls.page.__enter__()

    @classmethod
    def tearDownClass(cls):
        cls.page.__exit__(None, None, None)

    def status(self, *args, **kw):
        return self.page.request(*args, **kw)[0]

    # ---- who may ------------------------------------------------------------------------------------------------------------

    def test_token(self):
        for token in ("wrong", self.page.token[:-1], self.page.token + "x", self.page.token.upper() + " ", ""):
            self.assertEqual(self.status("GET", "/", token=token or " "), 401, token)
        status, headers, body = self.page.request("GET", "/hosts", token=False)
        self.assertEqual(status, 401)
        self.assertTrue(headers["WWW-Authenticate"].startswith("Basic "))
        self.assertNotIn("web01", body)
        parse(body)
        basic = self.page.basic
        for user in ("", "x", "me@there"):
            self.assertEqual(self.status("GET", "/", basic(user, self.page.token), token=False), 200)
        self.assertEqual(self.status("GET", "/", basic("x", "wrong"), token=False), 401)
        self.assertEqual(self.status("GET", "/", basic(self.page.token, ""), token=False), 401)
        for bad in ("Basic", "Basic ", "Basic !!!", "Basic " + "A" * 5000, "Bearer", "Digest x", "Basic eA=="):
            self.assertEqual(self.status("GET", "/", {"Authorization": bad}, token=False), 401, bad)
        # nothing of the state without the token; that we live may be known
        for target in [*PAGES, "/metrics", "/nothing", "/hosts/nobody"]:
            self.assertEqual(self.status("GET", target, token=False), 401, target)
        for target in ("/healthz", "/page.css", "/page.js", "/icon.svg"):
            self.assertEqual(self.status("GET", target, token=False), 200, target)
        # a token in the target would be in histories and logs: it is none
        self.assertEqual(self.status("GET", f"/?token={self.page.token}", token=False), 401)
        self.assertEqual(self.status("GET", "/", {"Cookie": f"token={self.page.token}"}, token=False), 401)

    def test_host_names(self):
        port = self.page.port
        for host in ("localhost", "127.0.0.1", "[::1]", f"LOCALHOST:{port}", "127.0.0.1:1", f"[::1]:{port}"):
            self.assertEqual(self.status("GET", "/", {"Host": host}), 200, host)
        for host in ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.0.0.1:80@evil.example", "evil.example:8910",
                     "localhost:x", "[::1", "[::1]x", "0.0.0.0", "", "localhost, evil.example"):
            self.assertEqual(self.status("GET", "/healthz", {"Host": host}), 421, host)
        self.assertIn(b" 421 ", self.page.raw(b"GET /healthz HTTP/1.0\r\n\r\n"))
        self.assertIn(b" 421 ", self.page.raw(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n"))

    def test_methods(self):
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            status, headers, _ = self.page.request(method, "/")
            self.assertEqual(status, 405, method)
            self.assertEqual(headers["Allow"], "GET, HEAD")
        for line in (b"TRACE / HTTP/1.1", b"CONNECT localhost:1 HTTP/1.1", b"BREW / HTTP/1.1", b"PROPFIND / HTTP/1.1"):
            with socket.create_connection(("127.0.0.1", self.page.port), timeout=20) as s:
                s.sendall(line + b"\r\nHost: localhost\r\nAuthorization: Bearer " + self.page.token.encode() + b"\r\n\r\n")
                self.assertRegex(s.recv(65536).split(b"\r\n")[0], rb"^HTTP/1\.1 (405|421|501) ")
        status, headers, body = self.page.request("HEAD", "/hosts")
        self.assertEqual((status, body), (200, ""))
        self.assertEqual(int(headers["Content-Length"]), len(self.page.get("/hosts").encode()))

    def test_headers(self):
        for target in ("/", "/metrics", "/page.css", "/nothing"):
            _, h, _ = self.page.request("GET", target)
            csp = h["Content-Security-Policy"]
            self.assertIn("default-src 'none'", csp)
            self.assertNotIn("unsafe", csp)
            self.assertIn("frame-ancestors 'none'", csp)
            self.assertEqual(h["X-Content-Type-Options"], "nosniff")
            self.assertEqual(h["Cache-Control"], "no-store")
            self.assertEqual(h["Referrer-Policy"], "no-referrer")
            self.assertIsNone(h["Set-Cookie"])

    # ---- what pages say ----------------------------------------------------------------------------------------------------

    def test_pages(self):
        for target in PAGES:
            parse(self.page.get(target))

    def test_every_link(self):
        """All that can be reached from the first page is there, is well-formed, and shows hostile names as text."""
        seen, todo, hostile = set(), ["/"], 0
        while todo:
            target = todo.pop()
            p = target.split("#")[0]
            if p in seen or p in ("/page.css", "/page.js", "/icon.svg"):
                continue
            seen.add(p)
            page = parse(self.page.get(p))
            hostile += HOSTILE in page.text and EVIL_HOST in page.text
            todo += page.links
        self.assertGreater(len(seen), 60)
        self.assertGreaterEqual(hostile, 6)

    def test_overview(self):
        text = parse(self.page.get("/")).text
        self.assertRegex(text, r"41 hosts\s+2\s*Failed.*1\s*Unreachable.*3\s*Corrective.*5\s*Intentional.*30\s*Up to date")
        self.assertIn("Unable to start service exams", text)
        self.assertIn("Apply #12", text)
        self.assertIn("2 tasks found it changed", text)

    def test_hosts(self):
        text = parse(self.page.get("/hosts?state=unreachable")).text
        self.assertIn("web08.example.org", text)
        self.assertIn("given up", text)
        self.assertNotIn("web01.example.org", text)
        self.assertIn("web01.example.org", parse(self.page.get("/hosts?state=nonsense")).text)
        text = parse(self.page.get("/hosts/web01.example.org")).text
        self.assertIn("Debian 12.8", text)
        self.assertIn("192.0.2.11", text)

    def test_search(self):
        """A form without script: any part of a name, also with what hosts are not called."""
        page = parse(self.page.get("/hosts?name=WEB1"))
        self.assertIn("web19.example.org", page.text)
        self.assertNotIn("web09.example.org", page.text)
        self.assertIn("All 10", page.text)
        self.assertIn("/hosts?state=up-to-date&name=WEB1", page.links)
        text = parse(self.page.get("/hosts?state=intentional&name=WEB1")).text
        self.assertIn("web11.example.org", text)
        self.assertNotIn("web12.example.org", text)
        self.assertIn("No host is called so", parse(self.page.get("/hosts?name=nobody")).text)
        self.assertIn("All 41", parse(self.page.get("/hosts?name=")).text)
        body = self.page.get("/hosts?name=%22%3E%3Cscript%3E")
        self.assertIn('value="&quot;&gt;&lt;script&gt;"', body)
        self.assertIn("form-action 'self'", self.page.request("GET", "/hosts")[1]["Content-Security-Policy"])

    def test_past(self):
        """A host's last runs, the newest on the right."""
        rows = self.page.get("/hosts").split("<tr>")
        row = next(r for r in rows if "web08.example.org" in r)
        self.assertIn("the newest first: unreachable unreachable unreachable unreachable ok ok", row)
        self.assertRegex(row, r'<rect class="unreachable" x="36"')
        self.assertRegex(row, r'<rect class="up-to-date" x="0"')

    def test_schedule(self):
        text = parse(self.page.get("/sites")).text
        self.assertRegex(text, r"exams\s*/srv/exams/site.yml\s*nightly, 03:10\s*in 4 h\s*corrected")
        self.assertRegex(text, r"shop\s*/srv/shop/site.yml\s*mon-fri 06:00, 18:00\s*3 h ago\s*overdue\s*only found")
        self.assertRegex(parse(self.page.get("/")).text, r"Next look\s*: shop 3 h ago\s*overdue: does agentd run")
        self.assertIn("or when it answers", parse(self.page.get("/work")).text)

    def test_run(self):
        text = parse(self.page.get("/runs/7")).text
        self.assertIn("corrective", text)
        self.assertIn("No route to host", text)
        self.assertNotRegex(text, "What happened.*web03.example.org.*Hosts")     # nothing happened there
        text = parse(self.page.get("/runs/7/hosts/web04.example.org")).text
        self.assertIn("exams : Service is running", text)
        self.assertIn("base : Packages", text)

    def test_result(self):
        found = [link for link in parse(self.page.get("/runs/7")).links if link.startswith("/results/")]
        texts = [self.page.get(link) for link in dict.fromkeys(found)]
        self.assertTrue(any('<span class="del">-    client_max_body_size 200m;</span>' in t for t in texts))
        self.assertTrue(any("exams.service: Main process exited" in t and "********" in t for t in texts))

    def test_live(self):
        body = self.page.get("/runs/12")
        self.assertIn('data-live="2"', body)
        self.assertIn('http-equiv="refresh"', body)       # without JavaScript
        self.assertIn("88 results on 20 hosts so far, 5 changed, 0 failed", body)
        self.assertNotIn('http-equiv="refresh"', self.page.get("/runs/7"))
        with sqlite3.connect(self.page.state) as db:      # what is recorded next is seen next
            db.execute("INSERT INTO results (run_id, host_id, task_id, outcome, started_ms, duration_ms, msg) VALUES (12, 3, 1, 'failed', 1, 1, 'sudden')")
        db.close()
        self.assertIn("sudden", self.page.get("/runs/12"))
        with sqlite3.connect(self.page.state) as db:
            db.execute("DELETE FROM results WHERE msg = 'sudden'")
        db.close()

    def test_missing(self):
        for target in ("/nothing", "/runs/0", "/runs/999", "/runs/x", "/runs/-1", "/runs/7/hosts/nobody", "/runs/7/hosts", "/hosts/nobody",
                       "/results/999999", "/results/1e3", "/runs?before=x", "/runs/7?after=x", "/runs/99999999999999999999", "/..", "/../../etc/passwd",
                       "/%2e%2e/%2e%2e/etc/passwd", "/page.css/..", "//etc/passwd", "/hosts/..%2f..%2fetc%2fpasswd", "/runs/7/"):
            status, _, body = self.page.request("GET", target)
            self.assertEqual(status, 404, target)
            self.assertNotIn("root:", body)
        for target in ("/hosts/%00", "/hosts/%ff", "/%", "/hosts/%0d%0aSet-Cookie:x"):
            self.assertEqual(self.status("GET", target), 400, target)

    def test_pieces(self):
        """A long list comes in pieces that join without gap or repetition."""
        with support.Page(hosts=2, hostile=False, running=False) as page:
            db = sqlite3.connect(page.state)
            db.execute("INSERT INTO runs (site, check_only, started_ms, ended_ms, status, pid, version) SELECT '/s', 0, value, value, 0, 1, '0'"
                       " FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 130) SELECT value FROM n)")
            db.execute("INSERT INTO results (run_id, host_id, task_id, outcome, started_ms, duration_ms) SELECT 1, 1, 1, 'changed', 1, 1"
                       " FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n LIMIT 450) SELECT value FROM n)")
            db.commit()
            db.close()
            for first, kind, n in (("/runs", "/runs/", 140), ("/runs/1", "/results/", 450)):
                target, ids = first, []
                while target:
                    links = parse(page.get(target)).links
                    ids += dict.fromkeys(x for x in links if re.fullmatch(kind + r"\d+", x))
                    target = next((x for x in links if "before=" in x or "after=" in x), None)
                ids = [x for x in ids if x != first]
                self.assertEqual(len(set(ids)), len(ids))
                self.assertGreaterEqual(len(ids), n - 2, first)

    # ---- metrics ------------------------------------------------------------------------------------------------------------

    def test_metrics(self):
        status, headers, body = self.page.request("GET", "/metrics")
        self.assertEqual(status, 200)
        self.assertEqual(headers["Content-Type"], "text/plain; version=0.0.4; charset=utf-8")
        types, samples = metrics(body)
        self.assertEqual(samples["provctl_hosts", "failed"], 2)
        self.assertEqual(samples["provctl_hosts", "up-to-date"], 30)
        self.assertEqual(samples["provctl_runs_under_way", None], 1)
        self.assertEqual(samples["provctl_pending_given_up", None], 1)
        self.assertEqual(samples["provctl_site_drift", "/srv/exams/site.yml"], 2)
        self.assertEqual(samples["provctl_last_run_status", "/srv/" + HOSTILE], 3)
        self.assertEqual(samples["provctl_last_run_status", "/srv/shop/site.yml"], 130)
        self.assertGreater(samples["provctl_last_success_timestamp_seconds", "/srv/exams/site.yml"], time.time() - 2 * 86400)
        self.assertEqual(types["provctl_runs_total"], "counter")
        self.assertEqual(samples["provctl_runs_total", None], 12)

    # ---- abuse --------------------------------------------------------------------------------------------------------------

    def test_success(self):
        """Nights in which a check finds nothing are successes: no alert comes of them."""
        with support.Page(hosts=2, hostile=False, running=False) as page:
            def success():
                return metrics(page.request("GET", "/metrics")[2])[1]["provctl_last_success_timestamp_seconds", "/srv/exams/site.yml"]
            before = success()
            with sqlite3.connect(page.state) as db:
                db.execute("INSERT INTO runs (site, check_only, started_ms, ended_ms, status, pid, version)"
                           " VALUES ('/srv/exams/site.yml', 1, 1, (unixepoch() - 60) * 1000, 0, 1, '0')")
            db.close()
            self.assertGreater(success(), before + 3600)

    def test_too_large(self):
        for data in (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 70000 + b"\r\n\r\n",
                     b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X: y\r\n" * 20000 + b"\r\n",
                     b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n",
                     b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n" + b"a" * 100000,
                     b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"):
            first = self.page.raw(data).split(b"\r\n")[0]
            self.assertNotIn(b" 200 ", first)
        self.assertEqual(self.status("GET", "/healthz"), 200)

    def test_garbage(self):
        for data in (b"\r\n" * 10, b"\0" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\nHost: localhost\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01",
                     b"GET / HTTP/1.1\r\nHost: localhost\r\n: x\r\n\r\n", b"GET / HTTP/1.1\r\nHost localhost\r\n\r\n", b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                     b"GET * HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET / HTTP/1.1\nHost: localhost\n\n" * 3, os.urandom(5000)):
            with socket.create_connection(("127.0.0.1", self.page.port), timeout=20) as s:
                s.sendall(data)
                s.shutdown(socket.SHUT_WR)
                try:
                    self.assertNotIn(b"web01", s.recv(65536))
                except ConnectionError:
                    pass
        self.assertEqual(self.status("GET", "/healthz"), 200)

    def test_many_slow_clients(self):
        """They take all connections, and drip or say nothing: when their time is up the page answers again, and none of them stays."""
        idle = []
        begin = time.monotonic()
        try:
            for i in range(70):
                idle.append(socket.create_connection(("127.0.0.1", self.page.port), timeout=20))
                idle[-1].setblocking(False)
            for s in idle[:40]:
                s.send(b"GET / HTTP/1.1\r\nX: ")
            fds = pathlib.Path(f"/proc/{self.page.process.pid}/fd")
            while time.monotonic() - begin < 60:
                for s in idle[:40]:
                    try:
                        s.send(b"a")
                    except OSError:
                        pass
                self.assertLessEqual(len(list(fds.iterdir())), 64 + 30)
                try:
                    c = support.http.client.HTTPConnection("127.0.0.1", self.page.port, timeout=1)
                    c.request("GET", "/healthz")
                    if c.getresponse().status == 200:
                        break
                except OSError:
                    pass
                finally:
                    c.close()
            else:
                self.fail("the page does not answer any more")
            self.assertGreater(time.monotonic() - begin, 5)       # they did stand in the way
        finally:
            for s in idle:
                s.close()

    def test_damaged_state(self):
        """A page whose database breaks says so, and lives."""
        with support.Page(hosts=2) as page:
            db = sqlite3.connect(page.state)
            db.execute("DROP TABLE run_hosts")
            db.close()
            status, _, body = page.request("GET", "/")
            self.assertEqual(status, 503)
            self.assertIn("run_hosts", body)
            parse(body)
            self.assertEqual(page.request("GET", "/metrics")[0], 503)
            self.assertEqual(page.request("GET", "/healthz")[0], 503)
            self.assertEqual(page.request("GET", "/page.css")[0], 200)


if __name__ == "__main__":
    support.PROVCTL = sys.argv.pop(1)
    unittest.main(verbosity=1)
