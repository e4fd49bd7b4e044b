"""The demo: synthetic customers, real parts, and the evidence that it worked."""
