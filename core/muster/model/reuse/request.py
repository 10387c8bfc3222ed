"""What a rerun asks for: by this whoever sent it, and whoever decides on it, know it again."""

from __future__ import annotations

from hashlib import blake2b

import msgspec

from muster.model.log.commands import Rerun


def asked_for(command: Rerun) -> str:
    """It as 32 hex digits: equal for equal content, whichever id it is sent under."""
    content = msgspec.structs.replace(command, id="", execution="")
    return blake2b(msgspec.json.encode(["rerun", content], order="sorted"), digest_size=16).hexdigest()
