"""What the labeling server counts about itself, as Prometheus reads it.

No label says who: neither people nor models, temperatures or pairs have names here, so whoever
watches the server stays as blind as whoever labels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)
from prometheus_client.exposition import choose_encoder

from storage.run_records import RunKind, RunStatus

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
_REASONS = {
    401: "signed_out",
    403: "forbidden",
    409: "conflict",
    411: "malformed",
    413: "too_large",
    422: "malformed",
    503: "store",
}
_OTHER_REASON = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What a scrape reads of the desk and the store."""

    pairs: Mapping[str, int]  # by state
    active_labelers: int
    runs: Mapping[tuple[RunKind, RunStatus], int]
    database_bytes: int
    disk_free_bytes: int


class Metrics:
    """One server's counters, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._requests = self._counter(
            "pairloop_requests", "Requests answered", "route", "method", "status"
        )
        self._request_seconds = self._histogram(
            "pairloop_request_duration_seconds", "Until the answer began", "route", "method"
        )
        self._acknowledged = self._counter(
            "pairloop_judgments_acknowledged",
            "Judgments whose sender was told that they are stored",
        )
        self._refused = self._counter(
            "pairloop_judgments_refused",
            "Judgments whose sender was told that they are not",
            "reason",
        )
        for reason in {*_REASONS.values(), _OTHER_REASON}:
            self._refused.labels(reason)
        self._stored = self._counter(
            "pairloop_judgments_stored", "Judgments and withdrawals made durable"
        )
        self._commit_seconds = self._histogram(
            "pairloop_store_commit_duration_seconds", "Making a group of judgments durable"
        )
        self._commit_failures = self._counter(
            "pairloop_store_commit_failures", "Groups of judgments that could not be stored"
        )
        self._pairs = self._gauge("pairloop_pairs", "Pairs to label, by where they are", "state")
        self._active = self._gauge("pairloop_labelers_active", "People who hold pairs now")
        self._runs = self._gauge("pairloop_runs", "Runs of the commands", "kind", "state")
        self._up = self._gauge("pairloop_store_up", "1 if the store answered this scrape in time")
        self._ready = self._gauge("pairloop_ready", "1 if /readyz says so")
        self._database = self._gauge("pairloop_database_bytes", "The database file and its log")
        self._free = self._gauge("pairloop_disk_free_bytes", "Left on the workspace's disk")
        self._gauge("pairloop_build_info", "What runs", "version").labels(version("pairloop")).set(
            1
        )

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request; route is "" where nothing has that path."""
        method = method if method in _METHODS else "other"
        route = route or "none"
        self._requests.labels(route, method, str(status)).inc()
        self._request_seconds.labels(route, method).observe(seconds)
        if (method, route) != ("POST", "/api/judgments"):
            return
        if status == 200:
            self._acknowledged.inc()
        else:
            self._refused.labels(_REASONS.get(status, _OTHER_REASON)).inc()

    def committed(self, seconds: float, rows: int) -> None:
        """Count a group of judgments; rows is 0 where it could not be stored."""
        self._commit_seconds.observe(seconds)
        self._stored.inc(rows)
        if not rows:
            self._commit_failures.inc()

    def exposition(
        self, glance: Glance | None, *, ready: bool, accept: str | None
    ) -> tuple[bytes, str]:
        """The text and its content type. glance: None where the store did not answer in time."""
        self._up.set(glance is not None)
        self._ready.set(ready)
        for gauge in (self._pairs, self._runs):
            gauge.clear()  # what is not known is left out: an old number would look like a new one
        if glance is not None:
            for state, count in glance.pairs.items():
                self._pairs.labels(state).set(count)
            for kind in RunKind:
                for status in RunStatus:
                    self._runs.labels(kind, status).set(glance.runs.get((kind, status), 0))
        self._active.set(glance.active_labelers if glance else float("nan"))
        self._database.set(glance.database_bytes if glance else float("nan"))
        self._free.set(glance.disk_free_bytes if glance else float("nan"))
        encode, content_type = choose_encoder(accept or "")
        return encode(self.registry), content_type

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=_SECONDS, registry=self.registry)
