"""Values written into SQL: Quack takes no parameters, and some statements of DuckDB do not either."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

# What may hold a $ that is no parameter comes first: strings, quoted names, comments, words.
_TOKEN = re.compile(
    r"""
      [eE]'(?:[^'\\]|\\.|'')*'
    | '(?:[^']|'')*'
    | "(?:[^"]|"")*"
    | --[^\n]*
    | /\*(?:/\*.*?\*/|.)*?\*/
    | \$(?P<tag>(?:[^\W\d]\w*)?)\$.*?\$(?P=tag)\$
    | [^\W\d][\w$]*
    | \$(?P<name>\w+)
    """,
    re.DOTALL | re.VERBOSE,
)


def bind(sql: str, params: Mapping[str, object]) -> str:
    """Write the parameters into the SQL as literals; ValueError on a missing or an extra one."""
    used: set[str] = set()

    def replace(found: re.Match[str]) -> str:
        name = found["name"]
        if name is None:
            return found[0]
        used.add(name)
        return literal(params[name]) if name in params else found[0]

    text = _TOKEN.sub(replace, sql)
    if missing := used - params.keys():
        raise ValueError(f"The query needs a value for ${', $'.join(sorted(missing))}.")
    if extra := params.keys() - used:
        raise ValueError(f"The query has no parameter ${', $'.join(sorted(extra))}.")
    return text


def literal(value: object) -> str:
    """Write a value as a DuckDB SQL literal. Times become UTC without a zone, as stored."""
    match value:
        case None:
            return "NULL"
        case bool():
            return "TRUE" if value else "FALSE"
        case int():
            return f"({int(value)})"  # "x-$n" with -1 must not become the comment "x--1"
        case float():
            return f"CAST('{float.__repr__(value)}' AS DOUBLE)"  # 0.1 alone would be a DECIMAL
        case str():
            # str() of a plain (str, Enum) member is its name; the parser stops at a NUL.
            parts = ["'" + part.replace("'", "''") + "'" for part in str.__str__(value).split("\0")]
            return parts[0] if len(parts) == 1 else f"concat_ws(chr(0), {', '.join(parts)})"
        case bytes():
            return "CAST('" + "".join(f"\\x{byte:02X}" for byte in value) + "' AS BLOB)"
        case datetime():
            naive = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            return f"TIMESTAMP '{naive.isoformat(sep=' ')}'"
        case list() | tuple():
            return "[" + ", ".join(literal(item) for item in value) + "]"
        case _:
            raise TypeError(f"A {type(value).__name__} can't be a query parameter: {value!r}")
