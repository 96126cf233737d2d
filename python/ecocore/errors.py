"""The exceptions of ecocore. Each is also the built-in that a caller would expect to catch."""

from __future__ import annotations

__all__ = ["DeviceUnavailable", "EcocoreError", "FormatError", "InvalidArgument", "MissingExtra", "NotFitted"]


class EcocoreError(Exception):
    """Base of every error that ecocore raises on purpose."""


class InvalidArgument(EcocoreError, ValueError):
    """A caller's mistake; the message names the argument, what was expected, what came, and the remedy."""


class DeviceUnavailable(EcocoreError, RuntimeError):
    """A device or an instruction set was asked for by name and is not there."""


class FormatError(EcocoreError, ValueError):
    """A file or folder is not what it should be: cut short, altered, of a newer format, or something else."""


class NotFitted(EcocoreError, RuntimeError):
    """The model has no factors yet; call ``fit`` or ``load`` first."""


class MissingExtra(EcocoreError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""


def missing_extra(package: str, extra: str, purpose: str) -> MissingExtra:
    """The error for an absent optional dependency, with the command that brings it."""
    return MissingExtra(f"{purpose} needs {package}, which is not installed; run: pip install 'ecocore[{extra}]'")
