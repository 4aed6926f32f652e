"""What the labeling server imports, for benchmarks.labeling_server."""

import gradio  # noqa: F401

import annotate.adjudicate_page
import annotate.admin_page
import annotate.label_page
import pairloop.serve  # noqa: F401
