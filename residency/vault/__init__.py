"""The vault's core: subjects, keys, seals, the blind index, and what each event type asks for."""
