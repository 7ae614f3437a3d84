"""Comparison of Understudy with stock Redis: the parts of scripts/compare."""
