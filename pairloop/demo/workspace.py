"""The demo's workspace: bundled model, bundled prompts, settings that suit a micro model."""

from pathlib import Path

from generate.prompts import read_prompts
from pairloop.workspace import Workspace, init_workspace
from storage.prompts import prompt_ids
from storage.store import utc_now

MODEL_DIR = Path(__file__).with_name("model")
PROMPTS_FILE = Path(__file__).with_name("prompts.jsonl")

NOTICE = (
    "This is a micro model of 1.8 million weights, made for trying the loop: its answers are often "
    "wrong. Point generate.model in pairloop.toml at your own SFT model for real work."
)

CONFIG = """\
# The demo's workspace. The model is a bundled micro model that only shows how the loop works.
# For real work: pairloop init DIR --model OWNER/NAME (a Hub id or a path of your SFT model).

[generate]
model = "{model}"
temperatures = [0.7, 1.0, 1.3]
samples_per_temperature = 2
max_tokens = 96
pairs_per_prompt = {pairs_per_prompt}
seed = {seed}
validation_share = 0.12
test_share = 0.25

[annotate]
votes_per_pair = 2
evaluation_votes = {evaluation_votes}
seed = {seed}

[train]
beta = 0.1
sft_weight = 0.2                  # keeps the answers readable
learning_rate = 1e-3              # high, as suits an adapter of a micro model
epochs = {epochs}
batch_size = 8
max_length = 512
min_triplets = 20
seed = {seed}
"""


def demo_workspace(
    root: Path, *, seed: int, evaluation_votes: int, pairs_per_prompt: int, epochs: int
) -> Workspace:
    """Make the demo's workspace with its prompts, or take it up where it is."""
    model = str(MODEL_DIR).replace("\\", "/")
    config = CONFIG.format(
        model=model,
        seed=seed,
        evaluation_votes=evaluation_votes,
        pairs_per_prompt=pairs_per_prompt,
        epochs=epochs,
    )
    space, _ = init_workspace(root, model=model, config=config)
    found = read_prompts(
        [str(PROMPTS_FILE)],
        validation_share=space.generate.validation_share,
        test_share=space.generate.test_share,
        now=utc_now(),
    )
    with space.store() as store, store.connected():
        known = prompt_ids(store)
        store.append([p for p in found if p.id not in known])
    return space
