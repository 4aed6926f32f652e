"""The plain pages before anybody is signed in: one card in the middle, no script."""

import html
from importlib.resources import files

from fastapi.responses import HTMLResponse


def page(
    body: str, *, title: str = "sign in", status: int = 200, wide: bool = False
) -> HTMLResponse:
    """A page of this look; body is HTML."""
    main = '<main class="wide">' if wide else "<main>"
    style = (files("annotate") / "page" / "login.css").read_text(encoding="utf-8")
    return HTMLResponse(
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>pairloop: {html.escape(title)}</title><style>{style}</style></head><body>{main}"
        f"<h1><i></i><i></i>pairloop</h1>{body}</main></body></html>",
        status_code=status,
    )


def message(text: str) -> str:
    """What went wrong, as HTML; "" for nothing."""
    return f'<p class="message" role="alert">{html.escape(text)}</p>' if text else ""


def refused_page(text: str, *, status: int) -> HTMLResponse:
    """For somebody who is signed in, where a page is not for them."""
    return page(
        f"""{message(text)}<p><a href="/label/">To the pairs</a></p>
<form method="post" action="/logout"><button>Sign out</button></form>""",
        title="not here",
        status=status,
    )


def missing_page() -> HTMLResponse:
    """For somebody who is signed in, at an address that is none of ours."""
    return refused_page("There is no such page.", status=404)


def wants_page(method: str, accept: str) -> bool:
    """Whether somebody's browser goes to a page, rather than a script or a program asking."""
    return method == "GET" and "text/html" in accept


def login_page(
    text: str = "", *, single_sign_on: str = "", typed: str = "", status: int = 200
) -> HTMLResponse:
    """Name and password, and the way to single sign-on under this label where there is one.

    typed: the name that stood there.
    """
    at_name, at_password = ("", " autofocus") if typed else (" autofocus", "")
    other = (
        f'<p class="or">or</p><a class="button" href="/login/oidc">{html.escape(single_sign_on)}</a>'
        if single_sign_on
        else ""
    )
    return page(
        f"""{message(text)}<form method="post" action="/login">
<label for="name">Name</label>
<input id="name" name="name" value="{html.escape(typed)}" autocomplete="username" required{at_name}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required{at_password}>
<button>Sign in</button></form>{other}""",
        status=status,
    )


def invitation_page(
    token: str, *, named: str, typed: str = "", text: str = "", status: int = 200
) -> HTMLResponse:
    """Choose a password, and a name where the invitation has none; typed: what stood there."""
    name = (
        f"<p>An account for <strong>{html.escape(named)}</strong> is ready. "
        "Choose a password for it.</p>"
        f'<input type="hidden" name="name" value="{html.escape(named)}" autocomplete="username">'
        if named
        else f"""<p>You are invited to compare answers. Choose a name and a password.</p>
<label for="name">Name</label>
<input id="name" name="name" value="{html.escape(typed)}" autocomplete="username" maxlength="80"
 required autofocus>"""
    )
    return page(
        f"""{message(text)}<form method="post" action="/invite/{html.escape(token)}">{name}
{CHOOSE_TWICE}<button>Make my account</button></form>""",
        title="your account",
        status=status,
    )


def reset_page(token: str, *, named: str, text: str = "", status: int = 200) -> HTMLResponse:
    """Choose a new password."""
    return page(
        f"""{message(text)}<form method="post" action="/reset/{html.escape(token)}">
<p>Choose a new password for <strong>{html.escape(named)}</strong>. It signs you out everywhere else
and ends your API tokens.</p>
<input type="hidden" name="name" value="{html.escape(named)}" autocomplete="username">
{CHOOSE_TWICE}<button>Set my password</button></form>""",
        title="your password",
        status=status,
    )


CHOOSE_TWICE = """<label for="password">Password (8 characters or more)</label>
<input id="password" name="password" type="password" autocomplete="new-password" minlength="8"
 maxlength="1000" required>
<label for="again">The same password again</label>
<input id="again" name="again" type="password" autocomplete="new-password" minlength="8"
 maxlength="1000" required>
"""
