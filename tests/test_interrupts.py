"""Ctrl-C while the database works is a KeyboardInterrupt, at once, and leaves nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

from ecocore.database import Database


@pytest.mark.parametrize("fetch", [Database.run, Database.arrays])
def test_a_query_stops_and_the_database_goes_on(tmp_path, fetch):
    db = Database(temp_directory=tmp_path)
    sql = "SELECT sum(a.range * b.range) FROM range(2000000) a, range(20000) b"  # seconds of work, one row
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        fetch(db, sql)
    timer.join()
    assert db.run("SELECT 42") == [(42,)]
    db.close()
    assert not list(tmp_path.iterdir())


def test_other_errors_pass_as_they_are(tmp_path):
    db = Database(temp_directory=tmp_path)
    with pytest.raises(db.Error, match="no_such_table"):
        db.run("SELECT * FROM no_such_table")
    db.close()


def test_reading_stops_and_its_files_are_gone(tmp_path):
    """In a process of its own, as a shell would stop it: 3 million rows, interrupted once their table is being made."""
    code = """
        import os, signal, threading
        import ecocore
        from ecocore import sources
        stage = sources._Csv.stage
        def staged(self, *args):
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGINT)).start()
            stage(self, *args)
        sources._Csv.stage = staged
        try:
            ecocore.read_events("log.csv", temp_directory="temporary")
        except KeyboardInterrupt:
            print("stopped", os.listdir("temporary"))
    """
    with open(tmp_path / "log.csv", "w") as f:
        f.write("user,item\n")
        for _ in range(30):
            f.write("123456,654321\n" * 100_000)
    Path(tmp_path / "temporary").mkdir()
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=tmp_path, timeout=120
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "stopped []\n", "")
