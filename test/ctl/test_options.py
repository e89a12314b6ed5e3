"""Options, help, variables, inventories, and the commands that need no run."""
import json
import os
import pathlib
import re
import subprocess
import textwrap
import unittest

import support
from support import Case, main

COMMANDS = """apply cancel check doc drift droplet eval facts follow history host inventory keys onboard page
    plan prune render resume retry rollback schedule schema show sites state status vault""".split()
SITE = """
- hosts: all
  gather_facts: false
  vars: {a: from the play}
  tasks:
    - {name: first, debug: {msg: x}, tags: [one]}
    - name: a block
      tags: [two]
      block:
        - {name: inside, debug: {msg: x}, tags: [three]}
- name: second play
  hosts: web
  gather_facts: false
  tasks:
    - {name: 'last {{ a }}', debug: {msg: x}}
"""


class Help(Case):
    def test_help(self):
        out = self.ok("--help", state=False)
        for name in COMMANDS:
            self.assertRegex(out, rf"(?m)^  {name} ")
            text = self.ok(name, "--help", state=False)
            self.assertTrue(text.startswith(f"usage: provctl {name} [OPTIONS]"), text)
            self.assertEqual(text, self.ok("help", name, state=False))
            self.assertLessEqual(max(len(line) for line in text.splitlines()), 80, name)
            # every option has a text
            self.assertNotRegex(text, r"(?m)^ +-.*--[a-z-]+( [A-Z\[\]@]+)?\n +-")
        self.assertIn("130  interrupted", out)
        self.assertNotIn("__words", out)

    def test_version(self):
        self.assertRegex(self.ok("--version", state=False), r"^provctl \d+\.\d+\.\d+\n$")

    def test_nothing(self):
        p = self.run_("--help", state=False)
        self.assertEqual(p.returncode, 0)

    def test_completion(self):
        def words(*args):
            return dict(line.split("\t") for line in self.ok("__words", *args).splitlines())
        self.assertEqual(list(words()), sorted(COMMANDS))
        self.assertEqual(words("apply")["--diff"], "Shows what changes in files.")
        self.assertIn("lineinfile", words("doc"))


