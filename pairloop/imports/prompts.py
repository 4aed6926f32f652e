"""Just the prompts of a file whose layout `pairloop import` knows, for policies of our own to answer."""

from collections.abc import Sequence
from datetime import datetime

from generate.config import GenerateConfig
from generate.prompts import refusal
from pairloop.imports.encode import Shares, prompt_record
from pairloop.imports.found import Candidates, LeftOut, Problem, Vote
from pairloop.imports.stage import Problems, sources_of
from storage.prompts import normalised
from storage.records import Prompt


def read_layout_prompts(
    files: Sequence[str], layout: str, config: GenerateConfig, *, now: datetime
) -> list[Prompt]:
    """Every prompt once, however many votes it has; raises InputError with every bad row.

    Prompts that differ in case and white space only are one, as in a file of prompts.
    """
    shares = Shares(validation=config.validation_share, test=config.test_share)
    problems = Problems()
    prompts: dict[str, Prompt] = {}
    for source in sources_of(files, layout):
        for found in source.found():
            match found:
                case Vote() | Candidates():
                    key = normalised(found.messages)
                    if key not in prompts:
                        prompts[key] = prompt_record(
                            found.messages,
                            source=found.source or source.title,
                            tags=found.tags,
                            shares=shares,
                            now=now,
                        )
                case Problem():
                    problems.add(found.where, found.says)
                case LeftOut():
                    pass
    if problems.count:
        raise refusal(problems.first, problems.count, hint="Known layouts: docs/import.md.")
    return list(prompts.values())
