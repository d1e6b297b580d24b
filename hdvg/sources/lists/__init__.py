"""Lists on sites as sources of links: read flat, filtered by what they say, and no video asked for."""
