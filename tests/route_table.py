"""Every route of the labeling server with whom it is for, written down by hand."""

import re

ANYBODY = """
GET /  GET /healthz  GET /readyz  GET /favicon.ico
GET /login  POST /login  GET /login/once/{token}  POST /login/once/{token}  POST /logout
GET /login/oidc  GET /login/oidc/callback
GET /invite/{token}  POST /invite/{token}  GET /reset/{token}  POST /reset/{token}
"""
SIGNED_IN = """
GET /account  POST /account/tokens  POST /account/tokens/{token}/revoke  POST /account/password
GET /api/me  GET /api/pairs  POST /api/judgments  POST /api/undo  POST /api/heartbeat
POST /api/release  GET /api/history  GET /api/history/{presentation}  GET /api/progress
GET /api/guidelines  GET /api/tokens  POST /api/tokens  DELETE /api/tokens/{token}
GET /page/label.js
"""
ADJUDICATORS = """
GET /api/queue  GET /api/adjudication/cases  GET /api/adjudication/cases/{pair}
POST /api/adjudication/cases/{pair}/view  GET /api/adjudication/cases/{pair}/votes
POST /api/adjudication/cases/{pair}/decision  POST /api/adjudication/cases/{pair}/undo
POST /api/adjudication/cases/{pair}/notes  POST /api/adjudication/cases/{pair}/gold
POST /api/adjudication/cases/{pair}/example  POST /api/adjudication/release
GET /page/adjudicate.js
"""
ADMINS = """
GET /docs  GET /openapi.json  GET /metrics  GET /api/status  GET /api/agreement  GET /api/activity
GET /api/guidelines/versions  POST /api/guidelines  GET /api/settings  PUT /api/settings
GET /api/assignments  POST /api/assignments  DELETE /api/assignments/{assignment}
GET /api/gold  GET /api/gold/results  POST /api/gold  POST /api/gold/promote
DELETE /api/gold/{pair}
GET /api/people  GET /api/people/statistics  PATCH /api/people/{name:path}
POST /api/people/{name:path}/pause  POST /api/people/{name:path}/resume
POST /api/people/{name:path}/disable  POST /api/people/{name:path}/enable
POST /api/people/{name:path}/role  POST /api/people/{name:path}/reset
GET /api/people/{name:path}/tokens
GET /api/invitations  POST /api/invitations  DELETE /api/invitations/{invitation}
GET /api/rounds  POST /api/rounds/generate  POST /api/rounds/train  POST /api/rounds/evaluate
POST /api/rounds/reward  POST /api/rounds/check  GET /api/rounds/check  POST /api/rounds/stop
GET /api/rounds/{number}/verdict  POST /api/rounds/{number}/adjudicate
GET /api/rounds/{number}/report
"""
TABLE = {
    (method, path): level
    for level, routes in enumerate([ANYBODY, SIGNED_IN, ADJUDICATORS, ADMINS])
    for method, path in re.findall(r"([A-Z]+) (\S+)", routes)
}


def filled(path):
    return re.sub(r"\{[^}]+\}", "1", path)
