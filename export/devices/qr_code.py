"""QR codes in a terminal: an address that a phone's camera reads."""

from __future__ import annotations

import segno

# Modules of light around the code. ISO/IEC 18004 asks for four; cameras read codes with two, which fit more terminals.
BORDER = 2
# Of two modules above each other, by whether each is dark: light is drawn, dark is the ground of the terminal. A space
# that nothing folds or cuts off stands for two dark ones.
_HALVES = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): "\u00a0"}


def draw_qr_code(text: str) -> list[str]:
    """Return the lines of a QR code of `text`, two rows of modules each."""
    code = segno.make(text, error="l", micro=False)
    rows = [[int(module) for module in row] for row in code.matrix_iter(border=BORDER)]
    rows += [[0] * len(rows[0])] * (len(rows) % 2)
    pairs = zip(rows[::2], rows[1::2], strict=True)
    return ["".join(_HALVES[pair] for pair in zip(upper, lower, strict=True)) for upper, lower in pairs]
