"""The words that are written on pictures, and where."""

from dataclasses import dataclass

from metaenv.canvas import INK, Pixels, letters_mask

TOUCHES = 1  # pixels by which the boxes of two words may overlap, as few letters fill theirs


@dataclass(frozen=True)
class Word:
    """One line of text and its box, in pixels from the upper left corner; x and y are where it was written."""

    canvas: Pixels
    text: str
    x: float
    y: float
    left: float
    top: float
    right: float
    bottom: float

    def is_over(self, other):
        """Whether both are written in one place."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return self.canvas is other.canvas and across > TOUCHES and down > TOUCHES


def watch(monkeypatch):
    """A list that all words are added to as they are written."""
    found = []
    plain = Pixels.words

    def watched(self, x, y, text, size=13, colour=INK, side="left"):
        width = letters_mask(text, size)[0].width
        left = x - {"left": 0, "middle": width / 2, "right": width}[side]
        if text.strip():
            found.append(Word(self, text, x, y, left, y - 0.75 * size, left + width, y))
        plain(self, x, y, text, size, colour, side)

    monkeypatch.setattr(Pixels, "words", watched)
    return found


def assert_legible(words):
    """Every word lies in its picture, and none over another."""
    for i, word in enumerate(words):
        inside = word.left >= 0 and word.top >= 0
        inside &= word.right <= word.canvas.width + 1 and word.bottom <= word.canvas.height
        assert inside, f"{word.text!r} is cut off"
        for other in words[:i]:
            assert not word.is_over(other), f"{word.text!r} over {other.text!r}"
