"""The plan: contract and policy compiled for one schema; it alone decides at run time."""
