"""Settings every process of Muster shares. A command-line flag wins over the environment, which wins over these."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from muster.model.errors import InvalidArgumentError


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Where the broker is and how it is spoken to; where files go. Each limit says why it is what it is."""

    url: str = "nats://127.0.0.1:4222"
    """Comma-separated URLs of the broker."""
    creds: str | None = None
    """A NATS credentials file, where the broker asks for one."""
    nkey_seed: str | None = None
    """A file with an nkey seed, instead of ``creds``."""
    inbox_prefix: str = "_INBOX"
    """Agents get one of their own, so that none can read another's replies."""
    data_dir: Path = Path("~/.local/state/muster").expanduser()
    """The embedded broker's store, outboxes and the view file."""
    archive: Path | None = None
    """A directory for executions that are archived, instead of a bucket in the broker."""
    replicas: Annotated[int, msgspec.Meta(ge=1, le=5)] = 1
    """Replicas of every stream; 3 on a cluster."""
    append_deadline_s: float = 5.0
    """An append that has no answer by then is *unknown*: five seconds outlast a leader change of the broker."""
    append_window: int = 4096
    """Appends under way at once: a bound on memory, large enough never to wait on one round of 1,000 steps."""
    read_batch: int = 500
    """Events handed over at once; more saves little and makes a round long."""
    duplicate_window_s: float = 120.0
    """JetStream's own default. Nothing rests on it."""
    log_max_age_s: float = 7 * 86400.0
    """Log lines older than this go: they are for looking, not the truth."""
    log_max_bytes: int = 1 << 30
    """Log lines beyond this go, oldest first, so that chatty containers cannot fill the disk."""
    artifact_bytes_max: Annotated[int, msgspec.Meta(ge=0)] = 4 << 30
    """The largest file a step gives or a client sends: a film of some hours. The broker keeps it, beside the log."""
    connect_timeout_s: float = 5.0
    """How long a command waits for the broker before it says that none answers."""

    @property
    def view_path(self) -> Path:
        """The SQLite file the projections keep."""
        return self.data_dir / "view.db"


_ENVIRONMENT = {
    "url": "MUSTER_URL",
    "creds": "MUSTER_CREDS",
    "nkey_seed": "MUSTER_NKEY_SEED",
    "data_dir": "MUSTER_DATA_DIR",
    "archive": "MUSTER_ARCHIVE",
    "replicas": "MUSTER_REPLICAS",
    "artifact_bytes_max": "MUSTER_ARTIFACT_BYTES_MAX",
}

_MEANT = {
    "replicas": "number of replicas (1 to 5)",
    "artifact_bytes_max": "number of bytes",
    "data_dir": "path that can be resolved",
    "archive": "path that can be resolved",
}


def load(environment: Mapping[str, str] | None = None, **flags: Any) -> Settings:
    """Settings from the environment and from flags; a flag that is None was not given."""
    environment = os.environ if environment is None else environment
    found: dict[str, Any] = {
        field: environment[name] for field, name in _ENVIRONMENT.items() if environment.get(name)
    }
    found |= {name: value for name, value in flags.items() if value is not None}
    try:
        for field in ("data_dir", "archive"):
            if field in found:
                found[field] = str(Path(found[field]).expanduser().absolute())
        return msgspec.convert(found, Settings, strict=False, dec_hook=lambda kind, value: kind(value))
    except (msgspec.ValidationError, RuntimeError) as error:
        raise _refusal(error, found, flags) from error


def _refusal(error: Exception, found: Mapping[str, Any], flags: Mapping[str, Any]) -> InvalidArgumentError:
    """The error that names the variable or the flag whose value is no setting."""
    at = re.search(r"\$\.(\w+)", str(error))
    field = at.group(1) if at else "data_dir"  # the one that fails by itself: there is no such home directory
    variable = _ENVIRONMENT.get(field, "")
    name = variable if variable and flags.get(field) is None else f"--{field.replace('_', '-')}"
    return InvalidArgumentError(
        f"{name} is {str(found.get(field))!r}, which is no {_MEANT.get(field, 'value for it')}.",
        remedy=f"Correct {name}, or leave it out.",
    )
