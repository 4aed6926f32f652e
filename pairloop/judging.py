"""The model that judges, as the configuration names it: a server, or the local engine."""

import os

from annotate.config import Judge
from annotate.judge import Asker
from pairloop.workspace import Workspace

KEY = "PAIRLOOP_JUDGE_KEY"


def asked_model(space: Workspace, config: Judge) -> str:
    """What the judge is called in the records; "" where a server's model is not named."""
    return config.model or (space.generate.model if config.url is None else "")


def open_judge(space: Workspace, config: Judge) -> Asker:
    """Ready to be asked; the key comes from the environment."""
    if config.url is not None:
        from annotate.judge_http import HttpJudge

        return HttpJudge(config, key=os.environ.get(KEY, ""))
    from pairloop.judge_local import LocalJudge

    generate = space.generate
    if config.model:
        inside = space.root / config.model
        model = str(inside) if inside.is_dir() else config.model
        generate = generate.model_copy(update={"model": model})
    return LocalJudge(generate, max_tokens=config.max_tokens)
