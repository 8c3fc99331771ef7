"""Dense convolutions in blocks: as ops, and what that saves and loses (``convc cost --blocks``)."""
