"""What only the broker's monitoring page tells: how often it writes to the disk."""

from __future__ import annotations

import http.client
import json
from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final
from urllib.parse import urlsplit

PORT: Final = 8222  # where nats.conf, and everybody's, puts the page
ANSWER_LIMIT_S: Final = 1.0


def sync_interval(server: Mapping[str, Any], url: str) -> str | None:
    """``always``, an interval such as ``120s``, or None where the page of this very server is not there to be read."""
    host = urlsplit(url.split(",", maxsplit=1)[0].strip()).hostname or "127.0.0.1"
    page = _page(host, "/jsz?config=true")
    if page.get("server_id") != server.get("server_id"):
        return None
    config = page.get("config", {})
    if config.get("sync_always"):
        return "always"
    nanoseconds = config.get("sync_interval")
    return None if nanoseconds is None else f"{nanoseconds / 1e9:g}s"


def _page(host: str, path: str) -> dict[str, Any]:
    with closing(http.client.HTTPConnection(host, PORT, timeout=ANSWER_LIMIT_S)) as connection:
        try:
            connection.request("GET", path)
            found = json.loads(connection.getresponse().read())
        except (OSError, ValueError, http.client.HTTPException):
            return {}
    return found if isinstance(found, dict) else {}
