"""The engine behind an address: what it asks for, and what it makes of a server that misbehaves."""

import json
import logging
import socket
import threading
import time
from itertools import count

import pytest
from factories import make_prompt, open_store
from fastapi import Response
from model_server import MODEL, Script, model_server, said

from generate import openai_engine, stage
from generate.config import EngineName, GenerateConfig
from generate.openai_engine import OpenAISampler
from generate.sampler import Request, open_sampler
from storage.errors import ConfigurationError, ModelError
from storage.records import FinishReason, Message, Sampling
from storage.responses import responses_of

KEY = "sk-very-secret-1234567890"
QUICK = (0.01, 0.01, 0.01)


def config_for(micro_model, url, **server) -> GenerateConfig:
    values = {"url": url, "model": MODEL} | server
    return GenerateConfig(model=micro_model, engine=EngineName.OPENAI, server=values)


def requests(number=1, *, exact=True, adapter=None, **settings):
    values = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 16, "index": 0} | settings
    return [
        Request(
            key=f"{i}",
            messages=(Message(role="user", content=f"Question {i}?"),),
            prompt_token_ids=(1, 5, i) if exact else None,
            sampling=Sampling(seed=i, **values),
            adapter=adapter,
        )
        for i in range(number)
    ]


@pytest.fixture
def ask(micro_model):
    """Sample from a scripted server: the samples by key."""

    def run(script, number=1, *, exact=True, key="", waits=QUICK, settings=None, **server):
        with model_server(script) as url:
            config = config_for(micro_model, url, **server)
            sampler = OpenAISampler(config, key=key, waits=waits)
            wanted = requests(number, exact=exact, **(settings or {}))
            return {s.key: s for s in sampler.sample(wanted)}

    return run


def after(times, first):
    """Do `first` so many times, then answer."""
    turn = count()
    return lambda body: first(body) if next(turn) < times else None


def test_the_very_token_ids_go_in_and_come_out(ask):
    script = Script()

    samples = ask(script, 30, settings={"top_k": 5, "min_p": 0.1, "stop": ("END",)})

    assert sorted(samples, key=int) == [str(i) for i in range(30)]
    for i, sample in ((int(k), s) for k, s in samples.items()):
        assert sample.prompt_token_ids == (1, 5, i)
        assert (sample.token_ids, sample.logprobs) == ((7, 7, 7), (-1.0, -1.0, -1.0))
        assert sample.finish_reason is FinishReason.STOP
    first = next(b for b in script.asked if b["prompt"] == [1, 5, 3])
    sent = {"temperature": 0.7, "top_p": 0.9, "max_tokens": 16, "seed": 3}
    sent |= {"top_k": 5, "min_p": 0.1, "stop": ["END"], "repetition_penalty": 1.0, "model": MODEL}
    assert sent.items() <= first.items()


def test_a_server_of_text_only_is_sent_messages_and_nothing_is_made_up(ask, caplog):
    script = Script()
    script.text_only = True
    script.cards = [{"id": MODEL}]

    samples = ask(script, 2, exact=False)

    assert samples["1"].text == "answer to Question 1?"
    assert script.asked[0]["messages"][0].keys() == {"role", "content"}
    assert not {"top_k", "min_p", "logprobs", "prompt"} & script.asked[0].keys()
    for sample in samples.values():
        assert (sample.prompt_token_ids, sample.token_ids, sample.logprobs) == (None, None, None)
    assert "takes no token ids" in caplog.text


def test_the_engine_is_named_with_what_it_could_do(micro_model):
    script = Script()
    with model_server(script) as url:
        exact = OpenAISampler(config_for(micro_model, url), key="")
        script.text_only = True
        plain = OpenAISampler(config_for(micro_model, url), key="")

    assert (exact.name, exact.context_tokens) == ("vllm 9.9 at 127.0.0.1", 512)
    assert exact.tokenizer is not None
    assert plain.name == "vllm 9.9 at 127.0.0.1, text only"
    assert plain.tokenizer is None


def test_log_probabilities_after_the_temperature_are_not_taken_for_the_policys_own(ask, caplog):
    script = Script()
    script.tempered = True

    (sample,) = ask(script).values()

    assert sample.token_ids == (7, 7, 7)
    assert sample.logprobs is None
    assert "change with the temperature" in caplog.text


def test_no_more_requests_are_in_flight_than_allowed(ask):
    flying, most, lock = 0, 0, threading.Lock()

    def slow(_body):
        nonlocal flying, most
        with lock:
            flying += 1
            most = max(most, flying)
        time.sleep(0.05)
        with lock:
            flying -= 1

    ask(Script(slow), 12, concurrency=3)

    assert most == 3


