"""The account page's HTML: every text is escaped here."""

import html
from collections.abc import Sequence

from fastapi.responses import HTMLResponse

from annotate.tokens import is_active
from annotate.web_pages import CHOOSE_TWICE, message, page
from storage.records import Labeler, Role
from storage.team_records import ApiToken


def account_page(
    me: Labeler, found: Sequence[ApiToken], *, said: str = "", made: str = "", status: int = 200
) -> HTMLResponse:
    """Tokens and password of one's own; made: a new token, shown this once."""
    admin = ' · <a href="/admin/">Admin</a>' if me.role is Role.ADMIN else ""
    links = f'<p><a href="/label/">Pairs</a>{admin} · signed in as {html.escape(me.name)}</p>'
    return page(
        f"{links}{message(said)}{_tokens(found, made)}{_password(me)}",
        title="your account",
        status=status,
        wide=True,
    )


def _tokens(found: Sequence[ApiToken], made: str) -> str:
    shown = (
        f'<p role="status"><label for="made">Your new token. It is shown only now.</label>'
        f'<input id="made" readonly value="{html.escape(made)}"></p>'
        if made
        else ""
    )
    rows = "".join(_row(token) for token in found)
    table = (
        "<table><thead><tr><th>For</th><th>Made</th><th>Ends</th><td></td></tr></thead>"
        f"<tbody>{rows}</tbody></table>"
        if rows
        else "<p>You have none yet.</p>"
    )
    return f"""<section><h2>API tokens</h2>
<p>A token lets a program act as you, with your role.</p>{shown}{table}
<form method="post" action="/account/tokens">
<label for="label">What the new token is for</label>
<input id="label" name="label" maxlength="80" required>
<label for="days">Days it holds (empty: until you revoke it)</label>
<input id="days" name="days" type="number" min="1" max="3650">
<button>Make a token</button></form></section>"""


def _row(token: ApiToken) -> str:
    label = html.escape(token.label)
    ends = f"{token.expires_at:%Y-%m-%d}" if token.expires_at else "when revoked"
    if token.revoked:
        ends = "revoked"
    elif not is_active(token):
        ends = "expired"
    button = (
        f'<form method="post" action="/account/tokens/{html.escape(token.token_hash)}/revoke">'
        f'<button class="small" aria-label="Revoke {label}">Revoke</button></form>'
        if is_active(token)
        else ""
    )
    made = f"{token.created_at:%Y-%m-%d}"
    return f"<tr><td>{label}</td><td>{made}</td><td>{ends}</td><td>{button}</td></tr>"


def _password(me: Labeler) -> str:
    if not me.password_hash:
        who = (
            'Make yourself a link to choose one: <a href="/admin/">Admin</a>, tab People, your name, '
            "“Make a password link”. Without one, <code>pairloop annotate --login NAME</code> prints a link for each sign-in."
            if me.role is Role.ADMIN
            else "An admin can make you a link to choose one."
        )
        return f"<section><h2>Password</h2><p>You have none. {who}</p></section>"
    return f"""<section><h2>Password</h2>
<p>A new one signs you out everywhere else and ends your API tokens.</p>
<form method="post" action="/account/password">
<input type="hidden" value="{html.escape(me.name)}" autocomplete="username">
<label for="current">Your password now</label>
<input id="current" name="current" type="password" autocomplete="current-password" required>
{CHOOSE_TWICE}<button>Change my password</button></form></section>"""
