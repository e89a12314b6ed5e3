#!/usr/bin/env python3
"""uri, get_url and wait_for in the real executor, against servers of our own
on loopback: plain, TLS with good and bad certificates, proxies, misbehaving.

usage: test_http.py CONNRUN|MODRUN [unittest arguments]

With modrun in place of connrun the modules run natively in that process, for
the sanitizers.
"""
import base64
import email.utils
import hashlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

CONNRUN = None


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *args):
        pass

    def reply(self, status, body=b"", **headers):
        self.send_response(status)
        for k, v in headers.items():
            for one in v if isinstance(v, list) else [v]:
                self.send_header(k.replace("_", "-"), one)
        if "Transfer_Encoding" not in headers and "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def any(self):
        self.server.seen.append(self.requestline)
        n = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(n)
        url = urlsplit(self.path)
        name = "do" + url.path.replace("/", "_").replace(".", "_")
        getattr(self, name, self.do_missing)(url, body)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_PATCH = any

    def do_missing(self, url, body):
        self.reply(404, b'{"error": "none"}', Content_Type="application/json")

    def do_text(self, url, body):
        self.reply(200, "grüße\n".encode(), Content_Type="text/plain; charset=utf-8",
                   X_Some_Header="v", Set_Cookie=["a=1; Path=/", "b=two"])

    def do_latin(self, url, body):
        self.reply(200, b"gr\xfc\xdfe", Content_Type="text/plain; charset=ISO-8859-1")

    def do_json(self, url, body):
        self.reply(200, b'{"n": [1, 2.5, null]}', Content_Type="application/vnd.x+json")

    def do_broken_json(self, url, body):
        self.reply(200, b'{"n": ', Content_Type="application/json")

    def do_echo(self, url, body):
        self.reply(200, json.dumps({
            "method": self.command, "body": body.decode("latin-1"), "path": self.path,
            "headers": {k.lower(): v for k, v in self.headers.items()}}).encode(),
            Content_Type="application/json")

    def do_length(self, url, body):
        self.reply(200, str(len(body)).encode())

    def do_redirect(self, url, body):
        q = parse_qs(url.query)
        self.reply(int(q["code"][0]), b"moved", Location=q["to"][0])

    def do_loop(self, url, body):
        self.reply(302, Location="/loop")

    def do_auth(self, url, body):
        if self.headers.get("Authorization") == "Basic " + base64.b64encode(
                b"me:se:cret").decode():
            self.reply(200, b"in")
        else:
            self.reply(401, b"no", WWW_Authenticate='Basic realm="x"')

    def do_chunked(self, url, body):
        self.reply(200, b"5;ext=1\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\nX-T: 1\r\n\r\n",
                   Transfer_Encoding="chunked", Content_Type="text/plain")

    def do_until_close(self, url, body):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\nto the end")

    def do_continue(self, url, body):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                         b"Content-Length: 2\r\n\r\nok")

    def do_short(self, url, body):
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this")

    def do_raw(self, url, body):
        self.close_connection = True
        self.wfile.write(base64.b64decode(parse_qs(url.query)["b"][0]))

    def do_slow(self, url, body):
        time.sleep(5)
        self.reply(200, b"late")

    def do_file_bin(self, url, body):
        since = self.headers.get("If-Modified-Since")
        if since and email.utils.parsedate_to_datetime(since).timestamp() >= self.server.mtime:
            self.send_response(304)
            self.end_headers()
            return
        self.reply(200, self.server.content)

    def do_named(self, url, body):
        self.reply(200, b"x", Content_Disposition='attachment; filename="../../etc/given.txt"')

    def do_sums(self, url, body):
        self.reply(200, ("%s  other.bin\n%s *file.bin\n" % (
            "0" * 64, hashlib.sha256(self.server.content).hexdigest())).encode())

    def do_no_content(self, url, body):
        self.send_response(204)
        self.end_headers()


class Server:
    def __init__(self, tls=None, handler=Handler, family=socket.AF_INET):
        cls = type("S", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        self.httpd = cls(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0), handler)
        self.httpd.handle_error = lambda *a: None
        self.httpd.seen = []
        self.httpd.content = b"first"
        self.httpd.mtime = 0
        self.port = self.httpd.server_address[1]
        if tls:
            self.httpd.socket = tls.wrap_socket(self.httpd.socket, server_side=True,
                                                do_handshake_on_connect=False)
        threading.Thread(target=self.httpd.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self):
        self.httpd.shutdown()
        self.httpd.server_close()


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


