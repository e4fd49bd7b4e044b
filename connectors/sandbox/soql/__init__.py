"""SOQL: text in, tree, SQL, pages of rows out."""
