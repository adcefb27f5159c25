"""Networks and what they are trained on: the paper's two-layer network with its gradient written out, deeper ones as
torch modules, and the losses. Data come in, trained networks go out.
"""
