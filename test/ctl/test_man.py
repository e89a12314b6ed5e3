"""Manual pages and completion: every command and option has its words there, and readers of pages find nothing wrong."""
import pathlib
import re
import shutil
import subprocess
import sys
import unittest

import support
from support import Case, main

MAN = pathlib.Path(sys.argv.pop())
COMPLETION = pathlib.Path(__file__).resolve().parents[2] / "ctl" / "provctl.bash"


def plain(page):
    """The page's text as a reader shows it, without its layout."""
    text = subprocess.run(["mandoc", "-Tutf8", "-Owidth=500", page], capture_output=True, text=True, check=True).stdout
    return re.sub(r"\s+", " ", re.sub(".\b", "", text))


@unittest.skipUnless(shutil.which("mandoc"), "no mandoc")
class Pages(Case):
    def test_they_are_right(self):
        pages = sorted(MAN.glob("*/*"))
        self.assertGreater(len(pages), 30)
        p = subprocess.run(["mandoc", "-Tlint", "-Wwarning", *pages], capture_output=True, text=True)
        self.assertEqual((p.returncode, p.stdout), (0, ""))

    def test_they_say_what_help_says(self):
        commands = [line.split("\t")[0] for line in self.ok("__words").splitlines()]
        program = plain(MAN / "man1/provctl.1")
        for name in commands:
            self.assertRegex(program, rf"\b{name} .*\bprovctl-{name}\(1\)")
            page = plain(MAN / f"man1/provctl-{name}.1")
            # all of it but the layout: headings are shown in capitals, `code` in bold
            words = re.sub(r"\s+", " ", self.ok(name, "--help", state=False).replace("`", "")).strip()
            for word in set(re.findall(r"[^\s:]{4,}", words)) - {"usage"}:
                self.assertIn(word.lower(), page.lower(), name)
            self.assertIn(f"provctl {name} [OPTIONS]", page)

    def test_agentd(self):
        page = plain(MAN / "man8/agentd.8")
        self.assertIn("--config FILE The configuration; default /etc/provctl/agentd.yml", page)
        self.assertIn("78 agentd.yml is wrong", page)

    def test_agentd_yml(self):
        """What stands there as an example is taken by agentd, and has all that it knows."""
        text = subprocess.run(["mandoc", "-Tascii", "-Owidth=500", MAN / "man5/agentd.yml.5"],
                              capture_output=True, text=True, check=True).stdout
        text = re.sub(".\b", "", text)
        example = re.search(r"\n( +)sites:\n(.*\n)+?\n", text)
        lines = [line[len(example[1]):] for line in example[0].splitlines()]
        self.write("agentd.yml", "\n".join(lines) + "\n")
        out = self.ok("schedule", "--file", "agentd.yml", state=False)
        self.assertIn("shop", out)
        source = (COMPLETION.parents[1] / "agentd/serve/config.c").read_text()
        for key in re.findall(r'\.key = "(\w+)"', source):
            self.assertRegex(example[0], rf"\b{key}:", key)


class Completion(Case):
    def words(self, *line):
        script = (f"PATH={pathlib.Path(support.PROVCTL).parent}:$PATH; source {COMPLETION}; COMP_WORDS=(provctl \"$@\");"
                  " COMP_CWORD=$#; _provctl; printf '%s\\n' \"${COMPREPLY[@]}\"")
        p = subprocess.run(["bash", "-c", script, "bash", *line], capture_output=True, text=True, cwd=self.dir, env=self.env())
        self.assertEqual(p.stderr, "")
        return p.stdout.split()

    def test_bash(self):
        self.assertEqual(self.words("dr"), ["drift", "droplet"])
        self.assertEqual(self.words("apply", "--list-t"), ["--list-tasks", "--list-tags"])
        self.assertEqual(self.words("doc", "linei"), ["lineinfile"])
        self.write("site.yml", "")
        self.assertEqual(self.words("apply", "si"), ["site.yml"])


if __name__ == "__main__":
    main()
