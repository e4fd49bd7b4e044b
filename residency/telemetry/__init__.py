"""What a region's processes say about themselves: counts, durations and spans, never content."""
