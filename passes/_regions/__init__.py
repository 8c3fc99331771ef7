"""Regions of tied channels: what they reach, which belong together, and a region with fewer.

`region.collect` finds the ops, `flow.Flow` which of their channels stay or go together, a
`plan.Plan` says which stay, and `build.rebuild` makes the replacement.
"""