class BadOptions(Case):
    def test_unknown(self):
        self.assertIn("unknown command 'aply'\nhint: did you mean 'apply'?", self.fails(1, "aply"))
        self.assertIn("unknown option '--chek'\nhint: did you mean '--check'?", self.fails(1, "apply", "--chek", "x"))
        self.assertIn("unknown option '--zzzzzz'", self.fails(1, "apply", "--zzzzzz", "x"))
        self.assertIn("unknown option '-Z'", self.fails(1, "apply", "-vZ", "x"))

    def test_values(self):
        self.assertIn("option '--limit' needs a value: PATTERN", self.fails(1, "apply", "x", "--limit", state=False))
        self.assertIn("option '--check' takes no value", self.fails(1, "apply", "--check=yes", "x"))
        self.assertIn("--forks takes a number from 1 to 10000, not '0'", self.fails(1, "apply", "-f0", "x"))
        self.assertIn("--forks takes a number from 1 to 10000, not '3x'", self.fails(1, "apply", "-f", "3x", "x"))
        self.assertIn("--color takes one of auto,always,never, not 'blue'", self.fails(1, "apply", "--color=blue", "x"))

    def test_arguments(self):
        self.assertIn("'apply' needs SITE", self.fails(1, "apply"))
        self.assertIn("'apply' takes no argument 'b'", self.fails(1, "apply", "a", "b"))
        self.assertIn("cannot read the site 'nowhere.yml': No such file", self.fails(1, "apply", "nowhere.yml"))
        self.assertIn("cannot read the site '-f'", self.fails(1, "apply", "--state", self.state, "--", "-f", state=False))

    def test_json(self):
        p = self.run_("apply", "--json", "--chek", "x")
        self.assertEqual(p.returncode, 1)
        self.assertEqual(p.stdout, "")
        d = json.loads(p.stderr)
        self.assertEqual((d["event"], d["level"], d["hint"]), ("diagnostic", "error", "did you mean '--check'?"))

    def test_passwords_are_not_on_the_command_line(self):
        for option in ("--become-password", "--password", "--vault-password"):
            self.assertIn("unknown option", self.fails(1, "apply", option, "secret", "x"))

    def test_no_terminal(self):
        self.write("site.yml", SITE)
        err = self.fails(1, "apply", "site.yml", "-i", "h,", "-K", env=self.env())
        self.assertIn("cannot ask for the sudo password", err)
        self.assertIn("--become-password-file FILE", err)
        self.assertIn("cannot read the password from 'nowhere'", self.fails(
            1, "apply", "site.yml", "-i", "h,", "--become-password-file", "nowhere"))
        self.write("empty", "\nx\n")
        self.assertIn("holds no password", self.fails(1, "apply", "site.yml", "-i", "h,", "--password-file", "empty"))


    def test_json_first_or_last(self):
        for args in (["zork", "--json"], ["apply", "--zork", "x", "--json"], ["apply", "--json"]):
            p = self.run_(*args, state=False)
            self.assertEqual((p.returncode, p.stdout), (1, ""))
            self.assertEqual(json.loads(p.stderr)["level"], "error", args)

    def test_output_that_cannot_be_written(self):
        self.write("site.yml", "- hosts: localhost\n  gather_facts: false\n  tasks: [{debug: {msg: x}}]\n")
        for status, args in ((1, ["--version"]), (1, ["doc", "copy"]), (1, ["doc", "copy", "--json"]),
                             (3, ["apply", "site.yml", "--state", self.state])):
            with open("/dev/full", "w") as full:
                p = subprocess.run([support.PROVCTL, *map(str, args)], stdout=full, stderr=subprocess.PIPE,
                                   text=True, cwd=self.dir, env=self.env())
            self.assertIn("cannot write the output: No space left on device", p.stderr)
            self.assertEqual(p.returncode, status, args)

    def test_tags_that_no_task_has(self):
        self.write("site.yml", SITE)
        def tags(*args):
            return self.run_("apply", "site.yml", "-i", "web,", "--list-tasks", *args).stderr
        self.assertEqual(tags("-t", "one,tagged", "--skip-tags", "three"), "")
        self.assertEqual(tags("-t", "oen"), "warning: no task has the tag 'oen'\nhint: did you mean 'one'?\n")
        self.assertIn("no task has the tag 'zzzzzz'\nhint: --list-tags", tags("--skip-tags", "zzzzzz"))
        # what an included file has is known only when it is read
        self.write("more.yml", "- {debug: {msg: x}, tags: [oen]}")
        self.write("site.yml", SITE + "    - include_tasks: more.yml\n")
        self.assertEqual(tags("-t", "oen"), "")

    def test_key(self):
        self.write("site.yml", SITE)
        self.assertIn("cannot read the key 'nowhere': No such file", self.fails(
            1, "apply", "site.yml", "-i", "web,", "--key", "nowhere"))


