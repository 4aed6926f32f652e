"""Statistics of preference votes: pure functions over arrays, in the pairs' stored order.

No store, no clock; chance only through a seed. A tie is a verdict of its own everywhere, and what
the data cannot tell is nan or None, never a perfect score. docs/statistics.md says how to read
each number.

Shapes in names: N votes, P pairs, L labelers, V verdicts, K classes, U kinds of pairs, R resamples.
"""
