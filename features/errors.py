"""The root of every error that Leadline raises on purpose."""


class LeadScoringError(Exception):
    """What must hold, what was found, and what to do, in one message.

    Each module derives its own class from this one and carries the subject as attributes.
    """
