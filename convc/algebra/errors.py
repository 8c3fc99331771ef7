"""The one way in which the algebra says no."""

from __future__ import annotations


class DoesNotCompose(Exception):  # noqa: N818  (an answer to a question, not a failure)
    """Two linear maps whose composition is not one map of the wanted form.

    The message is a short reason, fit to be counted and shown to a user.
    """
