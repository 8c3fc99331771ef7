"""The rewrites of convc: one file, one pass, one piece of algebra."""
