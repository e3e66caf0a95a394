"""LogOps Fast: a gateway for logs that proves, refuses, masks and stores."""

from typing import Final

__version__: Final = "0.5.0"
