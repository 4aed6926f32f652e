"""The judge behind an address: a real server that is slow, full, broken or talks nonsense."""

import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from fastapi import Response
from judge_server import LAST, chat, judge_server, longer

from annotate.config import Judge
from annotate.judge import CUT_OFF, EMPTY, Conversation, request
from annotate.judge_http import NO_COMPLETION, HttpJudge
from storage.errors import ConfigurationError, ModelError
from storage.model_server import HUNG_UP, LONGEST_WAIT, NO_CONNECTION, TIMED_OUT, retry_after
from storage.records import Message

KEY = "sk-very-secret-1234567890"
QUICK = (0.01, 0.01, 0.01)


def conversations(number=1):
    turns = (Message(role="user", content="What is tea?"),)
    return [
        Conversation(
            key=f"{i}",
            messages=request(turns, f"short {i}", "a longer one", rubric="", code="c0de"),
        )
        for i in range(number)
    ]


def ask(url, *, number=1, key="", waits=QUICK, **config):
    judge = HttpJudge(Judge(url=url, model="m", **config), key=key, waits=waits)
    return {r.key: r for r in judge.ask(conversations(number))}


def after(times, first, then=longer):
    """A script that does `first` so many times and `then` from there on."""
    turn = count()

    def script(asked):
        return first(asked) if next(turn) < times else then(asked)

    return script


def test_every_conversation_gets_its_own_reply():
    with judge_server(longer) as (url, asked):
        replies = ask(url, number=40, key=KEY, max_tokens=77)

    assert sorted(replies, key=int) == [str(i) for i in range(40)]
    assert all(r.text.endswith(LAST.format("B")) and r.seconds > 0 for r in replies.values())
    assert all(a.headers["authorization"] == f"Bearer {KEY}" for a in asked)
    body = asked[0].body
    assert (body["model"], body["temperature"], body["max_tokens"]) == ("m", 0, 77)


def test_no_more_requests_are_in_flight_than_allowed():
    flying, most, lock = 0, 0, threading.Lock()

    def slow(asked):
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        time.sleep(0.05)
        with lock:
            flying -= 1
        return longer(asked)

    with judge_server(slow) as (url, _):
        ask(url, number=12, concurrency=3)

    assert most == 3


def test_conversations_are_taken_as_they_are_needed():
    taken = []

    def lazily():
        for conversation in conversations(20):
            taken.append(conversation.key)
            yield conversation

    with judge_server(longer) as (url, _):
        replies = HttpJudge(Judge(url=url, model="m", concurrency=2), key="").ask(lazily())
        next(replies)
        assert len(taken) <= 4
        replies.close()


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 529])
def test_a_full_or_failing_server_is_asked_again(status):
    with judge_server(after(2, lambda _: Response(status_code=status))) as (url, asked):
        (reply,) = ask(url).values()

    assert reply.text
    assert len(asked) == 3


def test_it_gives_up_in_the_end_and_tells_the_status_only():
    with judge_server(lambda _: Response(f"your key {KEY}", 503)) as (url, asked):
        (reply,) = ask(url, key=KEY).values()

    assert (reply.text, reply.failure) == ("", "HTTP 503")
    assert len(asked) == len(QUICK) + 1


def test_a_server_is_not_asked_before_the_time_it_names():
    times = []

    def full(_asked):
        return Response(status_code=429, headers={"Retry-After": "1"})

    def script(asked):
        times.append(time.monotonic())
        return busy(asked)

    busy = after(1, full)
    with judge_server(script) as (url, _):
        replies = ask(url, number=2, concurrency=1)

    assert all(r.text for r in replies.values())
    assert times[1] - times[0] >= 0.95


