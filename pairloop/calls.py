"""Requests to a labeling server: one address, one token, and errors with the server's own sentence."""

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

_WAITS_SECONDS = (0.2, 1.0, 3.0)


class UnreachableError(Exception):
    """Raised when no answer comes from the server."""


class ApiError(Exception):
    """Raised when the server refuses; str() is its sentence, status the HTTP status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class Calls:
    """One server, one token."""

    def __init__(self, address: str, token: str, *, timeout_seconds: float = 30.0) -> None:
        self._address = address.rstrip("/")
        # A redirect would carry the token elsewhere; the server sends none under /api.
        self._http = httpx.Client(
            base_url=self._address,
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
            timeout=timeout_seconds,
            follow_redirects=False,
        )

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def call(self, method: str, path: str, **named: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **named)
        except httpx.HTTPError as error:
            raise UnreachableError(
                f"{self._address} gives no answer ({type(error).__name__}). "
                "Is `pairloop annotate` running there?"
            ) from error
        if answer.is_success:
            try:
                found: dict[str, Any] = answer.json()
            except ValueError as error:
                raise ApiError(answer.status_code, _STRANGER) from error
            return found
        raise ApiError(answer.status_code, _detail(answer))

    def again(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        for wait in _WAITS_SECONDS:
            try:
                return self.call("POST", path, json=body)
            except UnreachableError:
                time.sleep(wait)
            except ApiError as error:
                if error.status < 500:
                    raise
                time.sleep(wait)
        return self.call("POST", path, json=body)

    def all_of(self, path: str, **params: str) -> Iterator[Mapping[str, Any]]:
        skip: int | None = 0
        while skip is not None:
            found = self.call("GET", path, params={**params, "count": 500, "skip": skip})
            yield from found["items"]
            skip = found["next"]


_STRANGER = "This is not the answer of a labeling server. Is the address right?"


def _detail(answer: httpx.Response) -> str:
    try:
        found = answer.json()
    except ValueError:
        return f"Status {answer.status_code}. {_STRANGER}"
    detail = found.get("detail") if isinstance(found, dict) else None
    return detail if isinstance(detail, str) else f"Status {answer.status_code}."


def part(text: str) -> str:
    """One part of a path, whatever it holds."""
    return quote(text, safe="")
