"""What may leave a region, why, and the proof of it."""
