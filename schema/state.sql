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

-- migration 3

-- Runs that wait for a host which another one has; two never wait for each other.
CREATE TABLE lease_waits (
	token		TEXT NOT NULL,		-- leases.token of who waits
	host		TEXT NOT NULL,
	PRIMARY KEY (token, host)
) STRICT, WITHOUT ROWID;

-- What a run has sent to a host and has not heard of; the controller may have died meanwhile.
CREATE TABLE doing (
	run_id		INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	host_id		INTEGER NOT NULL REFERENCES hosts,
	task		TEXT NOT NULL,		-- as shown
	file		TEXT NOT NULL,
	line		INTEGER NOT NULL,
	since_ms	INTEGER NOT NULL,
	PRIMARY KEY (run_id, host_id)
) STRICT, WITHOUT ROWID;

-- What is set for this database; a name that is missing has its default.
CREATE TABLE settings (
	name		TEXT PRIMARY KEY,
	value		TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX runs_by_start ON runs (started_ms);
CREATE INDEX runs_by_path ON runs (site, id);
-- The words of state_unfinished_list(), to the letter: only so is it used.
CREATE INDEX runs_unfinished ON runs (id)
	WHERE check_only = 0 AND (ended_ms IS NULL OR status IN (3, 4, 130));
CREATE INDEX runs_open ON runs (id) WHERE ended_ms IS NULL;
CREATE INDEX pending_by_run ON pending (run_id);
-- "address port" where no SSH server answered, when that is why: it is waited for.
ALTER TABLE pending ADD COLUMN unanswered TEXT;
CREATE INDEX pending_by_address ON pending (unanswered) WHERE unanswered IS NOT NULL;
CREATE INDEX asked_by_run ON asked (run_id);

-- Why a result is a change: intentional (what was asked for is not what was
-- last applied there), corrective (it is: the host has changed), NULL: neither.
ALTER TABLE results ADD COLUMN class TEXT;
-- Templates may use it, so a snapshot keeps it.  mode has the type of the file:
-- a directory has no blob (''), that of a link is its target.
ALTER TABLE site_files ADD COLUMN mtime_ns INTEGER NOT NULL DEFAULT 0;

-- Files as they were when their content was read last: what is still so need not be read again.
CREATE TABLE file_stats (
	path		TEXT PRIMARY KEY,
	dev		INTEGER NOT NULL,
	ino		INTEGER NOT NULL,
	size		INTEGER NOT NULL,
	mtime_ns	INTEGER NOT NULL,
	ctime_ns	INTEGER NOT NULL,
	blob		TEXT NOT NULL		-- blobs.id
) STRICT, WITHOUT ROWID;

-- The last apply of a site (all of it) that reached a host: what drift is told from.
CREATE TABLE applied_sites (
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	site		TEXT NOT NULL,		-- path of the playbook
	run_id		INTEGER NOT NULL,
	PRIMARY KEY (host_id, site)
) STRICT, WITHOUT ROWID;
CREATE INDEX applied_sites_by_site ON applied_sites (site, run_id);
CREATE INDEX applied_sites_by_run ON applied_sites (run_id);

-- What a task last asked of a host with success; both are keyed hashes, see agentd/state/drift.c.
CREATE TABLE applied (
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	task		INTEGER NOT NULL,	-- site, role, name, module, item
	desired		INTEGER NOT NULL,
	PRIMARY KEY (host_id, task)
) STRICT, WITHOUT ROWID;

-- Hosts that were found other than they had been left.
CREATE TABLE drift (
	id		INTEGER PRIMARY KEY,
	host_id		INTEGER NOT NULL REFERENCES hosts ON DELETE CASCADE,
	site		TEXT NOT NULL,		-- path of the playbook
	task		INTEGER NOT NULL,	-- applied.task
	task_id		INTEGER NOT NULL REFERENCES tasks,
	item		TEXT NOT NULL,		-- of a loop, as shown; ''
	first_ms	INTEGER NOT NULL,
	first_run	INTEGER NOT NULL,
	last_ms		INTEGER NOT NULL,
	last_run	INTEGER NOT NULL,
	seen		INTEGER NOT NULL,	-- by so many runs
	diff		TEXT,			-- unified; NULL: there is none to be shown
	closed_ms	INTEGER,		-- NULL: open
	closed_run	INTEGER,		-- that found it gone or put it right
	how		TEXT			-- corrected, gone (by itself or by hand), replaced (by an intentional change), forgotten
) STRICT;
CREATE UNIQUE INDEX drift_open ON drift (host_id, task) WHERE closed_ms IS NULL;
CREATE INDEX drift_by_close ON drift (closed_ms, id);
CREATE INDEX drift_by_task ON drift (task_id);

-- When a person said that it is no host any more; NULL: it is one.
ALTER TABLE hosts ADD COLUMN forgotten_ms INTEGER;

-- What is told of a run, a few of its many results.
CREATE INDEX results_told ON results (run_id, id) WHERE outcome NOT IN ('ok', 'skipped');
CREATE INDEX results_corrective ON results (run_id, host_id) WHERE class = 'corrective';

-- What a run's changes have taken away; contents are kept on the hosts, by hash.
CREATE TABLE before (
	id		INTEGER PRIMARY KEY,
	run_id		INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
	host_id		INTEGER NOT NULL REFERENCES hosts,	-- that was changed
	task		TEXT NOT NULL,		-- as shown
	user		TEXT,			-- who changed it and keeps the content; NULL: the login's user
	quiet		INTEGER NOT NULL,	-- no diff of it is to be shown
	path		TEXT NOT NULL,		-- ''; so many more than the host counts, in was
	was		TEXT NOT NULL,		-- JSON: type, mode, uid, gid, sha256, target
	made		TEXT			-- likewise, as the task left it
) STRICT;
CREATE INDEX before_by_run ON before (run_id, host_id, id);
