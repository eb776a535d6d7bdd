"""Commands of a user whom file permissions stop: root, whom they do not, gives up that power for the command."""

from __future__ import annotations

import os

AS_A_USER = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Put before a command."""
