"""What an event is: Avro schemas with pinned ids, the codec, event states, errors."""
