"""Files that somebody made to break convc, or that broke on the way: none may do harm."""