def test_retry_after_is_seconds_or_a_date():
    now = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    date = (now + timedelta(seconds=30)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    assert retry_after("7", now=now) == 7
    assert retry_after("0.5", now=now) == 0.5
    assert retry_after(date, now=now) == 30
    assert retry_after("-5", now=now) == 0
    assert retry_after("999999", now=now) == LONGEST_WAIT
    assert retry_after("inf", now=now) == LONGEST_WAIT
    assert retry_after("nan", now=now) is None
    assert retry_after("soon", now=now) is None
    assert retry_after("", now=now) is None


def test_a_slow_server_is_given_up_after_its_time():
    def slow(asked):
        time.sleep(1.0)
        return longer(asked)

    with judge_server(slow) as (url, _):
        (reply,) = ask(url, timeout_seconds=0.2).values()

    assert reply.failure == TIMED_OUT


def test_a_request_the_server_refuses_is_not_repeated():
    with judge_server(lambda _: Response("too long", 400)) as (url, asked):
        (reply,) = ask(url).values()

    assert reply.failure == "HTTP 400"
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (Response("<html>Welcome</html>"), NO_COMPLETION),
        (Response("{}"), NO_COMPLETION),
        (Response('{"choices": []}'), NO_COMPLETION),
        (Response("[" * 100_000), NO_COMPLETION),
        (Response(b"\xff\xfe\x00"), NO_COMPLETION),
        (Response("x" * 5_000_000), "reply larger than 4 MB"),
        (Response('{"choices": [{"message": {"content": null}}]}'), EMPTY),
        (Response('{"choices": [{"message": {"content": 5}}]}'), EMPTY),
        (Response('{"choices": ["word"]}'), NO_COMPLETION),
        (chat("  "), EMPTY),
        (chat('{"verdict": "A"}', finish_reason="length"), CUT_OFF),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_nonsense_is_no_reply(answer, failure):
    with judge_server(lambda _: answer) as (url, _):
        (reply,) = ask(url).values()

    assert (reply.text, reply.failure) == ("", failure)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "refused the key .HTTP 401"),
        (403, "refused the key .HTTP 403"),
        (404, "no such address or model .HTTP 404"),
    ],
)
def test_what_every_request_would_meet_stops_the_run(status, words, caplog, capsys):
    with (
        judge_server(lambda _: Response(f"no: {KEY}", status)) as (url, asked),
        pytest.raises(ModelError, match=words) as caught,
    ):
        ask(url, number=30, key=KEY)

    assert len(asked) <= 8
    assert KEY not in str(caught.value) + caplog.text + "".join(capsys.readouterr())


def test_a_redirect_is_not_followed():
    with judge_server(longer) as (elsewhere, reached):
        away = Response(status_code=307, headers={"Location": f"{elsewhere}/chat/completions"})
        with (
            judge_server(lambda _: away) as (url, _),
            pytest.raises(ModelError, match="sends requests elsewhere"),
        ):
            ask(url, key=KEY)
    assert reached == []


def test_nobody_there():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    (reply,) = ask(f"http://127.0.0.1:{port}/v1").values()
    assert reply.failure == NO_CONNECTION


def test_a_server_that_hangs_up_is_asked_again():
    listener = socket.create_server(("127.0.0.1", 0))

    def hang_up():
        for _ in range(len(QUICK) + 1):
            connection, _address = listener.accept()
            connection.recv(100)
            connection.close()

    thread = threading.Thread(target=hang_up)
    thread.start()
    (reply,) = ask(f"http://127.0.0.1:{listener.getsockname()[1]}/v1").values()
    thread.join(timeout=10)
    listener.close()

    assert reply.failure == HUNG_UP


def test_stopping_early_takes_back_what_is_in_flight():
    def slow(asked):
        if "short 0" not in asked.left:
            time.sleep(5)
        return longer(asked)

    with judge_server(slow) as (url, _):
        replies = HttpJudge(Judge(url=url, model="m"), key="").ask(conversations(8))
        assert next(replies).key == "0"
        began = time.monotonic()
        replies.close()
        assert time.monotonic() - began < 4


@pytest.mark.parametrize(
    "url", ["http://me:pass@h/v1", "http://h/v1?key=x", "http://h:99999999/v1", "http://"]
)
def test_an_address_that_is_none_or_holds_a_secret_is_refused(url):
    with pytest.raises(ConfigurationError, match=r"annotate\.judge\.url"):
        HttpJudge(Judge(url=url, model="m"), key="")


@pytest.mark.parametrize("key", ["two words", "sk-\nx", "schlüssel"])
def test_a_broken_key_is_refused_without_showing_it(key):
    with pytest.raises(ConfigurationError, match="PAIRLOOP_JUDGE_KEY") as caught:
        HttpJudge(Judge(url="http://h/v1", model="m"), key=key)
    assert key not in str(caught.value)


def test_a_key_over_plain_http_is_warned_about(caplog):
    with caplog.at_level(logging.WARNING):
        HttpJudge(Judge(url="http://judge.example/v1", model="m"), key=KEY)
        HttpJudge(Judge(url="https://judge.example/v1", model="m"), key=KEY)
    assert caplog.text.count("unencrypted") == 1
    assert KEY not in caplog.text