def test_requests_per_minute_are_kept(ask):
    times, begun = [], time.monotonic()
    ask(Script(lambda _body: times.append(time.monotonic())), 11, requests_per_minute=600)

    assert len(times) == 11
    assert all(at - begun >= 0.1 * n for n, at in enumerate(sorted(times)))


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_a_full_or_failing_server_is_asked_again(ask, status):
    script = Script(after(2, lambda _body: Response(status_code=status)))

    assert len(ask(script)) == 1
    assert len(script.asked) == 3


def test_a_server_is_not_asked_before_the_time_it_names(ask):
    times = []

    def busy(_body):
        times.append(time.monotonic())
        return said({}, 429, **{"Retry-After": "1"}) if len(times) == 1 else None

    ask(Script(busy))

    assert times[1] - times[0] >= 0.95


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda: said({"error": {"message": f"too long for {KEY}"}}, 400), r"too long for \*\*\*"),
        (lambda: Response(status_code=500), "HTTP 500"),
        (lambda: Response("<html>"), "reply is no JSON"),
        (lambda: said({"choices": []}), "reply holds no answer"),
        (lambda: said({"choices": [{"finish_reason": "content_filter"}]}), "content_filter"),
        (lambda: said({"choices": [{"finish_reason": "stop", "text": "x"}]}), "holds no answer"),
        (lambda: time.sleep(1.5), "timed out"),
    ],
    ids=["refused", "failing", "html", "empty", "filtered", "no ids", "hanging"],
)
def test_a_prompt_without_an_answer_is_named_and_all_others_are_answered(
    micro_model, answer, words, caplog
):
    script = Script(lambda body: answer() if body["prompt"][-1] == 2 else None)
    samples = []
    with model_server(script) as url:
        sampler = OpenAISampler(
            config_for(micro_model, url, timeout_seconds=0.5), key=KEY, waits=QUICK
        )
        with pytest.raises(ModelError, match=words) as caught:
            samples.extend(sampler.sample(requests(6)))

    assert sorted(s.key for s in samples) == ["0", "1", "3", "4", "5"]
    assert "1 of 6 requests" in str(caught.value)
    assert "'Question 2?'" in str(caught.value)
    assert KEY not in str(caught.value) + caplog.text


def test_a_server_that_died_is_not_asked_for_the_rest(micro_model):
    script = Script(lambda body: Response(status_code=502) if body["prompt"][-1] > 9 else None)
    samples = []
    with model_server(script) as url:
        sampler = OpenAISampler(config_for(micro_model, url, concurrency=4), key="", waits=(0.01,))
        with pytest.raises(ModelError, match=r"24 times in a row .HTTP 502"):
            samples.extend(sampler.sample(requests(500)))

    assert len(samples) == 10
    assert len(script.asked) < 100


def test_a_connection_cut_in_the_middle_is_tried_again(micro_model):
    """A proxy that breaks off the second half of the first answer."""
    script = Script()
    with model_server(script) as url:
        port = int(url.split(":")[-1].split("/")[0])
        proxy = socket.create_server(("127.0.0.1", 0))
        cut = count()

        def serve():
            while True:
                try:
                    client, _ = proxy.accept()
                except OSError:
                    return
                with client, socket.create_connection(("127.0.0.1", port)) as upstream:
                    request = client.recv(65536)
                    if b"content-length" in request.lower() and request.endswith(b"\r\n\r\n"):
                        request += client.recv(65536)
                    body = request.partition(b"\r\n\r\n")[2]
                    upstream.sendall(request.replace(b"keep-alive", b"close"))
                    data = b""
                    while part := upstream.recv(65536):
                        data += part
                    sampling = body and json.loads(body)["max_tokens"] > 1
                    half = sampling and next(cut) == 0
                    client.sendall(data[: len(data) - 20] if half else data)

        threading.Thread(target=serve, daemon=True).start()
        address = f"http://127.0.0.1:{proxy.getsockname()[1]}/v1"
        sampler = OpenAISampler(config_for(micro_model, address), key="", waits=QUICK)
        (sample,) = sampler.sample(requests())
        proxy.close()

    assert sample.token_ids == (7, 7, 7)
    assert len(script.asked) == 2


def test_the_key_goes_into_one_header_and_nowhere_else(ask, caplog, capsys):
    script = Script(lambda _body: said({"error": {"message": KEY}}, 401))

    with pytest.raises(ModelError, match="PAIRLOOP_GENERATE_KEY") as caught:
        ask(script, 3, key=KEY)

    assert {h["authorization"] for h in script.headers} == {f"Bearer {KEY}"}
    assert KEY not in str(caught.value) + caplog.text + "".join(capsys.readouterr())


def test_a_redirect_is_not_followed(ask):
    elsewhere = Script()
    with model_server(elsewhere) as url:
        away = Response(status_code=307, headers={"Location": f"{url}/completions"})
        with pytest.raises(ModelError, match="sends requests elsewhere"):
            ask(Script(lambda _body: away), key=KEY)

    assert elsewhere.headers == []