class Case(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="provctl-http-")
        self.server = Server()

    def tearDown(self):
        self.server.stop()
        shutil.rmtree(self.dir)

    def path(self, name):
        return os.path.join(self.dir, name)

    def url(self, path, port=None):
        return "http://127.0.0.1:%d%s" % (port or self.server.port, path)

    def module(self, name, *all_args, env=None, options=(), timeout=60):
        """Runs each set of arguments in one executor; the result of the last."""
        if os.path.basename(CONNRUN) == "modrun":
            return self.native(name, all_args, env, options, timeout)
        requests = [x for a in all_args for x in (name, json.dumps(a))]
        r = subprocess.run([CONNRUN, *options, "local", *requests], capture_output=True,
                           text=True, timeout=timeout, env=env, stdin=subprocess.DEVNULL)
        self.assertIn(r.returncode, (0, 3), r.stderr)
        self.results = [json.loads(line) for line in r.stdout.splitlines()]
        self.assertEqual(len(self.results), len(all_args), r.stderr)
        return self.results[-1]

    def native(self, name, all_args, env, options, timeout):
        for args in all_args:
            request = {"module": name, "args": args, "check": "-c" in options}
            if "-t" in options:
                request["timeout_ms"] = int(options[options.index("-t") + 1])
            r = subprocess.run([CONNRUN], input=json.dumps(request), capture_output=True,
                               text=True, timeout=timeout, env=env)
            self.assertNotIn("Sanitizer", r.stderr)
            result = json.loads(r.stdout)
        return result

    def uri(self, path="/text", **args):
        env = args.pop("env", None)
        url = args.pop("url", None) or self.url(path)
        return self.module("uri", dict(args, url=url), env=env)

    def uri_fails(self, text, *args, status=-1, **more):
        r = self.uri(*args, **more)
        self.assertTrue(r.get("failed"), r)
        self.assertEqual(r["status"], status, r)
        self.assertIn(text, r["msg"])
        return r


