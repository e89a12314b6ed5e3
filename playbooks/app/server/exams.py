"""The exams API.

GET /api/exams   the table of exams, as a JSON list
GET /api/health  what a deployment wants to know: 200 if the database answers, else 503

All settings come from the environment; without the required ones the program does not start.
"""

import contextlib
import os

import psycopg2
import psycopg2.extras
from flask import Flask, jsonify, request

REQUIRED = ("DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD")

missing = [name for name in REQUIRED if not os.environ.get(name)]
if missing:
    raise SystemExit("exams: no value in the environment for " + ", ".join(missing))

LIMIT = int(os.environ.get("EXAMS_LIMIT", "100"))

app = Flask(__name__)


def query(sql, parameters=()):
    """Returns the rows of one query as dicts.  Each request has a connection of its own, so a
    restarted database needs no restarted server."""
    connection = psycopg2.connect(
        host=os.environ["DATABASE_HOST"],
        port=os.environ.get("DATABASE_PORT", "5432"),
        dbname=os.environ["DATABASE_NAME"],
        user=os.environ["DATABASE_USER"],
        password=os.environ["DATABASE_PASSWORD"],
        connect_timeout=3,
        cursor_factory=psycopg2.extras.RealDictCursor,
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall()


@app.route("/api/exams")
def exams():
    rows = query(
        "SELECT id, subject, room, starts_at, seats FROM exams ORDER BY starts_at, id LIMIT %s",
        (LIMIT,),
    )
    for row in rows:
        row["starts_at"] = row["starts_at"].isoformat(timespec="minutes")
    return jsonify(rows)


@app.route("/api/health")
def health():
    try:
        count = query("SELECT count(*) AS count FROM exams")[0]["count"]
        database = "ok, %d exams" % count
    except psycopg2.Error as error:
        database = str(error).strip()
    state = {
        # The address the listening socket is bound to, not the one that was asked for.
        "bind": request.environ.get("SERVER_NAME"),
        "database": database,
        "debug": app.debug,
    }
    return jsonify(state), 200 if database.startswith("ok") else 503