class Variables(Case):
    def eval(self, expression, *args):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  tasks: []\n")
        return json.loads(self.ok("eval", expression, "site.yml", "-i", "localhost,", "--json", *args))

    def test_forms(self):
        self.assertEqual(self.eval("[a, b]", "-e", "a=1 b='two words'"), ["1", "two words"])
        self.assertEqual(self.eval("[a, b]", "-e", '{"a": 1, "b": [true, null]}'), [1, [True, None]])
        self.assertEqual(self.eval("[a, b]", "-e", "{a: 1, b: yes}"), [1, True])
        self.write("v.yml", "a: 5\nb: '{{ a + 1 }}'\n")
        self.assertEqual(self.eval("[a, b]", "-e", "@v.yml"), [5, 6])
        self.write("v.json", '{"a": "x"}')
        self.assertEqual(self.eval("a", "-e", "@v.json"), "x")
        self.assertEqual(self.eval("a", "-e", "@v.yml", "-e", "a=later"), "later")
        self.assertEqual(self.eval("a", "-e", 'a="x=\\"y\\""'), 'x="y"')
        self.assertEqual(self.eval("a", "-e", "a="), "")
        self.assertEqual(self.eval("{{ a }}-{{ a }}", "-e", "a=1"), "1-1")

    def test_wrong_expressions(self):
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  vars: {port: 1}\n  tasks: []\n")
        for text, said in (
                ("port +", "EXPRESSION:1:7: error: unexpected 'end of template'\n    1 | port +\n"),
                ("1 + prot", "EXPRESSION:1:5: error: 'prot' is undefined\n    1 | 1 + prot\n      |     ^^^^\n"),
                ("port | upper.", "EXPRESSION:1:"), ("{{ port", "EXPRESSION:1:")):
            self.assertIn(said, self.fails(1, "eval", text, "site.yml", "-i", "localhost,"))

    def test_errors(self):
        self.write("site.yml", SITE)
        for arg, text in [
            ("novalue", "-e: 'novalue' is no variable: '=' is missing"),
            ("9x=1", "-e: '9x=1' does not begin with a variable's name"),
            ("a='open", "a quote is not closed"),
            ("@nowhere.yml", "nowhere.yml"),
            ("[1, 2]", "holds a list, not variables"),
            ("{a: ", "<-e>:1:"),
            ("{a: '{{ b'}", "<-e>:1:"),
        ]:
            err = self.fails(1, "apply", "site.yml", "-i", "h,", "-e", arg)
            self.assertIn(text, err)
        self.assertFalse((self.dir / "out").exists())


class Inventories(Case):
    def setUp(self):
        super().setUp()
        self.write("site.yml", SITE)

    def hosts(self, *args, **kw):
        plays = json.loads(self.ok("apply", "site.yml", "--list-hosts", "--json", *args, **kw))
        return plays[0]["hosts"]

    def test_beside_the_site(self):
        # the first that is there, from the last of the list to the first
        for name in ("hosts.yml", "hosts", "inventory/one", "inventory.ini", "inventory.yaml", "inventory.yml"):
            host = name.replace("/", "-").replace(".", "-")
            text = f"[web]\n{host}\n" if "y" not in name.split(".")[-1] else \
                f"all: {{children: {{web: {{hosts: {{{host}: }}}}}}}}\n"
            self.write(name, text)
            self.assertEqual(self.hosts(), [host], name)
        self.assertEqual(self.hosts("-i", "a,b"), ["a", "b"])
        self.assertEqual(self.hosts("-i", "a,", "-i", "hosts"), ["a", "hosts"])
        self.assertEqual(self.hosts("-i", "a,b,c", "-l", "a:c"), ["a", "c"])

    def test_ansible_cfg(self):
        self.write("inventory.yml", "all: {hosts: {wrong: }}\n")
        self.write("inv/real", "[web]\nright\n")
        self.write("ansible.cfg", "[defaults]\ninventory = inv/real\n")
        self.assertEqual(self.hosts(), ["right"])

    def test_site_elsewhere(self):
        self.write("inventory.yml", "all: {hosts: {here: }}\n")
        plays = json.loads(self.ok("apply", self.dir / "site.yml", "--list-hosts", "--json", cwd="/"))
        self.assertEqual(plays[0]["hosts"], ["here"])

    def test_environment(self):
        self.assertEqual(self.hosts(env=self.env(ANSIBLE_INVENTORY="x,y,")), ["x", "y"])

    def test_errors(self):
        self.assertIn("nowhere", self.fails(1, "apply", "site.yml", "-i", "nowhere"))
        self.assertIn("--limit 'wbe' matches no host", self.fails(
            1, "apply", "site.yml", "-i", "web,db,", "-l", "wbe"))
        self.write("cycle.ini", "[a:children]\nb\n[b:children]\na\n[a]\nx\n")
        self.assertIn("cycle.ini", self.fails(1, "apply", "site.yml", "-i", "cycle.ini"))

    def test_command(self):
        self.write("inventory.yml", "all:\n  children:\n    web:\n      vars: {port: 80}\n      hosts:\n        w1: {x: 1}\n        w2:\n")
        data = json.loads(self.ok("inventory"))
        self.assertEqual(data["web"]["hosts"], ["w1", "w2"])
        self.assertEqual(data["_meta"]["hostvars"]["w1"], {"port": 80, "x": 1})
        self.assertEqual(json.loads(self.ok("inventory", "--host", "w1")), {"port": 80, "x": 1})
        self.assertIn("no host 'w3'", self.fails(1, "inventory", "--host", "w3"))
        self.assertIn("@web:\n", self.ok("inventory", "--graph"))


