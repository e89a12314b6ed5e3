-- The state database of provctl: every version of its schema, in order.
--
-- A section begins with "-- migration N" and brings a database of version N-1
-- to N, in one transaction; version 0 is an empty file.  PRAGMA user_version
-- holds N.  Sections that were released never change: what is to be different
-- is a new section at the end.  test/state/ migrates from every version.
--
-- Times are milliseconds since the epoch (UTC).  JSON is stored as text and
-- has secrets replaced before it comes here.  Text that belongs to a row of
-- many (a task's name, file and line) is stored once and referred to; what is
-- large (details) stands apart, so that lists never read it and retention can
-- drop it alone.

-- migration 1

-- Hosts ever met.  vars and groups make an inventory of those that a run reached.
CREATE TABLE hosts (
	id		INTEGER PRIMARY KEY,
	name		TEXT NOT NULL UNIQUE,	-- inventory_hostname
	vars		TEXT,			-- JSON map: ansible_host, ansible_port …; NULL: not known
	groups		TEXT,			-- JSON list of names
	added_ms	INTEGER NOT NULL,
	last_seen_ms	INTEGER,		-- when it last answered
	facts_ms	INTEGER			-- when facts were last gathered
) STRICT;

-- Pinned host keys ("type base64"), by the name or address that was connected to.
CREATE TABLE host_keys (
	host		TEXT NOT NULL,
	port		INTEGER NOT NULL,
	key		TEXT NOT NULL,
	pinned_ms	INTEGER NOT NULL,
	PRIMARY KEY (host, port, key)
) STRICT, WITHOUT ROWID;

-- The last known facts, without the prefix ansible_.
CREATE TABLE facts (
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	name		TEXT NOT NULL,
	value		TEXT NOT NULL,		-- JSON
	changed_ms	INTEGER NOT NULL,	-- since when it is so
	PRIMARY KEY (host_id, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
	id		INTEGER PRIMARY KEY AUTOINCREMENT,	-- never used twice
	site		TEXT NOT NULL,		-- path of the playbook
	check_only	INTEGER NOT NULL,
	started_ms	INTEGER NOT NULL,
	ended_ms	INTEGER,		-- NULL: under way, or the program was killed
	status		INTEGER,		-- exit code
	user		TEXT,			-- who ran it
	pid		INTEGER NOT NULL,
	version		TEXT NOT NULL		-- of provctl
) STRICT;

-- A host's counters at the end of a run.
CREATE TABLE run_hosts (
	run_id		INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	host_id		INTEGER NOT NULL REFERENCES hosts,
	ok		INTEGER NOT NULL,
	changed		INTEGER NOT NULL,
	failed		INTEGER NOT NULL,
	skipped		INTEGER NOT NULL,
	unreachable	INTEGER NOT NULL,
	rescued		INTEGER NOT NULL,
	ignored		INTEGER NOT NULL,
	PRIMARY KEY (run_id, host_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX run_hosts_by_host ON run_hosts (host_id, run_id);

-- Tasks as they stood in a site; shared by the results of all runs.
CREATE TABLE tasks (
	id		INTEGER PRIMARY KEY,
	file		TEXT NOT NULL,
	line		INTEGER NOT NULL,
	name		TEXT NOT NULL,		-- as shown
	module		TEXT NOT NULL,
	role		TEXT NOT NULL,		-- '' none
	play		TEXT NOT NULL,
	handler		INTEGER NOT NULL,
	UNIQUE (file, line, name, module, role, play, handler)
) STRICT;

-- What became of a task on a host.
CREATE TABLE results (
	id		INTEGER PRIMARY KEY,
	run_id		INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	host_id		INTEGER NOT NULL REFERENCES hosts,
	task_id		INTEGER NOT NULL REFERENCES tasks,
	outcome		TEXT NOT NULL,		-- ok changed failed ignored rescued skipped unreachable
	started_ms	INTEGER NOT NULL,
	duration_ms	INTEGER NOT NULL,
	delegated	TEXT,			-- the host that did it, when it was another
	msg		TEXT
) STRICT;
CREATE INDEX results_by_run ON results (run_id, host_id);

-- The result in full (bounded) and the diff, where there is something to tell.
CREATE TABLE details (
	result_id	INTEGER PRIMARY KEY REFERENCES results ON DELETE CASCADE,
	result		TEXT,			-- JSON map
	diff		TEXT			-- unified
) STRICT;

CREATE TABLE warnings (
	id		INTEGER PRIMARY KEY,
	run_id		INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	host		TEXT,
	text		TEXT NOT NULL
) STRICT;
CREATE INDEX warnings_by_run ON warnings (run_id);

-- migration 2

-- Which process works a run: its machine's boot and process namespace, and when it started, since numbers are used again.
ALTER TABLE runs ADD COLUMN boot TEXT NOT NULL DEFAULT '';
ALTER TABLE runs ADD COLUMN pid_start INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runs ADD COLUMN options TEXT;	-- how it was asked for: JSON, encrypted with the key beside the database; hex
ALTER TABLE runs ADD COLUMN partial INTEGER NOT NULL DEFAULT 0;	-- not all tasks: tags, a start in the middle
ALTER TABLE runs ADD COLUMN resumes INTEGER;	-- the run that this one goes on with
ALTER TABLE runs ADD COLUMN site_id TEXT;	-- sites
CREATE INDEX runs_by_resumed ON runs (resumes) WHERE resumes IS NOT NULL;
CREATE INDEX runs_by_site ON runs (site_id) WHERE site_id IS NOT NULL;

-- The hosts that a run set out to work on.
CREATE TABLE run_todo (
	run_id		INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	host_id		INTEGER NOT NULL REFERENCES hosts,
	PRIMARY KEY (run_id, host_id)
) STRICT, WITHOUT ROWID;

-- Handlers that were notified and have not succeeded since, in whatever run.
CREATE TABLE owed (
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	handler		TEXT NOT NULL,		-- as shown
	site		TEXT NOT NULL,		-- where it was notified
	run_id		INTEGER NOT NULL,	-- by which run, first
	since_ms	INTEGER NOT NULL,
	PRIMARY KEY (host_id, handler)
) STRICT, WITHOUT ROWID;

-- Tasks that notify, sent to a host and not heard of since: perhaps they changed something.
CREATE TABLE asked (
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	file		TEXT NOT NULL,
	line		INTEGER NOT NULL,
	task		TEXT NOT NULL,		-- as shown
	run_id		INTEGER NOT NULL,
	since_ms	INTEGER NOT NULL,
	PRIMARY KEY (host_id, file, line, task)
) STRICT, WITHOUT ROWID;

-- Who works a host now.
CREATE TABLE leases (
	host		TEXT PRIMARY KEY,
	owner		TEXT NOT NULL,		-- user@machine
	pid		INTEGER NOT NULL,
	pid_start	INTEGER NOT NULL,
	boot		TEXT NOT NULL,
	token		TEXT NOT NULL,		-- one a holder, never used twice
	run_id		INTEGER,		-- NULL: about to begin
	site		TEXT NOT NULL,
	since_ms	INTEGER NOT NULL,
	renewed_ms	INTEGER NOT NULL,
	expires_ms	INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX leases_by_token ON leases (token);
CREATE INDEX leases_by_run ON leases (run_id);

-- What was loaded for a run, by content: the id is the hash of the list of files.
CREATE TABLE sites (
	id		TEXT PRIMARY KEY,
	path		TEXT NOT NULL,		-- of the playbook
	added_ms	INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE site_files (
	site_id		TEXT NOT NULL REFERENCES sites ON DELETE CASCADE,
	path		TEXT NOT NULL,		-- absolute
	blob		TEXT NOT NULL,		-- blobs.id
	mode		INTEGER NOT NULL,
	PRIMARY KEY (site_id, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX site_files_by_blob ON site_files (blob);
CREATE TABLE blobs (
	id		TEXT PRIMARY KEY,	-- HMAC-SHA-256 of the content with the key beside the database
	size		INTEGER NOT NULL,
	data		BLOB NOT NULL		-- nonce, AES-256-GCM of the content, tag
) STRICT;

-- Work owed to a host: its last run failed there.
CREATE TABLE pending (
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	site		TEXT NOT NULL,		-- path of the playbook
	run_id		INTEGER NOT NULL,	-- the last try
	partial		INTEGER NOT NULL,
	reason		TEXT NOT NULL,
	tries		INTEGER NOT NULL,
	first_ms	INTEGER NOT NULL,
	last_ms		INTEGER NOT NULL,
	next_ms		INTEGER,		-- NULL: given up
	PRIMARY KEY (host_id, site)
) STRICT, WITHOUT ROWID;
CREATE INDEX pending_by_next ON pending (next_ms);
