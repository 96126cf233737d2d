"""The hand-written stub of the native module says what the module really holds."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import ecocore
from ecocore import _core

Parameters = list[tuple[str, bool]]  # name, and whether it has a default


def test_stubtest_agrees(tmp_path):
    pytest.importorskip("mypy", reason="stubtest comes with mypy")
    # A copy, so that no checkout's mypy settings and no other installed ecocore has a say.
    shutil.copytree(Path(ecocore.__file__).parent, tmp_path / "ecocore", ignore=shutil.ignore_patterns("__pycache__"))
    # pybind11's classes have a metaclass that exists only at run time. Their members are checked all the same.
    allowed = tmp_path / "allowed"
    allowed.write_text("".join(f"ecocore\\._core\\.{name}\n" for name in CLASSES))
    out = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ecocore._core", "--allowlist", str(allowed)],
        env=os.environ | {"MYPYPATH": str(tmp_path), "PYTHONPATH": str(tmp_path), "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert "Success: no issues found" in out.stdout, out.stdout + out.stderr


def parameters(function: ast.FunctionDef) -> Parameters:
    a = function.args
    positional = [*a.posonlyargs, *a.args]
    defaults = [False] * (len(positional) - len(a.defaults)) + [True] * len(a.defaults)
    named = [(x.arg, d is not None) for x, d in zip(a.kwonlyargs, a.kw_defaults, strict=True)]
    return [(x.arg, d) for x, d in zip(positional, defaults, strict=True)] + named


def stubbed(body: list[ast.stmt], prefix: str = "") -> dict[str, Parameters]:
    """Every function of the stub; of an overloaded one, the last."""
    out: dict[str, Parameters] = {}
    for node in body:
        if isinstance(node, ast.FunctionDef):
            properties = [d for d in node.decorator_list if isinstance(d, ast.Name) and d.id == "property"]
            if not properties:
                out[prefix + node.name] = parameters(node)
        elif isinstance(node, ast.ClassDef):
            out |= stubbed(node.body, f"{node.name}.")
    return out


def bound(name: str) -> Parameters | None:
    """The parameters that pybind11 writes into the docstring; None where it cannot say (overloads, odd defaults)."""
    function: object = _core
    for part in name.split("."):
        function = getattr(function, part)
    signature = (getattr(function, "__doc__", None) or "").splitlines()[0]
    try:
        node = ast.parse(f"def {signature}: ...").body[0]
    except SyntaxError:
        return None
    assert isinstance(node, ast.FunctionDef)
    return parameters(node)


STUB = ast.parse(Path(ecocore.__file__).with_name("_core.pyi").read_text()).body
CLASSES = [node.name for node in STUB if isinstance(node, ast.ClassDef)]
FUNCTIONS = stubbed(STUB)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_parameters_agree(name):
    """stubtest cannot see the parameters of a native function; pybind11's docstring has them."""
    if (found := bound(name)) is None:
        pytest.skip("pybind11 writes no parsable signature for it")
    assert found == FUNCTIONS[name]
