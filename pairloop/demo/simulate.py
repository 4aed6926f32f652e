"""`pairloop demo --simulate`: two rounds of the real loop with scripted labelers.

Every part is the real one: the commands run as child processes, the labeling server serves, the
labelers sign in and judge over HTTP. Only the people are scripted. Each trained policy is then
compared, blind and on prompts nobody trained on, with the SFT model; that is judged by an
examiner whose judgments are never trained on.
"""

import json
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from annotate.accounts import add_labeler
from annotate.agreement import agreement_report
from annotate.report_words import number
from pairloop.demo.scripted import ScriptedLabeler, Taste
from pairloop.demo.workspace import demo_workspace
from pairloop.report import table
from pairloop.status import loop_status
from pairloop.workspace import Workspace
from storage.errors import ConflictError, PairloopError

ROUNDS = 2
PAIRS_PER_PROMPT = 2
LABELERS = {"ada": 0.4, "ben": 0.8, "cleo": 1.5}  # name -> noise
EXAMINER, EXAMINER_NOISE = "examiner", 0.5
START_SECONDS = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedRound:
    """One line of the table. Rates are shares in [0, 1]."""

    round: int
    pairs: int
    votes: int
    agreement: float | None
    alpha: float | None
    triplets: int
    heldout_accuracy: float | None
    win_rate: float | None
    win_rate_low: float | None
    win_rate_high: float | None


def simulate_loop(directory: Path | None, *, seed: int, invert: bool, as_json: bool) -> None:
    """Run it and print the table (or JSON) on stdout."""
    began = time.monotonic()
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="pairloop-demo-") as folder:
            rounds = _run(Path(folder), seed=seed, invert=invert)
    else:
        if (directory / "pairloop.toml").exists():
            raise ConflictError(
                f"{directory} is a workspace already. The simulation begins from nothing: name "
                "another folder with --workspace, or remove that one."
            )
        rounds = _run(directory, seed=seed, invert=invert)
    seconds = time.monotonic() - began
    if as_json:
        print(json.dumps({"rounds": [asdict(r) for r in rounds], "seconds": seconds}))
        return
    columns = ["round", "pairs", "votes", "agreement", "alpha", "triplets"]
    columns += ["held-out accuracy", "win rate against SFT", "95 % interval"]
    table(
        "Two rounds, judged by scripted labelers",
        columns,
        [
            [
                r.round,
                r.pairs,
                r.votes,
                number(r.agreement, percent=True),
                number(r.alpha),
                r.triplets,
                number(r.heldout_accuracy, percent=True),
                number(r.win_rate, percent=True),
                f"{number(r.win_rate_low, percent=True)} to {number(r.win_rate_high, percent=True)}",
            ]
            for r in rounds
        ],
    )
    kept = f"The workspace is {directory}." if directory else "Name --workspace DIR to keep it."
    print(f"Two rounds in {seconds:.0f} s, seed {seed}. {kept} Next: pairloop demo")


def _run(root: Path, *, seed: int, invert: bool) -> list[SimulatedRound]:
    space = demo_workspace(
        root, seed=seed, evaluation_votes=1, pairs_per_prompt=PAIRS_PER_PROMPT, epochs=3
    )
    passwords = {name: secrets.token_urlsafe(16) for name in (*LABELERS, EXAMINER)}
    with space.store() as store:
        for name, password in passwords.items():
            add_labeler(store, name, password=password)
    _command(space, ["generate"])
    rounds = []
    with _server(space) as address:
        crowd = [
            ScriptedLabeler.by_password(
                address,
                name,
                passwords[name],
                taste=Taste(noise=noise, inverted=invert),
                seed=seed,
            )
            for name, noise in LABELERS.items()
        ]
        examiner = ScriptedLabeler.by_password(
            address, EXAMINER, passwords[EXAMINER], taste=Taste(noise=EXAMINER_NOISE), seed=seed
        )
        for current in range(1, ROUNDS + 1):
            if current > 1:
                _command(space, ["generate"])
            _say(f"round {current}: three labelers judge")
            with ThreadPoolExecutor(len(crowd)) as pool:
                list(pool.map(ScriptedLabeler.judge_all, crowd))
            _command(space, ["train"])
            _command(space, ["evaluate", "--policy", "latest", "--against", "sft"])
            _say(f"round {current}: the examiner compares round {current} with SFT, blind")
            examiner.judge_all()
            rounds.append(_summary(space, current))
        for person in (*crowd, examiner):
            person.close()
    return rounds


def _summary(space: Workspace, current: int) -> SimulatedRound:
    with space.store() as store, store.connected():
        report = agreement_report(store, space.annotate, round_number=current - 1)
        before, trained = loop_status(store, space).rounds[current - 1 : current + 1]
    return SimulatedRound(
        round=current,
        pairs=before.pairs,
        votes=before.votes,
        agreement=report.observed_agreement.value,
        alpha=report.alpha_nominal.value,
        triplets=trained.triplets,
        heldout_accuracy=trained.heldout_accuracy,
        win_rate=trained.win_rate,
        win_rate_low=trained.win_rate_low,
        win_rate_high=trained.win_rate_high,
    )


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def _command(space: Workspace, words: Sequence[str]) -> None:
    """Run `pairloop WORDS` as its own process; its progress goes to the workspace's logs."""
    _say(f"pairloop {' '.join(words)}")
    log = space.root / "logs" / f"simulate-{words[0]}.log"
    command = [sys.executable, "-m", "pairloop", *words, "--workspace", str(space.root)]
    with log.open("ab") as output:
        code = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise PairloopError(f"`pairloop {' '.join(words)}` ended with code {code}:\n{tail}")


@contextmanager
def _server(space: Workspace) -> Iterator[str]:
    """`pairloop annotate` on a free port, as its own process; yields its address."""
    log = space.root / "logs" / "simulate-annotate.log"
    command = [sys.executable, "-m", "pairloop", "annotate", "--port", "0"]
    command += ["--workspace", str(space.root)]
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdout=output,
            stderr=output,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )
    try:
        yield _address(child, log)
    finally:
        child.send_signal(signal.SIGINT)
        try:
            child.wait(timeout=20)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _address(child: subprocess.Popen[bytes], log: Path) -> str:
    import httpx

    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        for line in log.read_text(errors="replace").splitlines():
            if line.startswith("Labeling pages: "):
                address = line.removeprefix("Labeling pages: ")
                try:
                    if httpx.get(f"{address}/readyz", timeout=5.0).is_success:
                        return address
                except httpx.HTTPError:
                    pass  # not listening yet: look again until the time is up
        time.sleep(0.2)
    raise PairloopError(
        f"The labeling server did not start:\n{log.read_text(errors='replace')[-2000:]}"
    )