def test_a_model_that_is_not_served_is_named_with_those_that_are(micro_model):
    with (
        model_server(Script()) as url,
        pytest.raises(ModelError, match="serves the-model, not 'another'"),
    ):
        OpenAISampler(config_for(micro_model, url, model="another"), key="")


def test_a_model_served_from_its_path_is_found_without_its_name(micro_model):
    script = Script()
    script.cards[0]["root"] = micro_model
    with model_server(script) as url:
        sampler = OpenAISampler(config_for(micro_model, url, model=""), key="")
        list(sampler.sample(requests()))

    assert script.asked[0]["model"] == MODEL


def test_nobody_there_and_no_address_are_said(micro_model):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/v1"
    with pytest.raises(ModelError, match=r"No server answers at generate\.server\.url"):
        OpenAISampler(config_for(micro_model, url), key="", waits=())
    with pytest.raises(ConfigurationError, match=r"generate\.server\.url is not set"):
        OpenAISampler(config_for(micro_model, None), key="")


@pytest.mark.parametrize("engine", [EngineName.OPENAI, EngineName.RAY])
def test_engines_elsewhere_have_their_own_setting_for_how_many(micro_model, engine):
    config = GenerateConfig(model=micro_model, engine=engine, data_parallel_size=2)

    with pytest.raises(ConfigurationError, match=r"generate\.ray\.actors says how many"):
        open_sampler(config, adapters=[])


def test_an_adapter_is_loaded_once_under_a_name_of_its_weights(micro_model, tmp_path):
    adapter = tmp_path / "round-1"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    (adapter / "adapter_model.safetensors").write_bytes(b"weights")
    script = Script()
    with model_server(script) as url:
        sampler = OpenAISampler(config_for(micro_model, url), key="")
        for _ in range(2):
            list(sampler.sample([*requests(2, adapter=adapter), *requests(1)]))

    (loaded,) = script.adapters
    assert loaded["lora_path"] == str(adapter)
    assert loaded["lora_name"].startswith("round-1-")
    assert {b["model"] for b in script.asked} == {MODEL, loaded["lora_name"]}


def test_an_adapter_served_from_its_folder_keeps_its_name_there(micro_model, tmp_path):
    adapter = tmp_path / "round-1"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"r": 8}')
    script = Script()
    script.cards.append({"id": "one", "root": str(tmp_path / "old"), "parent": MODEL})
    script.cards.append({"id": "two", "root": str(adapter), "parent": MODEL})
    with model_server(script) as url:
        list(OpenAISampler(config_for(micro_model, url), key="").sample(requests(adapter=adapter)))

    assert script.asked[0]["model"] == "two"
    assert script.adapters == []


def test_stopping_early_takes_back_what_is_in_flight(micro_model):
    with model_server(Script(lambda b: time.sleep(5 * (b["prompt"][-1] > 0)))) as url:
        samples = OpenAISampler(config_for(micro_model, url), key="").sample(requests(8))
        assert next(samples).key == "0"
        began = time.monotonic()
        samples.close()
        assert time.monotonic() - began < 4


def test_a_key_over_plain_http_is_warned_about(micro_model, caplog):
    with caplog.at_level(logging.WARNING), pytest.raises(ModelError):
        OpenAISampler(config_for(micro_model, "http://model.invalid/v1"), key=KEY, waits=())
    assert caplog.text.count("PAIRLOOP_GENERATE_KEY goes to model.invalid unencrypted") == 1
    assert KEY not in caplog.text


def test_answers_of_text_only_are_stored_as_such_and_only_the_failed_ones_asked_again(
    tmp_path, micro_model
):
    script = Script(
        lambda body: said({}, 400) if "bees" in body["messages"][-1]["content"] else None
    )
    script.text_only = True
    with model_server(script) as url, open_store(tmp_path) as store:
        store.append([make_prompt(f"What about {t}?") for t in ("tea", "bread", "bees")])
        config = config_for(micro_model, url).model_copy(update={"temperatures": (1.0,)})
        with pytest.raises(ModelError, match=r"2 of 6 requests .2 HTTP 400., on 1 prompt:"):
            stage.generate(store, tmp_path, config)
        kept = responses_of(store, stage.current_policy(store, config).id)
        script.before = lambda _body: None
        asked = len(script.asked)
        again = stage.generate(store, tmp_path, config)

    assert len(kept) == 4
    assert again.sampled == len(script.asked) - asked == 2
    for answer in kept:
        told = (answer.prompt_token_ids, answer.token_ids, answer.logprobs, answer.logprob_sum)
        assert told == (None, None, None, None)
        assert answer.engine == "vllm 9.9 at 127.0.0.1, text only"
        assert answer.template_hash == ""


def test_many_failures_are_counted_and_the_first_are_named():
    asked = requests(9)
    text = openai_engine._failures([(r, "HTTP 400: no") for r in asked], len(asked), "h")
    assert "9 of 9 requests (9 HTTP 400), on 9 prompts" in text
    assert text.count("'Question") == 5
    assert "and 4 more" in text
