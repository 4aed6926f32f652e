"""Records to Arrow rows and back: the one place where a field's type meets a column's.

Text and numbers are stored as they are, enums as their value, nested mappings and messages as
JSON text, tuples of scalars as lists.
"""

import json
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from storage import adjudication_records, records, run_records, team_records
from storage.records import Message

Record = (
    records.Prompt
    | records.Policy
    | records.Response
    | records.Pair
    | records.Presentation
    | records.Judgment
    | records.Labeler
    | records.Session
    | records.Consensus
    | records.Triplet
    | run_records.Run
    | run_records.RunEvent
    | team_records.TeamRecord
    | adjudication_records.AdjudicationRecord
)

R = TypeVar("R", bound=Record)

TABLES: Mapping[type, str] = {
    records.Prompt: "prompt_rows",
    records.Policy: "policy_rows",
    records.Response: "response_rows",
    records.Pair: "pair_rows",
    records.Presentation: "presentation_rows",
    records.Judgment: "judgment_rows",
    records.Labeler: "labeler_rows",
    records.Session: "session_rows",
    records.Consensus: "consensus_rows",
    records.Triplet: "triplet_rows",
    run_records.Run: "run_rows",
    run_records.RunEvent: "run_event_rows",
    team_records.Gold: "gold_rows",
    team_records.LabelerSettings: "labeler_settings_rows",
    team_records.Assignment: "assignment_rows",
    team_records.Setting: "setting_rows",
    team_records.Guideline: "guideline_rows",
    team_records.Invitation: "invitation_rows",
    team_records.ApiToken: "api_token_rows",
    team_records.PasswordReset: "password_reset_rows",
    team_records.Activity: "activity_rows",
    adjudication_records.OwnView: "own_view_rows",
    adjudication_records.Adjudication: "adjudication_rows",
    adjudication_records.DiscussionNote: "discussion_note_rows",
    adjudication_records.CaseRequest: "case_request_rows",
}

_SCALARS: Mapping[type, pa.DataType] = {
    str: pa.string(),
    bool: pa.bool_(),
    int: pa.int64(),
    float: pa.float64(),
    datetime: pa.timestamp("us"),
}

# In lists: token ids, and log-probabilities, which every engine computes as float32.
_ITEMS: Mapping[type, pa.DataType] = {int: pa.int32(), float: pa.float32()}


def _bare(hint: Any) -> Any:
    """Drop `| None` from a type hint."""
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = [arg for arg in get_args(hint) if arg is not type(None)]
    return hint


def _arrow_type(hint: Any) -> pa.DataType:
    hint = _bare(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return pa.string()
    if hint in _SCALARS:
        return _SCALARS[hint]
    if get_origin(hint) is tuple:
        item = get_args(hint)[0]
        if item is Message:
            return pa.string()
        return pa.list_(_ITEMS.get(item) or _arrow_type(item))
    if get_origin(hint) is Mapping:
        return pa.string()
    raise AssertionError(f"no column type for {hint}: add it to storage/codec.py")


_HINTS: Mapping[type, Mapping[str, Any]] = {kind: get_type_hints(kind) for kind in TABLES}


def arrow_schema(kind: type[Record]) -> pa.Schema:
    """The columns of a record's table, in the order of its fields."""
    hints = _HINTS[kind]
    return pa.schema([(f.name, _arrow_type(hints[f.name])) for f in fields(kind)])


def _messages_text(messages: Sequence[Message]) -> str:
    return json.dumps([m.as_dict() for m in messages], ensure_ascii=False)


def _mapping_text(mapping: Mapping[str, object]) -> str:
    return json.dumps(dict(mapping), sort_keys=True, ensure_ascii=False) if mapping else "{}"


def _written(hint: Any) -> Callable[[Any], object] | None:
    """What makes a column's cell of a field's value; None where it is the value itself."""
    hint = _bare(hint)
    if get_origin(hint) is tuple:
        return _messages_text if get_args(hint)[0] is Message else None
    return _mapping_text if get_origin(hint) is Mapping else None


def encode(rows: Sequence[Record]) -> pa.Table:
    """Arrow table of records of one kind; raises TypeError when kinds are mixed."""
    kinds = {type(row) for row in rows}
    if len(kinds) != 1:
        raise TypeError(f"one kind of record at a time, got {sorted(k.__name__ for k in kinds)}")
    kind = kinds.pop()
    schema = arrow_schema(kind)
    arrays = []
    for column in schema:
        values = [getattr(row, column.name) for row in rows]
        if make := _WRITTEN[kind][column.name]:
            values = [make(value) for value in values]
        arrays.append(pa.array(values, type=column.type))
    return pa.Table.from_arrays(arrays, schema=schema)


def _turns(cell: str) -> tuple[Message, ...]:
    return tuple(Message(**turn) for turn in json.loads(cell))


def _read(hint: Any) -> Callable[[Any], object] | None:
    """What makes a field's value of a column's cell that is there; None where it is the cell."""
    hint = _bare(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return {member.value: member for member in hint}.__getitem__
    if get_origin(hint) is tuple:
        return _turns if get_args(hint)[0] is Message else tuple
    return json.loads if get_origin(hint) is Mapping else None


def decode(kind: type[R], table: pa.Table) -> list[R]:
    """The records that a table's rows hold; columns the record does not have are ignored."""
    names = [f.name for f in fields(kind)]
    columns = []
    for name in names:
        cells = table[name].to_pylist()
        if make := _READ[kind][name]:
            cells = [None if cell is None else make(cell) for cell in cells]
        columns.append(cells)
    return [kind(**dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


_WRITTEN = {kind: {n: _written(h) for n, h in hints.items()} for kind, hints in _HINTS.items()}
_READ = {kind: {n: _read(h) for n, h in hints.items()} for kind, hints in _HINTS.items()}
