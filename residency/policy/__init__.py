"""Policy: which action a category of data gets, by which law, for which destination."""
