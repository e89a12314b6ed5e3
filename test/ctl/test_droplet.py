#!/usr/bin/env python3
"""provctl droplet against a local server that plays DigitalOcean's API: errors, limits, pages, repetitions."""
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tools"))
from digitalocean import TOKEN, Api  # noqa: E402

PROVCTL = sys.argv.pop(1)


class Droplet(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.TemporaryDirectory(prefix="provctl-droplet-")
        self.addCleanup(self.dir.cleanup)
        self.path = pathlib.Path(self.dir.name)
        (self.path / "token").write_text(TOKEN + "\n")
        self.api = Api()
        self.addCleanup(self.api.close)

    def call(self, *args, token=True, env=None, url=None):
        return subprocess.run([PROVCTL, "droplet", "--api-url", url or self.api.url, *args,
                               *(["--token-file", "token"] if token else []),
                               "--state", "state.db"],
                              capture_output=True, text=True, cwd=self.path, timeout=120, stdin=subprocess.DEVNULL,
                              start_new_session=True, env={"HOME": str(self.path), "PATH": "/usr/bin:/bin", **(env or {})})

    def refused(self, words, *args, **kw):
        r = self.call(*args, **kw)
        self.assertIn(r.returncode, (1, 4), r.stdout + r.stderr)
        self.assertIn(words, r.stderr)
        self.assertNotIn(TOKEN, r.stdout + r.stderr)
        return r

    def methods(self):
        return [m for m, _, _ in self.api.requests]

    def test_token(self):
        self.refused("needs a token", "list", token=False)
        self.refused("Unable to authenticate you", "list", token=False, env={"DIGITALOCEAN_ACCESS_TOKEN": "wrong"})
        self.refused("has expired", "list", token=False, env={"DIGITALOCEAN_TOKEN": "wrong"})
        r = self.call("list", token=False, env={"DIGITALOCEAN_TOKEN": TOKEN})
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn("no droplets", r.stderr)
        self.refused("https:// is needed", "list", url="http://192.0.2.1:80")

    def test_list(self):
        """All pages, by our own count: where the answer says that the next one is, nobody goes."""
        self.api.page = 2
        names = [f"web{i}" for i in range(5)]
        for n in names:
            self.api.made(n, address="192.0.2.7")
        self.api.made("not-ours", tags=())
        r = self.call("list", "--json")
        rows = json.loads(r.stdout)
        self.assertEqual([x["name"] for x in rows], names)
        self.assertEqual(rows[0]["address"], "192.0.2.7")       # not the private one
        self.assertEqual(len(self.api.requests), 3)
        self.assertIn("web3", self.call("list").stdout)

    def test_rate_limit(self):
        begin = time.monotonic()
        self.api.fail("GET", 429, {"id": "too_many_requests", "message": "API Rate limit exceeded."}, retry_after=2)
        self.assertEqual(self.call("list").returncode, 0)
        self.assertGreater(time.monotonic() - begin, 1.9)
        self.assertEqual(self.methods(), ["GET", "GET"])
        # The other header: when the limit is lifted.
        self.api.fail("GET", 429, {"id": "too_many_requests"}, ratelimit_reset=int(time.time()) + 2)
        begin = time.monotonic()
        self.assertEqual(self.call("list").returncode, 0)
        self.assertGreater(time.monotonic() - begin, 1.5)
        # Too long to wait for.
        self.api.fail("GET", 429, {"id": "too_many_requests", "message": "API Rate limit exceeded."}, retry_after=86400)
        self.refused("API Rate limit exceeded", "list")

    def test_server_errors(self):
        self.api.fail("GET", 503, "<html>busy</html>", times=2)
        self.assertEqual(self.call("list").returncode, 0)
        self.assertEqual(len(self.api.requests), 3)
        self.api.fail("GET", 500, {"id": "server_error", "message": "Unexpected server-side error"}, times=10, retry_after=0)
        self.refused("Unexpected server-side error", "list")
        self.assertLess(len(self.api.requests), 9)
        self.api.planned.clear()

    def test_garbage(self):
        self.api.fail("GET", 200, "<html>")
        self.refused("no JSON", "list")
        self.api.fail("GET", 200, "[" * 100000)
        self.refused("no JSON", "list")
        self.api.fail("GET", 200, {"droplets": [1, None, {"id": "x"}, {"id": 7, "networks": {"v4": [3, {"type": "public"}]}}]})
        rows = json.loads(self.call("list", "--json").stdout)
        self.assertEqual([(x["id"], x["address"]) for x in rows], [(7, None)])
        self.api.fail("GET", 302, None, Location="http://127.0.0.1:1/")
        self.refused("302", "list")
        self.api.fail("GET", 200, "x" * (17 << 20), times=9)
        self.refused("/v2/droplets", "list")

    def test_create_refused(self):
        self.refused("invalid size", "create", "web1", "--size", "huge")
        self.refused("cannot be the name", "create", "we/b1")
        # A POST is not repeated: it may have been carried out.
        self.api.fail("POST", 500, {"id": "server_error", "message": "Unexpected server-side error"})
        self.api.requests.clear()
        self.refused("Unexpected server-side error", "create", "web1")
        self.assertEqual(self.methods(), ["GET", "POST"])
        # … but a rate limit says that it was not.
        self.api.fail("POST", 429, {"id": "too_many_requests"}, retry_after=1)
        self.api.polls = 99
        self.api.requests.clear()
        r = self.refused("is not there yet", "create", "web1", "--wait", "1")
        self.assertEqual(r.returncode, 4)
        self.assertEqual(self.methods()[:3], ["GET", "POST", "POST"])
        self.assertEqual(len(self.api.droplets), 1)

    def test_create_goes_on(self):
        """What was made is found again, not made twice, and its host key is still the one we made."""
        self.api.polls = 99
        self.refused("is not there yet", "create", "web1", "--wait", "1", "--tag", "blue", "--ssh-key", "289794",
                     "--region", "ams3", "--image", "debian-12-x64")
        asked = [b for m, _, b in self.api.requests if m == "POST"]
        self.assertEqual(len(asked), 1)
        self.assertEqual((asked[0]["tags"], asked[0]["ssh_keys"], asked[0]["region"], asked[0]["image"]),
                         (["provctl", "blue"], [289794], "ams3", "debian-12-x64"))
        self.assertTrue(asked[0]["user_data"].startswith("#cloud-config"))

        def waiting():
            r = subprocess.run([PROVCTL, "keys", "--json", "--state", "state.db"], cwd=self.path, capture_output=True)
            return [(k["host"], k["key"]) for k in json.loads(r.stdout)]
        before = waiting()
        self.assertEqual(before[0][0], "user-data:web1")
        self.assertIn(before[0][1], asked[0]["user_data"])
        self.api.polls = 0
        self.api.address = "127.0.0.254"        # active, but nobody answers there
        r = self.refused("127.0.0.254", "create", "web1", "--wait", "3")
        self.assertIn("is there already", r.stderr)
        self.assertEqual(self.methods().count("POST"), 1)
        self.assertEqual(waiting(), before)

    def test_destroy(self):
        web1, web2 = self.api.made("web1"), self.api.made("web2")
        self.api.made("twice")
        self.api.made("twice")
        self.refused("there is no droplet 'web9'", "destroy", "web9", "--yes")
        self.refused("several droplets 'twice'", "destroy", "twice", "--yes")
        self.refused("nobody confirmed", "destroy", "web1")
        self.assertNotIn("DELETE", self.methods())
        self.assertEqual(self.call("destroy", "web1", "--yes").returncode, 0)
        self.assertNotIn(web1["id"], self.api.droplets)
        # The answer was lost: the repeated request meets its own success.
        self.api.fail("DELETE", 502, "<html>")
        self.api.fail("DELETE", 404, {"id": "not_found"})
        self.assertEqual(self.call("destroy", str(web2["id"]), "--yes").returncode, 0)

    def test_destroyed_host_is_forgotten(self):
        d = self.api.made("web1", address="192.0.2.9")
        host = [PROVCTL, "host"]
        run = dict(cwd=self.path, capture_output=True, text=True)
        subprocess.run([*host, "set", "front", f"digitalocean_id={d['id']}", "--state", "state.db"], check=True, **run)
        self.assertEqual(self.call("destroy", "web1", "--yes").returncode, 0)
        self.assertEqual(json.loads(subprocess.run([*host, "list", "--json", "--state", "state.db"], **run).stdout), [])


unittest.main()
