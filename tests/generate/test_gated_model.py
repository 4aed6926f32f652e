"""A gated model, as a Hub answers for it."""

import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ASK = """
from generate.chat import load_tokenizer
from storage.errors import ModelError
try:
    load_tokenizer("ann/gated")
except ModelError as error:
    print(error)
"""


class Gate(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(403)
        self.send_header("X-Error-Code", "GatedRepo")
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_HEAD = do_GET

    def log_message(self, *_: object) -> None:
        pass


def test_a_gated_model_is_said_with_where_to_accept_its_licence(tmp_path):
    """In a process of its own: the Hub's address is read once, when its library is imported."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Gate) as hub:
        threading.Thread(target=hub.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{hub.server_port}"
        here = {"HF_ENDPOINT": address, "HF_HUB_OFFLINE": "0", "HF_HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", ASK], env=os.environ | here, capture_output=True, text=True
        )
        hub.shutdown()

    assert done.stdout.startswith("ann/gated is gated: its owner lets in only who accepted"), done
    assert "set HF_TOKEN" in done.stdout
