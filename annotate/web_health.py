"""For whoever runs the server: is it alive, should it be given requests, and its numbers."""

import logging
import os
from pathlib import Path

from fastapi import APIRouter, Depends, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from annotate.access import anybody, scrapers
from annotate.desk import Desk
from annotate.health import Health
from annotate.metrics import Glance, Metrics
from annotate.timed import Timed
from storage.errors import ConfigurationError
from storage.lake import LakeAddress
from storage.runs import RunTally
from storage.store import Store
from storage.words import many

log = logging.getLogger(__name__)

METRICS_TOKEN = "PAIRLOOP_METRICS_TOKEN"  # noqa: S105 - the variable's name
SCRAPE_SECONDS = 5.0  # Prometheus gives up after ten


def health_router(health: Health) -> APIRouter:
    """Two routes for anybody; neither waits for a free thread."""
    router = APIRouter(tags=["health"], dependencies=[Depends(anybody)])

    @router.get("/healthz")
    async def healthz() -> dict[str, str]:
        """The process answers; the store is not asked."""
        return {"status": "ok"}

    @router.get("/readyz")
    async def readyz() -> Response:
        """The store answers and there is room on the disk; else 503, with the reason."""
        if why := await health.refusal():
            body = {"status": "not ready", "detail": why}
            return JSONResponse(body, status_code=503, headers={"Retry-After": "5"})
        return JSONResponse({"status": "ready"})

    return router


def metrics_router(metrics: Metrics, health: Health, desk: Desk, store: Store) -> APIRouter:
    """One route for admins and for whoever has the metrics token."""
    router = APIRouter(tags=["health"])
    tally = RunTally(store)

    def look() -> Glance:
        seen = desk.glance()
        done = seen["pairs"] - seen["open"]
        return Glance(
            pairs={
                "waiting": seen["open"] - seen["leased"],
                "leased": seen["leased"],
                "settled": seen["settled"],
                "unsettled": max(0, done - seen["settled"]),
            },
            active_labelers=seen["labelers"],
            runs=tally.counts(),
            database_bytes=_size(store.database),
            disk_free_bytes=health.free_bytes(),
        )

    timed = Timed(look, limit_seconds=SCRAPE_SECONDS, keep_seconds=0.0)

    kinds: dict[str, object] = {"text/plain": {}, "application/openmetrics-text": {}}

    @router.get(
        "/metrics",
        dependencies=[Depends(scrapers)],
        response_class=PlainTextResponse,
        responses={200: {"content": kinds}},
    )
    async def scrape(request: Request) -> Response:
        """The numbers in Prometheus' text format, or OpenMetrics where that is asked for."""
        ready = not await health.refusal()
        try:
            seen: Glance | None = await timed.answer()
        except Exception:  # the other numbers are still right
            log.exception("a scrape could not look at the store")
            seen = None
        body, kind = metrics.exposition(seen, ready=ready, accept=request.headers.get("accept"))
        return Response(body, headers={"Content-Type": kind})

    return router


def metrics_token() -> str:
    """The secret that reads the metrics and nothing else; "" where there is none."""
    found = os.environ.get(METRICS_TOKEN, "")
    if found and not 16 <= len(found) <= 200:
        raise ConfigurationError(
            f"{METRICS_TOKEN} has {many(len(found), 'character')}; it needs 16 to 200. "
            "Make one with `openssl rand -hex 32`."
        )
    return found


def _size(database: Path | LakeAddress) -> int:
    """The database and its write-ahead log; 0 where the store keeps its rows elsewhere."""
    if not isinstance(database, Path):
        return 0
    files = (database, database.with_name(f"{database.name}.wal"))
    return sum(file.stat().st_size for file in files if file.exists())
