"""`pairloop demo`: the loop for a person, with scripted colleagues who keep them company."""

import threading
from pathlib import Path

import httpx

from annotate.accounts import add_labeler
from generate import stage
from pairloop.demo.scripted import ScriptedLabeler, Taste
from pairloop.demo.workspace import NOTICE, demo_workspace
from pairloop.report import sampling_bar
from pairloop.serve import serve
from pairloop.workspace import Workspace
from storage.judgments import judgments, labelers
from storage.records import Role, Verdict
from storage.words import many

PERSON = "you"
COLLEAGUES = {"robin": 0.7, "sam": 1.2, "kim": 2.0}  # name -> noise
AHEAD = 40  # pairs a colleague may be ahead of the person
SECONDS_BETWEEN = 1.5
LOOK_SECONDS = 2.0

INTRODUCTION = """
Labeling pages: {address}
Sign in once as you: {link}

  1. Compare answers (keys 1 to 7, ? shows all keys).{company}
  2. After about twenty pairs open {address}/admin/, tab Rounds: "Train next policy".
  3. When it is trained, press "Compare with SFT" there and judge the new policy, blind.

Stop with Ctrl-C; run `pairloop demo` again to go on.
"""
COMPANY = """
     {names} judge beside you: scripted labelers, so that agreement has something to show."""


def run_demo(root: Path, *, seed: int, port: int, colleagues: int) -> None:
    """Make the workspace, sample the first answers, serve the pages until stopped."""
    space = demo_workspace(
        root, seed=seed, evaluation_votes=2 if colleagues else 1, pairs_per_prompt=1, epochs=6
    )
    names = list(COLLEAGUES)[:colleagues]
    with space.store() as store:
        known = labelers(store)
        for name in (PERSON, *names):
            if name not in known:
                role = Role.ADMIN if name == PERSON else Role.LABELER
                add_labeler(store, name, password=None, role=role)
        with sampling_bar("Sampling answers of the micro model") as tick:
            made = stage.generate(
                store,
                space.root,
                space.generate,
                progress=tick,
            )
    print(
        f"{many(made.sampled, 'answer')} sampled, {many(made.all_pairs, 'pair')} to judge in {root}.",
        flush=True,
    )

    stopped = threading.Event()
    threads: list[threading.Thread] = []

    def ready(address: str, links: dict[str, str]) -> None:
        company = COMPANY.format(names=" and ".join(names)) if names else ""
        print(INTRODUCTION.format(address=address, link=links[PERSON], company=company), flush=True)
        for name in names:
            thread = threading.Thread(
                target=_work_beside,
                args=(space, address, name, links[name], seed, stopped),
                name=f"colleague {name}",
            )
            threads.append(thread)
            thread.start()

    try:
        serve(
            space,
            config=space.annotate.model_copy(update={"port": port}),
            logins=[PERSON, *names],
            notice=NOTICE,
            ready=ready,
        )
    finally:
        stopped.set()
        for thread in threads:
            thread.join()


def _work_beside(
    space: Workspace,
    address: str,
    name: str,
    link: str,
    seed: int,
    stopped: threading.Event,
) -> None:
    """Judge over HTTP at the person's pace, until the server is gone."""
    while not stopped.wait(0.5):
        try:
            if httpx.get(f"{address}/readyz", timeout=5.0).is_success:
                break
        except httpx.HTTPError:
            pass  # the server is still starting
    if stopped.is_set():
        return
    colleague = ScriptedLabeler.by_link(
        address, name, link, taste=Taste(noise=COLLEAGUES[name]), seed=seed
    )

    def may_go_on() -> bool:
        if stopped.is_set():
            return False
        with space.store() as store:
            counted = [j.labeler for j in judgments(store) if j.verdict is not Verdict.SKIP]
        return counted.count(name) < counted.count(PERSON) + AHEAD

    try:
        while not stopped.wait(LOOK_SECONDS):
            colleague.judge_all(pause=lambda: stopped.wait(SECONDS_BETWEEN), may_go_on=may_go_on)
    except httpx.HTTPError:
        return  # the server was stopped
