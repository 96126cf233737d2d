"""What a shop reads of its customers: interests, price band, rhythm, recency-frequency-monetary, likely next purchases.

| file | what |
|---|---|
| ``measures.py`` | one number a customer or item, streamed through DuckDB |
| ``rfm.py`` | scores from 1 to 5 and the segments' names |
| ``customer.py`` | the profile of one customer: plain facts, as text and for JSON |
| ``portrait.py`` | makes one from a customer's own events |
| ``profiles.py`` | all customers: the table, the segments, and the way to each profile |
| ``report.py`` | both as a page of HTML with plots |
"""

from __future__ import annotations

from .customer import RFM, Interest, Month, NextPurchase, PriceBand, Profile, Rhythm
from .profiles import Profiles, Segment

__all__ = ["RFM", "Interest", "Month", "NextPurchase", "PriceBand", "Profile", "Profiles", "Rhythm", "Segment"]
