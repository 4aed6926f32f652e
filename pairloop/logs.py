"""What the labeling server writes to stderr: one line per event, as text or as JSON.

    {"time": "2026-11-21T18:04:05.678Z", "level": "info", "event": "request",
     "logger": "annotate.observe", "request_id": "5c6f...", "method": "POST",
     "route": "/api/judgments", "status": 200, "ms": 6.1}

An unexpected error is told by its kind and the lines of code it came through. Its own words can
quote what somebody wrote, so they are in the log at level debug only.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal

from pydantic import BaseModel, ConfigDict

AUDIT = "pairloop.audit"  # who did what: storage/team.py
OURS = ("annotate", "generate", "pairloop", "storage", "train")
FIELDS = (  # of a record's extras, these and no others
    *("request_id", "method", "route", "status", "ms"),
    *("actor", "action", "subject", "address"),
)
_Error = tuple[type[BaseException], BaseException, TracebackType | None]
_Fields = dict[str, object]


class LogConfig(BaseModel):
    """The [log] section of pairloop.toml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["text", "json"] = "text"
    level: Literal["debug", "info", "warning", "error"] = "warning"  # info: each request, too


class Lines(logging.Formatter):
    """Records as lines; whatever they hold, one record is one line."""

    def __init__(self, config: LogConfig) -> None:
        super().__init__()
        self._json = config.format == "json"
        self._words = config.level == "debug"

    def format(self, record: logging.LogRecord) -> str:
        fields = self._fields(record)
        if self._json:
            return json.dumps(fields, default=str)  # ASCII: no character in it ends a line
        shown = " ".join(f"{k}={_plain(v)}" for k, v in fields.items() if k not in _FIRST)
        return " ".join(filter(None, (*(_plain(fields[k], bare=True) for k in _FIRST), shown)))

    def _fields(self, record: logging.LogRecord) -> _Fields:
        time = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        fields: _Fields = {
            "time": time.replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage().strip(),
        }
        extras = record.__dict__
        fields |= {name: extras[name] for name in FIELDS if extras.get(name)}
        if record.exc_info and record.exc_info[0] is not None:
            fields |= self._error(record.exc_info)
        return fields

    def _error(self, error: _Error) -> _Fields:
        kind, value, trace = error
        frames = traceback.extract_tb(trace)
        fields: _Fields = {
            "error": kind.__name__,
            "trace": [f"{f.filename}:{f.lineno} {f.name}" for f in frames],
        }
        return fields | ({"words": str(value)} if self._words else {})


_FIRST = ("time", "level", "logger", "event")


def _plain(value: object, *, bare: bool = False) -> str:
    """A value on one line, in quotes where it would not read as one word."""
    text = " < ".join(reversed(value)) if isinstance(value, list) else str(value)
    if text.isprintable() and (bare or (text and " " not in text and '"' not in text)):
        return text
    return json.dumps(text)


def configure(config: LogConfig) -> None:
    """Send every log line of this process to stderr in the configured form.

    Libraries say warnings and errors only, at any level: some tell addresses and headers below that.
    """
    from annotate.observe import REQUEST_ID

    def name_request(record: logging.LogRecord) -> bool:
        record.request_id = REQUEST_ID.get()
        return True

    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines(config))
    handler.addFilter(name_request)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger(AUDIT).setLevel(logging.NOTSET)  # the command keeps it quiet elsewhere
    for name in OURS:
        logging.getLogger(name).setLevel(config.level.upper())
