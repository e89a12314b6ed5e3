"""doc: every module has a page, and what stands there as an example is right."""
import json
import re
import textwrap

from support import Case, main

# What the examples take from the site that they stand in.
SITE = """
- hosts: localhost
  vars:
    app_host: localhost
    app_port: 8000
    app_secret: x
    app_user: app
    exams_db_password: x
    job: {ansible_job_id: "1.2"}
    new_address: 192.0.2.1
  handlers:
    - {name: restart app, debug: {msg: x}}
  tasks:
"""
FILES = ("files/nginx.conf", "files/prepare.sh", "templates/app.env.j2", "tasks/install.yml",
         "roles/nginx_site/tasks/main.yml", "roles/postgresql_db/tasks/main.yml")


class Modules(Case):
    def test_pages(self):
        names = [m["name"] for m in json.loads(self.ok("doc", "--json"))]
        self.assertGreater(len(names), 70)
        for name in names:
            page = self.ok("doc", name)
            self.assertRegex(page, rf"^[a-z]+\.[a-z_]+\.{name}\n[A-Z](.|\n[^\n])*[.…]\n")
            wide = [line for line in page.split("\nExamples\n")[0].splitlines() if len(line) > 80]
            self.assertEqual([line for line in wide if ", default: " not in line], [], name)

    def test_examples_are_right(self):
        for name in FILES:
            self.write(name, "- debug: {msg: x}\n" if name.endswith(".yml") else "x\n")
        for row in json.loads(self.ok("doc", "--json")):
            m = json.loads(self.ok("doc", row["name"], "--json"))
            used = {row["name"], *m["aliases"]}
            self.assertTrue(any(re.search(rf"(?m)^\W*([a-z]+\.[a-z_]+\.)?{name}:", m.get("examples", "")) for name in used),
                            row["name"])
            self.write("site.yml", SITE + textwrap.indent(m["examples"], "    "))
            p = self.run_("check", "--syntax-check", "site.yml")
            self.assertEqual((p.returncode, p.stdout, p.stderr), (0, "", "site.yml: no errors\n"), row["name"])


if __name__ == "__main__":
    main()
