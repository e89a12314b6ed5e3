"""The example site on three hosts (bookworm and trixie), as a user with sudo."""
from exams import inventory, whole_cycle
from support import Lab, done

with Lab("three") as lab:
    lab.up("h1:bookworm", "h2:trixie", "h3:bookworm")
    inv = inventory(lab, "h1", "h2", "h3", user="deploy")
    whole_cycle(lab, inv, "h3")
done()
