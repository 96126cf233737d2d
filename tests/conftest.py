from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecocore import _core


@pytest.fixture(params=_core.available_isas())
def isa(request: pytest.FixtureRequest):
    """Runs the test once on every instruction set of this machine."""
    before = _core.active_isa()
    _core.force_isa(request.param)
    yield request.param
    _core.force_isa(before)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of public data sets (ECOCORE_DATA, default ../shared/data); skips where it is absent."""
    path = Path(os.environ.get("ECOCORE_DATA", Path(__file__).parents[1] / ".." / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no data sets at {path}; set ECOCORE_DATA")
    return path
