"""Images and made-up points with their targets: the sets of the paper by name, their archives, shifted copies that no
memory holds, and the samples on which witnesses are made. Nothing here knows a kernel or a network.
"""

from ntkif.data.dataset import Dataset, from_pixels
from ntkif.data.sets import NAMES, load, published_digest

__all__ = ["NAMES", "Dataset", "from_pixels", "load", "published_digest"]