class Uri(Case):
    def test_result(self):
        r = self.uri(return_content=True)
        self.assertEqual(r["status"], 200)
        self.assertEqual(r["content"], "grüße\n")
        self.assertEqual(r["msg"], "OK (8 bytes)")
        self.assertEqual(r["url"], self.url("/text"))
        self.assertEqual(r["x_some_header"], "v")
        self.assertEqual(r["content_type"], "text/plain; charset=utf-8")
        self.assertEqual(r["cookies"], {"a": "1", "b": "two"})
        self.assertFalse(r["redirected"] or r["changed"])
        self.assertEqual(r["elapsed"], 0)
        self.assertNotIn("content", self.uri())

    def test_charset(self):
        self.assertEqual(self.uri("/latin", return_content=True)["content"], "grüße")

    def test_json(self):
        self.assertEqual(self.uri("/json")["json"], {"n": [1, 2.5, None]})
        r = self.uri("/broken_json", return_content=True)
        self.assertNotIn("json", r)
        self.assertEqual(r["content"], '{"n": ')

    def test_status_codes(self):
        r = self.uri_fails("Status code was 404 and not [200]", "/x", status=404)
        self.assertEqual(r["content"], '{"error": "none"}')
        self.assertEqual(r["json"], {"error": "none"})
        self.assertEqual(self.uri("/x", status_code=404)["status"], 404)
        self.assertEqual(self.uri("/x", status_code=[200, 404])["status"], 404)
        self.assertEqual(self.uri("/x", status_code="200,404")["status"], 404)
        self.assertEqual(self.uri("/no_content", status_code=204)["status"], 204)

    def test_bodies(self):
        def sent(**args):
            return self.uri("/echo", method="post", **args)["json"]
        e = sent(body={"a": [1, "ü"]}, body_format="json")
        self.assertEqual(json.loads(e["body"]), {"a": [1, "ü"]})
        self.assertEqual(e["method"], "POST")
        self.assertEqual(e["headers"]["content-type"], "application/json")
        self.assertEqual(sent(body='{"as": "is"}', body_format="json")["body"], '{"as": "is"}')
        e = sent(body={"a": "x y&z", "b": [1, 2]}, body_format="form-urlencoded")
        self.assertEqual(parse_qs(e["body"]), {"a": ["x y&z"], "b": ["1", "2"]})
        e = sent(body=[["k", "1"], ["k", "2"]], body_format="form-urlencoded")
        self.assertEqual(e["body"], "k=1&k=2")
        e = sent(body="text", headers={"Content-Type": "text/x", "X-N": 5})
        self.assertEqual(e["body"], "text")
        self.assertEqual(e["headers"]["content-type"], "text/x")
        self.assertEqual(e["headers"]["x-n"], "5")

    def test_multipart(self):
        with open(self.path("up.txt"), "w") as f:
            f.write("of the host")
        e = self.uri("/echo", method="POST", body_format="form-multipart", remote_src=True, body={
            "plain": "v", "file": {"filename": self.path("up.txt"), "mime_type": "text/plain"},
            "made": {"content": "inline", "filename": 'a"b.txt'}})["json"]
        self.assertRegex(e["headers"]["content-type"], "^multipart/form-data; boundary=")
        for part in ('name="plain"\r\n\r\nv\r\n',
                     'name="file"; filename="up.txt"\r\nContent-Type: text/plain\r\n\r\nof the host',
                     'name="made"; filename="a%22b.txt"'):
            self.assertIn(part, e["body"])

    def test_src_of_the_host(self):
        with open(self.path("up"), "wb") as f:
            f.write(b"x" * 300000)
        e = self.uri("/echo", method="PUT", src=self.path("up"), remote_src=True)["json"]
        self.assertEqual(len(e["body"]), 300000)

    def test_headers_of_ours(self):
        h = self.uri("/echo")["json"]["headers"]
        self.assertEqual(h["user-agent"], "ansible-httpget")
        self.assertEqual(h["host"], "127.0.0.1:%d" % self.server.port)
        self.assertNotIn("cache-control", h)
        h = self.uri("/echo", force=True, http_agent="me/1", headers={"Host": "other"})["json"]
        self.assertEqual(h["headers"]["cache-control"], "no-cache")
        self.assertEqual(h["headers"]["user-agent"], "me/1")
        self.assertEqual(h["headers"]["host"], "other")

    def test_header_injection(self):
        self.uri_fails("line break", "/echo", headers={"X": "a\r\nEvil: 1"})
        self.uri_fails("no HTTP method", "/echo", method="GET / HTTP/1.1\r\nX:")
        self.assertEqual(self.uri(url=self.url("/echo?a b\u00fc"))["json"]["path"],
                         "/echo?a%20b%C3%BC")

    def test_authentication(self):
        self.assertEqual(self.uri("/auth", url_username="me", url_password="se:cret",
                                  return_content=True)["content"], "in")
        self.assertEqual(len(self.server.httpd.seen), 2)
        self.uri("/auth", user="me", password="se:cret", force_basic_auth=True)
        self.assertEqual(len(self.server.httpd.seen), 3)
        self.uri_fails("401", "/auth", user="me", password="wrong", status=401)
        self.uri_fails("401", "/auth", status=401)
        r = self.uri(url="http://me:se%%3Acret@127.0.0.1:%d/auth" % self.server.port)
        self.assertEqual(r["status"], 200)
        self.assertNotIn("cret", r["url"])

    def test_redirects(self):
        def to(code, **args):
            return self.uri("/redirect?code=%d&to=/echo" % code, **args)
        r = to(302)
        self.assertTrue(r["redirected"])
        self.assertEqual(r["url"], self.url("/echo"))
        # safe: not for POST
        r = self.uri_fails("302", "/redirect?code=302&to=/echo", method="POST", body="x", status=302)
        self.assertEqual(r["location"], self.url("/echo"))
        e = to(302, method="POST", body="x", follow_redirects="all")["json"]
        self.assertEqual((e["method"], e["body"]), ("GET", ""))
        e = to(307, method="POST", body="x", follow_redirects="all")["json"]
        self.assertEqual((e["method"], e["body"]), ("POST", "x"))
        e = to(301, method="PUT", body="x", follow_redirects=True)["json"]
        self.assertEqual((e["method"], e["body"]), ("PUT", ""))
        self.uri_fails("302", "/redirect?code=302&to=/echo", follow_redirects="none", status=302)
        self.uri_fails("302", "/redirect?code=302&to=/echo", follow_redirects=False, status=302)
        self.assertEqual(self.uri("/redirect?code=302&to=/x", follow_redirects="no",
                                  status_code=302)["status"], 302)
        self.uri_fails("redirects", "/loop")
        self.uri_fails("local file", "/redirect?code=302&to=file:///etc/passwd")
        self.uri_fails("not supported", "/redirect?code=302&to=gopher://x/")

    def test_credentials_stay_at_home(self):
        other = Server()
        try:
            e = self.uri("/redirect?code=302&to=http://127.0.0.1:%d/echo" % other.port,
                         user="me", password="secret", force_basic_auth=True,
                         headers={"Cookie": "c=1", "X-Keep": "1"})["json"]
            self.assertNotIn("authorization", e["headers"])
            self.assertNotIn("cookie", e["headers"])
            self.assertEqual(e["headers"]["x-keep"], "1")
        finally:
            other.stop()

    def test_kinds_of_bodies(self):
        for path, want in (("/chunked", "hello world"), ("/until_close", "to the end"),
                           ("/continue", "ok")):
            self.assertEqual(self.uri(path, return_content=True)["content"], want)
        self.uri_fails("in the middle", "/short")
        r = self.uri("/text", method="HEAD", return_content=True)
        self.assertEqual((r["status"], r["content"]), (200, ""))

    def test_malformed_answers(self):
        for raw, text in (
                (b"", "without an answer"), (b"hello\r\n\r\n", "status line"),
                (b"HTTP/1.1 20x OK\r\n\r\n", "status line"),
                (b"HTTP/1.1 200 OK\r\nX\r\n\r\n", "without a name"),
                (b"HTTP/1.1 200 OK\r\n folded: x\r\n\r\n", "folded"),
                (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "no number"),
                (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", "two different"),
                (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", "no number"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "not known"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "both"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "without a size"),
                (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n", "longer than"),
                (b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", "NUL"),
                (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 300000, "longer than")):
            if len(raw) < 1000:
                self.uri_fails(text, "/raw?b=" + base64.urlsafe_b64encode(raw).decode().replace(
                    "-", "%2B").replace("_", "/"))

    def test_spoofed_keys(self):
        """Headers named like keys of a result do not become such keys."""
        raw = b"HTTP/1.1 200 OK\r\nFailed: true\r\nAnsible-Facts: x\r\nStatus: 500\r\nContent-Length: 0\r\n\r\n"
        r = self.uri("/raw?b=" + base64.b64encode(raw).decode().replace("+", "%2B"))
        self.assertEqual(r["status"], 200)
        self.assertNotIn("failed", r)
        self.assertNotIn("ansible_facts", r)

    def test_timeouts_and_no_server(self):
        start = time.monotonic()
        self.uri_fails("timed out", "/slow", timeout=1)
        self.assertLess(time.monotonic() - start, 4)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        self.uri_fails("Connection refused", url="http://127.0.0.1:%d/" % port)
        self.uri_fails("cannot resolve", url="http://no-such-host.invalid/")
        for url in ("nonsense", "http://", "ftp://x/", "http://x:99999/", "http://[::1/", "http:///x"):
            self.uri_fails("", url=url)

    def test_deadline_of_the_task(self):
        if os.path.basename(CONNRUN) == "modrun":
            self.skipTest("the executor's business")
        start = time.monotonic()
        r = self.module("uri", {"url": self.url("/slow")}, options=["-t", "500"])
        self.assertIn("timed out", r["msg"])
        self.assertLess(time.monotonic() - start, 4)

    def test_dest(self):
        dest = self.path("out")
        r = self.uri(dest=dest, mode="0640")
        self.assertTrue(r["changed"])
        self.assertEqual(r["path"], dest)
        with open(dest, encoding="utf-8") as f:
            self.assertEqual(f.read(), "grüße\n")
        self.assertEqual(os.stat(dest).st_mode & 0o777, 0o640)
        self.assertFalse(self.uri(dest=dest, mode="0640")["changed"])
        self.assertTrue(self.uri("/chunked", dest=self.dir)["changed"])
        with open(self.path("chunked")) as f:
            self.assertEqual(f.read(), "hello world")
        self.uri_fails("404", "/x", dest=dest, status=404)
        with open(dest, encoding="utf-8") as f:
            self.assertEqual(f.read(), "grüße\n")

    def test_creates_removes(self):
        open(self.path("there"), "w").close()
        self.assertIn("exists", self.uri(creates=self.path("there"))["stdout"])
        self.assertIn("does not exist", self.uri(removes=self.path("none"))["stdout"])
        self.assertEqual(self.server.httpd.seen, [])
        self.assertEqual(self.uri(creates=self.path("none"), removes=self.path("there"))["status"], 200)

    def test_check_mode_asks_nobody(self):
        r = self.module("uri", {"url": self.url("/text")}, options=["-c"])
        self.assertTrue(r["skipped"])
        self.assertEqual(self.server.httpd.seen, [])

    def test_unix_socket(self):
        path = self.path("sock")
        s = socket.socket(socket.AF_UNIX)
        s.bind(path)
        s.listen(1)

        def serve():
            c, _ = s.accept()
            c.recv(65536)
            c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix")
            c.close()
        threading.Thread(target=serve, daemon=True).start()
        r = self.uri(url="http://localhost/x", unix_socket=path, return_content=True)
        self.assertEqual(r["content"], "unix")
        s.close()

    def test_ipv6(self):
        try:
            six = Server(family=socket.AF_INET6)
        except OSError:
            self.skipTest("no IPv6 here")
        r = self.uri(url="http://[::1]:%d/echo" % six.port)
        self.assertEqual(r["json"]["headers"]["host"], "[::1]:%d" % six.port)
        six.stop()

    def test_proxy(self):
        env = dict(os.environ, http_proxy="http://me:pw@127.0.0.1:%d" % self.server.port)
        # A request to a proxy has the whole URL in its first line.
        self.uri(url="http://example.invalid/echo", env=env, status_code=[200, 404])
        self.assertEqual(self.server.httpd.seen[-1], "GET http://example.invalid/echo HTTP/1.1")
        self.uri_fails("cannot resolve", url="http://example.invalid/", env=env, use_proxy=False)
        env["no_proxy"] = "other.invalid, .example.invalid"
        self.uri_fails("cannot resolve", url="http://example.invalid/", env=env)


class Tls(Case):
    @classmethod
    def setUpClass(cls):
        cls.certs = tempfile.mkdtemp(prefix="provctl-certs-")
        cls.ca = cls.make("ca", subject="/CN=Test CA")
        cls.other_ca = cls.make("otherca", subject="/CN=Other CA")
        names = "DNS:localhost,IP:127.0.0.1,DNS:*.example.test"
        cls.good = cls.make("good", ca="ca", san=names)
        cls.ec = cls.make("ec", ca="ca", san=names, kind=["-newkey", "ec", "-pkeyopt",
                                                          "ec_paramgen_curve:prime256v1"])
        cls.self_signed = cls.make("self", san=names)
        cls.expired = cls.make("expired", ca="ca", san=names, expired=True)
        cls.wrong = cls.make("wrong", ca="ca", san="DNS:other.test,IP:127.0.0.9")
        cls.weak = cls.make("weak", ca="ca", san=names, kind=["-newkey", "rsa:1024"])
        cls.client = cls.make("client", ca="ca", subject="/CN=client")
        cls.client_ec = cls.make("clientec", ca="ca", subject="/CN=client", kind=[
            "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.certs)

    @classmethod
    def make(cls, name, subject="/CN=host", ca=None, san=None, expired=False, kind=("-newkey", "rsa:2048")):
        base = os.path.join(cls.certs, name)
        openssl("req", "-new", *kind, "-nodes", "-subj", subject, "-keyout", base + ".key",
                "-out", base + ".csr")
        with open(base + ".ext", "w") as f:
            if ca is None and san is None:
                f.write("basicConstraints=critical,CA:TRUE\n")
            if san:
                f.write("subjectAltName=" + san + "\n")
        sign = ["-CA", os.path.join(cls.certs, ca + ".pem"), "-CAkey",
                os.path.join(cls.certs, ca + ".key"), "-CAcreateserial"] if ca else \
            ["-signkey", base + ".key"]
        request = ["x509", "-req", "-in", base + ".csr", "-sha256", *sign, "-extfile", base + ".ext", "-out", base + ".pem"]
        if not expired:
            openssl(*request, "-days", "30")
        elif b"-not_after" in subprocess.run(["openssl", "x509", "-help"], capture_output=True, check=True).stderr:
            openssl(*request, "-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        else:       # before OpenSSL 3.4
            openssl(*request, "-days", "-1")
        return base

    def serve(self, cert, client_ca=None, **limits):
        ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        ctx.set_ciphers("DEFAULT@SECLEVEL=0")
        for k, v in limits.items():
            setattr(ctx, k, v)
        ctx.load_cert_chain(cert + ".pem", cert + ".key")
        if client_ca:
            ctx.verify_mode = ssl.CERT_REQUIRED
            ctx.load_verify_locations(client_ca + ".pem")
        server = Server(tls=ctx)
        self.addCleanup(server.stop)
        return server

    def ask(self, cert, host="localhost", fails=None, server=None, **args):
        server = server or self.serve(cert)
        args.setdefault("ca_path", self.ca + ".pem")
        r = self.module("uri", dict(args, url="https://%s:%d/text" % (host, server.port),
                                    return_content=True))
        if fails is None:
            self.assertEqual(r.get("content"), "grüße\n", r)
        else:
            self.assertTrue(r.get("failed"), r)
            self.assertIn(fails, r["msg"])
            self.assertEqual(server.httpd.seen, [])
        return r

    def test_good(self):
        self.ask(self.good)
        self.ask(self.ec)

    def test_address(self):
        self.ask(self.good, host="127.0.0.1")

    def test_wrong_name(self):
        self.ask(self.wrong, fails="hostname mismatch")
        self.ask(self.wrong, host="127.0.0.1", fails="hostname mismatch")

    def test_self_signed(self):
        self.ask(self.self_signed, fails="self-signed")

    def test_self_signed_that_is_trusted(self):
        self.ask(self.self_signed, ca_path=self.self_signed + ".pem")

    def test_other_authority(self):
        self.ask(self.good, ca_path=self.other_ca + ".pem", fails="not trusted")

    def test_not_in_the_hosts_bundle(self):
        self.ask(self.good, ca_path=None, fails="not trusted")

    def test_bundle_of_the_host(self):
        """The bundle is used: a copy of it with our authority in it is fine."""
        bundle = self.path("bundle.pem")
        with open(bundle, "w") as out:
            for part in ("/etc/ssl/certs/ca-certificates.crt", self.ca + ".pem"):
                if os.path.exists(part):
                    with open(part) as f:
                        out.write(f.read())
        self.ask(self.good, ca_path=bundle)

    def test_expired(self):
        self.ask(self.expired, fails="expired")

    def test_weak_key(self):
        self.ask(self.weak, fails="verify failed")

    def test_no_checks(self):
        for cert in (self.self_signed, self.expired, self.wrong, self.ec):
            self.ask(cert, validate_certs=False)

    def test_missing_bundle(self):
        self.ask(self.good, ca_path="/none.pem", fails="/none.pem")
        with open(self.path("empty"), "w") as f:
            f.write("nothing\n")
        self.ask(self.good, ca_path=self.path("empty"), fails="nothing in PEM")

    def test_client_certificate(self):
        for client in (self.client, self.client_ec):
            server = self.serve(self.good, client_ca=self.ca)
            self.ask(None, server=server, client_cert=client + ".pem", client_key=client + ".key")
            both = self.path("both.pem")
            with open(both, "w") as out:
                for ext in (".pem", ".key"):
                    with open(client + ext) as f:
                        out.write(f.read())
            self.ask(None, server=server, client_cert=both)
            self.ask(None, server=self.serve(self.good, client_ca=self.ca), fails="")

    def test_bad_client_key(self):
        self.ask(self.good, client_cert=self.client + ".pem", fails="no private key")

    def test_not_tls(self):
        self.ask(None, server=self.server, fails="does not speak TLS")

    def test_only_tls_1_3(self):
        server = self.serve(self.good, minimum_version=ssl.TLSVersion.TLSv1_3)
        self.ask(None, server=server, fails="version in common")

    def test_only_old_tls(self):
        try:
            server = self.serve(self.good, minimum_version=ssl.TLSVersion.TLSv1,
                                maximum_version=ssl.TLSVersion.TLSv1_1)
        except (ValueError, ssl.SSLError):
            self.skipTest("OpenSSL here has no old TLS")
        self.ask(None, server=server, fails="")

    def test_silent_server(self):
        s = socket.create_server(("127.0.0.1", 0))
        start = time.monotonic()
        r = self.module("uri", {"url": "https://127.0.0.1:%d/" % s.getsockname()[1], "timeout": 1})
        self.assertIn("timed out", r["msg"])
        self.assertLess(time.monotonic() - start, 4)
        s.close()

    def test_large(self):
        server = self.serve(self.good)
        server.httpd.content = os.urandom(5 * 1024 * 1024)
        r = self.module("get_url", {"url": "https://localhost:%d/file.bin" % server.port,
                                    "dest": self.path("f"), "ca_path": self.ca + ".pem"})
        self.assertTrue(r["changed"], r)
        with open(self.path("f"), "rb") as f:
            self.assertEqual(f.read(), server.httpd.content)
        r = self.module("uri", {"url": "https://localhost:%d/length" % server.port, "method": "PUT",
                                "return_content": True, "src": self.path("f"), "remote_src": True,
                                "ca_path": self.ca + ".pem"})
        self.assertEqual(r["content"], str(5 * 1024 * 1024))

    def test_through_a_proxy(self):
        server = self.serve(self.good)
        proxy = socket.create_server(("127.0.0.1", 0))
        lines = []

        def serve():
            c, _ = proxy.accept()
            head = b""
            while b"\r\n\r\n" not in head:
                head += c.recv(1)
            lines.append(head.decode())
            other = socket.create_connection(("127.0.0.1", server.port))
            c.sendall(b"HTTP/1.1 200 Connection established\r\nX: y\r\n\r\n")

            def pump(a, b):
                try:
                    while data := a.recv(65536):
                        b.sendall(data)
                except OSError:
                    pass
                b.close()
            threading.Thread(target=pump, args=(other, c), daemon=True).start()
            pump(c, other)
        threading.Thread(target=serve, daemon=True).start()
        r = self.module("uri", {"url": "https://localhost:%d/text" % server.port,
                                "ca_path": self.ca + ".pem"},
                        env=dict(os.environ, https_proxy="127.0.0.1:%d" % proxy.getsockname()[1]))
        self.assertEqual(r.get("status"), 200, r)
        self.assertTrue(lines[0].startswith("CONNECT localhost:%d HTTP/1.1\r\n" % server.port))
        proxy.close()


class GetUrl(Case):
    def get(self, path="/file.bin", options=(), **args):
        url = args.pop("url", None) or self.url(path)
        args.setdefault("dest", self.path("f"))
        return self.module("get_url", dict(args, url=url), options=options)

    def content(self, name="f"):
        with open(self.path(name), "rb") as f:
            return f.read()

    def sha(self, kind="sha256"):
        return "%s:%s" % (kind, hashlib.new(kind, self.server.httpd.content).hexdigest())

    def test_download(self):
        r = self.get(mode="0600")
        self.assertTrue(r["changed"], r)
        self.assertEqual((r["dest"], r["status_code"], r["mode"], r["size"]),
                         (self.path("f"), 200, "0600", 5))
        self.assertEqual(r["checksum_src"], hashlib.sha1(b"first").hexdigest())
        self.assertIsNone(r["checksum_dest"])
        self.assertEqual(self.content(), b"first")
        r = self.get(mode="0600")
        self.assertFalse(r["changed"])
        self.assertEqual(r["status_code"], 304)
        self.assertTrue(self.get(mode="0644")["changed"])

    def test_new_content(self):
        self.get()
        self.server.httpd.content = b"second"
        self.assertFalse(self.get()["changed"])     # not newer, says the server
        r = self.get(force=True, backup=True)
        self.assertTrue(r["changed"])
        self.assertEqual(self.content(), b"second")
        with open(r["backup_file"], "rb") as f:
            self.assertEqual(f.read(), b"first")
        self.assertFalse(self.get(force=True)["changed"])
        self.server.httpd.content = b"third"
        self.server.httpd.mtime = time.time() + 1000
        self.assertTrue(self.get()["changed"])

    def test_check_mode(self):
        r = self.get(options=["-c"])
        self.assertTrue(r["changed"])
        self.assertEqual(os.listdir(self.dir), [])
        self.get()
        self.assertFalse(self.get(options=["-c"], force=True)["changed"])
        self.server.httpd.content = b"second"
        self.assertTrue(self.get(options=["-c"], force=True)["changed"])
        self.assertEqual(self.content(), b"first")

    def test_checksums(self):
        for kind in ("md5", "sha1", "sha256", "sha512"):
            self.get(checksum=self.sha(kind), dest=self.path(kind))
            self.assertEqual(self.content(kind), b"first")
        n = len(self.server.httpd.seen)
        r = self.get(checksum=self.sha(), dest=self.path("md5"))
        self.assertFalse(r["changed"])
        self.assertEqual(len(self.server.httpd.seen), n)    # nobody was asked
        r = self.get(checksum="sha256:" + "0" * 64)
        self.assertTrue(r["failed"])
        self.assertIn("did not match", r["msg"])
        self.assertFalse(os.path.exists(self.path("f")))
        with open(self.path("f"), "w") as f:
            f.write("edited by hand")
        self.assertTrue(self.get(checksum=self.sha())["changed"])
        self.assertEqual(self.content(), b"first")
        for bad in ("nonsense", "sha3:00", "sha256:xyz", "sha256:" + "0" * 40):
            self.assertTrue(self.get(checksum=bad)["failed"])
        self.assertTrue(self.get(sha256sum="0" * 64)["failed"])

    def test_checksum_by_url(self):
        r = self.get(checksum="sha256:" + self.url("/sums"))
        self.assertTrue(r["changed"], r)
        self.assertTrue(self.get(checksum="sha256:" + self.url("/text"))["failed"])
        self.assertTrue(self.get(checksum="sha256:" + self.url("/none"))["failed"])

    def test_into_a_directory(self):
        self.assertEqual(self.get(dest=self.dir)["dest"], self.path("file.bin"))
        self.assertEqual(self.content("file.bin"), b"first")
        # The server's name for it does not leave the directory.
        self.assertEqual(self.get("/named", dest=self.dir)["dest"], self.path("given.txt"))

    def test_failures(self):
        self.assertIn("404", self.get("/none")["msg"])
        self.assertIn("middle", self.get("/short")["msg"])
        self.assertIn("Connection failure", self.get(url="http://127.0.0.1:1/x")["msg"])
        self.assertTrue(self.get(dest=self.path("none/f"))["failed"])
        self.assertTrue(self.get(tmp_dest="/none")["failed"])
        self.assertIn("timed out", self.get("/slow", timeout=1)["msg"])
        self.assertEqual(os.listdir(self.dir), [])

    def test_file(self):
        with open(self.path("src"), "w") as f:
            f.write("local")
        r = self.get(url="file://" + self.path("src"))
        self.assertTrue(r["changed"])
        self.assertEqual(self.content(), b"local")
        self.assertTrue(self.get(url="file:///none")["failed"])

    def test_redirect(self):
        self.assertTrue(self.get("/redirect?code=302&to=/file.bin")["changed"])
        self.assertEqual(self.content(), b"first")

    def test_old_content_of_a_failed_answer_is_gone(self):
        """What a 401 carried does not end up before the file's bytes."""
        self.get("/auth", url_username="me", url_password="se:cret")
        self.assertEqual(self.content(), b"in")


class WaitFor(Case):
    def wait(self, **args):
        return self.module("wait_for", args)

    def test_port(self):
        r = self.wait(port=self.server.port)
        self.assertFalse(r.get("failed"))
        self.assertEqual((r["state"], r["port"], r["elapsed"]), ("started", self.server.port, 0))

    def test_port_that_opens(self):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        listening = []
        threading.Timer(0.7, lambda: listening.append(
            socket.create_server(("127.0.0.1", port)))).start()
        r = self.wait(port=port, timeout=10)
        self.assertFalse(r.get("failed"), r)
        listening[0].close()
        r = self.wait(port=port, state="stopped", timeout=5)
        self.assertFalse(r.get("failed"), r)

    def test_timeouts(self):
        r = self.wait(port=1, timeout=1)
        self.assertEqual(r["msg"], "Timeout when waiting for 127.0.0.1:1")
        r = self.wait(port=1, timeout=1, msg="not there")
        self.assertEqual(r["msg"], "not there")
        r = self.wait(port=self.server.port, state="stopped", timeout=1)
        self.assertIn("to stop", r["msg"])
        r = self.wait(path=self.path("x"), timeout=1)
        self.assertEqual(r["msg"], "Timeout when waiting for file " + self.path("x"))

    def test_only_time(self):
        r = self.wait(timeout=1)
        self.assertFalse(r.get("failed"))
        self.assertEqual(r["elapsed"], 1)

    def test_file(self):
        threading.Timer(0.5, lambda: open(self.path("x"), "w").close()).start()
        self.assertFalse(self.wait(path=self.path("x"), timeout=10).get("failed"))
        threading.Timer(0.5, lambda: os.unlink(self.path("x"))).start()
        self.assertFalse(self.wait(path=self.path("x"), state="absent", timeout=10).get("failed"))

    def test_search(self):
        with open(self.path("log"), "w") as f:
            f.write("starting\nready in 42 ms\n")
        r = self.wait(path=self.path("log"), search_regex=r"^ready in (?P<ms>\d+) (x)?", timeout=2)
        self.assertEqual(r["match_groups"], ["42", None])
        self.assertEqual(r["match_groupdict"], {"ms": "42"})
        r = self.wait(path=self.path("log"), search_regex="never", timeout=1)
        self.assertIn("search string never", r["msg"])
        s = socket.create_server(("127.0.0.1", 0))

        def serve():
            while True:
                try:
                    c, _ = s.accept()
                except OSError:
                    return
                c.sendall(b"220 hel")
                time.sleep(0.1)
                c.sendall(b"lo\r\n")
        threading.Thread(target=serve, daemon=True).start()
        r = self.wait(port=s.getsockname()[1], search_regex="hello", timeout=5)
        self.assertFalse(r.get("failed"), r)
        s.close()

    def test_drained(self):
        s = socket.create_server(("127.0.0.1", 0))
        port = s.getsockname()[1]
        self.assertFalse(self.wait(port=port, state="drained", timeout=3).get("failed"))
        c = socket.create_connection(("127.0.0.1", port))
        a, _ = s.accept()
        self.assertIn("drain", self.wait(port=port, state="drained", timeout=1)["msg"])
        self.assertFalse(self.wait(port=port, state="drained", timeout=2,
                                   exclude_hosts=["127.0.0.1"]).get("failed"))
        for x in (c, a, s):
            x.close()

    def test_mistakes(self):
        for args, text in (({"state": "drained"}, "port"), ({"port": 99999}, "no port"),
                           ({"port": 1, "search_regex": "("}, "search_regex"),
                           ({"port": 1, "state": "drained", "active_connection_states": ["X"]},
                            "unknown active_connection_state")):
            r = self.wait(timeout=1, **args)
            self.assertIn(text, r["msg"])


if __name__ == "__main__":
    CONNRUN = sys.argv.pop(1)
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        os.environ.pop(name, None)
        os.environ.pop(name.upper(), None)
    unittest.main(verbosity=1)
