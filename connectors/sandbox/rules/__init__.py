"""Validation rules: formulas compiled when the org starts."""
