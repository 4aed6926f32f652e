"""The admin pages, a tab per file: how labeling goes, who does it, and what is changed.

Every table and chart is HTML made in these files with each text escaped. /admin is for admins only,
and every handler asks again who is there (annotate.admin_access).
"""

from typing import Any

from annotate.config import AnnotateConfig, Retrain
from annotate.desk import Desk
from annotate.label_page import page_file
from annotate.rounds import RoundRunner
from storage.store import Store


def admin_head() -> str:
    """What goes into the page's <head>."""
    return f"<style>{page_file('admin.css')}</style>"


def build_admin_page(
    store: Store, config: AnnotateConfig, runner: RoundRunner, desk: Desk, rule: Retrain
) -> Any:
    """The Blocks to mount at /admin."""
    import gradio as gr

    from annotate.admin_access import AdminContext
    from annotate.admin_activity import build_activity_tab
    from annotate.admin_agreement import build_agreement_tab
    from annotate.admin_gold import build_gold_tab
    from annotate.admin_guidelines import build_guidelines_tab
    from annotate.admin_people import build_people_tab
    from annotate.admin_progress import build_progress_tab
    from annotate.admin_queue import build_queue_tab
    from annotate.admin_rounds import build_rounds_tab
    from annotate.admin_settings import build_settings_tab

    admin = AdminContext(store=store, config=config, runner=runner, desk=desk, rule=rule)
    with gr.Blocks(title="pairloop: admin", analytics_enabled=False) as blocks:
        gr.HTML(_HEADER, apply_default_css=False, js_on_load=None)
        with gr.Tabs():
            with gr.Tab("Progress", id="progress"):
                build_progress_tab(admin, blocks)
            with gr.Tab("Agreement", id="agreement") as agreement:
                build_agreement_tab(admin, agreement)
            with gr.Tab("Rounds", id="rounds") as rounds:
                build_rounds_tab(admin, blocks, rounds)
            for title, build in (
                ("People", build_people_tab),
                ("Queue", build_queue_tab),
                ("Gold", build_gold_tab),
                ("Distribution", build_settings_tab),
                ("Guidelines", build_guidelines_tab),
                ("Activity", build_activity_tab),
            ):
                with gr.Tab(title, id=title.lower()) as tab:
                    build(admin, tab)
    return blocks


_HEADER = """<header class="ad-top"><span class="ad-brand"><i></i><i></i>pairloop</span><h1>Admin</h1>
<nav><a href="/label/">Label</a><a href="/adjudicate/">Adjudicate</a><a href="/docs">REST</a><a href="/account">Account</a>
<form method="post" action="/logout"><button>Sign out</button></form></nav></header>"""
