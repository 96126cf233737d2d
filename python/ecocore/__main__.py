"""``python -m ecocore``: the same as the ``ecocore`` command."""

import sys

from .cli import main

sys.exit(main())
