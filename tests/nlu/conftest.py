from __future__ import annotations

from hypothesis import settings

settings.register_profile("unhurried", deadline=None)  # the first call builds the table of code points
settings.load_profile("unhurried")
