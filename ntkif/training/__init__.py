"""Influence of networks as they were trained: optimisers, the tape of a training, and trainings without a fold."""
