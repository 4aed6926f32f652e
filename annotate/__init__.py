"""Pairs -> judgments -> consensus: the labeling pages, assignment, agreement statistics."""
