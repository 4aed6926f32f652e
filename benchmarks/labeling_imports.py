"""What the labeling server imports, for benchmarks.labeling_server."""

import gradio  # noqa: F401

import pairloop.serve  # noqa: F401
from annotate import adjudicate_page, admin_page, label_page  # noqa: F401
