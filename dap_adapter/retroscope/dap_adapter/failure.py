"""How a request is refused."""

from __future__ import annotations


class RequestFailed(Exception):
    """The request cannot be served; the message is one sentence for the user.

    `show_user` asks the client to put the sentence in front of the user, not only in a log.
    """

    def __init__(self, sentence: str, *, show_user: bool = False) -> None:
        super().__init__(sentence)
        self.show_user = show_user
