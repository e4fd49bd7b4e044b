"""The road to Salesforce: log in, upsert minimal records, account for every one of them."""
