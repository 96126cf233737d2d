"""What README shows runs: every Python block, in order, on a small shop."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from ecocore import IdMap
from ecocore.assistant import demo_shop
from reference_recurrent import model_arrays, write_model

ROOT = Path(__file__).parents[1]


@pytest.fixture
def shop_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pa = pytest.importorskip("pyarrow", reason="needs pyarrow to write the log")
    import pyarrow.parquet as pq

    rng = np.random.default_rng(0)
    n, users, items = 6000, 80, 60
    user = rng.integers(0, users, n)
    item = (rng.integers(0, items // 2, n) * 2 + user % 2) % items
    table = {
        "customer_id": [f"customer-{u}" for u in user],
        "sku": [f"sku-{i}" for i in item],
        "ts": np.datetime64("2024-01-01") + rng.integers(0, 120 * 86400, n).astype("timedelta64[s]"),
        "type": np.where(rng.random(n) < 0.3, "purchase", "view"),
        "price": np.round(1 + item * 0.5, 2),
        "order_id": [f"{'C' if c else ''}{i}" for i, c in enumerate(rng.random(n) < 0.02)],
    }
    (tmp_path / "events").mkdir()
    pq.write_table(pa.table(table), tmp_path / "events" / "2024.parquet")
    rows = [f"sku-{i},Thing {i},{('coffee', 'tea')[i % 2]},{1 + i * 0.5}" for i in range(items)]
    meta, arrays = model_arrays(items=items, seed=2)
    ids, id_arrays = IdMap([f"sku-{i}" for i in range(items)]).to_parts()
    arrays = {k: v for k, v in arrays.items() if not k.startswith("item_ids")}
    write_model(
        tmp_path / "next", {**meta, "item_ids": ids}, arrays | {f"item_ids_{k}": v for k, v in id_arrays.items()}
    )
    (tmp_path / "products.csv").write_text("\n".join(["sku,title,category,price", *rows]) + "\n")
    monkeypatch.chdir(tmp_path)


def test_python_blocks(shop_files: None, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert len(blocks) >= 4
    rng = np.random.default_rng(1)
    names = {  # what the block on vectors takes as given
        "item_vectors": rng.standard_normal((200, 8), np.float32),
        "boost": np.zeros(200, np.float32),
        "queries": rng.standard_normal((3, 8), np.float32),
        "seen": csr_matrix(np.eye(3, 200, dtype=np.float32)),
        "sold_out": [5, 6],
        "backend": demo_shop(),  # the class with orders and stock
    }
    for block in blocks:
        exec(compile(block, "README.md", "exec"), names)
    assert len(set(names["ids"])) == 10
    assert names["shop"].history.items[len(names["shop"].history.items) - 1] == "sku-new"
    printed = capsys.readouterr().out
    assert "recall@20" in printed
    assert "Thing" in printed


def test_table_of_names_is_what_the_package_has() -> None:
    import ecocore

    table = (ROOT / "README.md").read_text().split("## What is where")[1].split("\n\nErrors are")[0]
    named = set(re.findall(r"`(\w+)`", table.replace("`, `", "` `")))
    assert named <= set(ecocore.__all__)
    left_out = set(ecocore.__all__) - named
    classes = {name: getattr(ecocore, name) for name in left_out}
    errors = {name for name, c in classes.items() if isinstance(c, type) and issubclass(c, Exception)}
    results = {"CleaningReport", "Metrics", "Product", "Recommendation", "TopKResult", "__version__", "get_num_threads"}
    assert left_out - errors == results
