"""``python -m skbq`` is the command ``skbq``."""

import sys

from .cli import main

sys.exit(main())
