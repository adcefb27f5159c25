"""Command line: `python -m ntkif record EXPERIMENT DATASET`."""

import argparse

import torch

from ntkif.data import NAMES, load
from ntkif.records import EXPERIMENTS, record, settings_of


def main(arguments: list[str] | None = None) -> None:
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m ntkif", description="What the book records beforehand.")
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("record", help="run an experiment at the paper's size and store its table")
    one.add_argument("experiment", choices=EXPERIMENTS, metavar="EXPERIMENT", help=", ".join(EXPERIMENTS))
    one.add_argument("dataset", choices=NAMES, metavar="DATASET", help=", ".join(NAMES))
    one.add_argument("--device", default="cpu", help="cpu (default) or cuda")
    chosen = parser.parse_args(arguments)
    try:
        settings_of(chosen.experiment, chosen.dataset)
        torch.empty(0, device=chosen.device)
    except (ValueError, RuntimeError, AssertionError) as failure:
        parser.error(str(failure))
    try:
        print(record(chosen.experiment, load(chosen.dataset, device=chosen.device)))
    except (OSError, ValueError, MemoryError) as failure:
        parser.exit(1, f"{failure}\n")


if __name__ == "__main__":
    main()
