"""Policies answer the questions of a benchmark, through the engine and template they always have.

Each policy's answers are kept in FOLDER/journal as they come: killed at any moment and run again,
only what is missing is asked. The first line of a journal holds the settings, for they go together.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from generate.chat import check_model, prompt_token_ids
from generate.config import GenerateConfig
from generate.fitting import REFUSED_BY_TEMPLATE, TOO_LONG
from generate.plan import seed_of
from generate.sampler import Request, Sampler, open_sampler
from generate.sampling import model_of
from pairloop.answer_files import AlpacaEval, Answer, MtBench, Question, Questions
from pairloop.evaluation import policy_name
from pairloop.workspace import Workspace
from storage.errors import ConflictError, InputError
from storage.records import FinishReason, Message, Policy, Sampling

TOGETHER = 256  # questions under way at once
EMPTY = (TOO_LONG, REFUSED_BY_TEMPLATE)

Tick = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """What one benchmark's files came to. empty: turns answered with nothing, by reason."""

    files: Sequence[Path]
    answers: int
    new: int
    cut_off: int
    left_out: Counter[str]
    empty: Counter[str]
    next_step: str

    def as_data(self) -> dict[str, object]:
        """For --json."""
        return {
            "files": [str(path) for path in self.files],
            "answers": self.answers,
            "new": self.new,
            "cut_off": self.cut_off,
            "left_out": dict(self.left_out),
            "empty": dict(self.empty),
        }


@dataclass(slots=True)
class _Task:
    """A policy and a question under way; turns, reasons: of the answers so far."""

    policy: Policy
    question: Question
    turns: list[str] = field(default_factory=list)
    reasons: list[str] = field(default_factory=list)

    @property
    def key(self) -> str:
        return f"{self.policy.id}/{self.question.key}"

    def messages(self) -> tuple[Message, ...]:
        """The conversation up to the next answer."""
        said = []
        for i, turn in enumerate(self.question.turns[: len(self.turns) + 1]):
            said.append(Message(role="user", content=turn))
            if i < len(self.turns):
                said.append(Message(role="assistant", content=self.turns[i]))
        return tuple(said)


def answer_files(
    space: Workspace,
    policies: Sequence[Policy],
    questions: Questions,
    form: AlpacaEval | MtBench,
    *,
    max_tokens: int,
    tick: Tick,
) -> Answered:
    """Have every policy answer what it has not, then write each one's file."""
    names = [policy_name(p) for p in policies]
    journals = {
        p.id: _Journal(
            form.folder / "journal" / f"{form.name}-{name}.jsonl",
            _settings(space.generate, p, max_tokens),
        )
        for p, name in zip(policies, names, strict=True)
    }
    # Policies stand side by side under each question: engines that can read it once then do.
    asked = {q.key: q for q in questions.asked}.values()
    tasks = [_Task(p, q) for q in asked for p in policies if q.key not in journals[p.id].answers]
    by_model: dict[str, list[_Task]] = {}
    for task in tasks:
        model = model_of(task.policy, space.root, space.generate)
        by_model.setdefault(model, []).append(task)
    done = 0
    for model, some in by_model.items():
        config = space.generate.model_copy(update={"model": model, "max_tokens": max_tokens})
        for task in _answered(space.root, config, some):
            answer = Answer(turns=tuple(task.turns), reasons=tuple(task.reasons), at=time.time())
            journals[task.policy.id].add(task.question.key, answer)
            done += 1
            tick(done, len(tasks), "")
    found = {p.id: [(q, journals[p.id].answers[q.key]) for q in questions.asked] for p in policies}
    files = [form.write(name, found[p.id]) for p, name in zip(policies, names, strict=True)]
    reasons = Counter(why for some in found.values() for _, a in some for why in a.reasons)
    return Answered(
        files=files,
        answers=sum(map(len, found.values())),
        new=done,
        cut_off=reasons[FinishReason.LENGTH.value],
        left_out=questions.left_out,
        empty=Counter({why: reasons[why] for why in EMPTY if reasons[why]}),
        next_step=form.next_step(names),
    )


def _settings(config: GenerateConfig, policy: Policy, max_tokens: int) -> dict[str, object]:
    return {
        "policy": policy.id,
        "max_tokens": max_tokens,
        "stop": list(config.stop),
        "seed": config.seed,
    }


