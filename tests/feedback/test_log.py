"""The log keeps what it has confirmed, whatever happens to the process or the disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading

import pytest

from ecocore.errors import FormatError, InvalidArgument
from ecocore.feedback import Feedback, FeedbackLog, LogUnavailable

from .conftest import entry


def test_a_reply_comes_back_as_it_was_logged(log):
    e = entry()
    log.add_reply(e)
    (r,) = log.records()
    assert (r.id, r.text, r.intents, r.actions, r.variants) == (e.id, e.text, e.intents, dict(e.actions), e.variants)
    assert r.user != "ann"
    assert (r.reward, r.thumb, r.label) == (None, None, None)


def test_the_last_word_counts(log):
    e = entry()
    log.add_reply(e)
    log.add_rating(e.id, "rephrased", "r2")
    assert next(log.records()).reward == 0
    log.add_rating(e.id, "helpful", "0")
    log.add_rating(e.id, "helpful", "1")
    log.add_rating(e.id, "correction", "refund")
    (r,) = log.records()
    assert (r.reward, r.thumb, r.label, r.signals) == (1.0, True, "refund", ("rephrased",))


def test_ratings_need_a_reply(log):
    with pytest.raises(InvalidArgument, match="reply_id: expected the id of a logged reply"):
        log.add_rating("nope", "helpful", "1")
    assert list(log.records()) == []


def test_users_are_pseudonyms_of_this_log_only(log, tmp_path):
    other = FeedbackLog(tmp_path / "other.db")
    assert log.pseudonym("ann") == log.pseudonym("ann") != other.pseudonym("ann")
    other.close()
    log.add_reply(entry())
    log.close()
    assert b"ann" not in (tmp_path / "log.db").read_bytes()


def test_a_user_can_be_forgotten(log):
    mine, other = entry(), entry(user="bob")
    log.add_reply(mine)
    log.add_reply(other)
    log.add_rating(mine.id, "helpful", "1")
    assert log.forget("ann") == 1
    assert [r.id for r in log.records()] == [other.id]


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "x.db"
    path.write_bytes(b"this is no database, " * 100)
    with pytest.raises(FormatError, match="expected a feedback log"):
        FeedbackLog(path)
    db = sqlite3.connect(tmp_path / "new.db")
    db.execute("CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID")
    db.execute("INSERT INTO meta VALUES ('format', '99')")
    db.commit()
    db.close()
    with pytest.raises(FormatError, match="format 99"):
        FeedbackLog(tmp_path / "new.db")
    with pytest.raises(LogUnavailable):
        FeedbackLog(tmp_path / "no" / "such" / "folder.db")


def test_many_threads_write(log):
    def work(i: int) -> None:
        for _ in range(50):
            e = entry(user=f"u{i}")
            log.add_reply(e)
            log.add_rating(e.id, "helpful", "1")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    rows = list(log.records())
    assert len(rows) == 400
    assert all(r.thumb for r in rows)
    assert [r.seq for r in rows] == sorted(r.seq for r in rows)


WRITER = """
import sys
sys.path.insert(0, {tests!r})
from ecocore.feedback import FeedbackLog
from feedback.conftest import entry
log = FeedbackLog({path!r})
for i in range(100000):
    e = entry(id=f"w{{i}}")
    log.add_reply(e)
    log.add_rating(e.id, "helpful", "1")
    print(e.id, flush=True)  # confirmed: add_rating has returned
"""


@pytest.mark.parametrize("delay", [0.0, 0.003, 0.011])
def test_confirmed_feedback_survives_kill_nine(tmp_path, delay):
    path = tmp_path / "log.db"
    tests = os.path.dirname(os.path.dirname(__file__))
    code = WRITER.format(tests=tests, path=str(path))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    confirmed = [process.stdout.readline().strip() for _ in range(40)]
    threading.Event().wait(delay)
    process.send_signal(signal.SIGKILL)
    confirmed += process.stdout.read().split()
    process.wait()
    process.stdout.close()
    if confirmed and not confirmed[-1].startswith("w"):
        confirmed.pop()
    log = FeedbackLog(path)
    stored = {r.id: r for r in log.records()}
    # The last line may have been cut by the kill: it is then a prefix of an id that is stored.
    for reply_id in confirmed:
        assert stored[reply_id].thumb is True
    assert len(confirmed) >= 40
    log.add_reply(entry(id="after"))  # and the log goes on
    log.close()


def _fill(log: FeedbackLog) -> None:
    """Leaves the database no room to grow: what a full disk does, by SQLite's own error."""
    pages = log._db.execute("PRAGMA page_count").fetchone()[0]
    log._db.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_loses_no_answer_and_confirms_nothing(tmp_path):
    feedback = Feedback(tmp_path / "log.db")
    kept = entry()
    assert feedback.record(kept)
    feedback.feedback(kept.id, helpful=True)
    _fill(feedback.log)
    lost = None
    for _ in range(200):
        e = entry(text="x" * 2000)
        if not feedback.record(e):
            lost = e
            break
    assert lost is not None
    with pytest.raises(InvalidArgument):
        feedback.feedback(lost.id, helpful=True)

    def rate_until_full() -> None:
        for _ in range(2000):
            feedback.feedback(kept.id, correction="refund" * 50)

    with pytest.raises(LogUnavailable, match="cannot be written: database or disk is full"):
        rate_until_full()
    feedback.log._db.execute("PRAGMA max_page_count = 1000000")  # room again
    feedback.feedback(kept.id, helpful=False)
    assert next(feedback.log.records()).thumb is False
    feedback.close()


FULL_DISK = """
import resource, signal, sys
sys.path.insert(0, {tests!r})
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from ecocore.feedback import Feedback
from feedback.conftest import entry
feedback = Feedback({path!r})
first = entry(id="first")
assert feedback.record(first)
feedback.feedback("first", helpful=True)
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
stored = sum(feedback.record(entry(text="y" * 3000)) for _ in range(200))
print(stored)
"""


def test_writes_that_the_system_refuses_are_survived(tmp_path):
    path = tmp_path / "log.db"
    tests = os.path.dirname(os.path.dirname(__file__))
    code = FULL_DISK.format(tests=tests, path=str(path))
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout) < 200
    log = FeedbackLog(path)
    rows = list(log.records())
    assert rows[0].id == "first"
    assert rows[0].thumb is True
    assert len(rows) == 1 + int(done.stdout)
    log.close()
