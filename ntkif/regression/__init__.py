"""Kernel ridge regression from matrices (Eq. 5, 6) with leave-one-out in closed form (Eq. 9): dense, in tiles, in
features, on a cluster, and along gradient flow (Eq. 20). Matrices come in, fits go out.
"""
