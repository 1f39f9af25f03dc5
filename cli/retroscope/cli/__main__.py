"""`python -m retroscope.cli` is `scope`, with interpreter options of the user's choice."""

import sys

from retroscope.cli.main import main

sys.exit(main())
