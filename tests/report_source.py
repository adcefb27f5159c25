"""Tables and images on disk that the tests of the report share."""

import numpy as np
import pandas as pd
from PIL import Image

FLIPPED = (3, 20)


def write_table(folder, n=60):
    """A CSV of two classes with a text column, a constant one and a missing number; two labels are wrong."""
    random = np.random.RandomState(0)
    x = random.randn(n, 3)
    x[FLIPPED, 0] = 2, -2
    kind = np.where(x[:, 0] > 0, "yes", "no")
    kind[list(FLIPPED)] = np.where(kind[list(FLIPPED)] == "yes", "no", "yes")
    table = pd.DataFrame(x, columns=["a", "b", "<c>"])
    table.loc[7, "b"] = np.nan
    table = table.assign(colour=random.choice(["red", "blue"], n), same=1, price=3 * x[:, 0] + x[:, 1], kind=kind)
    table.to_csv(folder / "table.csv", index=False)
    return folder / "table.csv"


def write_images(folder, n=24):
    """Bright and dark halves, one folder a class, in two sizes."""
    random = np.random.RandomState(0)
    for i in range(n):
        side, name = (8, 12)[i % 4 == 1], ("left", "right")[i % 2]
        pixels = random.randint(0, 80, (side, side))
        half = slice(None, side // 2) if name == "left" else slice(side // 2, None)
        pixels[:, half] += 150
        (folder / "images" / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "images" / name / f"{i:02d}.png")
    return folder / "images"
