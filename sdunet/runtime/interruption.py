"""What a training raises that was stopped from outside."""


class Stopped(BaseException):
    """A training was stopped from outside, and can be resumed.

    Args:
        by: what stopped it.
        status: exit status of the command, 128 + the number of a signal.
    """

    def __init__(self, by: str, status: int) -> None:
        super().__init__(by)
        self.status = status
