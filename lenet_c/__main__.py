"""`python -m lenet_c` is the command `lenet-c`."""

import sys

from lenet_c.cli import main

sys.exit(main())