def _answered(root: Path, config: GenerateConfig, tasks: Sequence[_Task]) -> Iterator[_Task]:
    """Each task when its last turn is answered; one model's policies through one engine."""
    check_model(config.model)
    adapters = {t.policy.id: root / t.policy.adapter for t in tasks if t.policy.adapter}
    engine = open_sampler(config, adapters=list(adapters.values()))
    try:
        for start in range(0, len(tasks), TOGETHER):
            yield from _in_turns(engine, config, adapters, tasks[start : start + TOGETHER])
    finally:
        engine.close()


def _in_turns(
    engine: Sampler, config: GenerateConfig, adapters: Mapping[str, Path], tasks: Sequence[_Task]
) -> Iterator[_Task]:
    waiting = list(tasks)
    while waiting:
        by_key = {task.key: task for task in waiting}
        requests = []
        for task in waiting:
            request = _request(engine, config, adapters, task)
            if isinstance(request, str):
                task.turns.append("")
                task.reasons.append(request)
                if len(task.turns) == len(task.question.turns):
                    yield task
            else:
                requests.append(request)
        for sample in engine.sample(requests):
            task = by_key[sample.key]
            task.turns.append(sample.text.strip())
            task.reasons.append(sample.finish_reason.value)
            if len(task.turns) == len(task.question.turns):
                yield task
        waiting = [task for task in waiting if len(task.turns) < len(task.question.turns)]


def _request(
    engine: Sampler, config: GenerateConfig, adapters: Mapping[str, Path], task: _Task
) -> Request | str:
    """What the engine is asked next, or why it can't be: an answer left out would flatter."""
    from jinja2 import TemplateError

    messages, most, ids = task.messages(), config.max_tokens, None
    if engine.tokenizer is not None:
        try:
            ids = prompt_token_ids(engine.tokenizer, messages)
        except TemplateError:
            return REFUSED_BY_TEMPLATE
        if engine.context_tokens is not None:
            most = min(most, engine.context_tokens - len(ids))
            if most < 1:
                return TOO_LONG
    question, turn = task.question, len(task.turns)
    return Request(
        key=task.key,
        messages=messages,
        prompt_token_ids=ids,
        sampling=Sampling(
            temperature=question.temperature,
            top_p=1.0,
            stop=config.stop,
            max_tokens=most,
            seed=seed_of(config.seed, question.key, temperature=question.temperature, index=turn),
            index=0,
        ),
        adapter=adapters.get(task.policy.id),
    )


class _Journal:
    """One policy's answers by question, on disk as they come."""

    def __init__(self, path: Path, settings: Mapping[str, object]) -> None:
        self._path = path
        self._settings = settings
        self.answers: dict[str, Answer] = {}
        if path.is_file():
            self._read()

    def add(self, key: str, answer: Answer) -> None:
        """Keep it, on disk before this returns."""
        if not self.answers and not self._path.is_file():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("x", encoding="utf-8") as file:
                _line(file, self._settings)
        with self._path.open("a", encoding="utf-8") as file:
            _line(file, {"key": key} | asdict(answer))
        self.answers[key] = answer

    def _read(self) -> None:
        text = self._path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]  # a line that a kill cut short is asked again
        if whole != text:
            self._path.write_text(whole, encoding="utf-8")
        lines = whole.split("\n")[:-1]
        if not lines:
            self._path.unlink()
            return
        for number, line in enumerate(lines, start=1):
            try:
                row: Any = json.loads(line)
                if number == 1:
                    self._check(row)
                    continue
                self.answers[row["key"]] = Answer(
                    turns=tuple(row["turns"]), reasons=tuple(row["reasons"]), at=row["at"]
                )
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise InputError(
                    f"{self._path}, line {number}: not an answer as `pairloop evaluate` keeps it. "
                    "Mend it, or delete the file to have everything answered again."
                ) from error

    def _check(self, stored: Mapping[str, object]) -> None:
        if stored != self._settings:
            other = ", ".join(
                f"{name} {stored.get(name)!r}, now {now!r}"
                for name, now in self._settings.items()
                if stored.get(name) != now
            )
            raise ConflictError(
                f"The answers in {self._path} were given with other settings ({other}), so new "
                "ones would not go with them. Give another folder, or delete that file to have "
                "everything answered again."
            )


def _line(file: IO[str], row: Mapping[str, object]) -> None:
    file.write(json.dumps(row) + "\n")
