"""Imported before tools: those of PyPI are for CUDA, do not load beside a torch for CPUs, and are not needed here."""

import sys

sys.modules |= dict.fromkeys(("torchvision", "torchaudio"))