class Outline(Case):
    def test_lists(self):
        self.write("site.yml", SITE)
        self.write("inventory.ini", "[web]\nw1\n[db]\nd1\n")
        out = self.ok("apply", "site.yml", "--list-hosts", "--list-tasks", "--list-tags")
        self.assertIn("  first  [one]\n", out)
        self.assertIn("  inside  [two, three]\n", out.replace("[three, two]", "[two, three]"))
        self.assertIn("second play", out)
        self.assertIn("  last {{ a }}\n", out)
        self.assertIn("  hosts (1): w1\n", out)
        self.assertFalse(self.state.exists(), "listing made a state database")
        out = self.ok("apply", "site.yml", "--list-tasks", "-t", "three")
        self.assertIn("inside", out)
        self.assertNotIn("first", out)

    def test_syntax_check(self):
        self.write("site.yml", SITE)
        p = self.run_("apply", "site.yml", "--syntax-check", "-i", "web,")
        self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "", "site.yml: no errors\n"))
        self.write("bad.yml", "- hosts: all\n  tasks:\n    - copy: {dst: /x}\n    - debug: {msg: '{{ x'}\n    - tpyo: yes\n")
        err = self.fails(1, "apply", "bad.yml", "--syntax-check", "-i", "web,")
        # all at once, each with its place
        self.assertRegex(err, r"bad.yml:3:\d+: error: .*'dst'")
        self.assertRegex(err, r"bad.yml:4:\d+: error: ")
        self.assertRegex(err, r"bad.yml:5:\d+: error: .*'tpyo'")
        lines = self.events("apply", "bad.yml", "--syntax-check", "-i", "web,", status=1)
        self.assertGreaterEqual(len([d for d in lines if d["level"] == "error" and d["file"] == "bad.yml"]), 3)


class Templates(Case):
    def setUp(self):
        super().setUp()
        self.write("site.yml", "- hosts: all\n  vars: {port: 8000}\n  tasks: []\n")
        self.write("inventory.yml", "all: {hosts: {h1: {name: one}, h2: {name: two}}}\n")

    def test_eval(self):
        self.assertEqual(self.ok("eval", "name ~ port", "site.yml", "--host", "h1"), "one8000\n")
        self.assertEqual(self.ok("eval", "{'a': [port]}", "site.yml", "--host", "h2", "--json"), '{"a":[8000]}\n')
        self.assertIn("nmae", self.fails(1, "eval", "nmae", "site.yml", "--host", "h1"))
        self.assertIn("the inventory has no host 'h3'\nhint: did you mean", self.fails(1, "eval", "1", "site.yml", "--host", "h3"))

    def test_render(self):
        self.write("t.j2", "{% for h in groups.all %}\n{{ hostvars[h].name }}:{{ port }}\n{% endfor %}\n")
        self.assertEqual(self.ok("render", "t.j2", "site.yml", "--host", "h1"), "one:8000\ntwo:8000\n")
        self.write("bad.j2", "{{ name }\n")
        self.assertIn("bad.j2:1:", self.fails(1, "render", "bad.j2", "site.yml", "--host", "h1"))
        self.write("undef.j2", "line\n{{ naem }}\n")
        self.assertIn("undef.j2:2:4", self.fails(1, "render", "undef.j2", "site.yml", "--host", "h1"))


