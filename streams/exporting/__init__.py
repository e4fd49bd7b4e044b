"""All that a region holds of one person, as a folder that they can be given."""
