"""The vault's tables: migrations, the writer's store, the reader; every name is qualified."""
