"""The example site on one host: from bare to running, nothing the second time, hand-made changes repaired."""
import sys

from exams import apply, changed, inventory, page_answers, whole_cycle
from support import Lab, check, done, same

release = sys.argv[1] if len(sys.argv) > 1 else "bookworm"
with Lab("one") as lab:
    lab.up(f"h1:{release}")
    inv = inventory(lab, "h1", "h1", "h1")
    if whole_cycle(lab, inv, "h1"):
        # A file edited by hand is found by check, shown by diff, and repaired.
        site = lab.sh("h1", "ls /etc/nginx/sites-enabled/").split()
        same("one site is enabled", len(site), 1)
        path = f"/etc/nginx/sites-available/{site[0]}"
        lab.sh("h1", f"sed -i 's/listen 80/listen 81/' {path}")
        found = apply(lab, inv, "--check", "--diff")
        same("a hand-made change is found by check", found.code, 2)
        check("… and shown", "listen 81" in found.out, found.out[-2000:])
        repaired = apply(lab, inv)
        same("… and repaired", repaired.code, 0)
        check("… by changing something", changed(repaired) != [], repaired.text())
        same("… in the file", lab.sh("h1", f"grep -c 'listen 81' {path} || true").strip(), "0")
        page_answers(lab, "h1")
        # A service that somebody stopped is started.
        lab.sh("h1", "systemctl stop nginx")
        apply(lab, inv)
        same("a stopped service runs again", lab.sh("h1", "systemctl is-active nginx").strip(), "active")
        history = lab.provctl("history")
        same("history", history.code, 0)
        check("… lists the runs", len([l for l in history.out.splitlines() if "site.yml" in l]) >= 6, history.out)
done()
