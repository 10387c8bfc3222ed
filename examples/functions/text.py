"""Functions of the workflow beside this. They need nothing of Muster, and can be tested like any others."""

from collections import Counter
from typing import Dict, List  # noqa: UP035 - the image may have Python 3.8


def words(text: str) -> List[str]:  # noqa: UP006
    return text.lower().split()


def most_common(words: List[str], count: int = 3) -> Dict[str, int]:  # noqa: UP006
    print(f"counting {len(words)} words")
    return dict(Counter(words).most_common(count))


class Shout:
    """Loaded once, then called."""

    def load(self):
        self.mark = "!"

    def execute(self, words: List[str]) -> str:  # noqa: UP006
        if not words:
            raise ValueError("there is nothing to shout")
        return " ".join(words).upper() + self.mark
