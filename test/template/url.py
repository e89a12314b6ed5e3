#!/usr/bin/env python3
"""The lookup `url` against a server on the loopback: url.py PROVCTL"""
import base64
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import unittest

PROVCTL = sys.argv.pop(1) if __name__ == "__main__" else None


class Handler(http.server.BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        body = {"/lines": b"one\ntwo\r\nthree\n", "/wrong": b"a\xffb"}.get(self.path)
        auth = "Basic " + base64.b64encode(b"bob:hunter2").decode()
        if self.path == "/headers":
            names = ("X-Mine", "User-Agent", "Cache-Control")
            body = json.dumps([self.headers.get(n) for n in names]).encode()
        elif self.path == "/auth" and self.headers.get("Authorization") == auth:
            body = b"in"
        elif self.path == "/silent":
            self.server.hold.wait(20)
        status = 302 if self.path == "/moved" else 401 if body is None and self.path == "/auth" else 404 if body is None else 200
        body = body or b""
        try:
            self.send_response(status)
            self.send_header("Location", "/lines")
            self.send_header("WWW-Authenticate", 'Basic realm="x"')
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            pass


class Url(unittest.TestCase):
    def setUp(self):
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.hold = threading.Event()
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        self.addCleanup(self.server.hold.set)
        self.tmp = tempfile.TemporaryDirectory()
        self.addCleanup(self.tmp.cleanup)
        with open(self.tmp.name + "/hosts", "w") as f:
            f.write("h1\n")
        with open(self.tmp.name + "/site.yml", "w") as f:
            json.dump([{"hosts": "all", "gather_facts": False, "tasks": [], "vars": {
                "u": "http://127.0.0.1:%d" % self.server.server_address[1],
                "ansible_lookup_url_agent": "by variable"}}], f)

    def eval(self, expression):
        p = subprocess.run([PROVCTL, "eval", expression, self.tmp.name + "/site.yml", "-i", self.tmp.name + "/hosts", "--host",
                            "h1", "--state", self.tmp.name + "/state.db"], capture_output=True, text=True, timeout=60)
        return (p.stdout.rstrip("\n"), p.stderr)

    def gives(self, expression, value):
        out, err = self.eval(expression + " | to_json")
        self.assertEqual(err, "")
        self.assertEqual(json.loads(out), value)

    def fails(self, expression, text):
        self.assertIn(text, self.eval(expression)[1])

    def test_text(self):
        self.gives("query('url', u ~ '/lines')", ["one", "two", "three"])
        self.gives("lookup('url', u ~ '/lines')", "one,two,three")
        self.gives("lookup('ansible.builtin.url', u ~ '/lines', split_lines=false)", "one\ntwo\r\nthree\n")
        self.gives("query('url', u ~ '/moved', u ~ '/lines', follow_redirects='all') | length", 6)
        self.gives("lookup('url', u ~ '/wrong')", "a\ufffdb")

    def test_request(self):
        self.gives("lookup('url', u ~ '/headers', headers={'X-Mine': 5}, force='yes') | from_json", ["5", "by variable", "no-cache"])
        self.gives("lookup('url', u ~ '/headers', http_agent='me') | from_json", [None, "me", None])
        for more in ("", ", force_basic_auth=true"):
            self.gives("lookup('url', u ~ '/auth', username='bob', password='hunter2'%s)" % more, "in")

    def test_failures(self):
        self.fails("query('url', u ~ '/none')", "/none : HTTP Error 404")
        self.fails("query('url', u ~ '/auth')", "HTTP Error 401")
        self.fails("query('url', u ~ '/moved', follow_redirects='none')", "HTTP Error 302")
        self.fails("query('url', u ~ '/silent', timeout=0.5)", "Failed lookup url for")
        self.fails("query('url', 'file:///etc/passwd')", "only http:// and https:// are fetched")
        self.fails("query('url', u, validate_certs='maybe')", "'validate_certs' must be a boolean")
        self.fails("query('url', u, headers={'A': 'b\nX: y'})", "a header's name or value is not allowed")
        self.fails("query('url', u, use_gssapi=true)", "use_gssapi is not supported")
        self.gives("query('url', u ~ '/none', errors='ignore')", [])


if __name__ == "__main__":
    unittest.main()
