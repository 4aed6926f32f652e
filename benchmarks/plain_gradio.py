"""The labeling page people write today, to compare with: one Gradio event per vote.

python -m benchmarks.plain_gradio FOLDER
"""

import os
import random
import sys
from pathlib import Path

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import duckdb
import gradio as gr

from benchmarks.labeling_workspace import answer

KEYS = """<script>
addEventListener("keydown", (event) => {
  if (event.key === "2") document.getElementById("vote_left").click();
});
</script>"""


def main() -> None:
    chance = random.Random(0)
    pairs = [
        (f"Question {i}: how do I make good tea?", answer(chance), answer(chance))
        for i in range(500)
    ]
    database = duckdb.connect(str(Path(sys.argv[1]) / "plain.duckdb"))
    database.execute("create table if not exists votes (pair bigint, choice varchar)")

    def vote(choice: str, at: float) -> tuple[float, str, str, str]:
        database.cursor().execute("insert into votes values (?, ?)", [int(at), choice])
        following = (int(at) + 1) % len(pairs)
        return (following, *pairs[following])

    with gr.Blocks() as page:
        at = gr.Number(0, visible=False)
        prompt = gr.Markdown(pairs[0][0], elem_id="prompt")
        with gr.Row():
            left = gr.Markdown(pairs[0][1], elem_id="left")
            right = gr.Markdown(pairs[0][2], elem_id="right")
        choice = gr.Textbox("left", visible=False)
        button = gr.Button("Left is better", elem_id="vote_left")
        button.click(vote, [choice, at], [at, prompt, left, right], api_name="vote")
    page.launch(
        server_port=0 or None, prevent_thread_lock=True, quiet=True, head=KEYS, footer_links=[]
    )
    print(f"Plain page: {page.local_url.rstrip('/')}", flush=True)
    page.block_thread()


if __name__ == "__main__":
    main()
