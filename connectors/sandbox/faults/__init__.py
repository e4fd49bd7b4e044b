"""Faults on command: a plan, what it hinders, and the path that controls it."""
