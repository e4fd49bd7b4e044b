"""What is deployed: objects, fields, permission sets, their tables and their describe."""
