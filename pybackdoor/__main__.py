"""`python -m pybackdoor`."""

import sys

from pybackdoor.cli.main import main

sys.exit(main())
