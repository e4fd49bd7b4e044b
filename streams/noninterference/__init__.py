"""Non-interference, tried: pairs of events that must look alike from outside, compared."""
