"""The playbook language on real hosts: control flow that only a run shows."""
from support import Lab, check, done, same

SITE = """
- name: flow
  hosts: all
  vars: {greeting: hello}
  tasks:
    - name: loop with register
      command: "echo {{ item }}"
      loop: [a, b, c]
      register: echoed
      changed_when: item == 'b'
    - name: results
      assert:
        that:
          - echoed is changed
          - echoed.results | map(attribute='stdout') | list == ['a', 'b', 'c']
    - name: retried until it works
      shell: echo x >> /root/tries; test $(wc -l < /root/tries) -ge 3
      register: tried
      until: tried.rc == 0
      retries: 5
      delay: 0
    - assert: {that: tried.attempts == 3}
    - name: block
      block:
        - command: /bin/false
        - debug: {msg: never}
      rescue:
        - set_fact: {rescued: "{{ ansible_failed_task.name }}"}
      always:
        - set_fact: {always_ran: true}
    - assert: {that: [always_ran, rescued is defined]}
    - name: ignored
      command: /bin/false
      ignore_errors: true
      register: bad
    - assert: {that: bad is failed}
    - name: notifies
      copy: {content: "1\\n", dest: /root/one, mode: "0644"}
      notify: [first, topic]
    - name: notifies again
      copy: {content: "2\\n", dest: /root/two, mode: "0644"}
      notify: first
    - meta: flush_handlers
    - assert: {that: "handled == ['first', 'listener']"}
      when: inventory_hostname == 'h1' and notified_now
    - name: once
      command: hostname
      run_once: true
      register: once
    - assert: {that: once.stdout == 'h1'}
    - name: delegated
      command: hostname
      delegate_to: h2
      register: delegated
    - assert: {that: delegated.stdout == 'h2'}
    - name: included per host
      include_tasks: "{{ inventory_hostname }}.yml"
    - assert: {that: from_include == inventory_hostname}
    - name: include in a loop
      include_tasks: item.yml
      loop: [x, y]
      loop_control: {loop_var: outer}
    - assert: {that: "seen == ['x', 'y']"}
    - group_by: {key: "os_{{ ansible_distribution }}"}
    - stat: {path: /root/one}
      register: st
    - assert: {that: [st.stat.exists, st.stat.mode == '0644', st.stat.size == 2]}
    - name: facts of the other host
      assert: {that: "hostvars['h2'].ansible_hostname == 'h2'"}
    - name: end here
      meta: end_host
      when: inventory_hostname == 'h1'
    - file: {path: /root/end, state: touch, mode: "0600"}
  handlers:
    - name: first
      set_fact: {handled: "{{ handled | default([]) + ['first'] }}"}
    - name: second
      set_fact: {handled: "{{ handled | default([]) + ['listener'] }}"}
      listen: topic
- name: grouped
  hosts: os_Debian
  gather_facts: false
  tasks:
    - command: hostname
"""

with Lab("lang") as lab:
    lab.up("h1", "h2:trixie")
    inv = lab.hosts_inventory("h1", "h2")
    site = lab.write("site.yml", SITE)
    for h in ("h1", "h2"):
        lab.write(f"{h}.yml", f"- set_fact: {{from_include: {h}}}\n")
    lab.write("item.yml", "- set_fact: {seen: \"{{ seen | default([]) + [outer] }}\"}\n")
    r = lab.provctl("apply", site, "-i", inv, "--json", "-e", '{"notified_now": true}')
    check("control flow", r.code == 0, r.text())
    same("meta: end_host ends only that host", (lab.sh("h1", "ls /root"), "end" in lab.sh("h2", "ls /root").split()),
         (lab.sh("h1", "ls /root"), True))
    check("… h1 did not go on", "end" not in lab.sh("h1", "ls /root").split())
    check("a group made on the way is used by the next play", ("h2", "command") in r.outcomes("changed"), r.text())
    lab.sh("h1", "rm /root/tries"), lab.sh("h2", "rm /root/tries")
    r = lab.provctl("apply", site, "-i", inv, "--json", "-e", '{"notified_now": false}')
    same("handlers run only when notified", [t for _, t in r.outcomes("ok") if t in ("first", "second")], [])
    facts = lab.provctl("facts", "h1")
    check("facts are kept", facts.code == 0 and "ansible_distribution" in facts.out or "distribution" in facts.out,
          facts.text())
done()