class Docs(Case):
    def test_doc(self):
        out = self.ok("doc")
        self.assertRegex(out, r"(?m)^apt +\S")
        page = self.ok("doc", "copy")
        self.assertTrue(page.startswith("ansible.builtin.copy\n"))
        for word in ("Parameters", "dest  path, required", "Examples"):
            self.assertIn(word, page)
        self.assertEqual(page, self.ok("doc", "ansible.builtin.copy"))
        data = json.loads(self.ok("doc", "copy", "--json"))
        dest = [p for p in data["parameters"] if p["name"] == "dest"][0]
        self.assertEqual((dest["type"], dest["required"]), ("path", True))
        names = [m["name"] for m in json.loads(self.ok("doc", "--json"))]
        self.assertEqual(names, sorted(names))
        for name in names:
            self.assertTrue(json.loads(self.ok("doc", name, "--json"))["summary"], name)
        self.assertIn("unknown module 'coppy'\nhint: did you mean 'copy'?", self.fails(1, "doc", "coppy"))
        self.assertIn("not supported", self.fails(1, "doc", "ec2_instance"))

    def test_schema(self):
        self.assertIn("$schema", json.loads(self.ok("schema")))


class Readme(Case):
    def test_first_playbook(self):
        """What the README tells people to type is right."""
        text = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
        for name in ("site.yml", "inventory.yml"):
            block = re.search(rf"`{name}`[^\n]*:\n\n((?:    .*\n|\n)+)", text).group(1)
            self.write(name, textwrap.dedent(block))
        self.ok("apply", "site.yml", "--syntax-check")
        out = self.ok("apply", "site.yml", "--list-hosts", "--list-tasks")
        self.assertIn("www.example.org", out)
        self.assertIn("nginx is there", out)
        for line in re.findall(r"(?m)^    provctl (.*?)(?:  #.*)?$", text):
            command, *rest = line.split()
            for option in [w for w in rest if w.startswith("--")]:
                self.assertIn(option, self.ok("__words", command).split(), line)


class Vault(Case):
    def setUp(self):
        super().setUp()
        self.pw = self.write("pw", "sesame\n")
        self.args = ("--vault-password-file", self.pw)

    def test_files(self):
        path = self.write("secret.yml", "a: hunter2\n")
        os.chmod(path, 0o640)
        self.ok("vault", "encrypt", "secret.yml", *self.args)
        self.assertTrue(path.read_text().startswith("$ANSIBLE_VAULT;1."))
        self.assertEqual(path.stat().st_mode & 0o777, 0o640)
        self.assertIn("is encrypted already", self.fails(1, "vault", "encrypt", "secret.yml", *self.args))
        self.assertEqual(self.ok("vault", "view", "secret.yml", *self.args), "a: hunter2\n")
        wrong = self.write("wrong", "open\n")
        self.assertIn("secret.yml", self.fails(1, "vault", "view", "secret.yml", "--vault-password-file", wrong))
        self.fails(1, "vault", "view", "secret.yml")
        self.ok("vault", "decrypt", "secret.yml", *self.args)
        self.assertEqual(path.read_text(), "a: hunter2\n")
        self.assertIn("is not encrypted", self.fails(1, "vault", "view", "secret.yml", *self.args))
        self.assertIn("did you mean 'encrypt'?", self.fails(1, "vault", "encypt", "x", *self.args))
        self.assertEqual(sorted(p.name for p in self.dir.iterdir() if "provctl-" in p.name), [])

    def test_string_in_a_site(self):
        text = self.ok("vault", "encrypt-string", "password", *self.args, input="hunter2")
        self.assertTrue(text.startswith("password: !vault |\n          $ANSIBLE_VAULT;1."))
        self.write("site.yml", "- hosts: all\n  gather_facts: false\n  vars_files: [v.yml]\n  tasks:\n"
                   "    - debug: {msg: 'it is {{ password }}'}\n    - debug: {msg: '{{ password | length }}'}\n")
        self.write("v.yml", text)
        out = self.ok("apply", "site.yml", "-i", "localhost,", "-e", "ansible_connection=local", *self.args)
        self.assertNotIn("hunter2", out)
        self.fails(1, "apply", "site.yml", "-i", "localhost,")


if __name__ == "__main__":
    main()
