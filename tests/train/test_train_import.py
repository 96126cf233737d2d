"""What must hold with and without PyTorch: the run time never imports it, and its absence is said with the remedy."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout


def test_the_package_imports_neither_torch_nor_onnx():
    code = "import sys, ecocore; print([m for m in ('torch', 'onnx', 'ecocore.train') if m in sys.modules])"
    assert run(code).strip() == "[]"


def test_training_without_torch_names_the_extra():
    code = """
import sys
sys.modules["torch"] = None
import ecocore
try:
    import ecocore.train
except ecocore.MissingExtra as e:
    print(e)
"""
    assert "pip install 'ecocore[train]'" in run(code)
