"""Counts in sentences, for commands and pages alike."""


def many(count: int, thing: str, things: str = "") -> str:
    """A count with its noun: "1 vote", "1,234 votes"; things: the plural where it is no plain s."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"
