"""The outside world: Kafka, Postgres, Salesforce, and the embedded stack that runs them."""
