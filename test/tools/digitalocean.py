#!/usr/bin/env python3
"""Plays DigitalOcean's API v2 as far as droplets go, with its errors and rate limits, for tests.

As a program: digitalocean.py DIR, prints its URL.  What was asked for is in DIR/create.json; droplets become active
at the address in DIR/address once that file is there.

In a test: api = Api(); api.url; api.fail(...) plans answers that come before the real ones.
"""
import http.server
import json
import pathlib
import sys
import threading
import urllib.parse

TOKEN = "dop_v1_secret"


class Api:
    def __init__(self, folder=None):
        self.folder = pathlib.Path(folder) if folder else None
        self.droplets = {}
        self.requests = []      # (method, path, body)
        self.planned = []       # (method, status, headers, body): answers the next request of that method
        self.polls = 0          # a droplet is active after so many looks
        self.address = "127.0.0.1"
        self.page = 100
        self.next_id = 3164494
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                length = int(self.headers.get("Content-Length") or 0)
                body = self.rfile.read(length)
                api.requests.append((self.command, self.path, json.loads(body) if body else None))
                status, headers, answer = api.answer(self.command, self.path, body, self.headers)
                data = answer.encode() if isinstance(answer, str) else b"" if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                for k, v in headers.items():
                    self.send_header(k, v)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_DELETE = handle_any

            def log_message(self, *args):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.handle_error = lambda *args: None   # a client that hangs up is part of the tests
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()

    def fail(self, method, status, body, times=1, **headers):
        self.planned += [(method, status, {k.replace("_", "-"): str(v) for k, v in headers.items()}, body)] * times

    def made(self, name, tags=("provctl",), status="new", address=None):
        self.next_id += 1
        self.droplets[self.next_id] = {
            "id": self.next_id, "name": name, "memory": 1024, "vcpus": 1, "disk": 25, "locked": False, "status": status,
            "created_at": "2026-11-22T18:00:00Z", "size_slug": "s-1vcpu-1gb", "tags": list(tags),
            "region": {"name": "Frankfurt 1", "slug": "fra1"},
            "networks": {"v4": [], "v6": []}, "looks": 0}
        if address:
            self.activate(self.droplets[self.next_id], address)
        return self.droplets[self.next_id]

    def activate(self, d, address):
        d["status"] = "active"
        d["networks"]["v4"] = [{"ip_address": "10.135.0.2", "netmask": "255.255.0.0", "gateway": "none", "type": "private"},
                               {"ip_address": address, "netmask": "255.255.240.0", "gateway": "none", "type": "public"}]

    def look(self, d):
        d["looks"] += 1
        address = self.address
        if self.folder:
            file = self.folder / "address"
            address = file.read_text().strip() if file.exists() else None
        if d["status"] == "new" and d["looks"] > self.polls and address:
            self.activate(d, address)
        return d

    def answer(self, method, path, body, headers):
        for i, (m, status, h, b) in enumerate(self.planned):
            if m == method:
                del self.planned[i]
                return status, h, b
        if headers.get("Authorization") != "Bearer " + TOKEN:
            return 401, {}, {"id": "unauthorized", "message": "Unable to authenticate you"}
        limits = {"ratelimit-limit": "5000", "ratelimit-remaining": "4816", "ratelimit-reset": "1"}
        url = urllib.parse.urlsplit(path)
        query = urllib.parse.parse_qs(url.query)
        parts = url.path.strip("/").split("/")
        if parts[:2] != ["v2", "droplets"] or len(parts) > 3:
            return 404, {}, {"id": "not_found", "message": "The resource you requested could not be found."}
        if len(parts) == 3:
            d = self.droplets.get(int(parts[2]))
            if not d:
                return 404, limits, {"id": "not_found", "message": "The resource you requested could not be found."}
            if method == "DELETE":
                del self.droplets[d["id"]]
                return 204, limits, None
            return 200, limits, {"droplet": self.look(d)}
        if method == "POST":
            asked = json.loads(body)
            if asked["size"] == "huge":
                return 422, limits, {"id": "unprocessable_entity", "message": "You specified an invalid size for Droplet creation."}
            d = self.made(asked["name"], asked["tags"])
            if self.folder:
                new = self.folder / "create.new"
                new.write_text(json.dumps(asked))
                new.rename(self.folder / "create.json")
            return 202, limits, {"droplet": d, "links": {"actions": []}}
        tagged = [d for d in self.droplets.values() if query["tag_name"][0] in d["tags"]]
        page = int(query["page"][0])
        per_page = min(int(query["per_page"][0]), self.page)
        here = tagged[(page - 1) * per_page:page * per_page]
        links = {"pages": {"next": f"http://elsewhere.invalid/v2/droplets?page={page + 1}"}} if page * per_page < len(tagged) else {}
        return 200, limits, {"droplets": here, "links": links, "meta": {"total": len(tagged)}}


if __name__ == "__main__":
    print(Api(sys.argv[1]).url, flush=True)
    threading.Event().wait()
